//! Keeps Wix visitors in memory.
