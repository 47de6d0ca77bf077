//! Access tokens: how they die, and what is told about them.

use crate::client::*;

#[tokio::test]
async fn an_expired_token_is_answered_401_or_wde0117() {
    let sandbox = start(SandboxOptions::new().token_lifetime(60)).await;
    let (access, refresh) = mint(&sandbox).await;
    assert_eq!(call(&sandbox, "GET", CART, &access, "").await.status, 404);
    sandbox.advance(Duration::from_secs(60));
    let answer = call(&sandbox, "GET", CART, &access, "").await;
    assert_eq!(answer.status, 401);
    assert!(answer.json().is_object());
    sandbox.set(|switches| switches.dead_token = DeadToken::MetaSiteNotFound);
    let answer = call(&sandbox, "GET", CART, &access, "").await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "WDE0117"));
    // Even then, what never was a token is a 401.
    assert_eq!(call(&sandbox, "GET", CART, "nonsense", "").await.status, 401);
    assert_eq!(ask(&sandbox, "GET", CART, &[], "").await.status, 401);
    let (fresh, _) = pair(&renew(&sandbox, &refresh).await);
    assert_eq!(call(&sandbox, "GET", CART, &fresh, "").await.status, 404);
    assert_eq!(sandbox.counters().unauthorized, 4);
}

#[tokio::test]
async fn access_tokens_can_be_revoked_one_by_one_by_visitor_and_all() {
    let sandbox = plain().await;
    let (one, refresh) = mint(&sandbox).await;
    let (two, _) = pair(&renew(&sandbox, &refresh).await);
    let (other, other_refresh) = mint(&sandbox).await;
    let status = async |access: &str| call(&sandbox, "GET", CART, access, "").await.status;

    assert!(sandbox.revoke_access(&one).unwrap());
    assert_eq!((status(&one).await, status(&two).await), (401, 404));
    let id = sandbox.identity_of(&refresh).unwrap().unwrap();
    assert!(sandbox.revoke_visitor(&id).unwrap());
    assert_eq!((status(&two).await, status(&other).await), (401, 404));
    assert_eq!(renew(&sandbox, &refresh).await.code(), "invalid_grant");
    sandbox.revoke_all_access().unwrap();
    assert_eq!(status(&other).await, 401);
    assert_eq!(renew(&sandbox, &other_refresh).await.status, 200);
}

#[tokio::test]
async fn there_is_a_revoke_address_only_where_a_switch_says_so() {
    let sandbox = plain().await;
    let (access, refresh) = mint(&sandbox).await;
    let revoke =
        async |token: &str| ask(&sandbox, "POST", "/oauth2/revoke", &[FORM], &format!("token={token}")).await.status;
    assert_eq!((revoke(&refresh).await, renew(&sandbox, &refresh).await.status), (404, 200));
    sandbox.set(|switches| switches.revoke = true);
    assert_eq!((revoke(&refresh).await, renew(&sandbox, &refresh).await.status), (200, 400));
    assert_eq!(call(&sandbox, "GET", CART, &access, "").await.status, 404);
    assert_eq!((revoke(&access).await, call(&sandbox, "GET", CART, &access, "").await.status), (200, 401));
    assert_eq!((revoke("nonsense").await, revoke("").await), (200, 400));
    let entry = &sandbox.log()[1];
    assert_eq!((entry.kind, entry.presented.as_deref()), (RequestKind::Revoke, Some(fingerprint(&refresh).as_str())));
}

#[tokio::test]
async fn token_info_tells_who_and_until_when() {
    let sandbox = plain().await;
    let (access, refresh) = mint(&sandbox).await;
    let info = async |token: &str| {
        let body = json!({ "token": token }).to_string();
        ask(&sandbox, "POST", "/oauth2/token-info", &[JSON], &body).await.json()
    };
    let told = info(&access).await;
    assert_eq!(told["active"], true);
    assert_eq!(told["subjectType"], "VISITOR");
    assert_eq!(told["clientId"], CLIENT);
    assert_eq!(told["subjectId"].as_str(), sandbox.identity_of(&refresh).unwrap().as_deref());
    assert_eq!(told["exp"].as_u64().unwrap() - told["iat"].as_u64().unwrap(), 14_400);
    let member = sandbox.member_tokens(CLIENT).unwrap();
    assert_eq!(info(&member.access).await["subjectType"], "MEMBER");
    assert_eq!(info("nonsense").await, json!({ "active": false }));
    sandbox.advance(Duration::from_secs(14_400));
    assert_eq!(info(&access).await, json!({ "active": false }));
}
