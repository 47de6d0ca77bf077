//! What can be broken on purpose, between the flow and its surroundings: each has to be noticed.

use wix_visitor_core::record::{Record, Standing, decode, encode};

/// A rule that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A claim of others is honoured: here, others do not see it.
    Claims,
    /// Refresh tokens are kept aside: here, alternates are never stored.
    Alternates,
    /// To forget leaves a tombstone: here, an empty record.
    Tombstones,
    /// The application's changes count: here, every epoch is zero.
    Epochs,
    /// A write takes place only over the version it was meant for: here, over any.
    Comparison,
    /// An error is not a refusal: here, each is one, so that any makes a new visitor.
    MintOnError,
    /// A mint notes what it replaces: here, it does not.
    Replaces,
    /// Tokens that could not be saved are saved later: here, the store forgets that it failed.
    FalseSuccess,
}

impl Flaw {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Claims,
        Self::Alternates,
        Self::Tombstones,
        Self::Epochs,
        Self::Comparison,
        Self::MintOnError,
        Self::Replaces,
        Self::FalseSuccess,
    ];

    /// A record as it is written under this flaw, if it is another one.
    pub fn written(self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut record = decode(bytes).ok()?;
        match (self, &mut record.standing) {
            (Self::Alternates, Standing::Held(chain)) => chain.alternates.clear(),
            (Self::Replaces, Standing::Held(chain)) => chain.replaces = None,
            (Self::Tombstones, Standing::Forgotten(_)) => record.standing = Standing::Empty,
            (Self::Epochs, _) => record.epoch = 0,
            _ => return None,
        }
        Some(encode(&record))
    }

    /// A record as it is shown under this flaw, if it is another one.
    pub fn shown(self, bytes: &[u8]) -> Option<Vec<u8>> {
        let record = decode(bytes).ok()?;
        (self == Self::Claims && record.claim.is_some()).then(|| encode(&Record { claim: None, ..record }))
    }
}
