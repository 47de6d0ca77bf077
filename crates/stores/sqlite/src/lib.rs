//! Keeps Wix visitors in an SQLite database.
