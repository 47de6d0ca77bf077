//! `cargo xtask sbom`: what the command and the library are made of, as CycloneDX: the same file from the same commit, wherever it is made.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{
    Result,
    run::{cargo, program, run, stdout_of},
    tools,
    workspace::Workspace,
};

/// Of what, where that is, and with which features: the command as it is installed, the library with all it can have.
const PRODUCTS: [(&str, &str, &[&str]); 2] =
    [("wix-visitor-cli", "crates/cli", &[]), ("wix-visitor", "crates/wix-visitor", &["--all-features"])];

/// Writes one file for each into target/xtask/sbom.
pub(crate) fn write(workspace: &Workspace) -> Result {
    tools::cargo_cyclonedx()?;
    let folder = workspace.target_directory.join("xtask/sbom");
    // The tool leaves a file beside each manifest of a workspace: in a copy, of what is committed.
    let copy = folder.join("copy");
    if copy.exists() {
        fs::remove_dir_all(&copy)?;
    }
    run(program("git").args(["clone", "--quiet", "."]).arg(&copy))?;
    let when = stdout_of(program("git").args(["log", "-1", "--format=%ct"]))?;
    for (name, place, features) in PRODUCTS {
        let manifest = copy.join(place).join("Cargo.toml");
        let mut describing = in_copy("cyclonedx", &copy);
        describing.args(["--format", "json", "--spec-version", "1.5", "--target", "all", "--quiet", "--all-features"]);
        run(describing.arg("--manifest-path").arg(&manifest).env("SOURCE_DATE_EPOCH", when.trim()))?;
        let written = fs::read_to_string(copy.join(place).join(file_of(name)))?;

        let mut listing = in_copy("tree", &copy);
        listing.args(["--locked", "--package", name, "--edges", "normal,build", "--target", "all"]);
        let tree = stdout_of(listing.args(["--prefix", "none", "--format", "{p}"]).args(features))?;

        let mut bill: Value = serde_json::from_str(&anywhere(&written, &copy))?;
        prune(&mut bill, &packages(&tree)).map_err(|missing| format!("{name}: {missing}"))?;
        let file = folder.join(file_of(name));
        fs::write(&file, serde_json::to_string_pretty(&bill)? + "\n")?;
        println!("{}: {} components", file.display(), bill["components"].as_array().map_or(0, Vec::len));
    }
    fs::remove_dir_all(copy)?;
    Ok(())
}

fn in_copy(subcommand: &str, copy: &Path) -> std::process::Command {
    let mut command = cargo(subcommand);
    command.current_dir(copy);
    command
}

fn file_of(name: &str) -> PathBuf {
    PathBuf::from(name).with_extension(OsStr::new("cdx.json"))
}

/// Without the folder that the copy happened to be in.
fn anywhere(bill: &str, copy: &Path) -> String {
    bill.replace(&format!("file://{}/", copy.display()), "file:///")
}

/// Name and version of each package in what `cargo tree` lists.
fn packages(tree: &str) -> BTreeSet<(String, String)> {
    let package = |line: &str| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.trim_start_matches('v').to_owned()))
    };
    tree.lines().filter_map(package).collect()
}

/// Leaves what is really in it. The tool takes what `cargo metadata` says, which counts optional dependencies that no feature turns on.
fn prune(bill: &mut Value, packages: &BTreeSet<(String, String)>) -> std::result::Result<(), String> {
    let package =
        |component: &Value| Some((component["name"].as_str()?.to_owned(), component["version"].as_str()?.to_owned()));
    let itself = package(&bill["metadata"]["component"]);
    let mut kept = BTreeSet::from_iter(bill["metadata"]["component"]["bom-ref"].as_str().map(str::to_owned));
    let mut found = BTreeSet::from_iter(itself);
    if let Some(components) = bill["components"].as_array_mut() {
        components.retain(|component| package(component).is_some_and(|package| packages.contains(&package)));
        kept.extend(components.iter().filter_map(|component| component["bom-ref"].as_str().map(str::to_owned)));
        found.extend(components.iter().filter_map(package));
    }
    let is_kept = |name: &Value| name.as_str().is_some_and(|name| kept.contains(name));
    if let Some(dependencies) = bill["dependencies"].as_array_mut() {
        dependencies.retain(|dependency| is_kept(&dependency["ref"]));
        for dependency in dependencies {
            if let Some(needed) = dependency.get_mut("dependsOn").and_then(Value::as_array_mut) {
                needed.retain(is_kept);
            }
        }
    }
    let missing: Vec<_> = packages.difference(&found).map(|(name, version)| format!("{name} {version}")).collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("the bill of materials lacks {}", missing.join(", "))) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn component(name: &str) -> Value {
        json!({ "bom-ref": format!("ref {name}"), "name": name, "version": "1.0.0" })
    }

    fn bill() -> Value {
        json!({
            "metadata": { "component": component("ours") },
            "components": [component("used"), component("never")],
            "dependencies": [
                { "ref": "ref ours", "dependsOn": ["ref never", "ref used"] }, { "ref": "ref never" }, { "ref": "ref used" },
            ],
        })
    }

    #[test]
    fn what_is_not_built_is_not_on_the_bill() {
        let mut bill = bill();
        prune(&mut bill, &packages("ours v1.0.0 (/a/path)\nused v1.0.0 (proc-macro)\nused v1.0.0 (*)\n")).unwrap();
        assert_eq!(bill["components"], json!([component("used")]));
        let dependencies = json!([{ "ref": "ref ours", "dependsOn": ["ref used"] }, { "ref": "ref used" }]);
        assert_eq!(bill["dependencies"], dependencies);
    }

    #[test]
    fn what_is_built_and_not_on_the_bill_is_an_error_that_names_it() {
        let error = prune(&mut bill(), &packages("ours v1.0.0\nused v1.0.0\nused v2.0.0\n")).unwrap_err();
        assert!(error.contains("used 2.0.0") && !error.contains("used 1.0.0"), "{error}");
    }

    #[test]
    fn a_bill_says_nothing_of_the_machine_that_wrote_it() {
        let written = "path+file:///home/me/copy/crates/core#1.0.0";
        assert_eq!(anywhere(written, Path::new("/home/me/copy")), "path+file:///crates/core#1.0.0");
    }
}
