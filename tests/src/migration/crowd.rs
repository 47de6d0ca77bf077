//! Visitors whose truth is known: who each is, by what instances acknowledged and what the endpoint itself knows.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::RwLock;
use tokio::task::JoinSet;
use wix_visitor_core::{
    AccessToken, Authorization, Error, ErrorKind, RefreshToken, Role, TokenStore, Tokens, Visitor, Visitors,
};
use wix_visitor_testkit::ledger::secret_key;
use wix_visitor_testkit::{FakeEndpoint, Rotation};

use super::random::Random;
use super::tally::Shared;
use crate::instance::{client_id, hours};

/// How many visitors are worked on at once where nobody is in the way.
const AT_ONCE: usize = 16;
/// How often a call is made that fails, and the pause between: a store that is crowded says so.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// Two instances of one application on one store.
pub(super) type Pair = [Visitors; 2];

/// The visitors of one endpoint.
#[derive(Debug)]
pub(super) struct Crowd {
    name: &'static str,
    endpoint: FakeEndpoint,
    shoppers: Mutex<Vec<Arc<Shopper>>>,
    /// Whose each identity is.
    owners: Mutex<HashMap<u64, usize>>,
    /// Whether instances on the old store sign in, forget and mint. They renew all the time.
    changing: RwLock<bool>,
    tally: Arc<Shared>,
}

#[derive(Debug)]
struct Shopper {
    number: usize,
    key: String,
    now: tokio::sync::Mutex<Now>,
    /// Who this was when instances began to use the other store; to those on the old one it stays so.
    before: OnceLock<Option<u64>>,
}

#[derive(Clone, Copy, Debug)]
enum Now {
    Is(u64),
    /// By which instance.
    Forgotten(usize),
}

impl Shopper {
    /// Whether it signs in, forgets and mints in the other store, as soon as that is in use.
    fn moves(&self) -> bool {
        self.number % 2 == 1
    }
}

impl Crowd {
    pub(super) fn new(name: &'static str, rotation: Rotation, tally: &Arc<Shared>) -> Self {
        Self {
            name,
            endpoint: FakeEndpoint::new(rotation),
            shoppers: Mutex::default(),
            owners: Mutex::default(),
            changing: RwLock::new(true),
            tally: Arc::clone(tally),
        }
    }

    /// An instance of the application.
    pub(super) fn instance(&self, store: &Arc<dyn TokenStore>) -> Result<Visitors, String> {
        let built = Visitors::builder(client_id(), self.endpoint.clone(), Arc::clone(store)).build();
        built.map_err(|error| error.to_string())
    }

    /// So many more.
    pub(super) async fn grow(self: &Arc<Self>, by: usize, at: &Visitors) -> Result<(), String> {
        let mut minting = JoinSet::new();
        for n in 0..by {
            if n >= AT_ONCE {
                next(&mut minting).await?;
            }
            let (crowd, at) = (Arc::clone(self), at.clone());
            minting.spawn(async move { crowd.newcomer(&at).await });
        }
        while !minting.is_empty() {
            next(&mut minting).await?;
        }
        Ok(())
    }

    /// One thing that a shopper does while the application uses the old store.
    pub(super) async fn turn(&self, old: &Pair, random: &mut Random) -> Result<(), String> {
        let changing = self.changing.read().await;
        if !*changing {
            return self.renew_as_before(&self.one(random), &old[random.below(2)]).await;
        }
        if random.below(12) == 0 {
            self.tally.lock().minted += 1;
            return self.newcomer(&old[random.below(2)]).await;
        }
        self.change(&self.one(random), old, random).await
    }

    /// One thing that a shopper does while the application begins to use the other store.
    pub(super) async fn turn_elsewhere(&self, new: &Pair, random: &mut Random) -> Result<(), String> {
        self.tally.lock().elsewhere += 1;
        if random.below(12) == 0 {
            self.tally.lock().minted += 1;
            return self.newcomer(&new[random.below(2)]).await;
        }
        let shopper = self.one(random);
        if shopper.moves() {
            self.change(&shopper, new, random).await
        } else {
            self.renew_as_before(&shopper, &new[random.below(2)]).await
        }
    }

    /// From now on who signs in, forgets or mints does so in the other store.
    pub(super) async fn settle(&self) -> Result<(), String> {
        *self.changing.write().await = false;
        for shopper in self.all() {
            let before = match *shopper.now.lock().await {
                Now::Is(identity) => Some(identity),
                Now::Forgotten(_) => None,
            };
            shopper.before.set(before).map_err(|_| "settled twice")?;
        }
        Ok(())
    }

    async fn newcomer(&self, at: &Visitors) -> Result<(), String> {
        let key = secret_key("shopper");
        let visitor = at.visitor(&key);
        let identity = self.identity(&insist("mint", || visitor.authorization()).await?)?;
        let mut shoppers = self.shoppers();
        let number = shoppers.len();
        self.note(identity, number);
        let now = tokio::sync::Mutex::new(Now::Is(identity));
        shoppers.push(Arc::new(Shopper { number, key, now, before: OnceLock::new() }));
        Ok(())
    }

    /// What is acknowledged here is what counts: nobody else changes this visitor meanwhile.
    async fn change(&self, shopper: &Shopper, instances: &Pair, random: &mut Random) -> Result<(), String> {
        let mut now = shopper.now.lock().await;
        let at = random.below(2);
        let visitor = instances[at].visitor(&shopper.key);
        let (is, by) = match *now {
            Now::Is(identity) => (Some(identity), at),
            Now::Forgotten(by) => (None, by),
        };
        match (is, random.below(10)) {
            (Some(_), 0) => {
                insist("forget", || visitor.forget()).await?;
                *now = Now::Forgotten(at);
                self.tally.lock().forgotten += 1;
            }
            (Some(_), 1) | (None, 0..3) => {
                let role = if random.below(2) == 0 { Role::Member } else { Role::Visitor };
                let (identity, access, refresh) = self.endpoint.issue();
                let access = AccessToken::new(access, instances[at].now() + hours(4));
                let tokens = Tokens::new(Some(access), Some(RefreshToken::new(refresh, role)));
                insist("set tokens", || visitor.set_tokens(tokens.clone())).await?;
                *now = Now::Is(identity);
                self.note(identity, shopper.number);
                self.tally.lock().signed_in += 1;
            }
            (Some(identity), _) => self.renew(shopper, &visitor, identity).await?,
            (None, 3..6) => {
                // The one that forgot: to the other one it may still be who it was, for some seconds.
                let visitor = instances[by].visitor(&shopper.key);
                let identity = self.identity(&insist("mint", || visitor.authorization()).await?)?;
                *now = Now::Is(identity);
                if !self.note(identity, shopper.number) {
                    self.tally.lock().back += 1;
                    self.find(shopper, "was forgotten, and an instance served it as it was");
                }
                self.tally.lock().minted += 1;
            }
            (None, _) => {}
        }
        Ok(())
    }

    /// While nobody signs in or forgets here, whoever renews there.
    async fn renew_as_before(&self, shopper: &Shopper, at: &Visitors) -> Result<(), String> {
        let Some(Some(identity)) = shopper.before.get() else { return Ok(()) };
        let visitor = at.visitor(&shopper.key);
        // A visitor that is not there yet is not asked for there: that would mint.
        if !insist("look", || visitor.status()).await?.exists {
            self.tally.lock().lost += 1;
            self.find(shopper, "is not there, after a run that came to its end");
            return Ok(());
        }
        self.renew(shopper, &visitor, *identity).await
    }

    async fn renew(&self, shopper: &Shopper, visitor: &Visitor, identity: u64) -> Result<(), String> {
        // An instance that did not yet hear of a sign-in elsewhere holds a visitor that was forgotten, and no tokens to renew.
        let renew = async || match visitor.renew().await {
            Err(error) if error.kind() == ErrorKind::InvalidInput => visitor.authorization().await,
            renewed => renewed,
        };
        let renewed = insist("renew", renew).await?;
        self.tally.lock().renewed += 1;
        self.compare(shopper, identity, self.endpoint.identity(&renewed), "is served");
        Ok(())
    }

    /// Whether everybody is in this store who they are by what was acknowledged last.
    pub(super) async fn judge(self: &Arc<Self>, store: &Arc<dyn TokenStore>) -> Result<(), String> {
        let (stranger, mints) = (self.instance(store)?, self.endpoint.mints());
        let mut judged = JoinSet::new();
        for shopper in self.all() {
            if judged.len() >= AT_ONCE {
                next(&mut judged).await?;
            }
            let (crowd, stranger) = (Arc::clone(self), stranger.clone());
            judged.spawn(async move { crowd.look_at(&shopper, &stranger).await });
        }
        while !judged.is_empty() {
            next(&mut judged).await?;
        }
        insist("shut down", || stranger.shutdown()).await?;
        let minted = self.endpoint.mints() - mints;
        if minted > 0 {
            self.tally.find(format!("{}: {minted} visitors were minted anew", self.name));
        }
        Ok(())
    }

    async fn look_at(&self, shopper: &Shopper, stranger: &Visitors) -> Result<(), String> {
        let visitor = stranger.visitor(&shopper.key);
        let status = insist("look", || visitor.status()).await?;
        let now = *shopper.now.lock().await;
        self.tally.lock().visitors += 1;
        match now {
            Now::Forgotten(_) if status.forgotten => {}
            Now::Forgotten(_) if !status.exists => {
                self.tally.lock().lost += 1;
                self.find(shopper, "was forgotten, and the record that says so is missing");
            }
            Now::Forgotten(_) => {
                self.tally.lock().back += 1;
                self.find(shopper, &format!("was forgotten, and is there: {status:?}"));
            }
            Now::Is(_) if !status.exists || status.forgotten => {
                self.tally.lock().lost += 1;
                self.find(shopper, &format!("is missing: {status:?}"));
            }
            Now::Is(identity) => {
                let tokens = insist("look", || visitor.tokens()).await?;
                let (access, refresh) =
                    (tokens.access.map(|token| token.value), tokens.refresh.map(|token| token.value));
                let kept = access.and_then(|token| self.endpoint.identity(token.expose()));
                if !self.compare(shopper, identity, kept, "is kept") {
                    return Ok(());
                }
                if !refresh.is_some_and(|token| self.endpoint.is_good(&token)) {
                    self.tally.lock().lost += 1;
                    self.find(shopper, &format!("has a refresh token that is dead: {status:?}"));
                    return Ok(());
                }
                self.renew(shopper, &visitor, identity).await?;
            }
        }
        Ok(())
    }

    /// Whether this visitor is who it is.
    fn compare(&self, shopper: &Shopper, is: u64, found: Option<u64>, how: &str) -> bool {
        if found == Some(is) {
            return true;
        }
        let owner =
            found.and_then(|found| self.owners.lock().unwrap_or_else(PoisonError::into_inner).get(&found).copied());
        if owner.is_some_and(|owner| owner != shopper.number) {
            self.tally.lock().mixed += 1;
        } else {
            self.tally.lock().lost += 1;
        }
        self.find(shopper, &format!("{how} as {found:?} (of {owner:?}), and is {is}"));
        false
    }

    fn find(&self, shopper: &Shopper, what: &str) {
        self.tally.find(format!("{}: visitor {} {what}", self.name, shopper.number));
    }

    /// False if it was known before.
    fn note(&self, identity: u64, owner: usize) -> bool {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner).insert(identity, owner).is_none()
    }

    fn identity(&self, authorization: &Authorization) -> Result<u64, String> {
        self.endpoint.identity(authorization).ok_or_else(|| format!("{}: a token of another endpoint", self.name))
    }

    fn one(&self, random: &mut Random) -> Arc<Shopper> {
        let shoppers = self.shoppers();
        Arc::clone(&shoppers[random.below(shoppers.len())])
    }

    fn all(&self) -> Vec<Arc<Shopper>> {
        self.shoppers().clone()
    }

    fn shoppers(&self) -> MutexGuard<'_, Vec<Arc<Shopper>>> {
        self.shoppers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn next(tasks: &mut JoinSet<Result<(), String>>) -> Result<(), String> {
    match tasks.join_next().await {
        Some(done) => done.map_err(|error| error.to_string())?,
        None => Ok(()),
    }
}

/// Calls until it is done.
pub(super) async fn insist<T, F>(what: &str, call: impl Fn() -> F) -> Result<T, String>
where
    F: Future<Output = Result<T, Error>>,
{
    for _ in 1..TRIES {
        match call().await {
            Err(error) if error.is_transient() => tokio::time::sleep(PAUSE).await,
            done => return done.map_err(|error| format!("{what}: {error}")),
        }
    }
    call().await.map_err(|error| format!("{what}, {TRIES} times: {error}"))
}
