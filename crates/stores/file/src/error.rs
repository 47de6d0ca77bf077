//! In whose name errors are made, and what is said where there is no turn in time.

use wix_visitor_core::{StoreError, StoreErrorKind};
use wix_visitor_local::Backend;

pub(crate) const BACKEND: Backend = Backend("file");

pub(crate) fn not_in_time() -> StoreError {
    BACKEND.error(
        StoreErrorKind::Unavailable,
        "the operation did not get its turn within the timeout: another process holds the lock, or the disk is too slow",
    )
}
