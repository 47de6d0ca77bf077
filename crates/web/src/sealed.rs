//! Sessions whose tokens are in the browser, encrypted: two cookies, of which one lives as long as the access token.
//!
//! Each sign-in and sign-out begins an era, whose number is in the cookies' names: what a request under way with the old session brings,
//! goes to cookies that count for nothing any more, whichever arrives first. Within an era each renewal is a version, one higher than
//! the one before, and versions take turns in two places: an answer that arrives late falls into the other place than the newer one,
//! or on what it was made of.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use wix_visitor_core::record::{Record, Spent, Standing, decode, encode};
use wix_visitor_core::{AccessToken, ClientId, KeyRing, Secret, Timestamp};

use crate::cookie::{CookieName, Day, SessionId, Shown};

/// The most letters of a cookie's value: browsers take about 4,096 with the name.
const MOST: usize = 3_800;
/// The most cookies of past eras that one answer takes away: those of one session, and some.
const MOST_TAKEN_AWAY: usize = 40;
/// The most cookies that one part is split over. Larger tokens than Wix's by far fit.
const MOST_CHUNKS: usize = 8;

/// What a browser holds of a session.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) id: SessionId,
    /// How often somebody signed in or out in this browser.
    pub(crate) era: u32,
    /// How often it changed since.
    pub(crate) version: u64,
    pub(crate) day: Day,
    pub(crate) record: Record,
    /// It was sealed by a key that is about to go.
    pub(crate) stale_key: bool,
}

/// The cookies of ours that a browser has, whatever is in them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Jar {
    /// The latest era of them.
    pub(crate) era: Option<u32>,
    /// What their names end with, and their eras.
    all: Vec<(String, u32)>,
}

/// Reads and writes such cookies.
pub(crate) struct SealedCookies {
    pub(crate) name: CookieName,
    ring: KeyRing,
    client_id: ClientId,
}

/// What the cookie that lives longer says, beside the record.
#[derive(Serialize, Deserialize)]
struct Session {
    id: String,
    day: Day,
    record: String,
}

#[derive(Serialize, Deserialize)]
struct Access {
    value: String,
    expires_ms: i64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Session,
    Access,
}

/// One part of a session, as it stands in the cookies of one place.
enum Found {
    Nothing,
    Whole(u64, Vec<u8>),
    /// Something is missing or was never written, of this version if that can be told.
    Damaged(Option<u64>),
}

impl SealedCookies {
    pub(crate) fn new(name: CookieName, ring: KeyRing, client_id: ClientId) -> Self {
        Self { name, ring, client_id }
    }

    /// Which cookies there are.
    pub(crate) fn jar(&self, headers: &HeaderMap, plain: bool) -> Jar {
        let era = |suffix: &String| suffix.split('-').next().and_then(|era| era.parse().ok());
        let suffixes = self.name.suffixes(headers, plain).into_iter();
        let all: Vec<_> = suffixes.filter_map(|suffix| era(&suffix).map(|era| (suffix, era))).collect();
        Jar { era: all.iter().map(|(_, era)| *era).max(), all }
    }

    /// Reads the newest session of a request, which is of the latest era. What is damaged counts if it may be newer than what is not.
    pub(crate) fn read(&self, headers: &HeaderMap, jar: &Jar, plain: bool) -> Shown<Box<Held>> {
        let Some(era) = jar.era else { return Shown::Nothing };
        let mut best: Option<Held> = None;
        let mut damaged: Option<Option<u64>> = None;
        for place in 0..2 {
            match self.find(headers, Part::Session, era, place, plain) {
                // The access part never outlives the session's own.
                Found::Nothing => match self.find(headers, Part::Access, era, place, plain) {
                    Found::Nothing => {}
                    Found::Whole(version, _) => damaged = Some(newest(damaged, Some(version))),
                    Found::Damaged(version) => damaged = Some(newest(damaged, version)),
                },
                Found::Damaged(version) => damaged = Some(newest(damaged, version)),
                Found::Whole(version, sealed) => match self.open(era, version, &sealed) {
                    Some(held) if version % 2 == place => {
                        if best.as_ref().is_none_or(|best| best.version < version) {
                            best = Some(held);
                        }
                    }
                    _ => damaged = Some(newest(damaged, Some(version))),
                },
            }
        }
        match (best, damaged) {
            (None, _) => Shown::Damaged,
            (Some(best), Some(version)) if version.is_none_or(|version| version > best.version) => Shown::Damaged,
            (Some(mut best), _) => {
                self.add_access(headers, &mut best, plain);
                Shown::Session(Box::new(best))
            }
        }
    }

    /// An access token is sealed for its very session: what else is there, was put there by somebody.
    fn purpose(&self, part: Part, (era, version): (u32, u64), id: Option<&SessionId>) -> Vec<u8> {
        let part = match part {
            Part::Session => "session",
            Part::Access => id.map_or("", SessionId::key),
        };
        format!("cookie {} {} {era} {version} {part}", self.client_id, self.name.text()).into_bytes()
    }

    fn open(&self, era: u32, version: u64, sealed: &[u8]) -> Option<Held> {
        let (plain, primary) = self.ring.open(&self.purpose(Part::Session, (era, version), None), sealed).ok()?;
        let session: Session = serde_json::from_slice(&plain).ok()?;
        let record = decode(session.record.as_bytes()).ok()?;
        let id = SessionId::read(session.id.as_bytes())?;
        Some(Held { id, era, version, day: session.day, record, stale_key: !primary })
    }

    /// Without it, or with one that is damaged, the access token is renewed.
    fn add_access(&self, headers: &HeaderMap, held: &mut Held, plain: bool) {
        let Standing::Held(chain) = &mut held.record.standing else { return };
        let found = self.find(headers, Part::Access, held.era, held.version % 2, plain);
        let Found::Whole(version, sealed) = found else { return };
        let purpose = self.purpose(Part::Access, (held.era, version), Some(&held.id));
        let plain = self.ring.open(&purpose, &sealed).ok().filter(|_| version == held.version);
        let access = plain.and_then(|(plain, _)| serde_json::from_slice::<Access>(&plain).ok());
        chain.tokens.access =
            access.map(|access| AccessToken::new(access.value, Timestamp::from_millis(access.expires_ms)));
    }

    /// The cookies that give this session to the browser, for so long, and take away those of eras before it.
    pub(crate) fn write(
        &self,
        held: &Held,
        jar: &Jar,
        keep: Duration,
        now: Timestamp,
        plain: bool,
    ) -> Vec<HeaderValue> {
        let mut record = held.record.claimed(None);
        let mut access = None;
        if let Standing::Held(chain) = &mut record.standing {
            access = chain.tokens.access.take();
            // By these an old copy of the tokens would be known, and there is none to compare with.
            chain.spent = Spent::default();
        }
        let session = Session {
            id: held.id.key().to_owned(),
            day: held.day,
            record: String::from_utf8(encode(&record)).unwrap_or_default(),
        };
        let mut cookies = self.seal(Part::Session, held, &session, keep, plain);
        if let Some(access) = access {
            let keep = access.expires_at.since(now);
            let access = Access { value: access.value.expose().to_owned(), expires_ms: access.expires_at.as_millis() };
            cookies.extend(self.seal(Part::Access, held, &access, keep, plain));
        }
        // The rest the next time: a browser with more cookies than we ever give has them from somebody else.
        let past = jar.all.iter().filter(|(_, era)| *era < held.era).take(MOST_TAKEN_AWAY);
        cookies
            .extend(past.filter_map(|(suffix, _)| self.name.cookie(&format!("-{suffix}"), "", Duration::ZERO, plain)));
        cookies
    }

    fn seal(&self, part: Part, held: &Held, what: &impl Serialize, keep: Duration, plain: bool) -> Vec<HeaderValue> {
        let (era, version) = (held.era, held.version);
        // Strings and numbers: nothing that JSON cannot say.
        let text = Secret::new(serde_json::to_string(what).unwrap_or_default());
        let sealed = URL_SAFE_NO_PAD
            .encode(self.ring.seal(&self.purpose(part, (era, version), Some(&held.id)), text.expose().as_bytes()));
        let chunks: Vec<&str> =
            sealed.as_bytes().chunks(MOST).filter_map(|chunk| std::str::from_utf8(chunk).ok()).collect();
        let count = chunks.len();
        let cookie = |(at, chunk): (usize, &&str)| {
            let value = format!("{version}.{count}.{chunk}");
            self.name.cookie(&suffix(part, era, version % 2, at), &value, keep, plain)
        };
        chunks.iter().enumerate().filter_map(cookie).collect()
    }

    /// Puts one part together again.
    fn find(&self, headers: &HeaderMap, part: Part, era: u32, place: u64, plain: bool) -> Found {
        let one = |at: usize| -> Result<Option<(u64, usize, &str)>, ()> {
            let name = suffix(part, era, place, at);
            let mut found = None;
            for value in self.name.values(headers, &name, plain) {
                let mut fields = std::str::from_utf8(value).map_err(drop)?.splitn(3, '.');
                let version = fields.next().and_then(|text| text.parse::<u64>().ok()).ok_or(())?;
                let count = fields.next().and_then(|text| text.parse::<usize>().ok()).ok_or(())?;
                let this = Some((version, count, fields.next().ok_or(())?));
                if found.is_some() && found != this {
                    return Err(());
                }
                found = this;
            }
            Ok(found)
        };
        let (version, count, first) = match one(0) {
            Ok(Some(first)) => first,
            Ok(None) => match (1..MOST_CHUNKS).find_map(|at| one(at).transpose()) {
                None => return Found::Nothing,
                Some(later) => return Found::Damaged(later.ok().map(|(version, _, _)| version)),
            },
            Err(()) => return Found::Damaged(None),
        };
        if !(1..=MOST_CHUNKS).contains(&count) {
            return Found::Damaged(Some(version));
        }
        let mut text = first.to_owned();
        for at in 1..count {
            match one(at) {
                Ok(Some((same, all, chunk))) if (same, all) == (version, count) => text.push_str(chunk),
                _ => return Found::Damaged(Some(version)),
            }
        }
        URL_SAFE_NO_PAD.decode(text).map_or(Found::Damaged(Some(version)), |sealed| Found::Whole(version, sealed))
    }
}

impl fmt::Debug for SealedCookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedCookies").field("name", &self.name).finish_non_exhaustive()
    }
}

/// `None` is a version that cannot be told, which may be any.
fn newest(damaged: Option<Option<u64>>, version: Option<u64>) -> Option<u64> {
    match (damaged, version) {
        (None, version) => version,
        (Some(Some(one)), Some(other)) => Some(one.max(other)),
        _ => None,
    }
}

fn suffix(part: Part, era: u32, place: u64, at: usize) -> String {
    let part = if part == Part::Session { "" } else { "a" };
    if at == 0 { format!("-{era}-{part}{place}") } else { format!("-{era}-{part}{place}.{at}") }
}
