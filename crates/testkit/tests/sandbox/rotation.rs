//! What a renewal does to the refresh token.

use crate::client::*;

#[tokio::test]
async fn same_rotation_brings_the_same_refresh_token() {
    let sandbox = plain().await;
    let (access, refresh) = mint(&sandbox).await;
    for _ in 0..3 {
        let (new_access, again) = pair(&renew(&sandbox, &refresh).await);
        assert_ne!(new_access, access);
        assert_eq!(again, refresh);
    }
    assert_eq!(sandbox.redeemed_twice(), 0);
}

#[tokio::test]
async fn new_rotation_keeps_the_old_refresh_token_good() {
    let sandbox = start(SandboxOptions::new().rotation(Rotation::New)).await;
    let (_, old) = mint(&sandbox).await;
    let (_, new) = pair(&renew(&sandbox, &old).await);
    assert_ne!(new, old);
    sandbox.advance(Duration::from_secs(86_400));
    assert_eq!(renew(&sandbox, &old).await.status, 200);
    assert_eq!(renew(&sandbox, &new).await.status, 200);
    assert_eq!(sandbox.redeemed_twice(), 1);
}

#[tokio::test]
async fn a_grace_keeps_the_old_refresh_token_good_for_its_window() {
    let grace = Rotation::Grace(Duration::from_secs(60));
    let sandbox = start(SandboxOptions::new().rotation(grace)).await;
    let (_, old) = mint(&sandbox).await;
    let (_, new) = pair(&renew(&sandbox, &old).await);
    assert_eq!(renew(&sandbox, &old).await.status, 200);
    sandbox.advance(Duration::from_secs(61));
    assert_eq!(renew(&sandbox, &old).await.code(), "invalid_grant");
    assert_eq!(renew(&sandbox, &new).await.status, 200);
}

#[tokio::test]
async fn strict_reuse_revokes_the_whole_family() {
    let sandbox = start(SandboxOptions::new().rotation(Rotation::Strict)).await;
    let (_, first) = mint(&sandbox).await;
    let (_, second) = pair(&renew(&sandbox, &first).await);
    let (_, third) = pair(&renew(&sandbox, &second).await);
    let (_, stranger) = mint(&sandbox).await;
    assert_eq!(renew(&sandbox, &first).await.code(), "invalid_grant");
    assert_eq!(renew(&sandbox, &third).await.code(), "invalid_grant");
    assert_eq!(renew(&sandbox, &stranger).await.status, 200);
    assert_eq!((sandbox.redeemed_twice(), sandbox.refusals()), (1, 2));
}
