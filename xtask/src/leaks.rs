//! Searches a test run's output for secrets.
//!
//! A leak is any 16 bytes in a row of a secret. Of those there are millions, and of output hundreds of megabytes, so the search
//! takes two steps: wherever 16 bytes of a secret stand, one of its aligned blocks of 8 bytes stands among them. A bit map of
//! these blocks fits the processor's cache and rules out nearly all places; the rest is looked up in the set of all slices.

use std::{
    collections::HashSet,
    hash::{BuildHasher, Hasher, RandomState},
    io::BufRead,
    path::Path,
};

use crate::Result;

/// How many bytes of a secret in a row are a leak.
const SLICE: usize = 16;

/// Any `SLICE` bytes of a secret hold one aligned block of half that size.
const BLOCK: usize = SLICE / 2;

/// All secrets of a run, ready to be searched for.
pub(crate) struct Leaks {
    secrets: usize,
    slices: HashSet<[u8; SLICE]>,
    blocks: BitMap,
}

/// What a search found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Lines searched.
    pub(crate) lines: u64,
    /// The numbers of the lines that hold part of a secret, from 1.
    pub(crate) leaking: Vec<u64>,
}

/// Searches the output of a run for the secrets in a ledger: a folder of files with one secret a line.
///
/// Each search is also given a secret and a line with part of it that are made up on the spot. Where that line is not found,
/// the search proves nothing, and is an error.
pub(crate) fn search_output(ledger: &Path, output: impl BufRead) -> Result<(usize, Found)> {
    let mut secrets = read_ledger(ledger)?;
    if secrets.is_empty() {
        return Err(format!(
            "no secret was noted in {}: the suites ran without it, so the search for leaks proves nothing",
            ledger.display()
        )
        .into());
    }
    let count = secrets.len();
    let planted = random_secret();
    let plant = format!("\nplanted: {}\n", &planted[7..7 + SLICE]);
    secrets.push(planted.into_bytes());
    let found = Leaks::new(&secrets).search(output.chain(plant.as_bytes()))?;
    Ok((count, without_plant(found)?))
}

/// Takes the planted line, the last one, out of what was found.
fn without_plant(mut found: Found) -> Result<Found> {
    match found.leaking.pop_if(|last| *last == found.lines) {
        Some(_) => Ok(found),
        None => Err("the leak grep does not work: it missed the line that was planted for it".into()),
    }
}

/// The secrets in a ledger.
fn read_ledger(folder: &Path) -> Result<Vec<Vec<u8>>> {
    let mut secrets = HashSet::new();
    for file in std::fs::read_dir(folder)? {
        let path = file?.path();
        for (number, secret) in std::fs::read(&path)?.split(|byte| *byte == b'\n').enumerate() {
            if secret.is_empty() {
                continue;
            }
            if secret.len() < SLICE {
                return Err(format!(
                    "{}:{} holds a secret of less than {SLICE} bytes, which no search can tell from chance: \
                     let the test use a longer one",
                    path.display(),
                    number + 1
                )
                .into());
            }
            secrets.insert(secret.to_vec());
        }
    }
    Ok(secrets.into_iter().collect())
}

/// 32 hex digits that stand nowhere else.
fn random_secret() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}

impl Leaks {
    pub(crate) fn new(secrets: &[Vec<u8>]) -> Self {
        let blocks = || secrets.iter().flat_map(|secret| secret.chunks_exact(BLOCK)).map(block_at_start);
        let mut map = BitMap::for_entries(blocks().count());
        blocks().for_each(|block| map.insert(block));
        let slices = secrets.iter().flat_map(|secret| secret.windows(SLICE)).map(slice_at_start).collect();
        Self { secrets: secrets.len(), slices, blocks: map }
    }

    /// Searches line by line: no secret holds a line break.
    pub(crate) fn search(&self, mut output: impl BufRead) -> Result<Found> {
        let mut found = Found { lines: 0, leaking: Vec::new() };
        let mut line = Vec::new();
        while output.read_until(b'\n', &mut line)? > 0 {
            found.lines += 1;
            if self.holds_secret(&line) {
                found.leaking.push(found.lines);
            }
            line.clear();
        }
        Ok(found)
    }

    fn holds_secret(&self, text: &[u8]) -> bool {
        text.windows(BLOCK).enumerate().filter(|(_, block)| self.blocks.may_hold(block_at_start(block))).any(
            |(at, _)| {
                let around = &text[at.saturating_sub(BLOCK)..text.len().min(at + SLICE)];
                around.windows(SLICE).any(|slice| self.slices.contains(&slice_at_start(slice)))
            },
        )
    }
}

impl std::fmt::Debug for Leaks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Leaks({} secrets)", self.secrets)
    }
}

fn block_at_start(bytes: &[u8]) -> u64 {
    let mut block = [0; BLOCK];
    block.copy_from_slice(&bytes[..BLOCK]);
    u64::from_le_bytes(block)
}

fn slice_at_start(bytes: &[u8]) -> [u8; SLICE] {
    let mut slice = [0; SLICE];
    slice.copy_from_slice(&bytes[..SLICE]);
    slice
}

/// Says of a block "surely not one of ours" or "perhaps".
struct BitMap {
    words: Vec<u64>,
    shift: u32,
}

impl BitMap {
    /// 64 bits for each entry, so that one other block in 64 at most passes for one of ours.
    fn for_entries(entries: usize) -> Self {
        let words = entries.max(2).next_power_of_two();
        Self { words: vec![0; words], shift: u64::BITS - 6 - words.trailing_zeros() }
    }

    fn insert(&mut self, block: u64) {
        let (word, bit) = self.place(block);
        self.words[word] |= 1 << bit;
    }

    fn may_hold(&self, block: u64) -> bool {
        let (word, bit) = self.place(block);
        self.words[word] & (1 << bit) != 0
    }

    /// Multiplied by 2^64 over the golden ratio, the upper bits depend on all of the block's.
    fn place(&self, block: u64) -> (usize, u32) {
        let hash = block.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift;
        // The shift leaves as many bits as the map has, so both parts fit.
        ((hash >> 6) as usize, (hash & 63) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "OauthNG.JWS.3f9c0b77a1d24e58aab09e1c";

    fn leaking(text: &str) -> Vec<u64> {
        Leaks::new(&[SECRET.into(), random_secret().into_bytes()]).search(text.as_bytes()).unwrap().leaking
    }

    fn ledger(lines: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("1-a.txt"), lines).unwrap();
        folder
    }

    #[test]
    fn every_slice_of_a_secret_is_found_wherever_it_stands() {
        for start in 0..=SECRET.len() - SLICE {
            let slice = &SECRET[start..start + SLICE];
            for before in 0..20 {
                let text = format!("fine\n{}{slice}\nfine\n", "-".repeat(before));
                assert_eq!(leaking(&text), [2], "{slice} after {before}");
                assert_eq!(leaking(&format!("{}{slice}~~", "x".repeat(before))), [1]);
            }
        }
    }

    #[test]
    fn one_byte_less_than_a_slice_is_no_leak() {
        for start in 0..=SECRET.len() - (SLICE - 1) {
            let short = &SECRET[start..start + SLICE - 1];
            assert!(leaking(&format!("~{short}~\n")).is_empty(), "{short}");
        }
    }

    #[test]
    fn text_without_secrets_is_clean() {
        assert!(leaking("OauthNG.JWS. and then nothing\n3f9c0b77\n\n").is_empty());
        assert!(leaking("").is_empty());
    }

    #[test]
    fn a_leak_in_the_output_is_told_by_its_line() {
        let ledger = ledger(&format!("{SECRET}\n"));
        let output = format!("a\nb {} c\nd", &SECRET[3..30]);
        let (secrets, found) = search_output(ledger.path(), output.as_bytes()).unwrap();
        assert_eq!((secrets, found.leaking), (1, vec![2]));
    }

    #[test]
    fn the_planted_line_is_not_counted_as_a_leak() {
        let ledger = ledger(&format!("{SECRET}\n{SECRET}\n"));
        for output in ["", "clean", "clean\n"] {
            let (secrets, found) = search_output(ledger.path(), output.as_bytes()).unwrap();
            assert_eq!(secrets, 1);
            assert!(found.leaking.is_empty());
        }
    }

    #[test]
    fn a_search_that_misses_the_planted_line_is_an_error() {
        for leaking in [vec![], vec![3]] {
            let error = without_plant(Found { lines: 9, leaking }).unwrap_err().to_string();
            assert!(error.contains("does not work"), "{error}");
        }
        assert_eq!(without_plant(Found { lines: 9, leaking: vec![3, 9] }).unwrap().leaking, [3]);
    }

    #[test]
    fn an_empty_ledger_is_an_error() {
        let error = search_output(ledger("\n").path(), b"clean".as_slice()).unwrap_err().to_string();
        assert!(error.contains("proves nothing"), "{error}");
        assert!(search_output(Path::new("/no/such/ledger"), b"clean".as_slice()).is_err());
    }

    #[test]
    fn a_secret_too_short_to_be_searched_for_is_an_error_that_does_not_tell_it() {
        let error = search_output(ledger("hunter2\n").path(), b"clean".as_slice()).unwrap_err().to_string();
        assert!(error.contains("1-a.txt:1") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", Leaks::new(&[SECRET.into()])), "Leaks(1 secrets)");
    }
}
