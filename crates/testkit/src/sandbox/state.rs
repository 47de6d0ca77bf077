//! What the sandbox remembers: identities with their carts, and tokens by their hash.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Rotation, cart::Cart, token};
use crate::random;

/// Expired access tokens are remembered for a day, so that they are told from forged ones; then they go.
const REMEMBER_EXPIRED_SECONDS: u64 = 86_400;
/// For so long a code can be redeemed.
const CODE_MS: u64 = 60_000;

/// All of it. No token is in here, only hashes of tokens. It grows with each visitor that is made and each renewal that rotates: a
/// sandbox forgets nobody, as Wix would not.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    format: String,
    version: u32,
    site: String,
    identities: BTreeMap<String, Identity>,
    refresh: BTreeMap<String, Refresh>,
    access: BTreeMap<String, Access>,
    /// Who has signed in and not fetched the tokens yet, by the hash of the code.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    codes: BTreeMap<String, Code>,
    /// The members by client id and name: who signs in again is the same one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    members: BTreeMap<String, String>,
    /// Whether there is something to save.
    #[serde(skip)]
    pub(super) changed: bool,
    #[serde(skip)]
    prune_at: usize,
}

const FORMAT: &str = "wix-visitor sandbox";
const VERSION: u32 = 1;

/// Who a token speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Subject {
    Visitor,
    Member,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Identity {
    pub(super) subject: Subject,
    pub(super) client_id: String,
    pub(super) cart: Option<Cart>,
    pub(super) checkouts: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Refresh {
    identity: String,
    iat: u64,
    exp: u64,
    revoked: bool,
    /// When a newer token first took its place.
    spent_ms: Option<u64>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Access {
    pub(super) identity: String,
    pub(super) iat: u64,
    pub(super) exp: u64,
    revoked: bool,
}

impl Access {
    pub(super) fn is_live(&self, now_ms: u64) -> bool {
        !self.revoked && now_ms < self.exp.saturating_mul(1000)
    }
}

/// What a member brings back from the login page.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Code {
    name: String,
    exp_ms: u64,
}

/// The lifetime of new tokens, in seconds.
#[derive(Clone, Copy)]
pub(super) struct Lifetimes {
    pub(super) access: u64,
    pub(super) refresh: u64,
}

/// What became of a refresh token that was presented.
pub(super) enum Redeemed {
    /// `refresh` is the new one, where there is one.
    Good {
        identity: String,
        refresh: Option<String>,
        twice: bool,
    },
    Refused {
        why: &'static str,
        twice: bool,
    },
}

impl Default for State {
    fn default() -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            site: random::guid(),
            identities: BTreeMap::new(),
            refresh: BTreeMap::new(),
            access: BTreeMap::new(),
            codes: BTreeMap::new(),
            members: BTreeMap::new(),
            changed: false,
            prune_at: 1024,
        }
    }
}

impl State {
    /// Whether what was read is a state of this version.
    pub(super) fn is_ours(&self) -> bool {
        self.format == FORMAT && self.version == VERSION
    }

    pub(super) fn site(&self) -> &str {
        &self.site
    }

    pub(super) fn identities(&self) -> impl Iterator<Item = &String> {
        self.identities.keys()
    }

    pub(super) fn identity(&self, id: &str) -> Option<&Identity> {
        self.identities.get(id)
    }

    /// An identity to change; the change will be saved.
    pub(super) fn identity_mut(&mut self, id: &str) -> Option<&mut Identity> {
        self.changed = true;
        self.identities.get_mut(id)
    }

    pub(super) fn new_identity(&mut self, subject: Subject, client_id: &str) -> String {
        self.changed = true;
        let id = random::guid();
        self.identities.insert(
            id.clone(),
            Identity { subject, client_id: client_id.to_ascii_lowercase(), cart: None, checkouts: Vec::new() },
        );
        id
    }

    pub(super) fn new_access(&mut self, identity: &str, lifetimes: Lifetimes, now_ms: u64) -> String {
        self.changed = true;
        let iat = now_ms / 1000;
        let exp = iat.saturating_add(lifetimes.access);
        let client_id = self.identities.get(identity).map_or("", |identity| identity.client_id.as_str());
        let token = token::new_access(identity, client_id, &self.site, iat, exp);
        self.access.insert(token::hash(&token), Access { identity: identity.to_owned(), iat, exp, revoked: false });
        if self.access.len() >= self.prune_at.max(1024) {
            self.access.retain(|_, access| access.exp.saturating_add(REMEMBER_EXPIRED_SECONDS) > iat);
            self.prune_at = 2 * self.access.len();
        }
        token
    }

    pub(super) fn new_refresh(&mut self, identity: &str, lifetimes: Lifetimes, now_ms: u64) -> String {
        self.changed = true;
        let iat = now_ms / 1000;
        let exp = iat.saturating_add(lifetimes.refresh);
        let token = token::new_refresh(iat, exp);
        self.refresh.insert(
            token::hash(&token),
            Refresh { identity: identity.to_owned(), iat, exp, revoked: false, spent_ms: None },
        );
        token
    }

    /// A code for a member who has just signed in under this name.
    pub(super) fn new_code(&mut self, name: &str, now_ms: u64) -> String {
        self.changed = true;
        self.codes.retain(|_, code| now_ms < code.exp_ms);
        let code = token::new_code();
        self.codes.insert(token::hash(&code), Code { name: name.to_owned(), exp_ms: now_ms.saturating_add(CODE_MS) });
        code
    }

    /// The name that a code was given out for. It is good once.
    pub(super) fn redeem_code(&mut self, code: &str, now_ms: u64) -> Option<String> {
        let code = self.codes.remove(&token::hash(code))?;
        self.changed = true;
        (now_ms < code.exp_ms).then_some(code.name)
    }

    /// The member of this name, who comes to be at the first sign-in.
    pub(super) fn member(&mut self, name: &str, client_id: &str) -> String {
        let known = format!("{} {name}", client_id.to_ascii_lowercase());
        if let Some(identity) = self.members.get(&known) {
            return identity.clone();
        }
        let identity = self.new_identity(Subject::Member, client_id);
        self.members.insert(known, identity.clone());
        identity
    }

    /// Takes a refresh token in exchange, by the rules of the rotation. A client id is optional at a renewal; another app's is
    /// refused.
    pub(super) fn redeem(
        &mut self,
        token: &str,
        client_id: Option<&str>,
        rotation: Rotation,
        lifetimes: Lifetimes,
        now_ms: u64,
    ) -> Redeemed {
        let refused = |why, twice| Redeemed::Refused { why, twice };
        let Some(known) = self.refresh.get_mut(&token::hash(token)) else {
            return refused("the refresh token is not known", false);
        };
        let twice = known.spent_ms.is_some();
        let identity = known.identity.clone();
        if known.revoked {
            return refused("the refresh token was revoked", twice);
        }
        if now_ms >= known.exp.saturating_mul(1000) {
            return refused("the refresh token has expired", twice);
        }
        let theirs = self.identities.get(&identity).map(|identity| &identity.client_id);
        if let (Some(given), Some(theirs)) = (client_id, theirs)
            && !theirs.eq_ignore_ascii_case(given)
        {
            return refused("the refresh token belongs to another client id", twice);
        }
        if let Some(spent_ms) = known.spent_ms {
            match rotation {
                Rotation::Same | Rotation::New => {}
                Rotation::Grace(grace) => {
                    let grace = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
                    if now_ms >= spent_ms.saturating_add(grace) {
                        return refused("the refresh token was replaced by a newer one", twice);
                    }
                }
                Rotation::Strict => {
                    self.revoke_family(&identity);
                    return refused("the refresh token was used twice", twice);
                }
            }
        }
        self.changed = true;
        if rotation == Rotation::Same {
            return Redeemed::Good { identity, refresh: None, twice };
        }
        known.spent_ms.get_or_insert(now_ms);
        let refresh = Some(self.new_refresh(&identity, lifetimes, now_ms));
        Redeemed::Good { identity, refresh, twice }
    }

    /// Access tokens live on until they expire: only the way to new ones is closed.
    fn revoke_family(&mut self, identity: &str) {
        self.changed = true;
        for refresh in self.refresh.values_mut() {
            if refresh.identity == identity {
                refresh.revoked = true;
            }
        }
    }

    pub(super) fn access(&self, token: &str) -> Option<&Access> {
        self.access.get(&token::hash(token))
    }

    /// The identity of any token, and its times in seconds.
    pub(super) fn owner(&self, token: &str) -> Option<String> {
        let hash = token::hash(token);
        let access = self.access.get(&hash).map(|access| &access.identity);
        access.or_else(|| self.refresh.get(&hash).map(|refresh| &refresh.identity)).cloned()
    }

    pub(super) fn revoke_refresh(&mut self, token: &str) -> bool {
        self.changed = true;
        match self.refresh.get_mut(&token::hash(token)) {
            Some(refresh) => {
                refresh.revoked = true;
                true
            }
            None => false,
        }
    }

    pub(super) fn revoke_access(&mut self, token: &str) -> bool {
        self.changed = true;
        match self.access.get_mut(&token::hash(token)) {
            Some(access) => {
                access.revoked = true;
                true
            }
            None => false,
        }
    }

    pub(super) fn revoke_all_access(&mut self) {
        self.changed = true;
        for access in self.access.values_mut() {
            access.revoked = true;
        }
    }

    pub(super) fn revoke_identity(&mut self, identity: &str) -> bool {
        self.revoke_family(identity);
        for access in self.access.values_mut() {
            if access.identity == identity {
                access.revoked = true;
            }
        }
        self.identities.contains_key(identity)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIVES: Lifetimes = Lifetimes { access: 60, refresh: 600 };

    fn renew(state: &mut State, token: &str, rotation: Rotation, now_ms: u64) -> Option<String> {
        match state.redeem(token, None, rotation, LIVES, now_ms) {
            Redeemed::Good { refresh, .. } => Some(refresh.unwrap_or_else(|| token.to_owned())),
            Redeemed::Refused { .. } => None,
        }
    }

    fn visitor() -> (State, String) {
        let mut state = State::default();
        let id = state.new_identity(Subject::Visitor, "app");
        let token = state.new_refresh(&id, LIVES, 0);
        (state, token)
    }

    #[test]
    fn a_grace_ends_after_its_window_and_not_before() {
        let (mut state, old) = visitor();
        let grace = Rotation::Grace(Duration::from_millis(500));
        assert!(renew(&mut state, &old, grace, 1000).is_some());
        assert!(renew(&mut state, &old, grace, 1499).is_some());
        assert!(renew(&mut state, &old, grace, 1500).is_none());
    }

    #[test]
    fn a_refresh_token_expires() {
        let (mut state, token) = visitor();
        assert!(renew(&mut state, &token, Rotation::Same, 599_999).is_some());
        assert!(renew(&mut state, &token, Rotation::Same, 600_000).is_none());
    }

    #[test]
    fn another_client_id_is_refused_and_none_is_fine() {
        let (mut state, token) = visitor();
        let other = state.redeem(&token, Some("other"), Rotation::Same, LIVES, 0);
        assert!(matches!(other, Redeemed::Refused { .. }));
        let own = state.redeem(&token, Some("APP"), Rotation::Same, LIVES, 0);
        assert!(matches!(own, Redeemed::Good { .. }));
    }

    #[test]
    fn long_expired_access_tokens_do_not_pile_up() {
        let (mut state, _) = visitor();
        let id = state.identities().next().unwrap().clone();
        for step in 0..1500 {
            state.new_access(&id, LIVES, step * 100_000);
        }
        assert!(state.access.len() < 1400, "{}", state.access.len());
    }

    #[test]
    fn the_state_holds_no_token() {
        let (mut state, refresh) = visitor();
        let id = state.identities().next().unwrap().clone();
        let access = state.new_access(&id, LIVES, 0);
        let kept = serde_json::to_string(&state).unwrap();
        assert!(!kept.contains(&refresh) && !kept.contains(&access));
    }
}
