//! What the suite needs to know of a store's surroundings.

use std::sync::Arc;
use std::time::Duration;

use wix_visitor_core::{Clock, StoreError, StoreKey, SystemClock, Timestamp, TokenStore, async_trait};

/// Something that happens to a record behind the store's back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// The last byte is missing.
    CutShort,
    /// Nothing is left but the fact that there was one.
    Emptied,
    /// One bit of its bytes is another. A store that keeps no checksum cannot know, and its fixture declines.
    FlippedBit,
}

/// A place where records are kept, and what can be done to it. Only [`open`](Self::open) is required.
#[async_trait]
pub trait StoreFixture: Send + Sync {
    /// Another handle on the same records: as independent of the ones before as it can be, a connection of its own at least.
    ///
    /// # Errors
    /// The store's own, which is then taken for a violation.
    async fn open(&self) -> Result<Arc<dyn TokenStore>, StoreError>;

    /// The longest time that an operation of these handles takes. What takes over twice as long counts as hanging.
    fn deadline(&self) -> Duration {
        Duration::from_secs(5)
    }

    /// A handle on what a crash at this moment would leave; `None` if the store promises to survive none, or it cannot be
    /// shown here. The handles given out before are not used again.
    async fn after_crash(&self) -> Option<Result<Arc<dyn TokenStore>, StoreError>> {
        None
    }

    /// Damages a record that is there, and says whether it could.
    async fn damage(&self, _key: &StoreKey, _damage: Damage) -> bool {
        false
    }

    /// Makes swaps (and, if it can, loads) impossible for every handle, those already given out too, until
    /// [`end_outage`](Self::end_outage); says whether it could.
    async fn begin_outage(&self) -> bool {
        false
    }

    /// Ends what [`begin_outage`](Self::begin_outage) began.
    async fn end_outage(&self) {}

    /// Lets this much time pass for the store, if it can be told to without waiting; says whether it could.
    async fn pass(&self, _time: Duration) -> bool {
        false
    }

    /// What the store takes for now: the machine's clock, unless the fixture gave it another.
    fn now(&self) -> Timestamp {
        SystemClock::default().wall()
    }
}
