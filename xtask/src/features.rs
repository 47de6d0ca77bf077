//! Each feature on its own, none, and all: every combination a user is likely to choose first must build without a warning.

use crate::{
    Result,
    run::{cargo, run},
    workspace::{Package, Workspace},
};

/// The crates whose features are checked.
const CRATES: &[&str] =
    &["wix-visitor", "wix-visitor-core", "wix-visitor-http", "wix-visitor-redis", "wix-visitor-web"];

/// Checks the crates in each combination.
pub(crate) fn check(workspace: &Workspace) -> Result {
    let mut failed = Vec::new();
    for name in CRATES {
        let package = workspace
            .members()
            .find(|package| package.name == *name)
            .ok_or_else(|| format!("no package {name} to check the features of"))?;
        for features in combinations(package) {
            let mut command = cargo("clippy");
            command.args(["--locked", "--package", name, "--no-default-features"]);
            command.args(["--features", &features.join(",")]);
            command.args(["--", "-D", "warnings"]);
            if let Err(error) = run(&mut command) {
                failed.push(error.to_string());
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n").into()) }
}

/// None, each alone, all.
fn combinations(package: &Package) -> Vec<Vec<&str>> {
    let all: Vec<&str> = package.features.keys().map(String::as_str).collect();
    let mut combinations = vec![vec![]];
    combinations.extend(all.iter().map(|feature| vec![*feature]));
    if all.len() > 1 {
        combinations.push(all);
    }
    combinations
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::workspace::made_up;

    #[test]
    fn the_combinations_are_none_each_alone_and_all() {
        let workspace = made_up(json!({
            "packages": [{
                "id": "x", "name": "x", "version": "1.0.0", "manifest_path": "/x/Cargo.toml", "dependencies": [],
                "features": { "default": ["b"], "a": [], "b": [] },
            }],
            "workspace_members": ["x"], "target_directory": "/target", "resolve": { "nodes": [] },
        }));
        let package = workspace.members().next().unwrap();
        let expected: Vec<Vec<&str>> = vec![vec![], vec!["a"], vec!["b"], vec!["default"], vec!["a", "b", "default"]];
        assert_eq!(combinations(package), expected);
    }
}
