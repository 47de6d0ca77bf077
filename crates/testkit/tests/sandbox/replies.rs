//! The reply's fields and the errors' shapes.

use crate::client::*;

#[tokio::test]
async fn the_reply_is_as_the_switches_say() {
    let sandbox = start(SandboxOptions::new().rotation(Rotation::Strict)).await;
    let (_, refresh) = mint(&sandbox).await;
    sandbox.set(|switches| {
        switches.expires_in = ExpiresIn::String;
        switches.refresh_in_renewal = RefreshField::Omitted;
    });
    let body = renew(&sandbox, &refresh).await.json();
    assert_eq!(body["expires_in"], "14400");
    assert!(body.get("refresh_token").is_none());
    for (field, shown) in [(RefreshField::Null, Value::Null), (RefreshField::Empty, json!(""))] {
        sandbox.set(|switches| switches.refresh_in_renewal = field);
        let body = renew(&sandbox, &refresh).await.json();
        assert_eq!(body.get("refresh_token"), Some(&shown));
    }
    sandbox.set(|switches| {
        switches.expires_in = ExpiresIn::Raw("-5".into());
        switches.refresh_in_mint = RefreshField::Null;
    });
    let body = token(&sandbox, &mint_body()).await.json();
    assert_eq!(body["expires_in"], -5);
    assert_eq!(body["refresh_token"], Value::Null);
}

#[tokio::test]
async fn a_refused_refresh_token_is_answered_in_each_shape() {
    let sandbox = plain().await;
    let (_, refresh) = mint(&sandbox).await;
    assert!(sandbox.revoke_refresh(&refresh).unwrap());
    assert!(!sandbox.revoke_refresh("JWS.never.issued.this").unwrap());
    let answer = renew(&sandbox, &refresh).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error"], "invalid_grant");
    assert!(answer.json()["error_description"].is_string());

    let shape = async |shape: ErrorShape, status: u16| {
        sandbox.set(|switches| {
            switches.refusal = shape;
            switches.refusal_status = status;
        });
        let answer = renew(&sandbox, &refresh).await;
        assert_eq!(answer.status, status);
        answer
    };
    let wix = shape(ErrorShape::WixApplication, 401).await;
    assert_eq!(wix.code(), "INVALID_GRANT");
    assert!(wix.json()["message"].is_string());
    let wix = shape(ErrorShape::WixValidation, 400).await.json();
    assert!(wix["details"]["validationError"]["fieldViolations"].is_array());
    assert!(shape(ErrorShape::Empty, 403).await.body.is_empty());
    let html = shape(ErrorShape::Html, 502).await;
    assert_eq!(html.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(sandbox.refusals(), 5);
}
