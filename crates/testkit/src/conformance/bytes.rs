//! MUST 3: bytes come back exactly, up to 64 KiB, whatever they are, under every key.

use wix_visitor_core::{Exchange, StoreErrorKind, Stored};

use super::fixture::StoreFixture;
use super::report::{Shown, Verdict, Violation};
use super::trial::{Handle, Keys, ensure, noise, parse, version};

/// All 256 values, alone, in runs and in places where text is cut or changed; by load, over another handle, and in a conflict.
pub async fn every_byte_comes_back(fixture: &dyn StoreFixture) -> Verdict {
    let (store, other, keys) = (Handle::open(fixture).await?, Handle::open(fixture).await?, Keys::new());
    let all: Vec<u8> = (0..=255).collect();
    let mut contents: Vec<Vec<u8>> = vec![
        all.clone(),
        all.iter().rev().copied().collect(),
        all.iter().flat_map(|byte| [*byte, 0, *byte]).collect(),
        vec![0],
        vec![0; 1000],
        vec![255; 1000],
        b"\0starts and ends with zero\0".to_vec(),
        b"  spaces \t and lines \r\n\n ".to_vec(),
        b"quotes ' \" ` \\ and %00 ${x} {} ; --".to_vec(),
        b"\xEF\xBB\xBFbom, \xC3\x28 not utf-8, \xED\xA0\x80".to_vec(),
        b"null".to_vec(),
        b"{\"a\":1.0}".to_vec(),
    ];
    contents.extend((0..=255).step_by(5).map(|byte| vec![byte]));
    for (n, content) in contents.into_iter().enumerate() {
        let key = keys.key(n)?;
        let written = store.put(&key, content).await?;
        store.stands(&key, Some(&written)).await?;
        other.refuse(&key, None, &version("other"), Some(&written)).await?;
    }
    Ok(Shown::Holds)
}

/// From nothing at all to 64 KiB, growing and shrinking in place.
pub async fn records_of_every_length_come_back(fixture: &dyn StoreFixture) -> Verdict {
    let (store, key) = (Handle::open(fixture).await?, Keys::new().key("visitor")?);
    let mut standing = store.put(&key, "").await?;
    store.stands(&key, Some(&standing)).await?;
    let lengths =
        [1, 15, 16, 17, 255, 256, 1000, 4095, 4096, 4097, 65_535, Stored::MAX_BYTES, 0, Stored::MAX_BYTES, 3, 2000];
    for length in lengths {
        let new = version(noise(length));
        store.swap(&key, Some(&standing), &new).await?;
        store.stands(&key, Some(&new)).await?;
        store.refuse(&key, None, &version(""), Some(&new)).await?;
        standing = new;
    }
    Ok(Shown::Holds)
}

/// A record over 64 KiB is an error of the kind *unsupported* that changes nothing, or is kept whole; never cut.
pub async fn a_record_too_large_is_refused_or_kept_whole(fixture: &dyn StoreFixture) -> Verdict {
    let (store, key) = (Handle::open(fixture).await?, Keys::new().key("visitor")?);
    let standing = store.put(&key, "standing").await?;
    let large = version(noise(Stored::MAX_BYTES + 1));
    let expected = Some(&standing.etag);
    match store.try_exchange(&key, expected, &large, super::trial::HOUR).await? {
        Ok(Exchange::Swapped) => store.stands(&key, Some(&large)).await?,
        Ok(conflict) => return Err(Violation::new(format!("a record too large met a conflict: {conflict:?}"))),
        Err(e) => {
            ensure!(
                e.kind() == StoreErrorKind::Unsupported,
                "a record too large is {:?}, not unsupported: {e}",
                e.kind()
            );
            store.stands(&key, Some(&standing)).await?;
        }
    }
    Ok(Shown::Holds)
}

/// Keys of every character and of every length up to 128.
pub async fn every_key_is_taken(fixture: &dyn StoreFixture) -> Verdict {
    let (store, keys) = (Handle::open(fixture).await?, Keys::new());
    let every = keys.key("0123456789abcdefghijklmnopqrstuvwxyz-/-//")?;
    let short = keys.key("")?;
    let longest = keys.longest("/0-z")?;
    // The shortest there can be is shared by all: it may be there from an earlier run.
    let one = parse("0")?;
    for key in [every, short, longest] {
        let written = store.put(&key, key.as_str()).await?;
        store.stands(&key, Some(&written)).await?;
    }
    let before = store.load(&one).await?;
    let new = version("one");
    store.swap(&one, before.as_ref(), &new).await?;
    store.stands(&one, Some(&new)).await?;
    Ok(Shown::Holds)
}
