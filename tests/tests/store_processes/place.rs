//! A store of each kind, in a directory of its own.

use std::path::PathBuf;

use tempfile::{TempDir, tempdir};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Sqlite,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Sqlite => "sqlite",
        }
    }
}

/// Where there may be a store, and nothing is yet.
pub(crate) struct Place {
    pub(crate) kind: Kind,
    pub(crate) directory: TempDir,
}

impl Place {
    pub(crate) fn new(kind: Kind) -> Self {
        Self { kind, directory: tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("new/visitors")
    }

    pub(crate) fn url(&self) -> String {
        format!("{}:{}", self.kind.name(), self.path().to_str().unwrap())
    }
}

/// A test of each kind of store.
macro_rules! of_each_kind {
    ($($(#[$attribute:meta])* $name:ident),+ $(,)?) => {
        mod file {$(
            #[test]
            $(#[$attribute])*
            fn $name() { super::$name(crate::place::Kind::File); }
        )+}
        mod sqlite {$(
            #[test]
            $(#[$attribute])*
            fn $name() { super::$name(crate::place::Kind::Sqlite); }
        )+}
    };
}
pub(crate) use of_each_kind;
