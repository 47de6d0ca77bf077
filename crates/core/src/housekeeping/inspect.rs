//! All of a record but its secrets.

use std::time::Duration;

use super::Housekeeper;
use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::key::StoreKey;
use crate::record::{Chain, Doubt, Record, SEALED, Standing, Version, decode};
use crate::store::Etag;
use crate::tokens::Role;

/// All of a record but its secrets.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Inspection {
    /// Where it stands.
    pub key: StoreKey,
    /// Which version it is.
    pub etag: Etag,
    /// How many bytes the store keeps for it.
    pub bytes: usize,
    /// Whether it is sealed, and by which key.
    pub sealed_by: Option<String>,
    /// What the application did: how often it set tokens or forgot.
    pub epoch: u64,
    /// What it holds.
    pub holding: Holding,
    /// Who may ask the endpoint for this visitor just now.
    pub claim: Option<String>,
    /// How many grants have failed in a row.
    pub failures: u32,
    /// The last failure.
    pub last_error: Option<String>,
    /// Until when grants are paused after it, by the clock of whoever failed.
    pub paused_until: Option<Timestamp>,
}

/// What a record holds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Holding {
    /// Nothing: a mint is under way, or has failed.
    Nothing,
    /// That the visitor was forgotten on purpose.
    Forgotten {
        /// Which tombstone.
        lineage: String,
    },
    /// That nothing is minted here any more.
    Retired {
        /// Which tombstone.
        lineage: String,
        /// Since when.
        since: Timestamp,
    },
    /// Tokens.
    #[non_exhaustive]
    Tokens {
        /// Which identity's.
        lineage: String,
        /// After how many renewals.
        generation: u64,
        /// What a minted visitor took the place of: lineage and generation.
        replaces: Option<(String, u64)>,
        /// Since when there is this identity.
        began: Timestamp,
        /// Whom they stand for.
        role: Role,
        /// When the access token ends, and of how many characters it is.
        access: Option<(Timestamp, usize)>,
        /// Of how many characters the refresh token is.
        refresh: Option<usize>,
        /// How long access tokens live.
        lifetime: Duration,
        /// Whether every refresh token was refused.
        refused: bool,
        /// The generations of the refresh tokens that are kept aside.
        alternates: Vec<u64>,
        /// How many refresh tokens are known to be spent.
        spent: usize,
        /// How many doubtful answers there were, since when, and when the last.
        doubts: Option<(u32, Timestamp, Timestamp)>,
    },
}

impl Housekeeper {
    /// All of a record but its secrets; `None` if there is none.
    ///
    /// # Errors
    /// The store's, and those of opening and reading the record.
    pub async fn inspect(&self, key: &StoreKey) -> Result<Option<Inspection>, StoreError> {
        // First as it is: what it is sealed by is not to be seen once it was opened.
        let Some(raw) = self.store.load(key).await? else { return Ok(None) };
        let Some(opened) = self.opened.load(key).await? else { return Ok(None) };
        let Record { epoch, standing, claim, trouble } = decode(&opened.bytes)?;
        Ok(Some(Inspection {
            key: key.clone(),
            etag: opened.etag,
            bytes: raw.bytes.len(),
            sealed_by: sealed_by(&raw.bytes),
            epoch,
            holding: holding(standing),
            claim: claim.map(Into::into),
            failures: trouble.as_ref().map_or(0, |trouble| trouble.failures),
            paused_until: trouble.as_ref().map(|trouble| trouble.until),
            last_error: trouble.map(|trouble| trouble.message),
        }))
    }
}

fn holding(standing: Standing) -> Holding {
    match standing {
        Standing::Empty => Holding::Nothing,
        Standing::Forgotten(lineage) => Holding::Forgotten { lineage: lineage.into() },
        Standing::Retired(lineage, since) => Holding::Retired { lineage: lineage.into(), since },
        Standing::Held(chain) => {
            let Chain { lineage, generation, replaces, began, tokens, lifetime, refused, alternates, spent, doubt } =
                chain;
            Holding::Tokens {
                lineage: lineage.into(),
                generation,
                replaces: replaces.map(|Version { lineage, generation }| (lineage.into(), generation)),
                began,
                role: tokens.role(),
                access: tokens.access.map(|token| (token.expires_at, token.value.expose().len())),
                refresh: tokens.refresh.map(|token| token.value.expose().len()),
                lifetime,
                refused,
                alternates: alternates.iter().map(|alternate| alternate.generation).collect(),
                spent: spent.len(),
                doubts: doubt.map(|Doubt { count, since, last }| (count, since, last)),
            }
        }
    }
}

fn sealed_by(bytes: &[u8]) -> Option<String> {
    #[cfg(feature = "sealing")]
    if let Some(name) = crate::sealing::KeyRing::sealed_by(bytes) {
        return Some(name.to_string());
    }
    bytes.starts_with(&[SEALED]).then(|| "an unknown key".to_owned())
}
