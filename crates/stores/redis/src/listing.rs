//! From server to server through their keys, as `SCAN` shows them.
//!
//! A cursor of `SCAN` means something to one process alone, and to none once keys move between servers. So ours says by which servers
//! it was made; where they are others now, the listing begins anew.

use redis::{Cmd, RedisError, Value};
use wix_visitor_core::{ClientId, Cursor, Page, StoreKey};

use crate::error::Failure;
use crate::wire::{Part, Wire};

/// The next keys of this site, or of all.
pub(crate) async fn page(
    wire: &dyn Wire,
    prefix: &str,
    site: Option<&ClientId>,
    from: Option<&Cursor>,
    most: usize,
) -> Result<Page, Failure> {
    let parts = wire.parts().ok_or_else(Failure::cannot_list)?.await.map_err(of_listing)?;
    let mut identity = crc32fast::Hasher::new();
    for part in &parts {
        let info = wire.ask_part(part, &redis::cmd("INFO")).await.map_err(of_listing)?;
        let info = text(&info).ok_or_else(Failure::nonsense)?;
        if line(info, "role") != Some("master") {
            return Err(Failure::became_a_replica());
        }
        identity.update(part.name.as_bytes());
        identity.update(line(info, "run_id").ok_or_else(Failure::nonsense)?.as_bytes());
    }
    let identity = identity.finalize();
    let (at, cursor) = from.and_then(|from| read(from, identity)).filter(|(at, _)| *at < parts.len()).unwrap_or((0, 0));

    let part = parts.get(at).ok_or_else(Failure::nonsense)?;
    let answer = wire.ask_part(part, &scan(cursor, prefix, site, most)).await.map_err(of_listing)?;
    let (cursor, names) = scanned(&answer).ok_or_else(Failure::nonsense)?;
    let keys = names.filter_map(|name| StoreKey::parse(name.strip_prefix(prefix)?).ok()).collect();
    let next = match (cursor, at + 1) {
        (0, next) if next < parts.len() => Some((next, 0)),
        (0, _) => None,
        (cursor, _) => Some((at, cursor)),
    };
    let next = next.map(|(at, cursor)| Cursor::new(format!("{identity:08x}.{at}.{cursor}")));
    Ok(Page { keys, unreadable: 0, next })
}

fn read(from: &Cursor, identity: u32) -> Option<(usize, u64)> {
    let mut fields = from.as_str().split('.');
    let same = u32::from_str_radix(fields.next()?, 16).is_ok_and(|of| of == identity);
    let (at, cursor) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    same.then_some((at, cursor))
}

fn scan(cursor: u64, prefix: &str, site: Option<&ClientId>, most: usize) -> Cmd {
    let mut pattern = String::new();
    for letter in prefix.chars() {
        if matches!(letter, '*' | '?' | '[' | ']' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    if let Some(site) = site {
        pattern.push_str(site.as_str());
        pattern.push('/');
    }
    pattern.push('*');
    let mut command = redis::cmd("SCAN");
    command.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(most.clamp(1, 10_000));
    command
}

fn scanned(answer: &Value) -> Option<(u64, impl Iterator<Item = &str>)> {
    let Value::Array(halves) = answer else { return None };
    let [cursor, Value::Array(names)] = &halves[..] else { return None };
    Some((text(cursor)?.parse().ok()?, names.iter().filter_map(text)))
}

fn line<'a>(info: &'a str, field: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).map(str::trim)
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(text) => std::str::from_utf8(text).ok(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text),
        _ => None,
    }
}

fn of_listing(error: RedisError) -> Failure {
    let failure = Failure::from(error);
    if failure.is("NOPERM") { Failure::may_not_list() } else { failure }
}

/// The servers of a cluster that have keys, as `CLUSTER SLOTS` tells them: each by its first slot, and what it has.
pub(crate) fn parts_of_a_cluster(slots: &Value) -> Option<Vec<Part>> {
    let Value::Array(ranges) = slots else { return None };
    let mut parts: Vec<(String, Part)> = Vec::new();
    let mut sorted = Vec::new();
    for range in ranges {
        let Value::Array(fields) = range else { return None };
        let [Value::Int(first), Value::Int(last), Value::Array(primary), ..] = &fields[..] else { return None };
        let id = primary.get(2).and_then(text).map(str::to_owned);
        let (host, port) = (primary.first().and_then(text).unwrap_or_default(), primary.get(1)?);
        sorted.push((u16::try_from(*first).ok()?, *last, id.unwrap_or_else(|| format!("{host}:{port:?}"))));
    }
    sorted.sort_unstable();
    for (first, last, id) in sorted {
        match parts.iter_mut().find(|(found, _)| *found == id) {
            Some((_, part)) => part.name.push_str(&format!(",{first}-{last}")),
            None => parts.push((id.clone(), Part { slot: first, name: format!("{id} {first}-{last}") })),
        }
    }
    Some(parts.into_iter().map(|(_, part)| part).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_counts_for_the_servers_that_made_it_alone() {
        let cursor = Cursor::new("000000ff.2.18446744073709551615");
        assert_eq!(read(&cursor, 255), Some((2, u64::MAX)));
        assert_eq!(read(&cursor, 254), None);
        for wrong in ["", "ff", "ff.1", "ff.x.1", "ff.1.-1", "zz.1.1"] {
            assert_eq!(read(&Cursor::new(wrong), 255), None);
        }
    }

    #[test]
    fn a_prefix_is_taken_letter_by_letter() {
        let site = ClientId::new("shop").unwrap();
        let packed = scan(7, "a*b[c]?\\", Some(&site), 0).get_packed_command();
        let told = String::from_utf8(packed).unwrap();
        assert!(told.contains("a\\*b\\[c\\]\\?\\\\shop/*") && told.ends_with("COUNT\r\n$1\r\n1\r\n"), "{told}");
    }

    #[test]
    fn a_cluster_is_its_primaries_once_each_with_all_they_have() {
        let node = |id: &str| {
            Value::Array(vec![Value::SimpleString("h".to_owned()), Value::Int(1), Value::SimpleString(id.to_owned())])
        };
        let range =
            |first, last, id| Value::Array(vec![Value::Int(first), Value::Int(last), node(id), node("replica")]);
        let slots = Value::Array(vec![range(100, 199, "b"), range(0, 99, "a"), range(200, 16383, "a")]);
        let parts = parts_of_a_cluster(&slots).unwrap();
        let told: Vec<_> = parts.iter().map(|part| (part.slot, part.name.as_str())).collect();
        assert_eq!(told, [(0, "a 0-99,200-16383"), (100, "b 100-199")]);
        assert!(parts_of_a_cluster(&Value::Nil).is_none());
    }
}
