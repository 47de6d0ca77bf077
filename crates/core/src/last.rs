//! What happens when the last handle on a site goes.

use std::sync::Arc;
use std::thread;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task;

use crate::driver::Driver;

/// What all handles on a site share, those on its visitors not among them. When the last goes with `main`, and nobody called
/// `shutdown`, it ends the site in good order: a grant that was sent is waited for and saved.
#[derive(Debug)]
pub(crate) struct Last(Arc<Driver>);

impl Last {
    pub(crate) fn new(driver: Arc<Driver>) -> Self {
        Self(driver)
    }
}

impl Drop for Last {
    fn drop(&mut self) {
        if self.0.tasks.is_empty() || thread::panicking() {
            return;
        }
        // Only a thread that drives no tasks may be held up: that of `main`, where the runtime has others for them.
        let Ok(runtime) = Handle::try_current() else { return };
        if task::try_id().is_some() || runtime.runtime_flavor() != RuntimeFlavor::MultiThread {
            return;
        }
        let driver = Arc::clone(&self.0);
        // On a thread of its own, since this one is inside the runtime already.
        let finishing = thread::Builder::new().spawn(move || runtime.block_on(driver.finish()));
        if let Ok(finishing) = finishing {
            let _ = finishing.join();
        }
    }
}
