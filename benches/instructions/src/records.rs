//! The codec: a record with tokens as long as Wix's.

use std::hint::black_box;
use std::time::Duration;

use wix_visitor_core::record::{Chain, Lineage, Record, Spent, Standing, decode, encode};
use wix_visitor_core::{AccessToken, RefreshToken, Role, Secret, Timestamp, Tokens};

/// How long a token lives.
pub(crate) const LIFETIME: Duration = Duration::from_secs(4 * 3600);

pub(crate) fn access() -> Secret {
    Secret::new("a".repeat(1000))
}

pub(crate) fn refresh() -> Secret {
    Secret::new("r".repeat(700))
}

/// Of tokens that were minted at the epoch.
pub(crate) fn record() -> Record {
    let chain = Chain {
        lineage: Lineage(1),
        generation: 3,
        replaces: None,
        began: Timestamp::default(),
        tokens: Tokens::new(
            Some(AccessToken::new(access(), Timestamp::default() + LIFETIME)),
            Some(RefreshToken::new(refresh(), Role::Visitor)),
        ),
        lifetime: LIFETIME,
        refused: false,
        alternates: Vec::new(),
        spent: Spent::default(),
        doubt: None,
    };
    Record { standing: Standing::Held(chain), ..Record::default() }
}

pub(crate) fn encoded(times: u32) {
    let record = record();
    for _ in 0..times {
        black_box(encode(black_box(&record)));
    }
}

pub(crate) fn decoded(times: u32) {
    let bytes = encode(&record());
    for _ in 0..times {
        black_box(decode(black_box(&bytes)).expect("a record"));
    }
}
