//! One swap, as a script that the server runs in one piece.
//!
//! What it answers it has read with `GETEX`, as loads do: that reads like `GET`, but counts as a write. So a server that has become
//! a replica since the connection was made refuses it, where it would answer a `GET` with what it happens to have. It does not
//! begin with it: after one write in a script, Redis no longer looks whether there is memory for the next.

use std::sync::LazyLock;
use std::time::Duration;

use redis::{Cmd, Script, Value};
use wix_visitor_core::{Etag, StoreError, StoreKey, Stored};

use crate::error::Failure;
use crate::value;

/// `ARGV`: the expected etag (empty: no record), the value, its time in ms, and whether a repeated write is to be written once
/// more, so that `WAIT` has something to wait for; and the channel on which a change is told. Answers OK, or what stands.
pub const CODE: &str = "\
local standing = redis.pcall('GET', KEYS[1])
if type(standing) == 'table' then return standing end
local etag = ''
if standing then
  etag = string.sub(standing, 1, 16)
  if #etag < 16 then etag = etag .. string.rep('\\0', 16 - #etag) end
end
if etag == ARGV[1] then
  local written = redis.pcall('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
  if not written.err then redis.pcall('PUBLISH', ARGV[5], string.sub(ARGV[2], 1, 16) .. KEYS[1]) end
  return written
end
if ARGV[4] == '1' and standing == ARGV[2] then
  local written = redis.pcall('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
  if written.err then return written end
end
return redis.pcall('GETEX', KEYS[1])
";

static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(CODE));

/// A server that cannot save refuses `GETEX` before it looks whether it is a replica; in a script it looks for that first.
const READ: &str = "\
local standing = redis.pcall('GETEX', KEYS[1])
if type(standing) == 'table' and standing.err and string.find(standing.err, 'MISCONF', 1, true) then
  return redis.pcall('GET', KEYS[1])
end
return standing
";

/// Reads a record from a server that cannot save, if it is a primary.
pub(crate) fn read_without_saving(name: &[u8]) -> Cmd {
    let mut command = redis::cmd("EVAL");
    command.arg(READ).arg(1).arg(name);
    command
}

/// Writes what stands, or something whose time has passed already: refused where a swap would be, and nobody sees a difference.
const TRY: &str = "\
local standing = redis.pcall('GET', KEYS[1])
if type(standing) == 'table' then return standing end
if standing then return redis.pcall('SET', KEYS[1], standing, 'KEEPTTL') end
return redis.pcall('SET', KEYS[1], '', 'PXAT', '1')
";

/// Finds out whether a swap of this record would be taken.
pub(crate) fn try_out(name: &[u8]) -> Cmd {
    let mut command = redis::cmd("EVAL");
    command.arg(TRY).arg(1).arg(name);
    command
}

/// What every server takes for a time to live: some 35,000 years.
const LONGEST_KEEP: u128 = 1 << 50;

/// What is asked of the server.
pub(crate) struct Swap<'a> {
    key: &'a StoreKey,
    new: &'a Stored,
    name: &'a [u8],
    /// As the script has it: none is empty.
    expected: Option<[u8; 16]>,
    value: Vec<u8>,
    keep_millis: u128,
    write_again: bool,
    channel: String,
}

/// What it answered.
#[derive(Debug)]
pub(crate) enum Answered {
    Swapped,
    /// The very record that was to be written stands: an earlier try succeeded, of this call or of another.
    OwnStands,
    Conflict(Option<Stored>),
}

impl<'a> Swap<'a> {
    pub(crate) fn new(
        name: &'a [u8],
        key: &'a StoreKey,
        expected: Option<&Etag>,
        new: &'a Stored,
        keep: Duration,
        write_again: bool,
        channel: String,
    ) -> Self {
        let (expected, value) = (expected.map(|etag| etag.to_bytes()), value::write(key, new));
        Self { key, new, name, expected, value, keep_millis: keep_millis(keep), write_again, channel }
    }

    /// For a server that knows the script.
    pub(crate) fn by_hash(&self) -> Cmd {
        self.command("EVALSHA", SCRIPT.get_hash())
    }

    /// For one that does not; it does afterwards.
    pub(crate) fn in_full(&self) -> Cmd {
        self.command("EVAL", CODE)
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let Self { name: record, expected, value, channel, .. } = self;
        let expected = expected.as_ref().map_or(&[][..], |etag| &etag[..]);
        // Room for all at once: it would grow again and again, and be copied each time. The numbers are the last summand.
        let length = name.len() + script.len() + record.len() + expected.len() + value.len() + channel.len() + 32;
        let mut command = Cmd::with_capacity(9, length);
        command.arg(name).arg(script).arg(1).arg(*record).arg(expected).arg(value);
        command.arg(self.keep_millis).arg(if self.write_again { "1" } else { "0" }).arg(channel);
        command
    }

    /// The outer error is a failed try, the inner one says that what stands cannot be read.
    pub(crate) fn read(&self, answer: Value) -> Result<Result<Answered, StoreError>, Failure> {
        Ok(match answer {
            Value::Okay => Ok(Answered::Swapped),
            Value::Nil => Ok(Answered::Conflict(None)),
            Value::BulkString(standing) => value::read(self.key, standing).map(|standing| {
                if standing == *self.new { Answered::OwnStands } else { Answered::Conflict(Some(standing)) }
            }),
            _ => return Err(Failure::nonsense()),
        })
    }
}

fn keep_millis(keep: Duration) -> u128 {
    keep.as_nanos().div_ceil(1_000_000).clamp(1, LONGEST_KEEP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keep_is_rounded_up_and_always_one_that_a_server_takes() {
        for (keep, millis) in [
            (Duration::ZERO, 1),
            (Duration::from_nanos(1), 1),
            (Duration::from_micros(1500), 2),
            (Duration::from_secs(365 * 24 * 3600), 31_536_000_000),
            (Duration::MAX, LONGEST_KEEP),
        ] {
            assert_eq!(keep_millis(keep), millis);
        }
    }

    #[test]
    fn an_answer_is_told_by_its_type_not_by_its_text() {
        let key = StoreKey::parse("a").unwrap();
        let new = Stored { etag: Etag::from_bits(1), bytes: b"x".to_vec() };
        let swap = Swap::new(b"p:a", &key, None, &new, Duration::ZERO, false, "p:a".into());
        assert!(matches!(swap.read(Value::Okay), Ok(Ok(Answered::Swapped))));
        assert!(matches!(swap.read(Value::Nil), Ok(Ok(Answered::Conflict(None)))));
        assert!(matches!(swap.read(Value::BulkString(b"OK".to_vec())), Ok(Err(_))), "a record of two bytes is damaged");
        assert!(swap.read(Value::Int(1)).is_err());
        let own = Value::BulkString(value::write(&key, &new));
        assert!(matches!(swap.read(own), Ok(Ok(Answered::OwnStands))));
    }
}
