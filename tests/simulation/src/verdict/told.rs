//! What happened in words, for those who look into a failing seed.

use wix_visitor_core::record::{Record, Standing};
use wix_visitor_core::{Grant, GrantReply, Secret};

/// A token without its random tail.
fn token(token: &Secret) -> String {
    token.expose().split('.').skip(2).take(2).collect::<Vec<_>>().join("-")
}

/// A record.
pub fn record(record: &Record) -> String {
    let claim = if record.claim.is_some() { ", claimed" } else { "" };
    let trouble = if record.trouble.is_some() { ", pausing" } else { "" };
    let standing = match &record.standing {
        Standing::Empty => "empty".to_owned(),
        Standing::Forgotten(_) | Standing::Retired(..) => "tombstone".to_owned(),
        Standing::Held(chain) => {
            let main = chain.tokens.refresh.as_ref().map_or_else(|| "none".to_owned(), |main| token(&main.value));
            let refused = if chain.refused { " (refused)" } else { "" };
            let aside: Vec<_> = chain.alternates.iter().map(|one| token(&one.value)).collect();
            let lineage = format!("{:?}", chain.lineage);
            format!("{} g{} {main}{refused} aside {aside:?}", &lineage[..6], chain.generation)
        }
    };
    format!("{standing}, epoch {}{claim}{trouble}", record.epoch)
}

/// A grant and its answer.
pub fn grant(grant: &Grant, reply: Option<&GrantReply>) -> String {
    let asked = match grant {
        Grant::Refresh(refresh) => token(refresh),
        _ => "mint".to_owned(),
    };
    let answer = match reply {
        Some(reply) => reply.refresh_token.as_ref().map_or_else(|| "the same".to_owned(), token),
        None => "refused".to_owned(),
    };
    format!("{asked} -> {answer}")
}
