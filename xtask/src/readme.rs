//! What the README promises about itself: its commands are the ones that are run, and its code is compiled.

use std::fs;

use crate::{
    Result,
    run::{program, root, run, stdout_of},
};

/// The README's command that runs the tests. It stands there on a line of its own.
const TEST_COMMAND: &str = "cargo xtask test";

/// The README's command that does the main job.
const MAIN_COMMAND: &str = "cargo run -p wix-visitor-cli -- --sandbox call POST /stores/v3/products/query -d '{}'";

/// How the facade makes the README's code one of its doctests.
const COMPILED: &str = "include_str!(\"../../../README.md\")";

/// Checks that the README has its two commands and that its code is among the doctests.
pub(crate) fn check() -> Result {
    let readme = fs::read_to_string(root().join("README.md"))?;
    has_commands(&readme)?;
    code_is_checked(&readme)?;
    let facade = fs::read_to_string(root().join("crates/wix-visitor/src/lib.rs"))?;
    if facade.contains(COMPILED) {
        Ok(())
    } else {
        Err(format!("crates/wix-visitor/src/lib.rs does not compile the README's code: it has no {COMPILED}").into())
    }
}

/// Runs the README's first command, as it stands there, with everything it keeps in a folder of this run's own.
pub(crate) fn run_main_command(home: &std::path::Path) -> Result {
    if home.exists() {
        fs::remove_dir_all(home)?;
    }
    fs::create_dir_all(home)?;
    let answer = stdout_of(program("sh").args(["-c", MAIN_COMMAND]).env("XDG_DATA_HOME", home))?;
    if answer.contains("\"products\"") {
        Ok(())
    } else {
        Err(format!("`{MAIN_COMMAND}` listed no products; it said: {answer}").into())
    }
}

/// Runs the README's test command, as it stands there.
pub(crate) fn run_test_command() -> Result {
    run(program("sh").args(["-c", TEST_COMMAND]))
}

fn has_commands(readme: &str) -> Result {
    for command in [MAIN_COMMAND, TEST_COMMAND] {
        if !fenced(readme).iter().any(|(_, lines)| lines.contains(&command)) {
            return Err(format!("README.md has no line `{command}` in a code block").into());
        }
    }
    Ok(())
}

/// Rust code must be code that rustdoc compiles.
fn code_is_checked(readme: &str) -> Result {
    let mut rust = fenced(readme).into_iter().filter(|(info, _)| info.starts_with("rust")).peekable();
    if rust.peek().is_none() {
        return Err("README.md has no Rust example".into());
    }
    match rust.find(|(info, _)| info.contains("ignore")) {
        Some((info, _)) => Err(format!("README.md has a code block marked `{info}`, which nothing compiles").into()),
        None => Ok(()),
    }
}

/// The fenced code blocks: what stands behind the opening fence, and the lines.
fn fenced(text: &str) -> Vec<(&str, Vec<&str>)> {
    let mut blocks = Vec::new();
    let mut open: Option<(&str, Vec<&str>)> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(info), None) => open = Some((info.trim(), Vec::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, lines))) => lines.push(line),
            (None, None) => {}
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_counts_only_as_a_line_of_a_code_block() {
        let good = format!("```sh\n{MAIN_COMMAND}\n```\nthen\n```sh\n{TEST_COMMAND}\n```\n");
        has_commands(&good).unwrap();
        assert!(has_commands(&good.replace("```sh\n", "")).is_err());
        assert!(has_commands(&good.replace(TEST_COMMAND, "cargo xtask tests")).is_err());
    }

    #[test]
    fn rust_that_nothing_compiles_is_refused() {
        code_is_checked("```rust,no_run\nfn main() {}\n```\n").unwrap();
        assert!(code_is_checked("```rust,ignore\nfn main() {}\n```\n").is_err());
        assert!(code_is_checked("no code").is_err());
    }

    #[test]
    fn this_repositorys_readme_has_its_commands() {
        has_commands(&fs::read_to_string(root().join("README.md")).unwrap()).unwrap();
    }
}
