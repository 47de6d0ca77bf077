//! What operators type: client ids, store keys, faults for the sandbox.

use wix_visitor_core::{ClientId, Secret, StoreKey};
use wix_visitor_testkit::sandbox::Fault;

use crate::marker::{FOREIGN, planted};

pub(crate) fn check(bytes: &[u8]) {
    let Ok(text) = String::from_utf8(planted(bytes)) else { return };
    client_id(&text);
    store_key(&text);
    fault(&text);
}

fn client_id(text: &str) {
    let Ok(id) = ClientId::new(text) else { return };
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    assert!(!id.as_str().is_empty() && id.as_str().bytes().all(plain));
    assert_eq!(ClientId::new(id.as_str()).ok().as_ref(), Some(&id));
    let key = StoreKey::new(text, &id, &Secret::new(text));
    assert_eq!(StoreKey::parse(key.as_str()).ok(), Some(key), "a key that no store takes");
}

fn store_key(text: &str) {
    let Ok(key) = StoreKey::parse(text) else { return };
    assert!(key.as_str() == text && text.len() <= StoreKey::MAX_LEN);
    assert_eq!(key.visitor_id().to_string().len(), 8);
    let _ = key.spread();
}

fn fault(text: &str) {
    match text.parse::<Fault>() {
        Ok(fault) => {
            let shown = format!("{fault:?}");
            // The path that it is for is told, and may be anything.
            assert!(text.trim_start().starts_with('/') || !FOREIGN.shows_in(&shown, 8), "{shown}");
            assert_eq!(format!("{:?}", fault.clone()), shown);
        }
        Err(error) => assert!(!FOREIGN.shows_in(&error.to_string(), 8), "{error}"),
    }
}
