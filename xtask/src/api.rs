//! `cargo xtask api`: what each published library offers, an item a line, held against what docs/api says of it. A change of it is seen
//! in the change itself, and never by accident.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use crate::{
    Result, nightly,
    run::{root, run},
    workspace::{Package, Workspace},
};

/// One file a library.
const FOLDER: &str = "docs/api";

/// What rustdoc is told: to write JSON, as docs.rs would otherwise; a warning there is an error here.
const RUSTDOC: &str = "-Z unstable-options --output-format json --cfg docsrs -D warnings";

/// What the compiler alone can use.
const OF_NO_USE: [&str; 2] = ["impl core::marker::Freeze for ", "impl core::marker::UnsafeUnpin for "];

/// Fails where a library offers something else than the files say; or writes them anew.
pub(crate) fn check(workspace: &Workspace, bless: bool) -> Result {
    let offered = offered(workspace)?;
    let folder = root().join(FOLDER);
    if bless { write(&folder, &offered) } else { compare(&folder, &offered) }
}

/// The public items of each library, by its name.
fn offered(workspace: &Workspace) -> Result<BTreeMap<&str, String>> {
    nightly::install()?;
    let libraries: Vec<&Package> = workspace.published().into_iter().filter(|package| package.is_library()).collect();
    let written = nightly::target_directory(workspace).join("doc");
    // What is left of an earlier run proves nothing.
    if written.exists() {
        fs::remove_dir_all(&written)?;
    }
    let mut documenting = nightly::cargo("doc", workspace);
    documenting.args(["--locked", "--no-deps", "--lib", "--all-features"]).env("RUSTDOCFLAGS", RUSTDOC);
    documenting.args(libraries.iter().flat_map(|package| ["--package", &package.name]));
    run(&mut documenting)?;
    libraries
        .into_iter()
        .map(|package| Ok((package.name.as_str(), items(&written.join(package.name.replace('-', "_") + ".json"))?)))
        .collect()
}

/// The items in what rustdoc wrote of a library.
fn items(json: &Path) -> Result<String> {
    let api = public_api::Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .build()
        .map_err(|error| format!("cannot read {}: {error}", json.display()))?;
    let lines = api.items().map(|item| item.to_string() + "\n");
    Ok(lines.filter(|line| !OF_NO_USE.iter().any(|start| line.starts_with(start))).collect())
}

fn write(folder: &Path, offered: &BTreeMap<&str, String>) -> Result {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    for (name, items) in offered {
        fs::write(folder.join(file_of(name)), items)?;
    }
    println!("{FOLDER}: {} files written", offered.len());
    Ok(())
}

fn compare(folder: &Path, offered: &BTreeMap<&str, String>) -> Result {
    let mut changed = Vec::new();
    for (name, items) in offered {
        let said = fs::read_to_string(folder.join(file_of(name))).unwrap_or_default();
        let changes = changes(&said, items);
        println!("{name}: {} items, {} changes", items.lines().count(), changes.len());
        if !changes.is_empty() {
            println!("{}", changes.join("\n"));
            changed.push((*name).to_owned());
        }
    }
    for entry in fs::read_dir(folder)? {
        let file = entry?.file_name().to_string_lossy().into_owned();
        if !offered.keys().any(|name| file_of(name) == file) {
            changed.push(format!("{FOLDER}/{file}, which is no library's,"));
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    Err(format!("{} changed in public: if that is meant, `cargo xtask api --bless` notes it", changed.join(", "))
        .into())
}

fn file_of(name: &str) -> String {
    format!("{name}.txt")
}

/// What went and what came, each as a line with a sign.
fn changes(old: &str, new: &str) -> Vec<String> {
    let (before, after): (BTreeSet<&str>, BTreeSet<&str>) = (old.lines().collect(), new.lines().collect());
    let went = old.lines().filter(|line| !after.contains(line)).map(|line| format!("- {line}"));
    let came = new.lines().filter(|line| !before.contains(line)).map(|line| format!("+ {line}"));
    went.chain(came).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_and_what_came_is_told_and_nothing_else() {
        assert_eq!(changes("a\nb\nc\n", "a\nc\nd\n"), ["- b", "+ d"]);
        assert!(changes("a\nb\n", "a\nb\n").is_empty());
    }

    #[test]
    fn a_change_in_public_fails_until_it_is_written_down() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("api");
        let offered = BTreeMap::from([("ours", "pub mod ours\npub fn ours::new()\n".to_owned())]);
        write(&folder, &offered).unwrap();
        compare(&folder, &offered).unwrap();

        let more = BTreeMap::from([("ours", "pub mod ours\n".to_owned())]);
        let error = compare(&folder, &more).unwrap_err().to_string();
        assert!(error.contains("ours changed"), "{error}");
        write(&folder, &more).unwrap();
        compare(&folder, &more).unwrap();
    }

    #[test]
    fn a_library_that_is_not_written_down_and_a_file_that_is_no_librarys_fail() {
        let folder = tempfile::tempdir().unwrap();
        let offered = BTreeMap::from([("ours", "pub mod ours\n".to_owned())]);
        assert!(compare(folder.path(), &offered).is_err());
        write(folder.path(), &offered).unwrap();
        fs::write(folder.path().join("theirs.txt"), "").unwrap();
        let error = compare(folder.path(), &offered).unwrap_err().to_string();
        assert!(error.contains("theirs.txt"), "{error}");
    }
}
