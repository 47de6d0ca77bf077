//! The record: all that a store keeps for one visitor, and its encoding.
//!
//! Encoded, it is JSON that a person can read, with a checksum over its text, so that a flipped bit inside a token is an
//! error of the store and not a token that the endpoint refuses.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::clock::Timestamp;
use crate::error::{ErrorKind, StoreError, StoreErrorKind};
use crate::secret::Secret;
use crate::tokens::{Role, Tokens};

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(pub u128);

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                format!("{:032x}", id.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = &'static str;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                if text.len() != 32 {
                    return Err("expected 32 hex digits");
                }
                u128::from_str_radix(&text, 16).map($name).map_err(|_| "expected 32 hex digits")
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }
    };
}

random_id! {
    /// Names one identity's chain of tokens, or one tombstone: new at a mint, *set tokens* and *forget*, kept by a renewal.
    Lineage
}
random_id! {
    /// Names one claim.
    Nonce
}
random_id! {
    /// Stands for a refresh token that need not be kept, only recognised.
    Fingerprint
}

impl Fingerprint {
    /// Of this token, in this lineage: elsewhere the same token has another.
    pub fn of(token: &Secret, lineage: Lineage) -> Self {
        let mut hash = Sha256::new();
        hash.update(lineage.0.to_be_bytes());
        hash.update(token.expose().as_bytes());
        let digest: [u8; 32] = hash.finalize().into();
        Self(digest.iter().take(16).fold(0, |bits, byte| bits << 8 | u128::from(*byte)))
    }
}

/// A point in a lineage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Version {
    /// Whose chain.
    pub lineage: Lineage,
    /// After how many renewals.
    pub generation: u64,
}

/// All that a store keeps for one visitor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Record {
    /// Counts what the application did: *set tokens* and *forget*, never a mint.
    pub epoch: u64,
    /// What stands there.
    pub standing: Standing,
    /// Who may talk to the endpoint for this visitor just now.
    pub claim: Option<Nonce>,
    /// Why the last grant failed, and when the next may be tried.
    pub trouble: Option<Trouble>,
}

/// What stands in a record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[allow(clippy::large_enum_variant, reason = "almost every record holds a chain")]
pub enum Standing {
    /// Nothing yet: a mint is under way, or has failed.
    #[default]
    Empty,
    /// A tombstone: forgotten on purpose.
    Forgotten(Lineage),
    /// A tombstone that nothing is minted over, and since when it stands.
    Retired(Lineage, Timestamp),
    /// A visitor's or member's tokens.
    Held(Chain),
}

/// The tokens of one identity, and what is known about them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Chain {
    /// Which identity's chain.
    pub lineage: Lineage,
    /// After how many renewals.
    pub generation: u64,
    /// In a minted chain: what it took the place of.
    pub replaces: Option<Version>,
    /// When the chain began, on the wall clock of whoever began it.
    pub began: Timestamp,
    /// The tokens.
    pub tokens: Tokens,
    /// How long the access token lives from issue to expiry: what the thresholds are measured by.
    pub lifetime: Duration,
    /// The refresh token was refused, and so was every alternate there was.
    pub refused: bool,
    /// Refresh tokens of this lineage, kept in case the main one is refused; newest first.
    pub alternates: Vec<Alternate>,
    /// Refresh tokens of this lineage that were replaced, as fingerprints, newest last: an old copy is known by them.
    pub spent: Spent,
    /// Doubtful answers since the last good one.
    pub doubt: Option<Doubt>,
}

/// Refresh tokens that were replaced, newest last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Spent(Vec<Fingerprint>);

impl Spent {
    /// The most that are kept: with Wix's four hours, about five days of renewals.
    pub const MOST: usize = 32;

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn as_slice(&self) -> &[Fingerprint] {
        &self.0
    }

    /// Of these, oldest first.
    pub(crate) fn new(all: Vec<Fingerprint>) -> Self {
        Self(all)
    }
}

/// No decision of the flow looks at them, so a checker of the flow need not tell them apart.
impl Hash for Spent {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// A refresh token kept aside.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Alternate {
    /// The refresh token.
    pub value: Secret,
    /// The generation whose refresh token it was.
    pub generation: u64,
}

/// How often the endpoint's answer was doubtful, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Doubt {
    /// How often.
    pub count: u32,
    /// Since when, on the wall clock.
    pub since: Timestamp,
    /// When the last one came.
    pub last: Timestamp,
}

/// A failed grant, and the pause it asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Trouble {
    /// Failures in a row.
    pub failures: u32,
    /// How long to pause.
    pub pause: Duration,
    /// Until when that is, on the wall clock of whoever failed.
    pub until: Timestamp,
    /// What kind of failure: [`ErrorKind::Misconfigured`], [`ErrorKind::OutcomeUnknown`] or else [`ErrorKind::Unavailable`].
    pub kind: ErrorKind,
    /// The failure in words, without a secret.
    pub message: String,
}

impl Record {
    /// Where in which lineage the record is, unless it is empty.
    pub fn version(&self) -> Option<Version> {
        match &self.standing {
            Standing::Empty => None,
            Standing::Forgotten(lineage) | Standing::Retired(lineage, _) => {
                Some(Version { lineage: *lineage, generation: 0 })
            }
            Standing::Held(chain) => Some(Version { lineage: chain.lineage, generation: chain.generation }),
        }
    }

    /// The chain, if tokens stand there.
    pub fn chain(&self) -> Option<&Chain> {
        match &self.standing {
            Standing::Held(chain) => Some(chain),
            _ => None,
        }
    }

    /// Whether it says "forgotten on purpose".
    pub fn is_tombstone(&self) -> bool {
        matches!(self.standing, Standing::Forgotten(_) | Standing::Retired(..))
    }

    /// Since when nothing may be minted here any more.
    pub fn retired(&self) -> Option<Timestamp> {
        match self.standing {
            Standing::Retired(_, since) => Some(since),
            _ => None,
        }
    }

    /// The same record under this claim, or under none.
    #[must_use]
    pub fn claimed(&self, claim: Option<Nonce>) -> Self {
        Self { claim, ..self.clone() }
    }
}

impl Chain {
    /// The most alternates kept.
    pub const MOST_ALTERNATES: usize = 2;

    /// Which refresh token to redeem next: the main one, then the alternates, newest first. `None` if all were refused.
    pub fn candidate(&self) -> Option<&Secret> {
        let main = self.tokens.refresh.as_ref().map(|token| &token.value).filter(|_| !self.refused);
        main.or_else(|| self.alternates.first().map(|alternate| &alternate.value))
    }

    /// Whether this refresh token is in the chain, as main one or alternate.
    pub fn knows(&self, refresh: &Secret) -> bool {
        self.tokens.refresh.as_ref().is_some_and(|token| token.value == *refresh)
            || self.alternates.iter().any(|alternate| alternate.value == *refresh)
    }

    /// Whether this refresh token is in the chain, or was.
    pub fn recognises(&self, refresh: &Secret) -> bool {
        self.knows(refresh) || self.spent.0.contains(&Fingerprint::of(refresh, self.lineage))
    }

    /// Takes note of a refresh token that was replaced.
    pub fn spend(&mut self, refresh: &Secret) {
        let fingerprint = Fingerprint::of(refresh, self.lineage);
        let spent = &mut self.spent.0;
        if !spent.contains(&fingerprint) {
            spent.drain(..(spent.len() + 1).saturating_sub(Spent::MOST));
            spent.push(fingerprint);
        }
    }

    /// Whom the chain stands for.
    pub fn role(&self) -> Role {
        self.tokens.role()
    }

    /// Takes note that a refresh token was definitively refused.
    pub fn refuse(&mut self, refused: &Secret) {
        self.alternates.retain(|alternate| alternate.value != *refused);
        if self.tokens.refresh.as_ref().is_some_and(|token| token.value == *refused) {
            self.refused = true;
        }
    }

    /// Keeps refresh tokens aside, newest first, without repeats and without the main one. Returns how many had to go.
    pub fn keep_aside(&mut self, more: impl IntoIterator<Item = Alternate>) -> usize {
        let main = self.tokens.refresh.as_ref().map(|token| token.value.clone());
        let mut all = std::mem::take(&mut self.alternates);
        all.extend(more);
        all.sort_by_key(|alternate| std::cmp::Reverse(alternate.generation)); // stable: ours before theirs
        for alternate in all {
            let repeated = self.alternates.iter().any(|kept| kept.value == alternate.value);
            if !repeated && !alternate.value.is_empty() && Some(&alternate.value) != main.as_ref() {
                self.alternates.push(alternate);
            }
        }
        let dropped = self.alternates.len().saturating_sub(Self::MOST_ALTERNATES);
        self.alternates.truncate(Self::MOST_ALTERNATES);
        dropped
    }

    /// All refresh tokens that may still be good: the main one and the alternates.
    pub fn refresh_tokens(&self) -> Vec<Alternate> {
        let main = self.tokens.refresh.as_ref().filter(|_| !self.refused);
        let main = main.map(|token| Alternate { value: token.value.clone(), generation: self.generation });
        main.into_iter().chain(self.alternates.iter().cloned()).collect()
    }
}

/// The first byte of a record that is sealed. A plain one begins with a brace.
pub const SEALED: u8 = 1;

/// The encoding's number; a reader refuses a higher one.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Envelope<'a> {
    checksum: String,
    #[serde(borrow)]
    record: &'a RawValue,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    format: u32,
    epoch: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tokens: Option<Tokens>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    forgotten: Option<Lineage>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retired: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chain: Option<WireChain>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    claim: Option<Nonce>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trouble: Option<WireTrouble>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireChain {
    lineage: Lineage,
    generation: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replaces: Option<Version>,
    began: Timestamp,
    lifetime_ms: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    refused: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    alternates: Vec<WireAlternate>,
    #[serde(default, skip_serializing_if = "Spent::is_empty")]
    spent: Spent,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    doubt: Option<Doubt>,
}

#[derive(Serialize, Deserialize)]
struct WireAlternate {
    value: String,
    generation: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireTrouble {
    failures: u32,
    pause_ms: u64,
    until: Timestamp,
    kind: String,
    message: String,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn checksum(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn corrupt(why: impl fmt::Display) -> StoreError {
    let message = format!("the record cannot be read ({why}); restore it from a backup, or forget this visitor");
    StoreError::new(StoreErrorKind::Corrupt, "record", message)
}

/// The record as bytes for a store.
pub fn encode(record: &Record) -> Vec<u8> {
    let (tokens, forgotten, retired, chain) = match &record.standing {
        Standing::Empty => (None, None, None, None),
        Standing::Forgotten(lineage) => (None, Some(*lineage), None, None),
        Standing::Retired(lineage, since) => (None, Some(*lineage), Some(*since), None),
        Standing::Held(chain) => {
            let aside = |a: &Alternate| WireAlternate { value: a.value.expose().to_owned(), generation: a.generation };
            let wire = WireChain {
                lineage: chain.lineage,
                generation: chain.generation,
                replaces: chain.replaces,
                began: chain.began,
                lifetime_ms: millis(chain.lifetime),
                refused: chain.refused,
                alternates: chain.alternates.iter().map(aside).collect(),
                spent: chain.spent.clone(),
                doubt: chain.doubt,
            };
            (Some(chain.tokens.clone()), None, None, Some(wire))
        }
    };
    let trouble = record.trouble.as_ref().map(|trouble| WireTrouble {
        failures: trouble.failures,
        pause_ms: millis(trouble.pause),
        until: trouble.until,
        kind: match trouble.kind {
            ErrorKind::Misconfigured => "misconfigured",
            ErrorKind::OutcomeUnknown => "unknown",
            _ => "unavailable",
        }
        .to_owned(),
        message: trouble.message.clone(),
    });
    let wire =
        Wire { format: FORMAT, epoch: record.epoch, tokens, forgotten, retired, chain, claim: record.claim, trouble };
    // Fixed names, numbers and strings: nothing that JSON cannot say, so neither step can fail.
    let text = serde_json::to_string(&wire).unwrap_or_default();
    format!("{{\"checksum\":\"{}\",\"record\":{text}}}", checksum(&text)).into_bytes()
}

/// The record that these bytes stand for.
///
/// # Errors
/// *Corrupt* if they are not what [`encode`] wrote, *unsupported* if a later release wrote them, *misconfigured* if they are sealed.
/// The error quotes nothing.
pub fn decode(bytes: &[u8]) -> Result<Record, StoreError> {
    if bytes.first() == Some(&SEALED) {
        let name: String = bytes.iter().skip(1).take(4).map(|byte| format!("{byte:02x}")).collect();
        let message = format!(
            "the record is sealed by the key {name}, and no ring of keys was given: give the one that holds it"
        );
        return Err(StoreError::new(StoreErrorKind::Misconfigured, "record", message));
    }
    let at = |error: serde_json::Error| corrupt(format_args!("line {}, column {}", error.line(), error.column()));
    let envelope: Envelope<'_> = serde_json::from_slice(bytes).map_err(at)?;
    let text = envelope.record.get();
    if envelope.checksum != checksum(text) {
        return Err(corrupt("its checksum does not match"));
    }
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let Format { format } = serde_json::from_str(text).map_err(at)?;
    if format > FORMAT {
        let message =
            format!("the record is of format {format}, this release reads up to {FORMAT}: update wix-visitor");
        return Err(StoreError::new(StoreErrorKind::Unsupported, "record", message));
    }
    let wire: Wire = serde_json::from_str(text).map_err(at)?;
    let standing = match (wire.tokens, wire.chain, wire.forgotten, wire.retired) {
        (None, None, None, None) => Standing::Empty,
        (None, None, Some(lineage), None) => Standing::Forgotten(lineage),
        (None, None, Some(lineage), Some(since)) => Standing::Retired(lineage, since),
        (Some(tokens), Some(chain), None, None) => Standing::Held(Chain {
            lineage: chain.lineage,
            generation: chain.generation,
            replaces: chain.replaces,
            began: chain.began,
            tokens,
            lifetime: Duration::from_millis(chain.lifetime_ms),
            refused: chain.refused,
            alternates: chain
                .alternates
                .into_iter()
                .map(|a| Alternate { value: Secret::new(a.value), generation: a.generation })
                .collect(),
            spent: chain.spent,
            doubt: chain.doubt,
        }),
        _ => return Err(corrupt("its parts contradict each other")),
    };
    let trouble = wire.trouble.map(|trouble| Trouble {
        failures: trouble.failures,
        pause: Duration::from_millis(trouble.pause_ms),
        until: trouble.until,
        kind: match trouble.kind.as_str() {
            "misconfigured" => ErrorKind::Misconfigured,
            "unknown" => ErrorKind::OutcomeUnknown,
            _ => ErrorKind::Unavailable,
        },
        message: trouble.message,
    });
    Ok(Record { epoch: wire.epoch, standing, claim: wire.claim, trouble })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::tokens::{AccessToken, RefreshToken};

    pub(crate) fn full() -> Record {
        Record {
            epoch: 3,
            standing: Standing::Held(Chain {
                lineage: Lineage(7),
                generation: 12,
                replaces: Some(Version { lineage: Lineage(u128::MAX), generation: 4 }),
                began: Timestamp::from_millis(1_767_225_600_123),
                tokens: Tokens::new(
                    Some(AccessToken::new("access-value", Timestamp::from_secs(1_767_240_000))),
                    Some(RefreshToken::new("refresh \"value\"", Role::Member)),
                ),
                lifetime: Duration::from_secs(14_400),
                refused: true,
                alternates: vec![Alternate { value: Secret::new("aside"), generation: 11 }],
                spent: Spent(vec![Fingerprint(1), Fingerprint(u128::MAX)]),
                doubt: Some(Doubt {
                    count: 2,
                    since: Timestamp::from_secs(1_767_225_000),
                    last: Timestamp::from_secs(1_767_225_100),
                }),
            }),
            claim: Some(Nonce(1)),
            trouble: Some(Trouble {
                failures: 2,
                pause: Duration::from_millis(1500),
                until: Timestamp::from_secs(5),
                kind: ErrorKind::OutcomeUnknown,
                message: "no answer".into(),
            }),
        }
    }

    #[test]
    fn every_kind_of_record_comes_back_as_it_was() {
        let tombstone = Record { epoch: 9, standing: Standing::Forgotten(Lineage(5)), ..Record::default() };
        let standing = Standing::Retired(Lineage(6), Timestamp::from_millis(1_767_225_600_123));
        let retired = Record { epoch: 2, standing, ..Record::default() };
        for record in [Record::default(), tombstone, retired, full()] {
            assert_eq!(decode(&encode(&record)).unwrap(), record);
        }
    }

    #[test]
    fn a_person_can_read_it_and_the_tokens_are_in_the_sdks_shape() {
        let text = String::from_utf8(encode(&full())).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["record"]["tokens"]["accessToken"]["expiresAt"], 1_767_240_000);
        assert_eq!(value["record"]["tokens"]["refreshToken"]["role"], "member");
    }

    #[test]
    fn a_record_cut_short_or_with_any_bit_flipped_is_corrupt_and_quotes_nothing() {
        let bytes = encode(&full());
        for cut in 0..bytes.len() {
            assert_eq!(decode(&bytes[..cut]).unwrap_err().kind(), StoreErrorKind::Corrupt);
        }
        for at in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            match decode(&flipped) {
                // A flip in the envelope's own white space or case may be harmless; then nothing was changed.
                Ok(record) => assert_eq!(record, full(), "bit {at} changed the record unnoticed"),
                Err(error) => {
                    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
                    assert!(!error.to_string().contains("value"), "{error}");
                }
            }
        }
    }

    #[test]
    fn a_later_format_is_named_as_such() {
        let text = r#"{"format":2,"anything":true}"#;
        let bytes = format!(r#"{{"checksum":"{}","record":{text}}}"#, checksum(text));
        let error = decode(bytes.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unsupported);
        assert!(error.to_string().contains("update"));
    }

    #[test]
    fn the_oldest_alternate_goes_and_none_is_kept_twice() {
        let Standing::Held(mut chain) = full().standing else { unreachable!() };
        let alternate = |value: &str, generation| Alternate { value: Secret::new(value), generation };
        let dropped =
            chain.keep_aside([alternate("aside", 11), alternate("old", 3), alternate("newer", 12), alternate("", 20)]);
        assert_eq!(dropped, 1);
        assert_eq!(chain.alternates, [alternate("newer", 12), alternate("aside", 11)]);
        assert_eq!(chain.keep_aside([alternate("refresh \"value\"", 30)]), 0, "the main token is no alternate");
    }
}
