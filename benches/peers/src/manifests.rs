//! Programs that do nothing but depend on one library, to see what that brings along and how long it takes to build.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use crate::{
    Result,
    program::{root, stdout_of},
    rounds::Role,
};

/// Whose, and how it is depended on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Library {
    pub(crate) role: Role,
    pub(crate) name: &'static str,
    dependency: Dependency,
}

#[derive(Debug, Clone, Copy)]
enum Dependency {
    /// A crate of ours, in this folder.
    Ours(&'static str),
    /// As its documentation says; with the version that the workspace here is locked to.
    Theirs { default_features: bool, features: &'static [&'static str] },
}

const DEFAULT: Dependency = Dependency::Theirs { default_features: true, features: &[] };

/// All that are held against each other, with default features.
pub(crate) const ALL: [Library; 6] = [
    Library { role: Role::Ours, name: "wix-visitor", dependency: Dependency::Ours("crates/wix-visitor") },
    Library { role: Role::Peer, name: "yup-oauth2", dependency: DEFAULT },
    Library { role: Role::Peer, name: "gcp_auth", dependency: DEFAULT },
    Library { role: Role::Peer, name: "google-cloud-auth", dependency: DEFAULT },
    Library { role: Role::Peer, name: "azure_identity", dependency: DEFAULT },
    Library {
        role: Role::Limit,
        name: "reqwest",
        dependency: Dependency::Theirs { default_features: false, features: &["rustls"] },
    },
];

pub(crate) const CORE: Library =
    Library { role: Role::Ours, name: "wix-visitor-core", dependency: Dependency::Ours("crates/core") };

/// A program of this library in a folder that goes away.
pub(crate) struct Program(tempfile::TempDir);

impl Program {
    pub(crate) fn new(library: Library) -> Result<Self> {
        let name = library.name;
        let dependency = match library.dependency {
            Dependency::Ours(folder) => format!("{{ path = {:?} }}", root().join(folder)),
            Dependency::Theirs { default_features, features } => format!(
                "{{ version = \"={}\", default-features = {default_features}, features = {features:?} }}",
                locked(name)?
            ),
        };
        let folder = tempfile::tempdir()?;
        fs::create_dir(folder.path().join("src"))?;
        fs::write(folder.path().join("src/main.rs"), "fn main() {}\n")?;
        let manifest = format!(
            "[workspace]\n[package]\nname = \"program\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
             [dependencies]\n{name} = {dependency}\n"
        );
        fs::write(folder.path().join("Cargo.toml"), manifest)?;
        // The versions of everything below are those that are locked here too, as far as both have them.
        let lock = match library.dependency {
            Dependency::Ours(_) => root().join("Cargo.lock"),
            Dependency::Theirs { .. } => own().join("Cargo.lock"),
        };
        fs::copy(lock, folder.path().join("Cargo.lock"))?;
        stdout_of(cargo(folder.path()).args(["fetch", "--quiet"]))?;
        Ok(Self(folder))
    }

    /// How many crates end up in a program on this platform, the library among them; those that only help the compiler (macros, and
    /// what they are made of) do not.
    pub(crate) fn crates(&self) -> Result<usize> {
        self.count("--edges=normal,no-proc-macro")
    }

    /// The same, with macros and what they are made of.
    pub(crate) fn crates_and_macros(&self) -> Result<usize> {
        self.count("--edges=normal")
    }

    fn count(&self, edges: &str) -> Result<usize> {
        let tree = ["tree", "--quiet", edges, "--prefix=none", "--format={p}"];
        let tree = stdout_of(cargo(self.0.path()).args(tree))?;
        let crates: BTreeSet<_> = tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
        // Without the program.
        Ok(crates.iter().filter(|name| !name.starts_with("program ")).count())
    }

    /// Seconds of a build from nothing.
    pub(crate) fn build(&self) -> Result<f64> {
        let start = Instant::now();
        stdout_of(cargo(self.0.path()).args(["build", "--quiet", "--offline"]))?;
        Ok(start.elapsed().as_secs_f64())
    }
}

/// Cargo for the program in this folder, with a target folder there.
fn cargo(folder: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(folder).env("CARGO_TARGET_DIR", folder.join("target"));
    command
}

/// The folder of this workspace.
fn own() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Which version of a package the lock file of this workspace has.
pub(crate) fn locked(name: &str) -> Result<String> {
    let lock = fs::read_to_string(own().join("Cargo.lock"))?;
    let version = lock.split("[[package]]").find_map(|package| {
        let mut lines = package.trim().lines();
        (lines.next()? == format!("name = \"{name}\"")).then_some(())?;
        lines.next()?.strip_prefix("version = \"")?.strip_suffix('"')
    });
    Ok(version.ok_or_else(|| format!("Cargo.lock has no {name}"))?.to_owned())
}
