//! Arrows point one way: which of our crates may depend on which, and what the core must never link.

use crate::{
    Result,
    run::{cargo, stdout_of},
    workspace::{Package, Workspace},
};

/// Crates that the core must not link, by the start of their names: HTTP clients, databases, TLS.
const NOT_IN_CORE: &[&str] = &[
    "reqwest",
    "hyper",
    "h2",
    "ureq",
    "isahc",
    "curl", // HTTP clients
    "rusqlite",
    "libsqlite3-sys",
    "sqlx",
    "redis",
    "fred", // databases
    "rustls",
    "native-tls",
    "openssl",
    "ring",
    "aws-lc",
    "tokio-rustls",
    "tokio-native-tls", // TLS
];

/// A crate's place in the map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Core,
    Http,
    /// What stores on the local file system share.
    Local,
    Store,
    Web,
    Testkit,
    Facade,
    CommandLine,
}

impl Place {
    /// The place of a crate of ours, or nothing for one that nobody depends on (tests, examples, xtask).
    fn of(package: &Package) -> Option<Self> {
        Some(match package.folder().to_str()? {
            "crates/core" => Self::Core,
            "crates/http" => Self::Http,
            "crates/web" => Self::Web,
            "crates/testkit" => Self::Testkit,
            "crates/wix-visitor" => Self::Facade,
            "crates/cli" => Self::CommandLine,
            "crates/stores/local" => Self::Local,
            folder if folder.starts_with("crates/stores/") => Self::Store,
            _ => return None,
        })
    }

    /// What may be a normal dependency of a crate in this place.
    fn may_use(self) -> &'static [Self] {
        match self {
            Self::Core => &[],
            Self::Http | Self::Local | Self::Web | Self::Testkit => &[Self::Core],
            Self::Store => &[Self::Core, Self::Local],
            Self::Facade => &[Self::Core, Self::Http, Self::Store, Self::Web],
            Self::CommandLine => &[Self::Core, Self::Http, Self::Store, Self::Web, Self::Facade, Self::Testkit],
        }
    }
}

/// Checks the arrows, and the core's whole tree.
pub(crate) fn check(workspace: &Workspace) -> Result {
    let mut wrong = wrong_arrows(workspace.members().collect::<Vec<_>>().as_slice());
    let tree = stdout_of(cargo("tree").args([
        "--locked",
        "--package=wix-visitor-core",
        "--edges=normal",
        "--all-features",
        "--target=all",
        "--prefix=none",
        "--format={p}",
    ]))?;
    wrong.extend(forbidden_in_core(&tree));
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

fn wrong_arrows(members: &[&Package]) -> Vec<String> {
    let mut wrong = Vec::new();
    for package in members {
        let place = Place::of(package);
        if place.is_none() && package.is_published() {
            wrong.push(format!("{} is published and has no place in the map of crates", package.name));
        }
        let Some(place) = place else { continue };
        for used in package.normal_dependencies() {
            let Some(used) = members.iter().find(|member| member.name == used) else { continue };
            if Place::of(used).is_none_or(|used| !place.may_use().contains(&used)) {
                wrong.push(format!("{} must not depend on {}", package.name, used.name));
            }
        }
        if place == Place::Facade
            && let Some(feature) = package.features.iter().find_map(|(name, enables)| {
                let mentions = |text: &String| text.contains("testkit");
                (mentions(name) || enables.iter().any(mentions)).then_some(name)
            })
        {
            wrong.push(format!("{}: the testkit is never a feature, and `{feature}` is one", package.name));
        }
    }
    wrong
}

/// What of a `cargo tree` must not be in the core.
fn forbidden_in_core(tree: &str) -> Vec<String> {
    let mut found: Vec<_> = tree
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| {
            NOT_IN_CORE.iter().any(|forbidden| {
                name.strip_prefix(forbidden).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
            })
        })
        .map(|name| {
            format!(
                "wix-visitor-core must not link {name}; `cargo tree -p wix-visitor-core -i {name}` says why it does"
            )
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{run::root, workspace::made_up};

    fn member(folder: &str, name: &str, uses: &[(&str, Option<&str>)], features: Value) -> Value {
        let uses: Vec<_> = uses.iter().map(|(name, kind)| json!({ "name": name, "kind": kind })).collect();
        json!({
            "id": name, "name": name, "version": "0.1.0", "features": features, "dependencies": uses,
            "manifest_path": root().join(folder).join("Cargo.toml"),
        })
    }

    fn wrong(members: Vec<Value>) -> Vec<String> {
        let ids: Vec<_> = members.iter().map(|member| member["id"].clone()).collect();
        let workspace = made_up(json!({
            "packages": members, "workspace_members": ids, "target_directory": "/target", "resolve": { "nodes": [] },
        }));
        wrong_arrows(workspace.members().collect::<Vec<_>>().as_slice())
    }

    #[test]
    fn a_store_depends_on_core_and_on_what_local_ones_share() {
        let core = || member("crates/core", "core", &[], json!({}));
        let memory = || member("crates/stores/memory", "memory", &[("core", None), ("serde", None)], json!({}));
        let file = |kind| member("crates/stores/file", "file", &[("core", None), ("memory", kind)], json!({}));
        assert_eq!(wrong(vec![core(), memory(), file(None)]), ["file must not depend on memory"]);
        assert!(wrong(vec![core(), memory(), file(Some("dev"))]).is_empty());

        let local = |uses| member("crates/stores/local", "local", &[(uses, None)], json!({}));
        let sqlite = || member("crates/stores/sqlite", "sqlite", &[("core", None), ("local", None)], json!({}));
        let facade = member("crates/wix-visitor", "facade", &[("local", None)], json!({}));
        assert!(wrong(vec![core(), local("core"), sqlite()]).is_empty());
        assert_eq!(wrong(vec![local("sqlite"), sqlite()]), ["local must not depend on sqlite"]);
        assert_eq!(wrong(vec![local("core"), facade]), ["facade must not depend on local"]);
    }

    #[test]
    fn core_depends_on_none_of_ours() {
        let core = member("crates/core", "core", &[("http", None)], json!({}));
        let http = member("crates/http", "http", &[("core", None)], json!({}));
        assert_eq!(wrong(vec![core, http]), ["core must not depend on http"]);
    }

    #[test]
    fn only_the_command_uses_the_testkit() {
        let testkit = || member("crates/testkit", "testkit", &[], json!({}));
        let command = member("crates/cli", "command", &[("testkit", None)], json!({}));
        let http = member("crates/http", "http", &[("testkit", None)], json!({}));
        assert!(wrong(vec![testkit(), command]).is_empty());
        assert_eq!(wrong(vec![testkit(), http]), ["http must not depend on testkit"]);
    }

    #[test]
    fn the_testkit_is_never_a_feature() {
        for features in [json!({ "testkit": [] }), json!({ "full": ["dep:wix-visitor-testkit"] })] {
            assert_eq!(wrong(vec![member("crates/wix-visitor", "facade", &[], features)]).len(), 1);
        }
    }

    #[test]
    fn a_published_crate_has_a_place_in_the_map() {
        assert_eq!(wrong(vec![member("crates/new", "new", &[], json!({}))]).len(), 1);
    }

    #[test]
    fn the_core_links_no_http_client_no_database_and_no_tls() {
        let tree = "wix-visitor-core v0.1.0 (/x)\nhttp v1.5.0\nhyper-util v0.1.21 (*)\nrusqlite v0.42.0\nrustls v0.23.0\nhyper-util v0.1.21";
        let found = forbidden_in_core(tree);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(forbidden_in_core("http v1.5.0\nhttp-body v1.0.0\nringbuf v1.0.0").is_empty());
    }
}
