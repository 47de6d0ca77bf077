//! From sub-directory to sub-directory: which records there are, and dropping what is over.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Instant;

use wix_visitor_core::{ClientId, Cursor, Page, Purged, StoreError, StoreErrorKind, StoreKey};

use crate::directory::Directory;
use crate::error::BACKEND;
use crate::lock::Lock;
use crate::record::Record;
use crate::shard::{Places, SHARDS, number};

impl Directory {
    /// Keys of this site, or of all: of whole sub-directories, until there are `most` or half of the time is over.
    pub(crate) fn list(
        &self,
        site: Option<&ClientId>,
        from: Option<&Cursor>,
        most: usize,
        until: Instant,
    ) -> Result<Page, StoreError> {
        let mut page = Page::default();
        let next = self.tour(from, until, |shard| {
            let of_site = |key: &StoreKey| site.is_none_or(|site| key.is_of(site));
            let (found, misnamed) = keys_in(shard)?;
            page.keys.extend(found.into_iter().filter(of_site));
            page.unreadable += misnamed;
            Ok(page.keys.len() < most)
        })?;
        Ok(Page { next, ..page })
    }

    /// Drops the records that were to be kept until before this moment: of whole sub-directories, likewise.
    pub(crate) fn purge(
        &self,
        moment: i64,
        from: Option<&Cursor>,
        most: usize,
        until: Instant,
    ) -> Result<Purged, StoreError> {
        let mut purged = Purged::default();
        let next = self.tour(from, until, |shard| {
            self.purge_shard(shard, moment, until, &mut purged)?;
            Ok(purged.looked_at < most as u64)
        })?;
        Ok(Purged { next, ..purged })
    }

    /// Visits sub-directories until there is enough, and says where to go on.
    fn tour(
        &self,
        from: Option<&Cursor>,
        until: Instant,
        mut visit: impl FnMut(&Path) -> Result<bool, StoreError>,
    ) -> Result<Option<Cursor>, StoreError> {
        self.check()?;
        let begin = Instant::now();
        let half = until.saturating_duration_since(begin) / 2;
        let first = from.map_or(Some(0), |from| usize::from_str_radix(from.as_str(), 16).ok());
        let first = first.filter(|first| *first < SHARDS);
        let first =
            first.ok_or_else(|| BACKEND.error(StoreErrorKind::Unsupported, "this cursor is not of this store"))?;
        for shard in first..SHARDS {
            let path = self.path().join(format!("{shard:03x}"));
            let more = !BACKEND.check_private_directory(&path)? || visit(&path)?;
            if shard + 1 < SHARDS && (!more || begin.elapsed() > half) {
                return Ok(Some(Cursor::new(format!("{:x}", shard + 1))));
            }
        }
        Ok(None)
    }

    fn purge_shard(&self, shard: &Path, moment: i64, until: Instant, purged: &mut Purged) -> Result<(), StoreError> {
        let mut lock = None;
        let (keys, misnamed) = keys_in(shard)?;
        purged.looked_at += misnamed;
        purged.unreadable += misnamed;
        for key in keys {
            let places = Places::of(self.path(), &key);
            purged.looked_at += 1;
            let is_over = |record: &Record| record.keep_until < moment;
            match if lock.is_some() { self.look(&key, &places) } else { self.read(&key, &places, until) } {
                Ok(Some(record)) if is_over(&record) => {}
                Ok(_) => continue,
                Err(error) => {
                    tracing::warn!(visitor = %key.visitor_id(), %error, "a record was left as it is");
                    purged.unreadable += 1;
                    continue;
                }
            }
            if lock.is_none() {
                lock = Some(Lock::take(shard, until)?);
            }
            // Now that nobody else writes: it may have been renewed meanwhile.
            if self.look(&key, &places).is_ok_and(|record| record.as_ref().is_some_and(is_over)) {
                for path in [&places.record, &places.staged] {
                    match fs::remove_file(path) {
                        Err(e) if e.kind() != io::ErrorKind::NotFound => {
                            return Err(BACKEND.from_io("remove", path, e));
                        }
                        _ => {}
                    }
                }
                purged.dropped += 1;
            }
        }
        if lock.is_some() { self.save(shard) } else { Ok(()) }
    }
}

/// The keys whose records are in a sub-directory, and how many records there are under no key, or under one that has its place elsewhere.
fn keys_in(shard: &Path) -> Result<(Vec<StoreKey>, u64), StoreError> {
    let fail = |e| BACKEND.from_io("list", shard, e);
    let here = |key: &StoreKey| shard.ends_with(format!("{:03x}", number(key)));
    let (mut keys, mut misnamed) = (Vec::new(), 0);
    for found in fs::read_dir(shard).map_err(fail)? {
        let name = found.map_err(fail)?.file_name();
        match name.to_str().and_then(Places::key_of).filter(here) {
            Some(key) => keys.push(key),
            None if name.as_encoded_bytes().ends_with(b".json") => misnamed += 1,
            None => {}
        }
    }
    Ok((keys, misnamed))
}
