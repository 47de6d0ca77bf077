//! Programs of this checkout, built when a suite first needs them.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

/// Where the command `wix-visitor` is; builds it the first time.
///
/// # Panics
///
/// When it cannot be built.
pub fn wix_visitor() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| build("wix-visitor-cli", "wix-visitor"))
}

/// Where the shop of the examples is; builds it the first time.
///
/// # Panics
///
/// When it cannot be built.
pub fn storefront() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| build("storefront", "storefront"))
}

fn build(package: &str, program: &str) -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--locked", "--package", package, "--message-format=json-render-diagnostics"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .unwrap_or_else(|error| panic!("cannot start cargo: {error}"));
    assert!(output.status.success(), "cannot build {package} ({})", output.status);
    executable(&output.stdout, program).unwrap_or_else(|| panic!("{package} has no program `{program}`"))
}

/// The program's path in what cargo says about each thing that it built, one JSON object a line.
fn executable(messages: &[u8], program: &str) -> Option<PathBuf> {
    messages
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == program)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_found_among_cargos_messages() {
        let messages = br#"{"reason":"compiler-artifact","target":{"name":"wix_visitor"},"executable":null}
not JSON
{"reason":"compiler-artifact","target":{"name":"wix-visitor"},"executable":"/target/debug/wix-visitor"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages, "wix-visitor").as_deref(), Some(Path::new("/target/debug/wix-visitor")));
        assert_eq!(executable(b"{}", "wix-visitor"), None);
    }
}
