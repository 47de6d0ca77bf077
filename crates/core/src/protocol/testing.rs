//! Small records for unit tests.

use std::time::Duration;

use crate::clock::{Now, Timestamp};
use crate::protocol::reconcile::Held;
use crate::record::{Alternate, Chain, Lineage, Record, Spent, Standing};
use crate::secret::Secret;
use crate::store::Etag;
use crate::tokens::{AccessToken, RefreshToken, Role, Tokens};

pub(crate) trait Moment {
    fn timestamp(self) -> Timestamp;
}

impl Moment for Timestamp {
    fn timestamp(self) -> Timestamp {
        self
    }
}

impl Moment for Duration {
    fn timestamp(self) -> Timestamp {
        Timestamp::default() + self
    }
}

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) fn at(secs: u64) -> Now {
    Now { wall: Timestamp::default() + Duration::from_secs(secs), monotonic: Duration::from_secs(secs) }
}

pub(crate) fn chain(lineage: u128, generation: u64, expires_at: impl Moment, lifetime: Duration) -> Chain {
    Chain {
        lineage: Lineage(lineage),
        generation,
        replaces: None,
        began: Timestamp::default(),
        tokens: Tokens::new(
            Some(AccessToken::new(format!("access-{lineage}-{generation}"), expires_at.timestamp())),
            Some(RefreshToken::new(format!("refresh-{lineage}-{generation}"), Role::Visitor)),
        ),
        lifetime,
        refused: false,
        alternates: Vec::new(),
        spent: Spent::default(),
        doubt: None,
    }
}

pub(crate) fn record(lineage: u128, generation: u64) -> Record {
    Record { standing: Standing::Held(chain(lineage, generation, secs(14_400), secs(14_400))), ..Record::default() }
}

pub(crate) fn forgotten(lineage: u128, epoch: u64) -> Record {
    Record { epoch, standing: Standing::Forgotten(Lineage(lineage)), ..Record::default() }
}

pub(crate) fn with_alternates(mut record: Record, alternates: &[(&str, u64)]) -> Record {
    if let Standing::Held(chain) = &mut record.standing {
        chain.alternates = alternates
            .iter()
            .map(|(value, generation)| Alternate { value: Secret::new(*value), generation: *generation })
            .collect();
    }
    record
}

pub(crate) fn held(record: &Record) -> &Chain {
    record.chain().unwrap()
}

pub(crate) fn saved(record: Record, seen: u64) -> Held {
    Held { record, etag: Some(Etag::from_bits(77)), seen: at(seen) }
}

pub(crate) fn unsaved(record: Record, seen: u64) -> Held {
    Held { record, etag: None, seen: at(seen) }
}
