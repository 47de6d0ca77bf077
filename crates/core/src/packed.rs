//! What this process holds of a visitor, in as few bytes as that takes: a million of them are kept, and few are looked into.

use std::fmt;
use std::time::Duration;

use http::HeaderValue;
use zeroize::Zeroizing;

use crate::clock::{Now, Timestamp};
use crate::error::ErrorKind;
use crate::protocol::reconcile::Held;
use crate::protocol::schedule::Term;
use crate::record::{Alternate, Chain, Doubt, Fingerprint, Lineage, Nonce, Record, Spent, Standing, Trouble, Version};
use crate::secret::Secret;
use crate::store::Etag;
use crate::tokens::{AccessToken, RefreshToken, Role, Tokens};

/// How many bytes of tags it begins with.
const TAGS: usize = 2;

/// A packed [`Held`], but for the fraction of a millisecond at which it was seen; zeroed when dropped. It never leaves this process, so
/// its form is nobody else's concern: the tags, which say what there is; then one part after the other, the [`Outline`] first, numbers in
/// as few bytes as they need, and moments by how far they are from when it was seen.
pub(crate) struct Packed(Zeroizing<Box<[u8]>>);

/// What can be told of a record at a glance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outline {
    pub(crate) etag: Option<Etag>,
    pub(crate) seen: Now,
    /// Of its access token, if there is one.
    pub(crate) term: Option<Term>,
}

const KINDS: [ErrorKind; 3] = [ErrorKind::Unavailable, ErrorKind::Misconfigured, ErrorKind::OutcomeUnknown];
const ROLES: [Role; 3] = [Role::None, Role::Visitor, Role::Member];

/// Where an access token is.
const NOWHERE: u16 = 0;
const HERE: u16 = 1;
const IN_THE_HEADER: u16 = 2;

/// Who a record is.
const EMPTY: u16 = 0;
const FORGOTTEN: u16 = 1;
const RETIRED: u16 = 2;
const HELD: u16 = 3;

impl Packed {
    /// Without the access token's text, where a header has it.
    pub(crate) fn new(held: &Held, header: bool) -> Self {
        // Counted first, so that no copy is left behind where it grew.
        let counted = Writer::default().held(held, header);
        let mut bytes = Zeroizing::new(Vec::with_capacity(counted.count + TAGS));
        bytes.extend_from_slice(&counted.tags.to_le_bytes());
        let written = Writer { bytes: Some(bytes), ..Writer::default() }.held(held, header);
        Self(Zeroizing::new(written.bytes.unwrap_or_default().as_slice().into()))
    }

    /// What was packed. The header is the one that has the access token, if there was one.
    pub(crate) fn unpack(&self, header: Option<&HeaderValue>) -> Held {
        // The very same code wrote it, in this process.
        #[expect(clippy::expect_used)]
        Reader::new(&self.0).and_then(|mut from| from.held(header)).expect("it is read as it was written")
    }

    /// What can be told of it without unpacking it: no secret is copied.
    pub(crate) fn outline(&self) -> Outline {
        // As above.
        #[expect(clippy::expect_used)]
        Reader::new(&self.0).and_then(|mut from| from.outline()).expect("it is read as it was written").0
    }

    /// The version that the store was last known to have: the first part.
    pub(crate) fn etag(&self) -> Option<Etag> {
        Reader::new(&self.0)?.etag()?
    }

    /// How many bytes it takes.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Packed({} bytes)", self.len())
    }
}

/// Writes, or counts what it would write.
#[derive(Default)]
struct Writer {
    bytes: Option<Zeroizing<Vec<u8>>>,
    count: usize,
    tags: u16,
    tagged: u32,
}

impl Writer {
    fn raw(&mut self, bytes: &[u8]) {
        self.count += bytes.len();
        if let Some(to) = &mut self.bytes {
            to.extend_from_slice(bytes);
        }
    }

    /// One of a few, in so many bits.
    fn tag(&mut self, tag: u16, bits: u32) {
        self.tags |= tag << self.tagged;
        self.tagged += bits;
    }

    /// Seven bits to a byte, the lowest first; the highest bit says that there are more.
    fn number(&mut self, mut number: u64) {
        while number > 0x7f {
            self.raw(&[0x80 | (number & 0x7f) as u8]);
            number >>= 7;
        }
        self.raw(&[number as u8]);
    }

    /// How far from one moment to another: near ones are small numbers, whichever is earlier.
    fn between(&mut self, from: Timestamp, to: Timestamp) {
        let far = to.as_millis().wrapping_sub(from.as_millis());
        self.number(((far << 1) ^ (far >> 63)) as u64);
    }

    fn duration(&mut self, duration: Duration) {
        self.number(duration.as_secs());
        self.number(duration.subsec_nanos().into());
    }

    fn bits(&mut self, bits: u128) {
        self.raw(&bits.to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.raw(text.as_bytes());
    }

    fn one_of<T: PartialEq>(&mut self, all: &[T; 3], one: &T) {
        self.tag(all.iter().position(|other| other == one).unwrap_or_default() as u16, 2);
    }

    fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.tag(value.is_some().into(), 1);
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn all<T>(&mut self, values: &[T], write: impl Fn(&mut Self, &T)) {
        self.number(values.len() as u64);
        for value in values {
            write(self, value);
        }
    }

    fn held(mut self, Held { record, etag, seen }: &Held, header: bool) -> Self {
        let Record { epoch, standing, claim, trouble } = record;
        self.optional(*etag, |to, etag| to.bits(etag.to_bits()));
        self.between(Timestamp::default(), seen.wall);
        // Finer than this, nobody compares it.
        self.number(u64::try_from(seen.monotonic.as_millis()).unwrap_or(u64::MAX));
        match standing {
            Standing::Empty => self.tag(EMPTY, 2),
            Standing::Forgotten(_) => self.tag(FORGOTTEN, 2),
            Standing::Retired(..) => self.tag(RETIRED, 2),
            Standing::Held(chain) => {
                self.tag(HELD, 2);
                self.number(chain.generation);
                self.duration(chain.lifetime);
                let place = if header { IN_THE_HEADER } else { HERE };
                self.tag(chain.tokens.access.as_ref().map_or(NOWHERE, |_| place), 2);
                if let Some(access) = &chain.tokens.access {
                    self.between(seen.wall, access.expires_at);
                }
            }
        }
        self.number(*epoch);
        self.optional(*claim, |to, nonce| to.bits(nonce.0));
        self.optional(trouble.as_ref(), |to, trouble| {
            to.number(trouble.failures.into());
            to.duration(trouble.pause);
            to.between(seen.wall, trouble.until);
            to.one_of(&KINDS, &trouble.kind);
            to.text(&trouble.message);
        });
        match standing {
            Standing::Empty => {}
            Standing::Forgotten(lineage) => self.bits(lineage.0),
            Standing::Retired(lineage, since) => {
                self.bits(lineage.0);
                self.between(seen.wall, *since);
            }
            Standing::Held(chain) => self.chain(chain, seen.wall, header),
        }
        self
    }

    fn chain(&mut self, chain: &Chain, wall: Timestamp, header: bool) {
        // The generation and the lifetime are in the outline.
        let Chain { lineage, generation: _, replaces, began, tokens, lifetime: _, refused, alternates, spent, doubt } =
            chain;
        self.bits(lineage.0);
        self.optional(*replaces, |to, version| {
            to.bits(version.lineage.0);
            to.number(version.generation);
        });
        self.between(wall, *began);
        if let Some(access) = tokens.access.as_ref().filter(|_| !header) {
            self.text(access.value.expose());
        }
        self.optional(tokens.refresh.as_ref(), |to, refresh| {
            to.text(refresh.value.expose());
            to.one_of(&ROLES, &refresh.role);
        });
        self.tag((*refused).into(), 1);
        self.all(alternates, |to, aside| {
            to.text(aside.value.expose());
            to.number(aside.generation);
        });
        self.all(spent.as_slice(), |to, fingerprint| to.bits(fingerprint.0));
        self.optional(*doubt, |to, doubt| {
            to.number(doubt.count.into());
            to.between(wall, doubt.since);
            to.between(wall, doubt.last);
        });
    }
}

/// What an outline says of a chain that its schedule does not, and who the record is.
#[derive(Default)]
struct Kept {
    standing: u16,
    place: u16,
    generation: u64,
    lifetime: Duration,
}

/// Reads the same parts in the same order; `None` where they are not there.
struct Reader<'a> {
    tags: u16,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let (tags, rest) = bytes.split_first_chunk::<TAGS>()?;
        Some(Self { tags: u16::from_le_bytes(*tags), rest })
    }

    fn raw(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(bytes)
    }

    fn tag(&mut self, bits: u32) -> u16 {
        let tag = self.tags & ((1 << bits) - 1);
        self.tags >>= bits;
        tag
    }

    fn number(&mut self) -> Option<u64> {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = *self.raw(1)?.first()?;
            number |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(number);
            }
            shift += 7;
        }
    }

    fn small(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    fn moment(&mut self, from: Timestamp) -> Option<Timestamp> {
        let far = self.number()?;
        let far = (far >> 1) as i64 ^ -((far & 1) as i64);
        Some(Timestamp::from_millis(from.as_millis().wrapping_add(far)))
    }

    fn duration(&mut self) -> Option<Duration> {
        Some(Duration::new(self.number()?, self.small()?))
    }

    fn bits(&mut self) -> Option<u128> {
        Some(u128::from_be_bytes(self.raw(16)?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.number()?.try_into().ok()?;
        std::str::from_utf8(self.raw(length)?).ok()
    }

    fn one_of<T: Copy>(&mut self, all: &[T; 3]) -> Option<T> {
        all.get(usize::from(self.tag(2))).copied()
    }

    fn optional<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.tag(1) == 0 { Some(None) } else { read(self).map(Some) }
    }

    fn all<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.number()?;
        (0..count).map(|_| read(self)).collect()
    }

    fn etag(&mut self) -> Option<Option<Etag>> {
        self.optional(|from| from.bits().map(Etag::from_bits))
    }

    /// And what of it is needed to go on.
    fn outline(&mut self) -> Option<(Outline, Kept)> {
        let etag = self.etag()?;
        let wall = self.moment(Timestamp::default())?;
        let seen = Now { wall, monotonic: Duration::from_millis(self.number()?) };
        let mut kept = Kept { standing: self.tag(2), ..Kept::default() };
        let mut term = None;
        if kept.standing == HELD {
            kept.generation = self.number()?;
            kept.lifetime = self.duration()?;
            kept.place = self.tag(2);
            if kept.place != NOWHERE {
                let Kept { generation, lifetime, .. } = kept;
                term = Some(Term { ends: self.moment(wall)?, lifetime, generation });
            }
        }
        Some((Outline { etag, seen, term }, kept))
    }

    fn held(&mut self, header: Option<&HeaderValue>) -> Option<Held> {
        let (Outline { etag, seen, term }, kept) = self.outline()?;
        let wall = seen.wall;
        let epoch = self.number()?;
        let claim = self.optional(|from| from.bits().map(Nonce))?;
        let trouble = self.optional(|from| {
            Some(Trouble {
                failures: from.small()?,
                pause: from.duration()?,
                until: from.moment(wall)?,
                kind: from.one_of(&KINDS)?,
                message: from.text()?.to_owned(),
            })
        })?;
        let standing = match kept.standing {
            EMPTY => Standing::Empty,
            FORGOTTEN => Standing::Forgotten(Lineage(self.bits()?)),
            RETIRED => Standing::Retired(Lineage(self.bits()?), self.moment(wall)?),
            _ => Standing::Held(self.chain(wall, header, &kept, term)?),
        };
        Some(Held { record: Record { epoch, standing, claim, trouble }, etag, seen })
    }

    fn chain(
        &mut self,
        wall: Timestamp,
        header: Option<&HeaderValue>,
        kept: &Kept,
        term: Option<Term>,
    ) -> Option<Chain> {
        let lineage = Lineage(self.bits()?);
        let replaces =
            self.optional(|from| Some(Version { lineage: Lineage(from.bits()?), generation: from.number()? }))?;
        let began = self.moment(wall)?;
        let access = match term {
            None => None,
            Some(Term { ends, .. }) => {
                let text =
                    if kept.place == HERE { self.text()? } else { std::str::from_utf8(header?.as_bytes()).ok()? };
                Some(AccessToken::new(text, ends))
            }
        };
        let refresh = self.optional(|from| Some(RefreshToken::new(from.text()?, from.one_of(&ROLES)?)))?;
        Some(Chain {
            lineage,
            generation: kept.generation,
            replaces,
            began,
            // As they were: not even a blank one is left out.
            tokens: Tokens { access, refresh },
            lifetime: kept.lifetime,
            refused: self.tag(1) != 0,
            alternates: self
                .all(|from| Some(Alternate { value: Secret::new(from.text()?), generation: from.number()? }))?,
            spent: Spent::new(self.all(|from| from.bits().map(Fingerprint))?),
            doubt: self.optional(|from| {
                Some(Doubt { count: from.small()?, since: from.moment(wall)?, last: from.moment(wall)? })
            })?,
        })
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
                    let seen = Now { wall: Timestamp::from_millis(wall), monotonic: Duration::from_millis(3_999) };
                    let held = Held { record: record.clone(), etag, seen };
                    let header = header_of(&record);
                    let packed = Packed::new(&held, header.is_some());
                    assert_eq!(packed.unpack(header.as_ref()), held);
                    assert_eq!(packed.etag(), etag);
                    assert_eq!(packed.outline(), Outline { etag, seen, term: record.chain().and_then(Term::of) });
                }
            }
        }
    }

    #[test]
    fn nothing_grows_while_it_is_written_so_no_copy_is_left_behind() {
        let long = "x".repeat(8 * 1024);
        let Standing::Held(chain) = full().standing else { unreachable!() };
        let aside = Alternate { value: Secret::new(&*long), generation: u64::MAX };
        let tokens = Tokens::new(
            Some(AccessToken::new(&*long, Timestamp::from_millis(i64::MAX))),
            Some(RefreshToken::new(&*long, Role::Member)),
        );
        let spent = Spent::new(vec![Fingerprint(u128::MAX); 32]);
        let chain = Chain { tokens, alternates: vec![aside.clone(), aside], spent, generation: u64::MAX, ..chain };
        let trouble = full().trouble.map(|trouble| Trouble { message: long, pause: Duration::MAX, ..trouble });
        let record = Record { epoch: u64::MAX, standing: Standing::Held(chain), trouble, ..full() };
        let seen = Now { wall: Timestamp::from_millis(i64::MIN), monotonic: Duration::from_millis(u64::MAX) };
        let held = Held { record, etag: Some(Etag::from_bits(u128::MAX)), seen };
        let packed = Packed::new(&held, false);
        assert_eq!(packed.unpack(None), held);
        let counted = Writer::default().held(&held, false);
        assert_eq!(counted.count + TAGS, packed.len());
        assert!(counted.tagged <= 8 * TAGS as u32, "{} bits of tags", counted.tagged);
    }

    #[test]
    fn beside_its_tokens_a_visitor_who_has_just_come_takes_few_bytes() {
        let held = saved(record(1, 0), 0);
        let tokens = held.record.chain().and_then(|chain| chain.tokens.refresh.clone()).unwrap();
        let header = header_of(&held.record);
        assert!(Packed::new(&held, header.is_some()).len() - tokens.value.expose().len() <= 72);
        let later = Held { seen: Now { monotonic: secs(100 * 24 * 3600), ..held.seen }, ..held };
        assert!(Packed::new(&later, header.is_some()).len() - tokens.value.expose().len() <= 72);
    }

    #[test]
    fn it_shows_nothing() {
        let packed = Packed::new(&saved(full(), 0), false);
        assert!(format!("{packed:?}").starts_with("Packed(") && !format!("{packed:?}").contains("value"));
    }
}
