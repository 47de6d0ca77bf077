//! What this process holds of a visitor, in as few bytes as that takes: a million of them are kept, and few are looked into.

use std::fmt;
use std::time::Duration;

use http::HeaderValue;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::clock::{Now, Timestamp};
use crate::error::ErrorKind;
use crate::protocol::reconcile::Held;
use crate::record::{Alternate, Chain, Doubt, Fingerprint, Lineage, Nonce, Record, Spent, Standing, Trouble, Version};
use crate::secret::Secret;
use crate::store::Etag;
use crate::tokens::{AccessToken, RefreshToken, Role, Tokens};

/// A packed [`Held`], zeroed when dropped. It never leaves this process, so its form is nobody else's concern.
pub(crate) struct Packed(Zeroizing<Box<[u8]>>);

type Bits = [u8; 16];

/// Numbers take as many bytes as they need, so moments are told by how far they are from each other.
#[derive(Serialize, Deserialize)]
struct Form<'a> {
    etag: Option<Bits>,
    wall: i64,
    monotonic: (u64, u32),
    epoch: u64,
    claim: Option<Bits>,
    #[serde(borrow)]
    trouble: Option<TroubleForm<'a>>,
    #[serde(borrow)]
    standing: StandingForm<'a>,
}

#[derive(Serialize, Deserialize)]
struct TroubleForm<'a> {
    failures: u32,
    pause: (u64, u32),
    until: i64,
    kind: u8,
    message: &'a str,
}

#[derive(Serialize, Deserialize)]
enum StandingForm<'a> {
    Empty,
    Forgotten(Bits),
    Retired(Bits, i64),
    #[serde(borrow)]
    Held(ChainForm<'a>),
}

#[derive(Serialize, Deserialize)]
struct ChainForm<'a> {
    lineage: Bits,
    generation: u64,
    replaces: Option<(Bits, u64)>,
    began: i64,
    lifetime: (u64, u32),
    #[serde(borrow)]
    access: Access<'a>,
    #[serde(borrow)]
    refresh: Option<(&'a str, u8)>,
    refused: bool,
    #[serde(borrow)]
    alternates: Vec<(&'a str, u64)>,
    spent: Vec<Bits>,
    doubt: Option<(u32, i64, i64)>,
}

/// An access token, and when it ends.
#[derive(Serialize, Deserialize)]
enum Access<'a> {
    None,
    /// Its text is in the header.
    Elsewhere(i64),
    Here(i64, &'a str),
}

const KINDS: [ErrorKind; 3] = [ErrorKind::Unavailable, ErrorKind::Misconfigured, ErrorKind::OutcomeUnknown];
const ROLES: [Role; 3] = [Role::None, Role::Visitor, Role::Member];

fn bits(id: u128) -> Bits {
    id.to_be_bytes()
}

fn parts(duration: Duration) -> (u64, u32) {
    (duration.as_secs(), duration.subsec_nanos())
}

fn whole((secs, nanos): (u64, u32)) -> Duration {
    Duration::from_secs(secs).saturating_add(Duration::from_nanos(nanos.into()))
}

/// The place of this in a list of all there can be.
fn place<T: PartialEq>(all: &[T], one: &T) -> u8 {
    all.iter().position(|other| other == one).and_then(|place| u8::try_from(place).ok()).unwrap_or_default()
}

fn at<T: Copy>(all: &[T; 3], place: u8) -> T {
    all[usize::from(place).min(2)]
}

impl Packed {
    /// Without the access token's text, where a header has it.
    pub(crate) fn new(held: &Held, header: bool) -> Self {
        let Record { epoch, standing, claim, trouble } = &held.record;
        let wall = held.seen.wall.as_millis();
        let form = Form {
            etag: held.etag.map(|etag| bits(etag.to_bits())),
            wall,
            monotonic: parts(held.seen.monotonic),
            epoch: *epoch,
            claim: claim.map(|nonce| bits(nonce.0)),
            trouble: trouble.as_ref().map(|trouble| TroubleForm {
                failures: trouble.failures,
                pause: parts(trouble.pause),
                until: trouble.until.as_millis(),
                kind: place(&KINDS, &trouble.kind),
                message: &trouble.message,
            }),
            standing: match standing {
                Standing::Empty => StandingForm::Empty,
                Standing::Forgotten(lineage) => StandingForm::Forgotten(bits(lineage.0)),
                Standing::Retired(lineage, since) => StandingForm::Retired(bits(lineage.0), since.as_millis()),
                Standing::Held(chain) => StandingForm::Held(ChainForm::of(chain, wall, header)),
            },
        };
        // Writing into memory fails only for what has no length or no name for its kind, of which there is none here.
        #[expect(clippy::expect_used)]
        let written =
            Zeroizing::new(postcard::to_extend(&form, Vec::with_capacity(form.most())).expect("a form is written"));
        Self(Zeroizing::new(written.as_slice().into()))
    }

    /// What was packed. The header is the one that has the access token, if there was one.
    pub(crate) fn unpack(&self, header: Option<&HeaderValue>) -> Held {
        // What the very same code wrote, in this process.
        #[expect(clippy::expect_used)]
        let form: Form<'_> = postcard::from_bytes(&self.0).expect("a form is read as it was written");
        let Form { etag, wall, monotonic, epoch, claim, trouble, standing } = form;
        let id = u128::from_be_bytes;
        let record = Record {
            epoch,
            claim: claim.map(|nonce| Nonce(id(nonce))),
            trouble: trouble.map(|trouble| Trouble {
                failures: trouble.failures,
                pause: whole(trouble.pause),
                until: Timestamp::from_millis(trouble.until),
                kind: at(&KINDS, trouble.kind),
                message: trouble.message.to_owned(),
            }),
            standing: match standing {
                StandingForm::Empty => Standing::Empty,
                StandingForm::Forgotten(lineage) => Standing::Forgotten(Lineage(id(lineage))),
                StandingForm::Retired(lineage, since) => {
                    Standing::Retired(Lineage(id(lineage)), Timestamp::from_millis(since))
                }
                StandingForm::Held(chain) => Standing::Held(chain.chain(wall, header)),
            },
        };
        let seen = Now { wall: Timestamp::from_millis(wall), monotonic: whole(monotonic) };
        Held { record, etag: etag.map(|etag| Etag::from_bits(id(etag))), seen }
    }

    /// Whether it is not in the store yet: nothing else begins with a zero.
    pub(crate) fn is_unsaved(&self) -> bool {
        self.0.first() == Some(&0)
    }

    /// How many bytes it takes.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Form<'_> {
    /// More than it takes written, so that no copy is left behind where it grew.
    fn most(&self) -> usize {
        const NUMBERS: usize = 256;
        let standing = match &self.standing {
            StandingForm::Held(chain) => {
                let access = if let Access::Here(_, text) = chain.access { text.len() } else { 0 };
                let refresh = chain.refresh.map_or(0, |(text, _)| text.len());
                let aside: usize = chain.alternates.iter().map(|(text, _)| text.len() + 16).sum();
                access + refresh + aside + size_of_val(&*chain.spent)
            }
            _ => 0,
        };
        NUMBERS + standing + self.trouble.as_ref().map_or(0, |trouble| trouble.message.len())
    }
}

impl<'a> ChainForm<'a> {
    fn of(chain: &'a Chain, wall: i64, header: bool) -> Self {
        let ends = chain.tokens.access.as_ref().map(|access| access.expires_at.as_millis().wrapping_sub(wall));
        let text = chain.tokens.access.as_ref().map(|access| access.value.expose());
        Self {
            lineage: bits(chain.lineage.0),
            generation: chain.generation,
            replaces: chain.replaces.map(|version| (bits(version.lineage.0), version.generation)),
            began: chain.began.as_millis().wrapping_sub(wall),
            lifetime: parts(chain.lifetime),
            access: match (ends, text) {
                (Some(ends), _) if header => Access::Elsewhere(ends),
                (Some(ends), Some(text)) => Access::Here(ends, text),
                _ => Access::None,
            },
            refresh: chain.tokens.refresh.as_ref().map(|token| (token.value.expose(), place(&ROLES, &token.role))),
            refused: chain.refused,
            alternates: chain.alternates.iter().map(|aside| (aside.value.expose(), aside.generation)).collect(),
            spent: chain.spent.iter().map(|fingerprint| bits(fingerprint.0)).collect(),
            doubt: chain.doubt.map(|doubt| (doubt.count, doubt.since.as_millis(), doubt.last.as_millis())),
        }
    }

    fn chain(self, wall: i64, header: Option<&HeaderValue>) -> Chain {
        let id = u128::from_be_bytes;
        let moment = |after: i64| Timestamp::from_millis(wall.wrapping_add(after));
        // A header was made of a text, so it is one.
        let text = || header.and_then(|header| std::str::from_utf8(header.as_bytes()).ok()).unwrap_or_default();
        let (ends, text) = match self.access {
            Access::None => (None, ""),
            Access::Elsewhere(ends) => (Some(ends), text()),
            Access::Here(ends, text) => (Some(ends), text),
        };
        let access = ends.map(|ends| AccessToken::new(text, moment(ends)));
        let refresh = self.refresh.map(|(text, role)| RefreshToken::new(text, at(&ROLES, role)));
        Chain {
            lineage: Lineage(id(self.lineage)),
            generation: self.generation,
            replaces: self.replaces.map(|(lineage, generation)| Version { lineage: Lineage(id(lineage)), generation }),
            began: moment(self.began),
            // As they were: not even a blank one is left out.
            tokens: Tokens { access, refresh },
            lifetime: whole(self.lifetime),
            refused: self.refused,
            alternates: self
                .alternates
                .into_iter()
                .map(|(text, generation)| Alternate { value: Secret::new(text), generation })
                .collect(),
            spent: Spent::from_iter(self.spent.into_iter().map(|fingerprint| Fingerprint(id(fingerprint)))),
            doubt: self.doubt.map(|(count, since, last)| Doubt {
                count,
                since: Timestamp::from_millis(since),
                last: Timestamp::from_millis(last),
            }),
        }
    }
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Packed({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::testing::{record, saved, secs};
    use crate::record::tests::full;
    use crate::secret::owned_header;

    fn header_of(record: &Record) -> Option<HeaderValue> {
        record.chain().and_then(|chain| owned_header(&chain.tokens.access.as_ref()?.value))
    }

    #[test]
    fn every_kind_of_record_comes_back_as_it_was() {
        let tombstone = Record { epoch: 9, standing: Standing::Forgotten(Lineage(5)), ..Record::default() };
        let standing = Standing::Retired(Lineage(6), Timestamp::from_millis(i64::MIN));
        let retired = Record { epoch: u64::MAX, standing, ..Record::default() };
        let Standing::Held(chain) = full().standing else { unreachable!() };
        let of = |tokens| Record { standing: Standing::Held(Chain { tokens, ..chain.clone() }), ..full() };
        let far = Some(AccessToken::new("a", Timestamp::from_millis(i64::MAX)));
        let bare = of(Tokens { access: None, refresh: None });
        let unsendable =
            of(Tokens { access: Some(AccessToken::new("two\r\nlines", Timestamp::default())), refresh: None });
        let all = [
            Record::default(),
            tombstone,
            retired,
            full(),
            bare,
            unsendable,
            of(Tokens { access: far, refresh: None }),
        ];
        for record in all {
            for etag in [None, Some(Etag::from_bits(0)), Some(Etag::from_bits(u128::MAX))] {
                for wall in [0, i64::MIN, i64::MAX, 1_767_225_600_123] {
                    let seen = Now { wall: Timestamp::from_millis(wall), monotonic: Duration::new(3, 999_999_999) };
                    let held = Held { record: record.clone(), etag, seen };
                    let header = header_of(&record);
                    let packed = Packed::new(&held, header.is_some());
                    assert_eq!(packed.unpack(header.as_ref()), held);
                    assert_eq!(packed.is_unsaved(), etag.is_none());
                }
            }
        }
    }

    #[test]
    fn it_is_never_written_twice_because_it_grew() {
        let long = "x".repeat(8 * 1024);
        let Standing::Held(chain) = full().standing else { unreachable!() };
        let aside = Alternate { value: Secret::new(&*long), generation: u64::MAX };
        let tokens = Tokens::new(
            Some(AccessToken::new(&*long, Timestamp::from_millis(i64::MAX))),
            Some(RefreshToken::new(&*long, Role::Member)),
        );
        let spent = Spent::from_iter((0..32).map(|_| Fingerprint(u128::MAX)));
        let chain = Chain { tokens, alternates: vec![aside.clone(), aside], spent, generation: u64::MAX, ..chain };
        let trouble = full().trouble.map(|trouble| Trouble { message: long, pause: Duration::MAX, ..trouble });
        let record = Record { epoch: u64::MAX, standing: Standing::Held(chain), trouble, ..full() };
        let seen = Now { wall: Timestamp::from_millis(i64::MIN), monotonic: Duration::MAX };
        let held = Held { record, etag: Some(Etag::from_bits(u128::MAX)), seen };
        let form_most = 5 * 8 * 1024 + 32 * 16 + 256 + 2 * 16;
        assert!(Packed::new(&held, false).len() <= form_most);
        assert_eq!(Packed::new(&held, false).unpack(None), held);
    }

    #[test]
    fn beside_its_tokens_a_visitor_who_has_just_come_takes_few_bytes() {
        let held = saved(record(1, 0), 0);
        let tokens = held.record.chain().and_then(|chain| chain.tokens.refresh.clone()).unwrap();
        let header = header_of(&held.record);
        assert!(Packed::new(&held, header.is_some()).len() - tokens.value.expose().len() <= 80);
        let later = Held { seen: Now { monotonic: secs(100 * 24 * 3600), ..held.seen }, ..held };
        assert!(Packed::new(&later, header.is_some()).len() - tokens.value.expose().len() <= 80);
    }

    #[test]
    fn it_shows_nothing() {
        let packed = Packed::new(&saved(full(), 0), false);
        assert!(format!("{packed:?}").starts_with("Packed(") && !format!("{packed:?}").contains("value"));
    }
}
