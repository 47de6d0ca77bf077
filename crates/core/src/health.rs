//! Whether an instance is fit to serve, for those who ask every few seconds.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::driver::{Driver, runtime};
use crate::error::{StoreError, StoreErrorKind};
use crate::protocol::elapsed;
use crate::sight::Operation;

/// For how long an answer of the store holds: who asks more often learns nothing new.
const FRESH: Duration = Duration::from_secs(1);

/// How an instance of a site is. Holds no secret.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Health {
    /// Whether the store answered, within the policy's `save`. A load; what a write would say, `doctor` tells.
    pub store: Result<(), StoreError>,
    /// For how long no grant is sent, because the endpoint is down or asked for patience; zero: somebody may find out whether it
    /// is back, or does. `None` while grants are sent as needed.
    pub endpoint_paused_for: Option<Duration>,
    /// How many visitors' tokens are in this process's memory and not in the store: they are lost with the process.
    pub unsaved: usize,
    /// For how long the oldest of them has waited.
    pub oldest_unsaved: Option<Duration>,
    /// Whether the store tells this process of changes made elsewhere. Not before the site's first grant or look, and never where
    /// a store cannot: visitors in use are then looked up every [`Policy::look_after`](crate::Policy).
    pub hears_changes: bool,
    /// Whether [`shutdown`](crate::Visitors::shutdown) was called.
    pub closing: bool,
}

impl Health {
    /// Whether to send shoppers to this instance: its store answers, and it was not shut down.
    ///
    /// An endpoint that is down makes no instance unready: usable tokens are served for hours, and no other instance would fare
    /// better. Neither do tokens that are not saved: they serve from here, and only from here.
    pub fn is_ready(&self) -> bool {
        self.store.is_ok() && !self.closing
    }
}

/// The last time the store was asked, or the one under way.
#[derive(Debug, Default)]
pub(crate) struct Checkup(Mutex<Option<watch::Receiver<Said>>>);

/// What the store said, and when; nothing yet at first.
type Said = Option<(Duration, Result<(), StoreError>)>;

impl Driver {
    pub(crate) async fn health(self: &Arc<Self>) -> Health {
        let store = self.store_answers().await;
        let now = self.clock.now();
        let (unsaved, oldest) = self.unsaved.sum();
        Health {
            store,
            endpoint_paused_for: self.admission().paused_for(now),
            unsaved,
            oldest_unsaved: oldest.map(|since| elapsed(since, now)),
            hears_changes: self.elsewhere.is_listening(),
            closing: self.closing.has_begun(),
        }
    }

    /// Asks the store, or takes part in what somebody else has just asked.
    async fn store_answers(self: &Arc<Self>) -> Result<(), StoreError> {
        let unavailable = |message| Err(StoreError::new(StoreErrorKind::Unavailable, "token", message));
        let mut said = {
            // Nothing that can panic runs under the lock.
            let mut last = self.checkup.0.lock().unwrap_or_else(PoisonError::into_inner);
            match last.as_ref().filter(|said| self.still_holds(said)) {
                Some(said) => said.clone(),
                None => {
                    let Ok(runtime) = runtime() else {
                        return unavailable("there is no tokio runtime here: call this from within one");
                    };
                    let (tell, said) = watch::channel(None);
                    *last = Some(said.clone());
                    let driver = Arc::clone(self);
                    // Detached: one who does not wait for the answer must not keep it from the next.
                    runtime.spawn(async move {
                        let answer = driver.ask().await;
                        tell.send_replace(Some((driver.clock.monotonic(), answer)));
                    });
                    said
                }
            }
        };
        if let Some((_, answer)) = &*said.borrow() {
            return answer.clone();
        }
        if runtime().is_err() {
            return unavailable("there is no tokio runtime here: call this from within one");
        }
        let late = "no answer to a load in time";
        tokio::select! {
            biased;
            answer = said.wait_for(Option::is_some) => match answer.as_deref() {
                Ok(Some((_, answer))) => answer.clone(),
                _ => unavailable("the question whether it answers ended half-way"),
            },
            // Whoever asked may be on a runtime that stands still.
            () = self.clock.sleep(self.policy.save) => unavailable(late),
        }
    }

    fn still_holds(&self, said: &watch::Receiver<Said>) -> bool {
        match &*said.borrow() {
            Some((when, _)) => self.clock.monotonic().saturating_sub(*when) < FRESH,
            // Under way, unless it went with its runtime.
            None => said.has_changed().is_ok(),
        }
    }

    /// Loads what no visitor is kept under: the empty visitor key is nobody's.
    async fn ask(&self) -> Result<(), StoreError> {
        let nobody = self.keys.key(self.nobody);
        self.store_in_sight(Operation::Health, self.load_in_time(&nobody)).await.map(drop)
    }
}
