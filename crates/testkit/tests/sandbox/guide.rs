//! The token requests: the guide's own, every spelling, and those that make no sense.

use crate::client::*;

#[tokio::test]
async fn the_three_requests_of_the_guide_work() {
    let sandbox = plain().await;
    let json = token(&sandbox, &mint_body()).await;
    looks_right(&json);
    let body = format!("client_id={CLIENT}&grant_type=anonymous");
    let form = ask(&sandbox, "POST", "/oauth2/token", &[FORM], &body).await;
    looks_right(&form);
    let (_, refresh) = pair(&form);
    let renewed = renew(&sandbox, &refresh).await;
    looks_right(&renewed);
    assert_eq!(pair(&renewed).1, refresh);
    assert_eq!((sandbox.mints(), sandbox.renewals()), (2, 1));
}

#[tokio::test]
async fn the_three_curl_commands_of_the_guide_work() {
    if std::process::Command::new("curl").arg("--version").output().is_err() {
        eprintln!("no curl on this machine: the same requests were made without it");
        return;
    }
    let sandbox = plain().await;
    let url = format!("{}/oauth2/token", sandbox.url());
    let json = format!("{{\n    \"clientId\": \"{CLIENT}\",\n    \"grantType\": \"anonymous\"\n}}");
    let minted = curl(&["--location", &url, "--header", "Content-Type: application/json", "--data", &json]).await;
    assert!(minted["access_token"].is_string());
    let minted = curl(&[
        "--location",
        &url,
        "--header",
        "Content-Type: application/x-www-form-urlencoded",
        "--data-urlencode",
        &format!("client_id={CLIENT}"),
        "--data-urlencode",
        "grant_type=anonymous",
    ])
    .await;
    let refresh = minted["refresh_token"].as_str().unwrap();
    let json = format!("{{\n    \"refresh_token\": \"{refresh}\",\n    \"grantType\": \"refresh_token\"\n}}");
    let renewed = curl(&["--location", &url, "--header", "Content-Type: application/json", "--data", &json]).await;
    assert_eq!(renewed["refresh_token"], refresh);
    assert_eq!((sandbox.mints(), sandbox.renewals()), (2, 1));
}

async fn curl(arguments: &[&str]) -> Value {
    let output = tokio::process::Command::new("curl")
        .args(["--silent", "--show-error", "--noproxy", "*"])
        .args(arguments)
        .output()
        .await
        .unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn every_spelling_and_encoding_mints_and_renews() {
    let sandbox = plain().await;
    for (id, grant, refresh) in [
        ("clientId", "grantType", "refreshToken"),
        ("client_id", "grant_type", "refresh_token"),
        ("clientId", "grant_type", "refreshToken"),
        ("client_id", "grantType", "refresh_token"),
    ] {
        let (_, token_json) = pair(&token(&sandbox, &json!({ id: CLIENT, grant: "anonymous" })).await);
        let body = json!({ id: CLIENT, grant: "refresh_token", refresh: token_json });
        assert_eq!(token(&sandbox, &body).await.status, 200);
        let body = format!("{grant}=refresh_token&{refresh}={token_json}");
        let answer = ask(&sandbox, "POST", "/oauth2/token", &[FORM], &body).await;
        assert_eq!(answer.status, 200, "{grant} {refresh}");
    }
    assert_eq!((sandbox.mints(), sandbox.renewals()), (4, 8));
}

#[tokio::test]
async fn a_request_that_makes_no_sense_is_told_so_in_a_known_shape() {
    let sandbox = plain().await;
    let refused = token(&sandbox, &json!({ "clientId": "shop", "grantType": "anonymous" })).await;
    assert_eq!(refused.status, 400);
    let message = refused.json()["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("appRuntimeKeys"), "{message}");
    assert!(message.ends_with("appId is not a valid GUID"), "{message}");

    for body in [
        json!({ "grantType": "anonymous" }),
        json!({ "clientId": CLIENT }),
        json!({ "clientId": CLIENT, "grantType": "refresh_token" }),
        json!({ "clientId": CLIENT, "grantType": "refresh_token", "refreshToken": "" }),
        json!({ "clientId": 1, "grantType": "anonymous" }),
        json!(["anonymous"]),
    ] {
        let answer = token(&sandbox, &body).await;
        assert_eq!(answer.status, 400, "{body}");
        let violations = &answer.json()["details"]["validationError"]["fieldViolations"];
        assert!(violations[0]["field"].is_string(), "{body}");
    }
    let answer = ask(&sandbox, "POST", "/oauth2/token", &[JSON], "{").await;
    assert_eq!(answer.status, 400);
    let answer = token(&sandbox, &json!({ "clientId": CLIENT, "grantType": "password" })).await;
    assert_eq!(answer.code(), "unsupported_grant_type");
    let answer = ask(&sandbox, "GET", "/oauth2/token", &[], "").await;
    assert_eq!(answer.status, 405);
    assert_eq!((sandbox.mints(), sandbox.renewals()), (0, 0));
}

#[tokio::test]
async fn an_unknown_client_id_is_refused_where_a_set_is_given() {
    let other = "99999999-2222-4333-8444-555555555555";
    let sandbox = start(SandboxOptions::new().client_ids(ClientIds::only([CLIENT]))).await;
    mint(&sandbox).await;
    let unknown = json!({ "clientId": other, "grantType": "anonymous" });
    let answer = token(&sandbox, &unknown).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_client"));
    sandbox.set(|switches| {
        switches.unknown_client = ErrorShape::WixApplication;
        switches.unknown_client_status = 401;
    });
    let answer = token(&sandbox, &unknown).await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "INVALID_CLIENT"));
}
