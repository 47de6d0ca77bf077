//! A line of a plot: told by a row, and read by the program that draws.

use serde::{Deserialize, Serialize};

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    Ours,
    /// What users would pick instead.
    Peer,
    /// What users of another language would pick instead.
    Foreign,
    /// The part below, which nobody can be better than by much.
    Limit,
}

/// A line of a plot, and whose it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Series {
    pub(crate) role: Role,
    pub(crate) name: String,
    /// In a row that has lines of several stores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) store: Option<String>,
    pub(crate) points: Vec<[f64; 2]>,
}

impl Series {
    pub(crate) fn new(role: Role, name: &str, points: Vec<[f64; 2]>) -> Self {
        Self { role, name: name.to_owned(), store: None, points }
    }
}
