//! What `cargo metadata` says about our packages and theirs.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{
    Result,
    run::{cargo, root, stdout_of},
};

/// All packages, with all features on, on all platforms.
#[derive(Debug, Deserialize)]
pub(crate) struct Workspace {
    packages: Vec<Package>,
    workspace_members: BTreeSet<String>,
    resolve: Resolve,
    pub(crate) target_directory: PathBuf,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) manifest_path: PathBuf,
    pub(crate) rust_version: Option<String>,
    /// `Some([])` is `publish = false`.
    pub(crate) publish: Option<Vec<String>>,
    pub(crate) description: Option<String>,
    pub(crate) license: Option<String>,
    pub(crate) repository: Option<String>,
    pub(crate) readme: Option<String>,
    #[serde(default)]
    pub(crate) keywords: Vec<String>,
    #[serde(default)]
    pub(crate) categories: Vec<String>,
    #[serde(default)]
    targets: Vec<Target>,
    /// `[package.metadata]`.
    #[serde(default)]
    metadata: serde_json::Value,
    pub(crate) features: BTreeMap<String, Vec<String>>,
    pub(crate) dependencies: Vec<Dependency>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// Nothing for a normal dependency, else `dev` or `build`.
    pub(crate) kind: Option<String>,
    /// The version asked for; `*` where it is named by its path alone.
    #[serde(default)]
    pub(crate) req: String,
    /// Where it is, if it is one of ours.
    pub(crate) path: Option<PathBuf>,
}

#[derive(Debug, Clone, Deserialize)]
struct Target {
    kind: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<Edge>,
}

#[derive(Debug, Deserialize)]
struct Edge {
    pkg: String,
    dep_kinds: Vec<EdgeKind>,
}

#[derive(Debug, Deserialize)]
struct EdgeKind {
    kind: Option<String>,
}

impl Workspace {
    pub(crate) fn load() -> Result<Self> {
        let text = stdout_of(cargo("metadata").args(["--format-version", "1", "--locked", "--all-features"]))?;
        Ok(serde_json::from_str(&text)?)
    }

    /// The packages of this repository.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.workspace_members.contains(&package.id))
    }

    /// Those of them that users get, by name.
    pub(crate) fn published(&self) -> Vec<&Package> {
        let mut published: Vec<_> = self.members().filter(|package| package.is_published()).collect();
        published.sort_by_key(|package| &package.name);
        published
    }

    /// All that a package needs to be built for its users: itself, its normal and its build dependencies, and theirs.
    pub(crate) fn needed_by<'a>(&'a self, package: &'a Package) -> Vec<&'a Package> {
        let nodes: HashMap<&str, &Node> = self.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
        let mut found = BTreeSet::from([package.id.as_str()]);
        let mut open = vec![package.id.as_str()];
        while let Some(node) = open.pop().and_then(|id| nodes.get(id)) {
            for edge in &node.deps {
                let for_users = edge.dep_kinds.iter().any(|edge| edge.kind.as_deref() != Some("dev"));
                if for_users && found.insert(&edge.pkg) {
                    open.push(&edge.pkg);
                }
            }
        }
        self.packages.iter().filter(|package| found.contains(package.id.as_str())).collect()
    }
}

impl Package {
    pub(crate) fn is_published(&self) -> bool {
        self.publish.as_ref().is_none_or(|registries| !registries.is_empty())
    }

    /// Whether other crates can use it, which a program alone they cannot.
    pub(crate) fn is_library(&self) -> bool {
        self.targets.iter().any(|target| target.kind.iter().any(|kind| kind == "lib"))
    }

    /// Whether docs.rs is told to turn all features on.
    pub(crate) fn documents_all_features(&self) -> bool {
        self.metadata["docs"]["rs"]["all-features"] == true
    }

    /// The package's folder, seen from the repository's root.
    pub(crate) fn folder(&self) -> &Path {
        let folder = self.manifest_path.parent().unwrap_or(&self.manifest_path);
        folder.strip_prefix(root()).unwrap_or(folder)
    }

    /// The names of its direct normal dependencies, optional ones too.
    pub(crate) fn normal_dependencies(&self) -> impl Iterator<Item = &str> {
        self.dependencies
            .iter()
            .filter(|dependency| dependency.kind.is_none())
            .map(|dependency| dependency.name.as_str())
    }
}

/// A workspace made up for a test.
#[cfg(test)]
pub(crate) fn made_up(json: serde_json::Value) -> Workspace {
    serde_json::from_value(json).unwrap()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn package(id: &str) -> serde_json::Value {
        json!({
            "id": id, "name": id, "version": "1.0.0", "manifest_path": "/x/Cargo.toml", "features": {}, "dependencies": []
        })
    }

    fn edge(to: &str, kind: Option<&str>) -> serde_json::Value {
        json!({ "pkg": to, "dep_kinds": [{ "kind": kind }] })
    }

    #[test]
    fn what_only_tests_need_is_not_needed_by_users() {
        let workspace = made_up(json!({
            "packages": (["ours", "lib", "deep", "builder", "tester"].map(package)),
            "workspace_members": ["ours"],
            "target_directory": "/target",
            "resolve": { "nodes": [
                { "id": "ours", "deps": [edge("lib", None), edge("builder", Some("build")), edge("tester", Some("dev"))] },
                { "id": "lib", "deps": [edge("deep", None)] },
                { "id": "deep", "deps": [edge("lib", None)] },
                { "id": "builder", "deps": [] },
                { "id": "tester", "deps": [] },
            ] },
        }));
        let ours = workspace.members().next().unwrap();
        let names: Vec<_> = workspace.needed_by(ours).into_iter().map(|package| package.name.as_str()).collect();
        assert_eq!(names, ["ours", "lib", "deep", "builder"]);
    }

    #[test]
    fn the_repositorys_own_metadata_can_be_read() {
        let workspace = Workspace::load().unwrap();
        let xtask = workspace.members().find(|package| package.name == "xtask").unwrap();
        assert!(!xtask.is_published());
        assert_eq!(xtask.folder(), Path::new("xtask"));
        assert!(xtask.normal_dependencies().any(|name| name == "clap"));
        assert!(!xtask.normal_dependencies().any(|name| name == "tempfile"));
    }
}
