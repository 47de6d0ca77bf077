//! What is sent, request by request: told before, and named in the report.

use std::time::Duration;

use crate::moment::span;

/// One request. The order is the order in which they are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Mint,
    TokenInfo,
    CartBare,
    CartBearer,
    CartDamaged,
    CartNone,
    RenewSnake,
    Renew,
    Reuse,
    Newest,
    DamagedRefresh,
    NoGuid,
    NoGrantType,
    UnknownClient,
    ReuseLater,
    MintSnake,
    Revoke,
    AfterRevoke,
}

const ALL: [Step; 18] = [
    Step::Mint,
    Step::TokenInfo,
    Step::CartBare,
    Step::CartBearer,
    Step::CartDamaged,
    Step::CartNone,
    Step::RenewSnake,
    Step::Renew,
    Step::Reuse,
    Step::Newest,
    Step::DamagedRefresh,
    Step::NoGuid,
    Step::NoGrantType,
    Step::UnknownClient,
    Step::ReuseLater,
    Step::MintSnake,
    Step::Revoke,
    Step::AfterRevoke,
];

impl Step {
    pub(super) fn target(self) -> &'static str {
        match self {
            Self::TokenInfo => "POST /oauth2/token-info",
            Self::CartBare | Self::CartBearer | Self::CartDamaged | Self::CartNone => "GET /ecom/v1/carts/current",
            Self::Revoke => "POST /oauth2/revoke",
            _ => "POST /oauth2/token",
        }
    }

    pub(super) fn what(self) -> &'static str {
        match self {
            Self::Mint => "mint throw-away visitor 1, fields in camelCase",
            Self::TokenInfo => "ask what its access token is",
            Self::CartBare => "its cart, with its access token bare",
            Self::CartBearer => "the same, with `Bearer ` before the token",
            Self::CartDamaged => "the same, with the token's signature made wrong",
            Self::CartNone => "the same, without a token",
            Self::RenewSnake => "renew it, fields in snake_case",
            Self::Renew => "renew it again, fields in camelCase",
            Self::Reuse => "present the refresh token of that renewal once more",
            Self::Newest => "renew with the newest refresh token, if that is another one",
            Self::DamagedRefresh => "renew with a refresh token whose signature was made wrong",
            Self::NoGuid => "mint with a client id that is no GUID",
            Self::NoGrantType => "the client id without a grant type",
            Self::UnknownClient => "mint with a random client id",
            Self::ReuseLater => "present the replaced refresh token again after the wait, if it was still taken",
            Self::MintSnake => "mint throw-away visitor 2, fields in snake_case, if there is none yet",
            Self::Revoke => "revoke the refresh token of throw-away visitor 2",
            Self::AfterRevoke => "renew throw-away visitor 2, to see whether it still works",
        }
    }
}

/// What is sent where a replaced token is tried again after so long; after no time it is not.
pub(super) fn steps(wait: Duration) -> Vec<Step> {
    ALL.into_iter().filter(|step| *step != Step::ReuseLater || !wait.is_zero()).collect()
}

/// Tells all of it, before anything is sent.
pub(super) fn text(place: &str, pause: Duration, wait: Duration) -> String {
    let steps = steps(wait);
    let pace = if pause.is_zero() { String::new() } else { format!(", with {} between them", span(pause)) };
    let mut text = format!("{place} is sent at most {} requests, one after the other{pace}:\n", steps.len());
    for (number, step) in (1..).zip(&steps) {
        text.push_str(&format!("{number:>4}. {:<27} {}\n", step.target(), step.what()));
    }
    if !wait.is_zero() {
        text.push_str(&format!("The wait takes {}.\n", span(wait)));
    }
    text.push_str(
        "At most two throw-away visitors are made, and left to expire; a request that should be refused and is granted counts. \
         Your client id is sent; your own visitor, its tokens and the store are not touched.",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_names_each_request_once_and_the_wait_only_where_there_is_one() {
        let text = text("a place", Duration::from_secs(1), Duration::ZERO);
        assert_eq!(text.lines().filter(|line| line.contains(". POST ") || line.contains(". GET ")).count(), 17);
        assert!(text.contains("at most 17 requests") && !text.contains("after the wait"), "{text}");
        assert_eq!(steps(Duration::from_secs(1)), ALL);
    }

    #[test]
    fn revoking_is_the_last_thing_but_to_look_what_came_of_it() {
        assert_eq!(ALL[16..], [Step::Revoke, Step::AfterRevoke]);
    }
}
