//! What the sandbox tells about its requests.

use crate::client::*;

#[tokio::test]
async fn the_log_tells_what_was_asked_and_holds_no_token() {
    let sandbox = plain().await;
    let body = format!("client_id={CLIENT}&grantType=anonymous");
    let headers = [FORM, ("user-agent", "tests/1"), ("x-odd", "odd")];
    let (access, refresh) = pair(&ask(&sandbox, "POST", "/oauth2/token", &headers, &body).await);
    let bearer = format!("Bearer {access}");
    let headers = [("authorization", bearer.as_str()), ("x-wix-consistent", "abc")];
    ask(&sandbox, "GET", CART, &headers, "").await;
    renew(&sandbox, &refresh).await;

    let log = sandbox.log();
    let minted = &log[0];
    assert_eq!((minted.kind, minted.encoding), (RequestKind::Mint, Some(Encoding::Form)));
    assert_eq!(minted.fields, ["client_id", "grantType"]);
    assert_eq!(minted.header("user-agent"), Some("tests/1"));
    assert_eq!(minted.header("x-odd"), Some("odd"));
    assert_eq!(minted.issued_access, Some(fingerprint(&access)));
    assert_eq!(minted.issued_refresh, Some(fingerprint(&refresh)));
    let called = &log[1];
    assert_eq!((called.kind, called.path.as_str()), (RequestKind::Api, CART));
    assert_eq!(called.authorization, Authorization::Bearer);
    assert_eq!(called.presented, Some(fingerprint(&access)));
    assert_eq!(called.header("x-wix-consistent"), Some("abc"));
    assert_eq!((called.identity.as_ref(), called.status), (minted.identity.as_ref(), Some(404)));
    assert_eq!(log[2].presented, Some(fingerprint(&refresh)));
    assert_eq!(log[2].identity, minted.identity);

    let shown = format!("{log:?} {sandbox:?} {:?}", sandbox.member_tokens(CLIENT));
    for secret in [&access, &refresh] {
        for part in secret.split('.').filter(|part| part.len() >= 16) {
            assert!(!shown.contains(part));
        }
    }
    sandbox.clear_log();
    assert!(sandbox.log().is_empty());
    assert_eq!((sandbox.token_requests(), sandbox.api_calls()), (2, 1));
}
