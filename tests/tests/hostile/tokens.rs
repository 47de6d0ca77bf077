//! Tokens, from applications and from endpoints.

use std::time::Duration;

use wix_visitor_core::{
    AccessToken, ErrorKind, GrantError, GrantFailure, GrantReply, RefreshToken, Role, Secret, Timestamp, Tokens,
};
use wix_visitor_testkit::ledger::secret_key;
use wix_visitor_testkit::{Plan, Rotation};
use wix_visitor_tests::instance::{Instance, hours, secs};

use crate::{MIB, MOMENTS, SPANS, is_not_repeated, is_refused, texts};

#[test]
fn token_json_of_any_kind_is_read_or_refused() {
    let nested = |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000));
    let odd = [
        nested("[", "]"),
        nested("{\"tokens\":", "}"),
        nested("{\"accessToken\":", "}"),
        format!("{{\"accessToken\":{{\"value\":\"a\",\"expiresAt\":{}}}}}", "9".repeat(MIB)),
        "{\"accessToken\":{\"value\":\"a\",\"expiresAt\":1e999}}".to_owned(),
        "{\"tokens\":".to_owned(),
        "\"{\\\"tokens\\\":\"".to_owned(),
        "{\"accessToken\":\"\\ud800\"}".to_owned(),
    ];
    for text in texts().into_iter().chain(odd) {
        if let Err(error) = Tokens::from_json(&text) {
            is_refused(&error, &text);
        }
    }
    let text = format!("{{\"refreshToken\":{{\"value\":\"{}\",\"role\":\"visitor\"}}}}", "x".repeat(MIB));
    assert_eq!(Tokens::from_json(&text).unwrap().refresh.unwrap().value.expose().len(), MIB);
}

/// Token JSON as a string within token JSON, so many times. Each level costs little: it is escaped by code points.
fn wrapped(times: usize) -> String {
    let mut text = "{\"refreshToken\":{\"value\":\"kept\"}}".to_owned();
    for _ in 0..times {
        text = format!("{{\"tokens\":\"{}\"}}", text.replace('\\', "\\u005c").replace('"', "\\u0022"));
    }
    text
}

#[test]
fn token_json_is_unwrapped_a_few_times_and_not_for_ever() {
    for times in 0..3 {
        assert!(Tokens::from_json(&wrapped(times)).unwrap().refresh.is_some(), "{times}");
    }
    let error = Tokens::from_json(&wrapped(200)).unwrap_err();
    assert!(error.to_string().contains("within"), "{error}");
    let as_value = serde_json::from_str::<Tokens>(&wrapped(200)).unwrap_err();
    assert!(as_value.is_data(), "{as_value}");
}

#[tokio::test(start_paused = true)]
async fn tokens_of_any_kind_are_taken_whole_or_refused_and_change_nothing() {
    let site = Instance::new(Rotation::Same);
    let identity = site.who().await.unwrap();
    let before = site.visitor().tokens().await.unwrap();
    let another = site.visitors.visitor(secret_key("another"));
    for text in texts() {
        let refresh = RefreshToken::new(text.as_str(), Role::Visitor);
        let access = AccessToken::new(text.as_str(), site.now() + hours(1));
        let good = RefreshToken::new(secret_key("refresh"), Role::Visitor);
        let pairs = [
            Tokens::new(None, Some(refresh.clone())),
            Tokens::new(Some(access.clone()), Some(refresh)),
            Tokens::new(Some(access), Some(good)),
        ];
        for tokens in pairs {
            if let Err(error) = another.set_tokens(tokens.clone()).await {
                is_refused(&error, &text);
                assert_eq!(site.visitor().set_tokens(tokens).await.unwrap_err().kind(), ErrorKind::InvalidInput);
            } else {
                assert!(text.len() <= 8 * 1024 || text.trim().is_empty(), "{text:.40?}");
                another.tokens().await.unwrap().refresh.unwrap();
            }
        }
        // What was rejected is compared, and nothing else.
        let renewed = site.visitor().renew_if(text.as_bytes()).await.unwrap();
        assert_eq!(site.identity(&renewed), identity);
    }
    site.visitor().renew_if([0xff, 0xfe, 0, 0x80]).await.unwrap();
    assert_eq!(site.visitor().tokens().await.unwrap(), before);
    assert_eq!((site.endpoint.mints(), site.endpoint.renewals()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn tokens_that_end_at_any_time_are_the_same_visitors_all_along() {
    for millis in MOMENTS {
        let site = Instance::new(Rotation::Same);
        let (identity, access, refresh) = site.endpoint.issue();
        let access = AccessToken::new(access, Timestamp::from_millis(millis));
        let tokens = Tokens::new(Some(access), Some(RefreshToken::new(refresh.clone(), Role::Member)));
        Tokens::from_json(tokens.to_json().expose()).unwrap();
        site.visitor().set_tokens(tokens).await.unwrap();
        for _ in 0..3 {
            assert_eq!(site.who().await.unwrap(), identity, "{millis}");
            assert_eq!(site.another().who().await.unwrap(), identity, "{millis}");
            site.visitor().status().await.unwrap();
            site.expire().await;
        }
        assert_eq!(site.refresh_token().await, refresh);
        assert_eq!(site.endpoint.mints(), 0);
        assert!(site.endpoint.renewals() <= 8, "{millis}: {} renewals", site.endpoint.renewals());
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_that_live_for_any_time_are_served_and_never_asked_for_in_a_circle() {
    for lifetime in SPANS.into_iter().map(Some).chain([None]) {
        let site = Instance::new(Rotation::New);
        site.endpoint.set_expires_in(lifetime);
        let identity = site.who().await.unwrap();
        for _ in 0..50 {
            // One that was issued dead is due at once, and grants are paused.
            if let Ok(who) = site.who().await {
                assert_eq!(who, identity);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(site.endpoint.mints(), 1);
        assert!(site.endpoint.renewals() <= 5, "{lifetime:?}: {} renewals in 5 s", site.endpoint.renewals());
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_with_tokens_of_any_kind_loses_no_refresh_token() {
    // The long ones only as long as no record is.
    for text in texts().iter().map(|text| text.chars().take(70_000).collect::<String>()) {
        for (access, refresh) in [(true, false), (false, true), (true, true)] {
            let site = Instance::new(Rotation::Same);
            let identity = site.who().await.unwrap();
            let kept = site.refresh_token().await;
            site.expire().await;
            let mut reply = GrantReply::default();
            reply.access_token = access.then(|| Secret::new(text.as_str()));
            reply.refresh_token = refresh.then(|| Secret::new(text.as_str()));
            reply.expires_in = Some(hours(4));
            reply.request_id = Some(text.clone());
            site.endpoint.plan(Plan::Reply(reply));
            if let Err(error) = site.visitor().authorization().await {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:.200}");
            }
            let stored = site.another().visitor().tokens().await.unwrap().refresh.unwrap().value;
            let too_large = text.len() > 16 * 1024;
            let taken = refresh && !text.trim().is_empty() && !too_large;
            assert!(stored == kept || taken && stored.expose() == text, "{text:.40?}");
            assert_eq!(site.endpoint.mints(), 1, "{text:.40?}");
            // The one before is kept aside, where the new one is refused.
            // What is too large for a record is never saved, though it is tried every few seconds.
            tokio::time::sleep(if too_large { secs(60) } else { hours(5) }).await;
            assert_eq!(site.another().who().await.unwrap(), identity, "{text:.40?}");
            assert_eq!(site.endpoint.mints(), 1, "{text:.40?}");
            // Ends what goes on trying to save.
            site.visitor().forget().await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_fails_at_any_length_leaves_no_claim_behind() {
    for text in texts() {
        let site = Instance::new(Rotation::Same);
        let identity = site.who().await.unwrap();
        site.expire().await;
        let failure = GrantError::new(GrantFailure::Transient, text.as_str())
            .with_request_id(Some(text.clone()))
            .with_retry_after(Some(Duration::MAX))
            .with_status(429);
        site.endpoint.plan(Plan::Fail(failure));
        let error = site.visitor().authorization().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.retry_in().unwrap() <= site.visitors.policy().retry_after_most, "{error:.200}");
        let status = site.another().visitor().status().await.unwrap();
        assert!(!status.claimed, "{text:.40?}: the claim was not given back");
        assert!(status.last_error.unwrap().len() < 2500, "{text:.40?}");
        let paused = site.another().visitor().authorization().await.unwrap_err();
        is_not_repeated(&paused, if text.len() == MIB { &text } else { "" });
        site.expire().await;
        assert_eq!(site.who().await.unwrap(), identity);
        assert_eq!(site.endpoint.mints(), 1);
    }
}
