//! A record out of a store, any bytes; and any JSON with the checksum that makes it one.

use sha2::{Digest as _, Sha256};
use wix_visitor_core::record::{Record, SEALED, decode, encode};
use wix_visitor_core::{StoreError, StoreErrorKind};

use crate::marker::{FOREIGN, planted};

pub(crate) fn check(bytes: &[u8]) {
    let bytes = planted(bytes);
    match decode(&bytes) {
        // It may be sound: a ring would tell.
        Err(error) if bytes.first() == Some(&SEALED) => assert_eq!(error.kind(), StoreErrorKind::Misconfigured),
        read => check_read(read),
    }
    if let Ok(text) = std::str::from_utf8(&bytes) {
        check_read(decode(&enveloped(text.trim_matches([' ', '\t', '\r', '\n']))));
    }
}

fn enveloped(record: &str) -> Vec<u8> {
    let digest = Sha256::digest(record.as_bytes());
    let checksum: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!(r#"{{"checksum":"{checksum}","record":{record}}}"#).into_bytes()
}

fn check_read(read: Result<Record, StoreError>) {
    match read {
        Ok(record) => {
            let written = encode(&record);
            let again = decode(&written).unwrap_or_else(|error| panic!("cannot be read again: {error}"));
            assert_eq!(encode(&again), written, "written otherwise the second time");
            assert_eq!(again.version(), record.version());
            assert_eq!((again.epoch, again.claim, &again.trouble), (record.epoch, record.claim, &record.trouble));
            let tokens = |record: &Record| record.chain().map(|chain| (chain.refresh_tokens(), chain.role()));
            assert_eq!(tokens(&again), tokens(&record), "other refresh tokens");
        }
        Err(error) => {
            assert!(matches!(error.kind(), StoreErrorKind::Corrupt | StoreErrorKind::Unsupported));
            assert!(!FOREIGN.shows_in(&format!("{error} {error:?}"), 8), "a token is in the error: {error}");
        }
    }
}
