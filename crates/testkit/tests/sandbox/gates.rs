//! Holding requests.

use crate::client::*;

#[tokio::test]
async fn a_gate_holds_a_request_until_it_is_released() {
    let sandbox = Arc::new(plain().await);
    let (_, refresh) = mint(&sandbox).await;
    let gate = sandbox.hold_renewals();
    let client = Arc::clone(&sandbox);
    let renewal = tokio::spawn(async move { renew(&client, &refresh).await.status });
    gate.arrived().await;
    assert_eq!(sandbox.counters().renew_requests, 1);
    assert_eq!(sandbox.renewals(), 0);
    assert_eq!(sandbox.log()[1].status, None);
    gate.release_one();
    assert_eq!(renewal.await.unwrap(), 200);
    assert_eq!(gate.arrivals(), 1);
}

#[tokio::test]
async fn a_request_whose_client_went_away_still_acts() {
    let sandbox = Arc::new(plain().await);
    let before = sandbox.hold_mints();
    let after = sandbox.hold(On::Mint, Point::AfterActing);
    let client = Arc::clone(&sandbox);
    let minting = tokio::spawn(async move { token(&client, &mint_body()).await.status });
    before.arrived().await;
    minting.abort();
    assert!(minting.await.unwrap_err().is_cancelled());
    before.release();
    after.arrived().await;
    assert_eq!(sandbox.mints(), 1);
}
