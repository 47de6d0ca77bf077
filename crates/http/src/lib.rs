//! The Wix token endpoint over HTTP, and calling Wix APIs as a visitor.
