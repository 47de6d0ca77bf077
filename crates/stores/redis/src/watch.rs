//! Changes as the servers tell of them: each swap publishes the record's new etag and key, in the same step.
//!
//! A published message is told once, to whoever is connected just then, so a listener that hears nothing cannot tell peace from a
//! broken line. Therefore it also listens to a channel of its own, on which it tells itself something every few seconds.

use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::time::{Instant, timeout_at};
use wix_visitor_core::{Change, Changes, ClientId, Etag, StoreError, StoreErrorKind, StoreKey};

use crate::ears::Heard;
use crate::error::{Failure, error, unavailable};
use crate::link::Link;

/// How often the listener makes sure that it would hear.
const BEAT: Duration = Duration::from_secs(2);

/// The channel on which this record's changes are told: one for each site.
pub(crate) fn channel(prefix: &str, key: &StoreKey) -> String {
    let site = key.as_str().split('/').next().unwrap_or_default();
    [prefix, site].concat()
}

/// Listens for as long as it can be sure that nothing goes by unheard.
pub(crate) async fn watch(
    link: &Link,
    prefix: &str,
    timeout: Duration,
    site: &ClientId,
    changes: &Changes,
) -> Result<Infallible, StoreError> {
    let channel = format!("{prefix}{site}");
    let own = format!("{channel}:{:016x}", RandomState::new().hash_one(()));
    let until = Instant::now() + timeout;
    let live = link.get(until).await?;
    let Some(subscribed) = live.wire.subscribe([&channel, &own]) else {
        let message = "a connection that the application opened does not tell of changes";
        return Err(error(StoreErrorKind::Unsupported, message));
    };
    let mut ears = timeout_at(until, subscribed).await.map_err(|_| deaf())?.map_err(failed)?;
    // Not held on to: who holds a connection has an operation under way.
    let generation = live.generation();
    drop(live);
    let (mut beats, mut listening): (u64, bool) = (0, false);
    loop {
        beats += 1;
        say(link, generation, &own, beats, timeout).await?;
        let mut heard = false;
        let (due, late) = (Instant::now() + BEAT, Instant::now() + timeout);
        loop {
            let until = if heard { due } else { late };
            let Ok(message) = timeout_at(until, hear(&mut ears)).await else {
                if heard { break } else { return Err(deaf()) }
            };
            let (from, text) = message?;
            if from == own.as_bytes() {
                heard |= text == beats.to_string().as_bytes();
                if heard && !std::mem::replace(&mut listening, true) {
                    changes.tell(Change::Listening);
                }
            } else if listening
                && from == channel.as_bytes()
                && let Some(change) = read(prefix, &text)
            {
                changes.tell(change);
            }
        }
    }
}

/// Says something to oneself, on the connection that others of this store use too.
async fn say(link: &Link, generation: u64, own: &str, beats: u64, timeout: Duration) -> Result<(), StoreError> {
    let until = Instant::now() + timeout;
    let live = link.get(until).await?;
    if live.generation() != generation {
        return Err(unavailable("the connection on which changes were told has been replaced"));
    }
    let mut command = redis::cmd("PUBLISH");
    command.arg(own).arg(beats);
    match timeout_at(until, live.wire.ask(&command)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(e)) => Err(failed(e)),
        Err(_) => Err(deaf()),
    }
}

async fn hear(ears: &mut Receiver<Heard>) -> Result<(Vec<u8>, Vec<u8>), StoreError> {
    match ears.recv().await {
        Ok(Heard::Message { channel, text }) => Ok((channel, text)),
        Ok(Heard::End) => Err(unavailable("the connection on which changes were told has ended")),
        Err(_) => Err(unavailable("changes were told faster than they were taken")),
    }
}

fn read(prefix: &str, text: &[u8]) -> Option<Change> {
    let (etag, name) = text.split_first_chunk::<16>()?;
    let key = std::str::from_utf8(name).ok()?.strip_prefix(prefix)?;
    Some(Change::Written { key: StoreKey::parse(key).ok()?, etag: Etag::from_bytes(*etag) })
}

fn failed(e: redis::RedisError) -> StoreError {
    Failure::from(e).into_error()
}

fn deaf() -> StoreError {
    unavailable("what is published on the server is not heard")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_or_passed_over() {
        let key = StoreKey::parse("site/00ff").unwrap();
        let etag = Etag::from_bits(7);
        let text = [&etag.to_bytes()[..], b"wix-visitor:site/00ff"].concat();
        assert_eq!(read("wix-visitor:", &text), Some(Change::Written { key: key.clone(), etag }));
        for odd in
            [&b""[..], b"short", &text[..16], &[&text[..], b"\xff"].concat(), &[&text[..16], b"other:x"].concat()]
        {
            assert_eq!(read("wix-visitor:", odd), None);
        }
        assert_eq!(channel("wix-visitor:", &key), "wix-visitor:site");
    }
}
