//! Generate, renew, status: the verbs of the JS SDK in Rust's manner.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use wix_visitor_core::{
    ErrorKind, Etag, Exchange, Policy, Role, StoreError, StoreKey, Stored, TokenStore, Tokens, async_trait,
};
use wix_visitor_memory::MemoryStore;
use wix_visitor_testkit::Rotation;
use wix_visitor_tests::instance::{Instance, secs};

#[tokio::test(start_paused = true)]
async fn nothing_is_minted_before_a_token_is_needed() {
    let site = Instance::new(Rotation::Same);
    let visitor = site.visitor();
    assert_eq!(visitor.tokens().await.unwrap(), Tokens::default());
    assert!(!visitor.logged_in().await.unwrap());
    assert!(!visitor.status().await.unwrap().exists);
    assert_eq!(visitor.renew().await.unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!((site.endpoint.grants(), site.store.swaps()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn generate_has_the_sdks_three_outcomes_and_a_member_is_not_replaced() {
    let site = Instance::new(Rotation::Same);
    let (identity, given) = site.sign_in(Role::Visitor);
    let same = site.visitor().generate_from(given.clone()).await.unwrap();
    assert_eq!((same, site.endpoint.grants()), (given.clone(), 0), "valid: the same");

    site.expire().await;
    let renewed = site.visitor().generate_from(given.clone()).await.unwrap();
    assert_ne!(renewed.access, given.access);
    assert_eq!(renewed.refresh, given.refresh);
    assert_eq!(site.endpoint.renewals(), 1, "expired: a new access token");

    site.expire().await;
    site.endpoint.revoke(identity);
    let new = site.visitor().generate_from(renewed.clone()).await.unwrap();
    assert_ne!(new.refresh, renewed.refresh);
    assert_eq!(site.endpoint.mints(), 1, "refused: new tokens");
    assert_eq!(site.another().visitor().tokens().await.unwrap(), new, "and they are stored");

    let (member, mut tokens) = site.sign_in(Role::Member);
    tokens.access = None;
    site.endpoint.revoke(member);
    let error = site.visitor().generate_from(tokens).await.unwrap_err();
    assert_eq!((error.kind(), site.endpoint.mints()), (ErrorKind::MemberSessionEnded, 1));
}

#[tokio::test(start_paused = true)]
async fn generate_keeps_the_visitor_that_exists() {
    let site = Instance::new(Rotation::Same);
    let first = site.visitor().generate().await.unwrap();
    assert_eq!(site.visitor().generate().await.unwrap(), first);
    assert_eq!(site.visitor().generate_from(Tokens::default()).await.unwrap(), first);
    assert_eq!(site.endpoint.mints(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_old_copy_of_our_own_tokens_never_sets_a_visitor_back() {
    let site = Instance::new(Rotation::New);
    let old = site.visitor().generate().await.unwrap();
    site.expire().await;
    let current = site.visitor().generate().await.unwrap();
    assert_ne!(old.refresh, current.refresh);
    assert_eq!(site.visitor().generate_from(old).await.unwrap(), current);
    assert_eq!(site.visitor().status().await.unwrap().epoch, 0, "nothing was set");
}

#[tokio::test(start_paused = true)]
async fn renew_renews_a_token_that_is_still_good_and_parallel_calls_share_it() {
    let site = Instance::new(Rotation::Single);
    let first = site.visitor().authorization().await.unwrap();
    site.endpoint.set_latency(secs(1));
    let (a, b) = (site.visitor(), site.visitor());
    let (a, b) = tokio::join!(a.renew(), b.renew());
    let (a, b) = (a.unwrap(), b.unwrap());
    assert_eq!(a.header(), b.header());
    assert_ne!(a.header(), first.header());
    assert_eq!((site.endpoint.renewals(), site.endpoint.mints()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn status_tells_everything_but_secrets() {
    let site = Instance::new(Rotation::Same);
    site.who().await.unwrap();
    let status = site.another().visitor().status().await.unwrap();
    assert!(status.exists && status.usable && status.renewable && status.saved && !status.due && !status.claimed);
    assert_eq!((status.role, status.generation, status.epoch), (Role::Visitor, 0, 0));
    let tokens = site.visitor().tokens().await.unwrap();
    let shown =
        format!("{status:?} {:?} {:?} {:?}", site.visitor(), site.visitors, site.visitor().authorization().await);
    for secret in [tokens.access.unwrap().value, tokens.refresh.unwrap().value] {
        assert!(!shown.contains(secret.expose()), "{shown}");
    }
    assert!(!shown.contains(&*site.key));
}

/// A store one of whose answers comes late.
#[derive(Clone, Debug, Default)]
struct Late {
    store: MemoryStore,
    next: Arc<AtomicBool>,
    read: Arc<Notify>,
    answer: Arc<Notify>,
}

#[async_trait]
impl TokenStore for Late {
    async fn load(&self, key: &StoreKey) -> Result<Option<Stored>, StoreError> {
        let found = self.store.load(key).await;
        if self.next.swap(false, Ordering::Relaxed) {
            self.read.notify_one();
            self.answer.notified().await;
        }
        found
    }

    async fn compare_exchange(
        &self,
        key: &StoreKey,
        expected: Option<&Etag>,
        new: &Stored,
        keep: Duration,
    ) -> Result<Exchange, StoreError> {
        self.store.compare_exchange(key, expected, new, keep).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_whose_answer_was_overtaken_by_a_renewal_tells_of_that() {
    let store = Late::default();
    let site = Instance::with_store(store.clone(), Rotation::Same, Policy::default());
    site.who().await.unwrap();
    store.next.store(true, Ordering::Relaxed);
    let asking = site.visitor();
    let status = tokio::spawn(async move { asking.status().await });
    store.read.notified().await;
    site.visitor().renew().await.unwrap();
    store.answer.notify_one();
    let status = status.await.unwrap().unwrap();
    assert_eq!((status.generation, status.saved, status.claimed), (1, true, false));
}

#[tokio::test(start_paused = true)]
async fn what_layers_keep_beside_a_visitor_is_shared_by_its_handles_alone() {
    use std::sync::atomic::{AtomicU32, Ordering};
    let site = Instance::new(Rotation::Same);
    site.visitor().attachment::<AtomicU32>().store(7, Ordering::Relaxed);
    assert_eq!(site.visitor().attachment::<AtomicU32>().load(Ordering::Relaxed), 7);
    assert_eq!(site.visitors.visitor("another").attachment::<AtomicU32>().load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn no_copy_however_old_and_on_whichever_instance_sets_a_visitor_back() {
    for renewals in [1, 2, 5, 31] {
        for elsewhere in [false, true] {
            let site = Instance::new(Rotation::Strict);
            let identity = site.who().await.unwrap();
            let other = site.another();
            other.who().await.unwrap(); // a snapshot that ages
            let copy = site.visitor().tokens().await.unwrap();
            for _ in 0..renewals {
                site.visitor().renew().await.unwrap();
            }
            let asked = if elsewhere { &other } else { &site };
            asked.visitor().generate_from(copy).await.unwrap();
            site.expire().await;
            for instance in [asked, &site.another()] {
                assert_eq!(instance.who().await.unwrap(), identity, "{renewals} renewals, elsewhere: {elsewhere}");
            }
            assert_eq!(site.endpoint.mints(), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_that_cannot_be_anybodys_are_refused_and_white_space_around_one_is_not_part_of_it() {
    use wix_visitor_core::{ErrorKind, Tokens};
    let site = Instance::new(Rotation::Same);
    let identity = site.who().await.unwrap();
    let long = "x".repeat(9_000);
    for bad in [r#""   ""#, r#"{"value":" \n\t","role":"visitor"}"#, r#""a\u0000b\nc""#, &format!("\"{long}\"")] {
        let tokens = Tokens::from_json(&format!(r#"{{"refreshToken":{bad}}}"#)).unwrap();
        let error = site.visitor().set_tokens(tokens).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    assert_eq!(site.who().await.unwrap(), identity);
    let refresh = site.refresh_token().await;
    let padded = format!(r#"{{"refreshToken":{{"value":" {}\n","role":"visitor"}}}}"#, refresh.expose());
    site.visitor().set_tokens(Tokens::from_json(&padded).unwrap()).await.unwrap();
    assert_eq!(site.who().await.unwrap(), identity);
}
