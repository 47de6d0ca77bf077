//! Reports that commands of ours write between marks in a document.

use std::{fs, path::Path};

use crate::{
    Result,
    run::{program, root, stdout_of},
};

/// Which version is at work, and when. Changes to the document itself do not count.
pub(crate) fn version_now(document: &str) -> Result<String> {
    let date = stdout_of(program("date").args(["-u", "+%F"]))?;
    let commit = stdout_of(program("git").args(["rev-parse", "--short=12", "HEAD"]))?;
    let changed = stdout_of(program("git").args(["status", "--porcelain", "--", &format!(":!{document}")]))?;
    let changed = if changed.is_empty() { "" } else { ", with changes not committed" };
    Ok(format!("{} · commit {}{changed}", date.trim(), commit.trim()))
}

/// Puts a text between the marks of this name in a document of this repository.
pub(crate) fn note(document: &str, name: &str, text: &str) -> Result {
    write_section(&root().join(document), name, text)
}

/// What stands between the marks of this name.
pub(crate) fn noted(document: &str, name: &str) -> Result<String> {
    let text = fs::read_to_string(root().join(document))?;
    let (_, rest) = text.split_once(&format!("<!-- {name}:begin -->")).ok_or("a document without its marks")?;
    Ok(rest.split_once(&format!("<!-- {name}:end -->")).ok_or("a document without its marks")?.0.to_owned())
}

/// Puts a text between the marks of this name.
fn write_section(file: &Path, name: &str, text: &str) -> Result {
    let old = fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let (begin, end) = (format!("<!-- {name}:begin -->"), format!("<!-- {name}:end -->"));
    let around = old.split_once(&begin).and_then(|(before, rest)| Some((before, rest.split_once(&end)?.1)));
    let (before, after) = around.ok_or_else(|| format!("{} has no {begin} and {end}", file.display()))?;
    fs::write(file, format!("{before}{begin}\n\n{}\n\n{end}{after}", text.trim()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_and_nothing_around_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("text.md");
        fs::write(&file, "# A\n<!-- model:begin -->\nold\n<!-- model:end -->\nB\n<!-- other:begin -->\n").unwrap();
        for text in ["new\n", "newer"] {
            write_section(&file, "model", text).unwrap();
            let expected = format!(
                "# A\n<!-- model:begin -->\n\n{}\n\n<!-- model:end -->\nB\n<!-- other:begin -->\n",
                text.trim()
            );
            assert_eq!(fs::read_to_string(&file).unwrap(), expected);
        }
    }

    #[test]
    fn a_file_without_the_marks_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("text.md");
        fs::write(&file, "<!-- model:end --> <!-- model:begin -->").unwrap();
        assert!(write_section(&file, "model", "new").is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), "<!-- model:end --> <!-- model:begin -->");
    }

    #[test]
    fn the_committed_documents_have_the_marks() {
        for (document, name) in [
            ("docs/guarantees.md", "model"),
            ("docs/guarantees.md", "kill"),
            ("docs/guarantees.md", "migrate"),
            ("docs/guarantees.md", "failover"),
            ("docs/guarantees.md", "fleet"),
            ("docs/guarantees.md", "web"),
            ("docs/guarantees.md", "fuzz"),
            ("docs/guarantees.md", "coverage"),
            ("docs/guarantees.md", "mutants"),
            ("docs/performance.md", "table"),
        ] {
            let text = fs::read_to_string(root().join(document)).unwrap();
            assert!(text.contains(&format!("<!-- {name}:begin -->")) && text.contains(&format!("<!-- {name}:end -->")));
        }
    }
}
