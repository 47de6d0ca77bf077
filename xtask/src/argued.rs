//! What no test can tell, and why: the list of it, held against what was found.

use std::{fs, path::Path};

use crate::{Result, run::root};

const LIST: &str = "docs/argued.md";

/// Fails where something was found that the list does not argue under this heading, and where it argues what is not found any more.
pub(crate) fn check(heading: &str, found: &[String]) -> Result {
    let list = fs::read_to_string(root().join(LIST)).map_err(|error| format!("cannot read {LIST}: {error}"))?;
    compare(items(&list, heading)?, found)
}

/// A place, so that it is known again when lines above it change: the file's name and the line's text.
pub(crate) fn place(file: &Path, text: &str, line: usize) -> String {
    let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy();
    let code = line.checked_sub(1).and_then(|index| text.lines().nth(index)).unwrap_or_default();
    format!("`{name}`: `{}`", code.trim())
}

/// The items under a heading. Each is a line, and the lines below it, further in, are its reason.
fn items<'a>(list: &'a str, heading: &str) -> Result<Vec<&'a str>> {
    let mut lines = list.lines().skip_while(|line| line.strip_prefix("## ") != Some(heading));
    lines.next().ok_or_else(|| format!("{LIST} has no heading `## {heading}`"))?;
    let mut lines = lines.take_while(|line| !line.starts_with("## ")).peekable();
    let mut items = Vec::new();
    while let Some(line) = lines.next() {
        let Some(item) = line.strip_prefix("- ") else { continue };
        if !lines.peek().is_some_and(|reason| reason.starts_with("  ") && !reason.trim().is_empty()) {
            return Err(format!("{LIST} has an item without a reason below it: {item}").into());
        }
        items.push(item);
    }
    Ok(items)
}

fn compare(mut argued: Vec<&str>, found: &[String]) -> Result {
    let mut wrong = Vec::new();
    for one in found {
        // One item argues one place: of two lines that read the same each needs its own.
        match argued.iter().position(|item| item == one) {
            Some(index) => drop(argued.swap_remove(index)),
            None => wrong.push(format!("write a test that tells it, or argue it in {LIST}: {one}")),
        }
    }
    wrong.extend(argued.into_iter().map(|item| format!("{LIST} argues what is not found any more: {item}")));
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "# A\n\n## First\n\n- `a.rs`: `x`: never true\n  Since it is so.\n- `a.rs`: `y`: not run\n  And so is that.\n\n\
                        ## Second\n\nNone.\n";

    fn found(found: &[&str]) -> Vec<String> {
        found.iter().map(|one| (*one).to_owned()).collect()
    }

    #[test]
    fn what_is_found_has_to_be_argued_and_what_is_argued_found() {
        let check = |heading, what: &[&str]| compare(items(LIST, heading).unwrap(), &found(what));
        check("First", &["`a.rs`: `y`: not run", "`a.rs`: `x`: never true"]).unwrap();
        check("Second", &[]).unwrap();
        let missing = check("First", &["`a.rs`: `y`: not run"]).unwrap_err().to_string();
        assert!(missing.contains("not found any more: `a.rs`: `x`: never true"), "{missing}");
        let new = check("Second", &["`b.rs`: `z`: not run"]).unwrap_err().to_string();
        assert!(new.contains("argue it in docs/argued.md: `b.rs`: `z`: not run"), "{new}");
        assert!(check("First", &["`a.rs`: `x`: never true", "`a.rs`: `y`: not run", "`a.rs`: `y`: not run"]).is_err());
    }

    #[test]
    fn an_item_without_a_reason_argues_nothing() {
        assert!(items("## A\n- x\n- y\n  Why.\n", "A").is_err());
        assert!(items("## A\n- x\n", "A").is_err());
        assert!(items("## A\n", "B").is_err());
    }

    #[test]
    fn a_place_is_known_by_its_text() {
        let text = "one\n    let two = 2;\n";
        assert_eq!(place(Path::new("folder/a.rs"), text, 2), "`a.rs`: `let two = 2;`");
    }
}
