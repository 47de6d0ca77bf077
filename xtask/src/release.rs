//! `cargo xtask release`: whether all that users will get is ready, and in which order it goes out. It publishes nothing: the commands
//! that do are printed, for a maintainer.

use std::{fs, process::ExitCode};

use crate::{
    Result, api, minimal_versions,
    msrv::Rust,
    run::{cargo, program, root, run, shown, stdout_of},
    sbom,
    steps::Steps,
    tools::{self, first_line},
    workspace::{Package, Workspace},
};

/// From here on cargo packages and verifies crates that need each other, before any of them is published.
const CARGO: &str = "1.90";

const LICENSES: [&str; 2] = ["LICENSE-APACHE", "LICENSE-MIT"];

/// What cargo puts into each package by itself.
const BY_CARGO: [&str; 4] = [".cargo_vcs_info.json", "Cargo.lock", "Cargo.toml", "Cargo.toml.orig"];

/// Runs every check and tells how each went. A dry run forgives what is done last: it is told, and is no failure.
pub(crate) fn release(dry_run: bool) -> ExitCode {
    let workspace = match Workspace::load() {
        Ok(workspace) => workspace,
        Err(error) => {
            println!("the workspace cannot be read: {error}\n0 passed, 1 failed");
            return ExitCode::FAILURE;
        }
    };
    let (mut order, mut left) = (Vec::new(), Vec::new());
    let mut steps = Steps::default();
    steps.run("order", || {
        order = publish_order(workspace.published())?;
        println!("{}", names(&order).join("\n"));
        Ok(())
    });
    steps.run("manifests", || all_well(order.iter().flat_map(|package| manifest(package, &order)).collect()));
    steps.run("packaged files", || {
        let mut wrong = Vec::new();
        for package in &order {
            wrong.extend(packaged(package)?);
        }
        all_well(wrong)
    });
    steps.run("changelog", || {
        let text = fs::read_to_string(root().join("CHANGELOG.md"))?;
        for version in versions(&order) {
            left.extend(changelog(&text, version)?);
        }
        Ok(())
    });
    steps.run("working tree", clean);
    steps.run("public API", || api::check(&workspace, false));
    steps.run("minimal versions", || minimal_versions::check(&workspace));
    steps.run("bill of materials", || sbom::write(&workspace));
    steps.run("packages", || verify(&order));
    left.extend(left_to_do(&order));
    if !dry_run {
        steps.run("ready", || all_well(left.clone()));
    }
    let code = steps.finish();
    if !left.is_empty() {
        println!("\nleft to do before a release:\n{}", left.join("\n"));
    }
    if code == ExitCode::SUCCESS {
        println!("\n{}", commands(&order));
    }
    code
}

fn all_well(wrong: Vec<String>) -> Result {
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

fn names<'a>(packages: &[&'a Package]) -> Vec<&'a str> {
    packages.iter().map(|package| package.name.as_str()).collect()
}

fn versions<'a>(packages: &[&'a Package]) -> Vec<&'a str> {
    let mut versions: Vec<_> = packages.iter().map(|package| package.version.as_str()).collect();
    versions.sort_unstable();
    versions.dedup();
    versions
}

/// Each after all of ours that it names with a version, for its tests too: the registry wants them there.
fn publish_order(mut waiting: Vec<&Package>) -> Result<Vec<&Package>> {
    let mut order: Vec<&Package> = Vec::new();
    while !waiting.is_empty() {
        let open = names(&waiting);
        let (ready, rest): (Vec<_>, Vec<_>) =
            waiting.iter().partition(|package| !of_ours(package).any(|(name, req)| req != "*" && open.contains(&name)));
        if ready.is_empty() {
            return Err(format!("these need each other, so that none can be the first: {}", open.join(", ")).into());
        }
        order.extend(ready);
        waiting = rest;
    }
    Ok(order)
}

/// The names and required versions of those of our own packages that it depends on.
fn of_ours(package: &Package) -> impl Iterator<Item = (&str, &str)> {
    let ours = package.dependencies.iter().filter(|dependency| dependency.path.is_some());
    ours.map(|dependency| (dependency.name.as_str(), dependency.req.as_str()))
}

/// What a registry or a reader would miss.
fn manifest(package: &Package, published: &[&Package]) -> Vec<String> {
    let missing = |text: &Option<String>| text.as_deref().is_none_or(|text| text.trim().is_empty());
    let mut wrong = Vec::new();
    let mut check = |fails: bool, what: &str| {
        if fails {
            wrong.push(format!("{}: {what}", package.name));
        }
    };
    check(missing(&package.description), "no description");
    check(missing(&package.license), "no license");
    check(missing(&package.rust_version), "no rust-version");
    check(missing(&package.readme), "no readme");
    check(
        package.readme.as_ref().is_some_and(|file| !root().join(package.folder()).join(file).is_file()),
        "its readme is no file",
    );
    // As crates.io has it.
    check(!(1..=5).contains(&package.keywords.len()), "one to five keywords are wanted");
    check(package.keywords.iter().any(|keyword| keyword.len() > 20), "a keyword has more than 20 letters");
    check(!(1..=5).contains(&package.categories.len()), "one to five categories are wanted");
    check(
        package.is_library() && !package.features.is_empty() && !package.documents_all_features(),
        "[package.metadata.docs.rs] does not say all-features = true, so that docs.rs would not show what they bring",
    );
    check(
        published.iter().any(|other| other.version != package.version),
        "another version than the others, though all share one",
    );
    for dependency in package.dependencies.iter().filter(|dependency| dependency.path.is_some()) {
        let name = &dependency.name;
        match published.iter().find(|other| other.name == *name) {
            Some(other) => {
                let own = format!("^{}", other.version);
                check(
                    dependency.req != own,
                    &format!("asks for {name} {}, which is not its own {own}", dependency.req),
                );
            }
            // Cargo leaves it out of the package.
            None if dependency.kind.as_deref() == Some("dev") && dependency.req == "*" => {}
            None => check(true, &format!("needs {name}, which is not published")),
        }
    }
    wrong
}

/// What is too much or too little in the package.
fn packaged(package: &Package) -> Result<Vec<String>> {
    let listing =
        stdout_of(cargo("package").args(["--list", "--locked", "--allow-dirty", "--package", &package.name]))?;
    let files: Vec<&str> = listing.lines().collect();
    println!("{}: {} files", package.name, files.len());
    let mut wrong = too_much_or_too_little(&files);
    for license in LICENSES {
        let (own, whole) = (root().join(package.folder()).join(license), root().join(license));
        // A link, which may be a file that names another where there are none.
        if fs::read(own).ok() != fs::read(whole).ok() {
            wrong.push(format!("its {license} is not the repository's"));
        }
    }
    Ok(wrong.into_iter().map(|what| format!("{}: {what}", package.name)).collect())
}

fn too_much_or_too_little(files: &[&str]) -> Vec<String> {
    let wanted = LICENSES.into_iter().chain(["README.md", "Cargo.toml"]);
    let missing = wanted.filter(|file| !files.contains(file)).map(|file| format!("has no {file}"));
    let stray = files.iter().filter(|file| !belongs(file)).map(|file| format!("would carry {file}"));
    missing.chain(stray).collect()
}

fn belongs(file: &str) -> bool {
    let code = [("src/", ".rs"), ("src/", ".js"), ("tests/", ".rs")];
    LICENSES.contains(&file)
        || BY_CARGO.contains(&file)
        || file == "README.md"
        || code.iter().any(|(start, end)| file.starts_with(start) && file.ends_with(end))
}

/// What is left to do in the changelog for this version, if anything; an error where it tells nothing of it.
fn changelog(text: &str, version: &str) -> Result<Option<String>> {
    let section = |name: &str| {
        let (_, rest) = text.split_once(&format!("\n## [{name}]"))?;
        let (_, rest) = rest.split_once('\n')?;
        Some(rest.split("\n## ").next().unwrap_or(rest).trim())
    };
    let told = |name: &str| section(name).is_some_and(|text| !text.is_empty());
    if told(version) {
        Ok(None)
    } else if told("Unreleased") {
        Ok(Some(format!("CHANGELOG.md: what is [Unreleased] becomes [{version}], with a date")))
    } else {
        Err(format!("CHANGELOG.md tells nothing of {version}").into())
    }
}

fn clean() -> Result {
    let changes = stdout_of(program("git").args(["status", "--porcelain"]))?;
    if changes.is_empty() { Ok(()) } else { Err(format!("commit these, or put them away:\n{changes}").into()) }
}

/// Packages them all, and builds each from its package alone and those of the others.
fn verify(order: &[&Package]) -> Result {
    let version = first_line(cargo("--version").arg("--quiet")).unwrap_or_default();
    let number = version.split([' ', '-']).nth(1).and_then(Rust::read);
    if number.is_none() || number < Rust::read(CARGO) {
        return Err(format!("cargo {CARGO} or newer is needed, and this is `{version}`: run it by a newer Rust").into());
    }
    tools::openssl()?;
    let mut publishing = cargo("publish");
    publishing.args(["--dry-run", "--locked", "--all-features"]);
    publishing.args(order.iter().flat_map(|package| ["--package", &package.name]));
    run(&mut publishing)
}

/// What only a maintainer can do, and only in the end.
fn left_to_do(order: &[&Package]) -> Vec<String> {
    let mut left = Vec::new();
    if order.iter().any(|package| package.repository.is_none()) {
        left.push(
            "Cargo.toml: no `repository` yet, by which crates.io finds what the READMEs link to: set it in [workspace.package] and \
             `repository.workspace = true` in each crate, once it has a public address"
                .to_owned(),
        );
    }
    if fs::read_to_string(root().join("README.md")).is_ok_and(|text| text.contains("Not yet on crates.io")) {
        left.push("README.md: it says \"Not yet on crates.io\"".to_owned());
    }
    left
}

fn commands(order: &[&Package]) -> String {
    let version = versions(order).join(", ");
    let mut publishing = cargo("publish");
    publishing.args(["--locked", "--all-features"]);
    publishing.args(order.iter().flat_map(|package| ["--package", &package.name]));
    format!(
        "{version} is published by these, in the order above; cargo waits for each crate to be there before the next:\n\
         git tag --annotate v{version} --message v{version}\n{}\ngit push origin v{version}",
        shown(&publishing)
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::workspace::made_up;

    /// A package with nothing wrong about it, but for what is given.
    fn package(name: &str, but: Value) -> Value {
        let mut package = json!({
            "id": name, "name": name, "version": "1.2.0", "manifest_path": root().join("Cargo.toml"), "rust_version": "1.89",
            "description": "What it is", "license": "MIT", "readme": "README.md", "keywords": ["word"], "categories": ["cat"],
            "features": {}, "dependencies": [], "targets": [{ "kind": ["lib"] }],
        });
        for (field, value) in but.as_object().unwrap() {
            package[field] = value.clone();
        }
        package
    }

    fn needs(name: &str, req: &str, kind: Value) -> Value {
        json!({ "dependencies": [{ "name": name, "req": req, "kind": kind, "path": "/x" }] })
    }

    fn workspace(packages: &[Value]) -> Workspace {
        let ids: Vec<_> = packages.iter().map(|package| package["id"].clone()).collect();
        made_up(json!({
            "packages": packages, "workspace_members": ids, "target_directory": "/target", "resolve": { "nodes": [] },
        }))
    }

    fn wrong(but: Value) -> Vec<String> {
        let other = package("other", json!({}));
        let private = package("private", json!({ "publish": [] }));
        let workspace = workspace(&[package("ours", but), other, private]);
        let published = workspace.published();
        manifest(published.iter().find(|package| package.name == "ours").unwrap(), &published)
    }

    #[test]
    fn each_comes_after_what_it_needs_for_its_tests_too() {
        let (none, dev) = (Value::Null, json!("dev"));
        let workspace = workspace(&[
            package("a", needs("b", "^1.2.0", none)),
            package("b", needs("c", "^1.2.0", dev.clone())),
            package("c", needs("a", "*", dev)),
            package("private", json!({ "publish": [] })),
        ]);
        assert_eq!(names(&publish_order(workspace.published()).unwrap()), ["c", "b", "a"]);
    }

    #[test]
    fn a_circle_is_an_error_that_names_it() {
        let circle = |to| needs(to, "^1.2.0", Value::Null);
        let workspace = workspace(&[package("a", circle("b")), package("b", circle("a"))]);
        let error = publish_order(workspace.published()).unwrap_err().to_string();
        assert!(error.contains("a, b"), "{error}");
    }

    #[test]
    fn what_a_manifest_lacks_is_told() {
        assert_eq!(wrong(json!({})), Vec::<String>::new());
        for (but, told) in [
            (json!({ "description": " " }), "no description"),
            (json!({ "license": null }), "no license"),
            (json!({ "rust_version": null }), "no rust-version"),
            (json!({ "readme": null }), "no readme"),
            (json!({ "readme": "NO-SUCH-FILE.md" }), "no file"),
            (json!({ "keywords": [] }), "keywords"),
            (json!({ "keywords": ["a keyword of too many letters"] }), "20 letters"),
            (json!({ "categories": [] }), "categories"),
            (json!({ "version": "1.1.0" }), "another version"),
            (json!({ "features": { "more": [] } }), "docs.rs"),
        ] {
            assert!(wrong(but).iter().any(|line| line.contains(told)), "{told}");
        }
        let documented =
            json!({ "features": { "more": [] }, "metadata": { "docs": { "rs": { "all-features": true } } } });
        assert_eq!(wrong(documented), Vec::<String>::new());
    }

    #[test]
    fn what_is_not_published_is_needed_by_its_tests_at_most_and_by_path_alone() {
        assert_eq!(wrong(needs("other", "^1.2.0", Value::Null)), Vec::<String>::new());
        assert_eq!(wrong(needs("other", "^1.1.0", Value::Null)).len(), 1);
        assert_eq!(wrong(needs("private", "*", json!("dev"))), Vec::<String>::new());
        assert_eq!(wrong(needs("private", "^1.2.0", json!("dev"))).len(), 1);
        assert_eq!(wrong(needs("private", "*", Value::Null)).len(), 1);
    }

    #[test]
    fn a_package_carries_its_code_its_licences_and_its_readme_alone() {
        let whole =
            ["Cargo.toml", "Cargo.lock", "LICENSE-APACHE", "LICENSE-MIT", "README.md", "src/a/b.rs", "tests/a.rs"];
        assert_eq!(too_much_or_too_little(&whole), Vec::<String>::new());
        assert_eq!(too_much_or_too_little(&whole[1..]), ["has no Cargo.toml"]);
        assert_eq!(too_much_or_too_little(&[&whole[..], &["src/keys.db"]].concat()), ["would carry src/keys.db"]);
    }

    #[test]
    fn the_changelog_tells_of_the_version_or_will() {
        let text = "# Changelog\n\n## [Unreleased]\n\n- more\n\n## [0.2.0] - a day\n\n- new\n\n## [0.1.0]\n\n";
        assert!(changelog(text, "0.2.0").unwrap().is_none());
        assert!(changelog(text, "0.3.0").unwrap().is_some());
        assert!(changelog(text, "0.1.0").unwrap().is_some(), "an empty entry tells nothing");
        assert!(changelog(&text.replace("- more", ""), "0.3.0").is_err());
    }
}
