//! Planned faults, each as it looks on the wire.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use crate::client::*;

#[tokio::test]
async fn a_planned_status_is_answered_instead_of_acting_and_used_up() {
    let sandbox = plain().await;
    let (_, refresh) = mint(&sandbox).await;
    sandbox.fault(
        Fault::on_renew().status(503).body("{\"message\":\"busy\"}").retry_after(5).header("x-more", "1").times(2),
    );
    mint(&sandbox).await;
    for _ in 0..2 {
        let answer = renew(&sandbox, &refresh).await;
        assert_eq!((answer.status, answer.json()), (503, json!({ "message": "busy" })));
        assert_eq!(answer.header("retry-after"), Some("5"));
        assert_eq!(answer.header("x-more"), Some("1"));
        assert!(answer.header("x-wix-request-id").is_some());
    }
    assert_eq!(sandbox.renewals(), 0);
    assert_eq!(renew(&sandbox, &refresh).await.status, 200);
    let entry = &sandbox.log()[2];
    assert_eq!((entry.fault.as_deref(), entry.status), (Some("status 503"), Some(503)));
    assert!(!entry.acted);
}

#[tokio::test]
async fn faults_match_queue_skip_and_clear() {
    let sandbox = plain().await;
    sandbox.fault(Fault::on_api("/ecom/").status(500).skip(1).always());
    sandbox.fault(Fault::on_mint().status(501));
    sandbox.fault(Fault::on_token().status(502));
    assert_eq!(token(&sandbox, &mint_body()).await.status, 501);
    assert_eq!(token(&sandbox, &mint_body()).await.status, 502);
    let (access, _) = mint(&sandbox).await;
    let status = async || call(&sandbox, "GET", CART, &access, "").await.status;
    assert_eq!(status().await, 404);
    assert_eq!((status().await, status().await), (500, 500));
    let members = call(&sandbox, "GET", "/members/v1/members/my", &access, "").await;
    assert_eq!(members.status, 403);
    sandbox.clear_faults();
    assert_eq!(status().await, 404);
}

/// Sends a mint by hand and reads until the connection ends.
async fn raw_mint(sandbox: &Sandbox) -> std::io::Result<Vec<u8>> {
    let addr = sandbox.addr();
    tokio::task::spawn_blocking(move || {
        let body = mint_body().to_string();
        let mut stream = TcpStream::connect(addr)?;
        write!(
            stream,
            "POST /oauth2/token HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut read = Vec::new();
        stream.read_to_end(&mut read)?;
        Ok(read)
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_reset_comes_before_or_after_acting() {
    let sandbox = plain().await;
    sandbox.fault(Fault::on_mint().reset());
    let error = raw_mint(&sandbox).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(sandbox.mints(), 0);
    sandbox.fault(Fault::on_mint().reset_after_acting());
    let error = raw_mint(&sandbox).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(sandbox.mints(), 1);
    let entry = sandbox.log().pop().unwrap();
    assert_eq!(entry.fault.as_deref(), Some("reset after acting"));
    assert_eq!((entry.acted, entry.status), (true, None));
}

#[tokio::test]
async fn a_truncated_reply_announces_more_than_it_sends() {
    let sandbox = plain().await;
    sandbox.fault(Fault::on_mint().truncate().times(2));
    let read = String::from_utf8(raw_mint(&sandbox).await.unwrap()).unwrap();
    let (head, body) = read.split_once("\r\n\r\n").unwrap();
    let announced: usize =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    assert_eq!(body.len(), announced / 2);
    let request = mint_body().to_string();
    let failed = try_ask(&sandbox, "POST", "/oauth2/token", &[JSON], &request).await;
    assert!(failed.is_err());
    assert_eq!(sandbox.mints(), 2);
}

#[tokio::test]
async fn an_oversized_reply_is_still_json() {
    let sandbox = plain().await;
    sandbox.fault(Fault::on_mint().oversize(10_000_000));
    let answer = token(&sandbox, &mint_body()).await;
    assert!(answer.body.len() > 10_000_000);
    assert!(answer.header("content-length").is_none());
    assert!(answer.json()["refresh_token"].is_string());
}

#[tokio::test]
async fn html_and_emptiness_hide_a_mint_that_took_place() {
    let sandbox = plain().await;
    sandbox.fault(Fault::on_mint().html());
    sandbox.fault(Fault::on_mint().empty());
    let html = token(&sandbox, &mint_body()).await;
    assert_eq!(html.status, 200);
    assert!(html.body.starts_with(b"<!doctype html>"));
    let empty = token(&sandbox, &mint_body()).await;
    assert_eq!((empty.status, empty.body.len()), (200, 0));
    assert_eq!(sandbox.mints(), 2);
}

#[tokio::test]
async fn the_order_in_which_a_fault_is_told_changes_nothing() {
    let sandbox = plain().await;
    for fault in [Fault::on_mint().status(400).html(), Fault::on_mint().html().status(400)] {
        sandbox.fault(fault);
        let page = token(&sandbox, &mint_body()).await;
        assert_eq!((page.status, page.header("content-type")), (400, Some("text/html; charset=utf-8")));
    }
    for fault in [Fault::on_mint().status(503).empty(), Fault::on_mint().empty().status(503)] {
        sandbox.fault(fault);
        let empty = token(&sandbox, &mint_body()).await;
        assert_eq!((empty.status, empty.body.len()), (503, 0));
    }
    assert_eq!(sandbox.mints(), 0);
    for fault in [Fault::on_mint().after_acting().status(500), Fault::on_mint().status(500).after_acting()] {
        sandbox.fault(fault);
        assert_eq!(token(&sandbox, &mint_body()).await.status, 500);
    }
    assert_eq!(sandbox.mints(), 2);
    for fault in [Fault::on_mint().body("[1]").oversize(9), Fault::on_mint().oversize(9).body("[1]")] {
        sandbox.fault(fault);
        assert_eq!(token(&sandbox, &mint_body()).await.body, b"[1]         ");
    }
    assert_eq!(sandbox.mints(), 2);
}

#[tokio::test]
async fn a_hanging_request_never_answers_and_ends_with_the_sandbox() {
    let sandbox = plain().await;
    let before = sandbox.hold(On::Mint, Point::AfterActing);
    sandbox.fault(Fault::on_mint().hang());
    sandbox.fault(Fault::on_mint().hang_after_acting());
    let one = tokio::spawn(raw_mint_at(sandbox.addr()));
    before.arrived_times(1).await;
    let two = tokio::spawn(raw_mint_at(sandbox.addr()));
    before.arrived_times(2).await;
    before.release();
    assert_eq!(sandbox.mints(), 1);
    assert!(!one.is_finished() && !two.is_finished());
    sandbox.shutdown().await;
    assert!(one.await.unwrap().unwrap_or_default().is_empty());
    assert!(two.await.unwrap().unwrap_or_default().is_empty());
}

async fn raw_mint_at(addr: std::net::SocketAddr) -> std::io::Result<Vec<u8>> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let body = mint_body().to_string();
    let mut stream = tokio::net::TcpStream::connect(addr).await?;
    let request = format!(
        "POST /oauth2/token HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut read = Vec::new();
    stream.read_to_end(&mut read).await?;
    Ok(read)
}

#[tokio::test]
async fn a_share_of_requests_meets_a_fault_and_the_others_do_not() {
    let sandbox = plain().await;
    sandbox.fault(Fault::on_mint().status(503).always().percent(30));
    let mut met = 0;
    for _ in 0..400 {
        met += usize::from(token(&sandbox, &mint_body()).await.status == 503);
    }
    // Expected 120; a fair one is out of these bounds once in 10^15 times.
    assert!((45..=195).contains(&met), "{met}");
    assert_eq!(sandbox.mints(), 400 - u64::try_from(met).unwrap());
}

#[tokio::test(start_paused = true)]
async fn latency_and_delays_take_their_time() {
    // Paused time stands still while anything is at work and jumps when nothing is: nobody really waits here.
    let sandbox = start(SandboxOptions::new().latency(Duration::from_secs(100))).await;
    sandbox.fault(Fault::on_mint().delay(Duration::from_secs(1000)));
    sandbox.fault(Fault::on_mint().delay_after_acting(Duration::from_secs(10_000)));
    let began = tokio::time::Instant::now();
    mint(&sandbox).await;
    assert!(began.elapsed() >= Duration::from_secs(1100));
    mint(&sandbox).await;
    assert!(began.elapsed() >= Duration::from_secs(11_200));
}

#[tokio::test]
async fn faults_are_planned_shown_and_cleared_over_http() {
    let sandbox = plain().await;
    let faults = async |method: &str, body: &str| ask(&sandbox, method, "/_sandbox/faults", &[FORM], body).await;
    let planned = faults("POST", "any: status=500, always\n\nrenew: status=503, body={\"token\":\"JWS.x\"}\n").await;
    assert_eq!(planned.status, 200);
    let expected = json!({ "faults": [
        { "on": "any", "does": "status 500", "skip": 0, "times": null, "percent": 100 },
        { "on": "renew", "does": "status 503", "skip": 0, "times": 1, "percent": 100 },
    ] });
    assert_eq!(planned.json(), expected);
    // `any` is not for what clears it.
    assert_eq!(faults("GET", "").await.json(), expected);
    assert_eq!(token(&sandbox, &mint_body()).await.status, 500);
    assert_eq!(faults("DELETE", "").await.json(), json!({ "faults": [] }));
    assert_eq!(token(&sandbox, &mint_body()).await.status, 200);

    for (body, says) in [("", "A fault is written"), ("mint: reset\nmint: explode", "explode"), ("mint", "requests")] {
        let refused = faults("POST", body).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "NO_FAULT"));
        assert!(refused.json()["message"].as_str().unwrap().contains(says), "{body}");
    }
    assert_eq!(faults("GET", "").await.json(), json!({ "faults": [] }));
    assert_eq!(faults("PUT", "").await.status, 405);
    assert_eq!(sandbox.log()[0].kind, RequestKind::Control);
}
