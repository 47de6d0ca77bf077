//! What is in a record's file: two halves, of which one holds the record and the other is blank.
//!
//! The next write goes to the blank half, and once it has reached the disk the other one is made blank. So a write touches nothing
//! that stands, needs no new room, and waits for the disk once. Where it is cut short, there is one of these:
//!
//! | the halves | the record |
//! | --- | --- |
//! | one whole, one torn | the whole one, which has reached the disk: what is torn was not yet whole, or was about to be blank |
//! | both whole | the later write, which may not have reached the disk |
//!
//! Whoever finds that and has the lock completes it first: a record that is read or replaced is one that has reached the disk. So has its
//! name: the other half of a new file is not blank until then. A line that is too long for a half has a file of its own, which ends with
//! its newline, as no half does, and is replaced as a whole.

use std::cmp::Ordering;

use sha2::{Digest, Sha256};
use wix_visitor_core::{Etag, StoreError, StoreErrorKind, StoreKey, Stored};

use crate::error::BACKEND;
use crate::record::{self, Fault, Record};

/// Bytes of a half: what file systems and disks write at once, so that none has a share in the other.
pub(crate) const HALF: usize = 4096;

/// What a half is filled up with.
const BLANK: u8 = b' ';

/// More than any file has.
pub(crate) const MAX_BYTES: usize = file_bytes(Stored::MAX_SEALED_BYTES);

/// At most so many bytes does the file of a record of this many have.
pub(crate) const fn file_bytes(record: usize) -> usize {
    let line = record::line_bytes(record);
    if line > 2 * HALF { line } else { 2 * HALF }
}

/// A record that was found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) record: Record,
    pub(crate) place: Place,
}

/// Where in its file a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It has the file for itself.
    Alone,
    /// In this half; and what the other one is.
    Half(usize, Other),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Other {
    Blank,
    /// Or the file's name may not have reached the disk.
    Torn,
    Earlier,
}

impl Place {
    /// Whether it is as a write leaves it that came to its end.
    pub(crate) fn is_settled(self) -> bool {
        matches!(self, Self::Alone | Self::Half(_, Other::Blank))
    }
}

/// What a new file has where its other half begins, until its name has reached the disk.
const UNNAMED: u8 = b'\n';

/// The file of a record that is new, or has no blank half to go to.
pub(crate) fn new_file(mut line: Vec<u8>) -> Vec<u8> {
    if fits(&line) {
        line.resize(2 * HALF, BLANK);
        line[HALF] = UNNAMED;
    }
    line
}

/// What makes the other half of a new file blank, and where, once its name has reached the disk.
pub(crate) fn named(new_file: &[u8]) -> Option<(usize, &'static [u8])> {
    (new_file.get(HALF) == Some(&UNNAMED) && new_file.len() == 2 * HALF).then_some((HALF, &[BLANK]))
}

/// Whether a line has room in a half, with a blank after it.
pub(crate) fn fits(line: &[u8]) -> bool {
    line.len() < HALF
}

/// A half with this line, or a blank one.
pub(crate) fn half(line: &[u8]) -> Vec<u8> {
    let mut half = line.to_vec();
    half.resize(HALF, BLANK);
    half
}

/// The record in a file.
///
/// # Errors
/// Of the kind *corrupt*, with an etag that names this very content, if it is not what was written. So may a healthy one seem to whoever
/// does not hold the lock: where a write goes by between the looks at its halves, both may be blank, though at no moment both are.
pub(crate) fn read(key: &StoreKey, file: &[u8]) -> Result<Found, StoreError> {
    let decode = |line: &[u8], place| match record::decode(line) {
        Ok(record) => Ok(Found { record, place }),
        Err(Fault::NoRecord) => Err(damaged(key, file, "is not a record")),
        Err(Fault::Newer(version)) => Err(newer(key, version)),
    };
    use Part::{Blank, Torn, Whole};
    match Parts::of(key, file) {
        Parts::Alone(Whole(line)) => decode(line, Place::Alone),
        Parts::Halves(Whole(line), Blank) => decode(line, Place::Half(0, Other::Blank)),
        Parts::Halves(Blank, Whole(line)) => decode(line, Place::Half(1, Other::Blank)),
        Parts::Halves(Whole(line), Torn) => decode(line, Place::Half(0, Other::Torn)),
        Parts::Halves(Torn, Whole(line)) => decode(line, Place::Half(1, Other::Torn)),
        Parts::Halves(Whole(first), Whole(second)) => {
            let first = decode(first, Place::Half(0, Other::Earlier))?;
            let second = decode(second, Place::Half(1, Other::Earlier))?;
            match first.record.write.cmp(&second.record.write) {
                Ordering::Greater => Ok(first),
                Ordering::Less => Ok(second),
                Ordering::Equal => Err(damaged(key, file, "holds two records")),
            }
        }
        _ => Err(damaged(key, file, "does not match its checksum")),
    }
}

/// The first half of a file, where it alone is blank.
///
/// Whoever reads without the lock looks at it once more, after the second. A half is made blank when the record in the other has reached
/// the disk: so one that is seen whole, and then the other one blank, has. In the other order it need not: two writes may have gone by
/// between the looks, and the third be under way.
pub(crate) fn first_if_blank(file: &mut [u8]) -> Option<&mut [u8]> {
    let (first, second) = file.split_at_mut_checked(HALF)?;
    let [first_is_blank, second_is_blank] = [&*first, second].map(|half| without_blanks(half).is_empty());
    (first_is_blank && !second_is_blank).then_some(first)
}

fn without_blanks(mut bytes: &[u8]) -> &[u8] {
    // Most of it at a time, and then one by one.
    while let Some(rest) = bytes.strip_suffix(&[BLANK; 64]) {
        bytes = rest;
    }
    while let Some(rest) = bytes.strip_suffix(&[BLANK]) {
        bytes = rest;
    }
    bytes
}

enum Parts<'a> {
    Alone(Part<'a>),
    Halves(Part<'a>, Part<'a>),
}

impl<'a> Parts<'a> {
    fn of(key: &StoreKey, file: &'a [u8]) -> Self {
        match file.split_at_checked(HALF) {
            _ if file.ends_with(b"\n") => Self::Alone(Part::of(key, file)),
            Some((first, second)) if second.len() == HALF => Self::Halves(Part::of(key, first), Part::of(key, second)),
            _ => Self::Alone(Part::Torn),
        }
    }
}

enum Part<'a> {
    Blank,
    Whole(&'a [u8]),
    Torn,
}

impl<'a> Part<'a> {
    fn of(key: &StoreKey, bytes: &'a [u8]) -> Self {
        match without_blanks(bytes) {
            [] => Self::Blank,
            line if record::is_whole(key, line) => Self::Whole(line),
            _ => Self::Torn,
        }
    }
}

fn damaged(key: &StoreKey, file: &[u8], how: &str) -> StoreError {
    let visitor = key.visitor_id();
    BACKEND
        .error(
            StoreErrorKind::Corrupt,
            format!(
                "the file of visitor {visitor} is damaged: it {how}; restore it from a backup (or forget this visitor, to \
                 begin anew)"
            ),
        )
        .with_standing(name_of(file))
}

fn newer(key: &StoreKey, version: u32) -> StoreError {
    let (visitor, known) = (key.visitor_id(), record::VERSION);
    let message = format!(
        "the record of visitor {visitor} has version {version}, and this release knows {known} at most; update it"
    );
    BACKEND.error(StoreErrorKind::Unsupported, message)
}

/// 128 bits of a hash: as good as random, and the same for the same content.
fn name_of(file: &[u8]) -> Etag {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&Sha256::digest(file)[..16]);
    Etag::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::record::Draft;

    fn key() -> StoreKey {
        StoreKey::parse("site/1").unwrap()
    }

    /// Of the how-manieth write. It reaches nearly to the end of its half.
    fn line(write: u64) -> Vec<u8> {
        let bytes = format!("\"{}\"", char::from(b'a' + (write % 26) as u8).to_string().repeat(3500));
        let stored = Stored { etag: Etag::from_bits(write.into()), bytes: bytes.into_bytes() };
        Draft::new(&key(), &stored, 7).unwrap().line(write)
    }

    /// One of the two steps of a write.
    struct Step {
        before: Vec<u8>,
        half: usize,
        becomes: Vec<u8>,
        /// The writes that may stand meanwhile.
        either: &'static [u64],
    }

    /// Of the second write and the third.
    fn steps() -> [Step; 4] {
        let [first, second, third] = [1, 2, 3].map(|write| half(&line(write)));
        let blank = half(&[]);
        let step = |halves: [&Vec<u8>; 2], half, becomes: &Vec<u8>, either| Step {
            before: halves.map(Vec::as_slice).concat(),
            half,
            becomes: becomes.clone(),
            either,
        };
        [
            step([&first, &blank], 1, &second, &[1, 2]),
            step([&first, &second], 0, &blank, &[2]),
            step([&blank, &second], 0, &third, &[2, 3]),
            step([&third, &second], 1, &blank, &[3]),
        ]
    }

    #[test]
    fn whichever_sectors_of_a_write_reach_the_disk_the_file_is_one_version_or_the_other() {
        const SECTOR: usize = 512;
        for Step { before, half, becomes, either } in steps() {
            let mut seen = HashSet::new();
            for reached in 0..1_u32 << (HALF / SECTOR) {
                let mut file = before.clone();
                for sector in (0..HALF / SECTOR).filter(|sector| reached >> sector & 1 == 1) {
                    let from = half * HALF + sector * SECTOR;
                    file[from..from + SECTOR].copy_from_slice(&becomes[sector * SECTOR..][..SECTOR]);
                }
                let found = read(&key(), &file).unwrap();
                seen.insert(found.record.write);
                // What is next is written over nothing but blanks.
                let Place::Half(half, other) = found.place else { panic!("{found:?}") };
                let is_blank = file[(1 - half) * HALF..][..HALF].iter().all(|byte| *byte == BLANK);
                assert_eq!(is_blank, other == Other::Blank);
            }
            assert_eq!(seen, either.iter().copied().collect());
        }
    }

    #[test]
    fn a_new_file_holds_a_line_that_fits_with_a_blank_half_and_a_longer_one_alone() {
        let first = [half(&line(3)), half(&[])].concat();
        let found = read(&key(), &first).unwrap();
        assert_eq!((found.record.write, found.place), (3, Place::Half(0, Other::Blank)));
        let second = [half(&[]), half(&line(4))].concat();
        let found = read(&key(), &second).unwrap();
        assert_eq!((found.record.write, found.place), (4, Place::Half(1, Other::Blank)));
        for length in [HALF - 400, HALF - 200, HALF, 2 * HALF - 200, 2 * HALF, 3 * HALF] {
            for length in length..length + 150 {
                let bytes = format!("\"{}\"", "x".repeat(length)).into_bytes();
                let stored = Stored { etag: Etag::from_bits(5), bytes };
                let line = Draft::new(&key(), &stored, 7).unwrap().line(5);
                let (fits, mut file) = (fits(&line), new_file(line));
                let found = read(&key(), &file).unwrap();
                let place = if fits { Place::Half(0, Other::Torn) } else { Place::Alone };
                assert_eq!((found.record.stored, found.place), (stored.clone(), place), "{length}");
                if let Some((at, blank)) = named(&file) {
                    file[at..][..blank.len()].copy_from_slice(blank);
                }
                let found = read(&key(), &file).unwrap();
                let place = if fits { Place::Half(0, Other::Blank) } else { Place::Alone };
                assert_eq!((found.record.stored, found.place), (stored, place), "{length}");
                assert!(file.len() <= file_bytes(length + 2));
            }
        }
    }

    #[test]
    fn any_flipped_bit_any_cut_and_another_name_is_corrupt_under_an_etag_of_its_own() {
        let line = {
            let stored = Stored { etag: Etag::from_bits(42), bytes: br#"{"token":"secret"}"#.to_vec() };
            Draft::new(&key(), &stored, 7).unwrap().line(1)
        };
        let other = StoreKey::parse("site/2").unwrap();
        let mut names = HashSet::new();
        let mut check = |key: &StoreKey, file: &[u8]| {
            let error = read(key, file).unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
            assert!(!format!("{error} {error:?}").contains("secret"));
            names.insert(error.standing().unwrap().to_bits())
        };
        let second = [half(&[]), half(&line)].concat();
        for (file, at) in [(new_file(line.clone()), 0), (second, HALF), (line.clone(), 0)] {
            for at in at..at + line.len() {
                for bit in 0..8 {
                    let mut flipped = file.clone();
                    flipped[at] ^= 1 << bit;
                    assert!(check(&key(), &flipped), "{at}");
                }
            }
            // But for one that takes nothing of the line, and leaves it alone.
            for length in (0..file.len()).filter(|length| (at, *length) != (0, line.len())) {
                check(&key(), &file[..length]);
            }
            assert!(check(&other, &file));
            assert!(!check(&other, &file), "the same content has the same name");
            check(&key(), &[&file[..], b"\n"].concat());
            check(&key(), &file.repeat(2));
        }
        check(&key(), &[half(&line), half(&line)].concat());
        check(&key(), &half(&[]).repeat(2));
    }

    /// The halves are read and written in pieces, by a reader and a writer that stand still wherever they like.
    #[test]
    fn a_reader_beside_a_writer_sees_what_has_reached_the_disk_and_was_not_replaced_before_it_began() {
        const PIECE: usize = HALF / 2;
        const WRITES: u64 = 5;
        /// The file at some moment, the last version that was acknowledged, and the last that has reached the disk.
        type Moment = (Vec<u8>, u64, u64);
        let mut moments: Vec<Moment> = vec![([half(&line(1)), half(&[])].concat(), 1, 1)];
        for write in 2..=WRITES {
            let (blank, next) = ((write as usize - 1) % 2, half(&line(write)));
            for (half, content) in [(blank, next), (1 - blank, half(&[]))] {
                for (piece, content) in content.chunks(PIECE).enumerate() {
                    let (mut file, acknowledged, on_disk) = moments.last().unwrap().clone();
                    file[half * HALF + piece * PIECE..][..PIECE].copy_from_slice(content);
                    moments.push((file, acknowledged, on_disk));
                }
                if half == blank {
                    let written = moments.last().unwrap().0.clone();
                    moments.push((written, write - 1, write));
                }
            }
            moments.last_mut().unwrap().1 = write;
        }
        // The pieces of the first half, those of the second, and then of the first again, if that was blank.
        let last = moments.len();
        let piece = |n: usize, time: usize| &moments[time].0[n * PIECE..][..PIECE];
        let (mut seen, mut nothing) = (0, 0);
        let mut check = |times: &[usize]| {
            let mut file = [piece(0, times[0]), piece(1, times[1]), piece(2, times[2]), piece(3, times[3])].concat();
            if let Some(first) = first_if_blank(&mut file) {
                let Some(again) = times.get(4..6) else { return false };
                first.copy_from_slice(&[piece(0, again[0]), piece(1, again[1])].concat());
            }
            match read(&key(), &file) {
                Ok(found) if found.place.is_settled() => {
                    // By the last look it had reached the disk, and at the first no later one had.
                    let (_, acknowledged, _) = moments[times[0]];
                    let (_, _, on_disk) = moments[times[times.len() - 1]];
                    let write = found.record.write;
                    assert!((acknowledged..=on_disk).contains(&write), "{write} at {times:?}");
                    seen += 1;
                }
                // For whoever holds the lock to say.
                _ => nothing += 1,
            }
            true
        };
        let from = |first: usize| (first..last).flat_map(move |a| (a..last).map(move |b| [a, b]));
        for [a, b] in from(0) {
            for [c, d] in from(b) {
                if !check(&[a, b, c, d]) {
                    from(d).for_each(|[e, f]| assert!(check(&[a, b, c, d, e, f])));
                }
            }
        }
        assert!(seen > 500 && nothing > 1_000, "{seen} {nothing}");
        for (file, ..) in &moments {
            assert!(read(&key(), file).is_ok(), "whoever holds the lock sees no damage");
        }
    }
}
