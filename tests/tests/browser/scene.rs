//! A sandbox, and shops that ask it.

use tempfile::TempDir;
use wix_visitor_testkit::sandbox::{Sandbox, SandboxOptions};
use wix_visitor_tests::storefront::{Storefront, StorefrontOptions};
use wix_visitor_tests::trace;

/// A Wix, and a place for what shops keep.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) sandbox: Sandbox,
    folder: TempDir,
}

impl Scene {
    pub(crate) fn new() -> Self {
        trace::to_stderr();
        // On a thread of its own: tests block.
        let sandbox = Sandbox::start_on_thread(SandboxOptions::new()).unwrap();
        Self { sandbox, folder: tempfile::tempdir().unwrap() }
    }

    /// A shop; all shops of a scene share their store.
    pub(crate) async fn shop(&self) -> Storefront {
        StorefrontOptions::new(self.sandbox.url(), self.folder.path()).start().await
    }
}
