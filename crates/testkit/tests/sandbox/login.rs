//! How a member signs in: the page, the code, and the tokens for it.

use crate::client::*;

const BACK: &str = "http%3A%2F%2F127.0.0.1%3A1%2Fin%3Fa%3Db";

/// Signs in on the page and follows it to the code.
async fn code(sandbox: &Sandbox, name: &str) -> String {
    let form = format!("redirect_uri={BACK}&state=s%26t&name={name}");
    let answer = ask(sandbox, "POST", "/_sandbox/login", &[FORM], &form).await;
    assert_eq!(answer.status, 303);
    let to = answer.header("location").unwrap();
    let rest = to.strip_prefix("http://127.0.0.1:1/in?a=b&code=").unwrap();
    let (code, state) = rest.split_once('&').unwrap();
    assert_eq!(state, "state=s%26t");
    code.to_owned()
}

async fn redeem(sandbox: &Sandbox, code: &str) -> Answer {
    token(sandbox, &json!({ "clientId": CLIENT, "grantType": "authorization_code", "code": code })).await
}

#[tokio::test]
async fn the_page_signs_in_and_leads_back_with_a_code_for_a_members_tokens() {
    let sandbox = plain().await;
    let shown = ask(&sandbox, "GET", &format!("/_sandbox/login?redirect_uri={BACK}&state=s"), &[], "").await;
    assert_eq!((shown.status, shown.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let page = String::from_utf8(shown.body).unwrap();
    assert!(page.contains(r#"<button id="sign-in">"#), "{page}");

    let code = code(&sandbox, "Ada").await;
    let answer = redeem(&sandbox, &code).await;
    looks_right(&answer);
    let (access, _) = pair(&answer);
    let info = ask(&sandbox, "POST", "/oauth2/token-info", &[JSON], &json!({ "token": access }).to_string()).await;
    assert_eq!(info.json()["subjectType"], "MEMBER");
    assert_eq!((sandbox.counters().sign_ins, sandbox.mints()), (1, 0));
    let shown = format!("{:?}", sandbox.log());
    assert!(!shown.contains(&code) && shown.contains(&fingerprint(&code)), "{shown}");
}

#[tokio::test]
async fn a_code_is_good_once_and_for_a_minute_in_either_spelling() {
    let sandbox = plain().await;
    let first = code(&sandbox, "Ada").await;
    let form = format!("client_id={CLIENT}&grant_type=authorization_code&code={first}");
    assert_eq!(ask(&sandbox, "POST", "/oauth2/token", &[FORM], &form).await.status, 200);
    assert_eq!(redeem(&sandbox, &first).await.code(), "invalid_grant");
    let late = code(&sandbox, "Ada").await;
    sandbox.advance(Duration::from_secs(60));
    assert_eq!(redeem(&sandbox, &late).await.code(), "invalid_grant");
    assert_eq!(redeem(&sandbox, "made up").await.code(), "invalid_grant");
    let none = token(&sandbox, &json!({ "clientId": CLIENT, "grantType": "authorization_code" })).await;
    assert_eq!(none.status, 400);
    assert_eq!(sandbox.refusals(), 3);
}

#[tokio::test]
async fn who_signs_in_again_under_the_same_name_is_the_same_member() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sandbox.json");
    let mut seen = Vec::new();
    for name in ["Ada", "", "Grace"] {
        // Another sandbox each time, on the same file.
        let sandbox = start(SandboxOptions::new().state_file(&file)).await;
        let (access, _) = pair(&redeem(&sandbox, &code(&sandbox, name).await).await);
        seen.push(sandbox.identity_of(&access).unwrap().unwrap());
    }
    assert_eq!(seen[0], seen[1], "nobody in particular is Ada");
    assert_ne!(seen[0], seen[2]);
}

#[tokio::test]
async fn the_page_leads_to_no_other_machine_and_a_broken_endpoint_redeems_nothing() {
    let sandbox = plain().await;
    for to in ["", "?redirect_uri=https%3A%2F%2Fshop.example%2Fin"] {
        assert_eq!(ask(&sandbox, "GET", &format!("/_sandbox/login{to}"), &[], "").await.status, 400);
    }
    let form = "redirect_uri=https%3A%2F%2Fshop.example%2Fin&state=s";
    assert_eq!(ask(&sandbox, "POST", "/_sandbox/login", &[FORM], form).await.status, 400);
    assert_eq!(ask(&sandbox, "DELETE", "/_sandbox/login", &[], "").await.status, 405);

    let code = code(&sandbox, "Ada").await;
    sandbox.fault(Fault::on_token().status(503));
    assert_eq!(redeem(&sandbox, &code).await.status, 503);
    assert_eq!(redeem(&sandbox, &code).await.status, 200);
}
