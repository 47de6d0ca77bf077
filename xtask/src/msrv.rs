//! Whether our `rust-version` is honest: no dependency of a published crate may ask for a newer Rust.

use crate::{Result, workspace::Workspace};

/// Fails where a dependency asks for more than we say; tells what asks for most.
pub(crate) fn check(workspace: &Workspace) -> Result {
    let mut most = (Rust::default(), "none says".to_owned());
    let mut wrong = Vec::new();
    for ours in workspace.members().filter(|package| package.is_published()) {
        let Some(stated) = ours.rust_version.as_deref().and_then(Rust::read) else {
            wrong.push(format!("{} states no rust-version", ours.name));
            continue;
        };
        for needed in workspace.needed_by(ours) {
            let Some(asked) = needed.rust_version.as_deref().and_then(Rust::read) else { continue };
            let name = format!("{} {}", needed.name, needed.version);
            if asked > stated {
                wrong.push(format!("{} states Rust {stated}, but {name} needs {asked}", ours.name));
            }
            if asked > most.0 && workspace.members().all(|member| member.id != needed.id) {
                most = (asked, name);
            }
        }
    }
    println!("most is asked for by a dependency: Rust {} ({})", most.0, most.1);
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

/// A Rust release: major, minor, patch.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rust(u32, u32, u32);

impl Rust {
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(str::parse);
        let mut next = || parts.next().unwrap_or(Ok(0)).ok();
        Some(Self(next()?, next()?, next()?))
    }
}

impl std::fmt::Display for Rust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::workspace::made_up;

    fn checked(ours: Value, theirs: Value, kind: Value) -> Result {
        let package = |name: &str, rust: Value| {
            json!({
                "id": name, "name": name, "version": "1.0.0", "rust_version": rust,
                "manifest_path": "/x/Cargo.toml", "features": {}, "dependencies": [],
            })
        };
        check(&made_up(json!({
            "packages": [package("ours", ours), package("theirs", theirs)],
            "workspace_members": ["ours"],
            "target_directory": "/target",
            "resolve": { "nodes": [
                { "id": "ours", "deps": [{ "pkg": "theirs", "dep_kinds": [{ "kind": kind }] }] },
                { "id": "theirs", "deps": [] },
            ] },
        })))
    }

    #[test]
    fn a_dependency_that_needs_a_newer_rust_is_an_error() {
        let error = checked(json!("1.89"), json!("1.89.1"), Value::Null).unwrap_err().to_string();
        assert!(error.contains("theirs 1.0.0 needs 1.89.1"), "{error}");
        assert!(checked(json!("1.9"), json!("1.10"), json!("build")).is_err());
    }

    #[test]
    fn a_dependency_that_needs_no_more_is_fine() {
        checked(json!("1.89"), json!("1.89.0"), Value::Null).unwrap();
        checked(json!("1.89"), Value::Null, Value::Null).unwrap();
        checked(json!("1.89"), json!("1.90"), json!("dev")).unwrap();
    }

    #[test]
    fn a_published_crate_that_states_nothing_is_an_error() {
        assert!(checked(Value::Null, Value::Null, Value::Null).is_err());
    }
}
