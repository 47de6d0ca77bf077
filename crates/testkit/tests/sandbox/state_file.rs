//! State that outlives a sandbox.

use crate::client::*;

async fn on_file(path: &Path) -> Sandbox {
    start(SandboxOptions::new().state_file(path)).await
}

#[tokio::test]
async fn a_cart_survives_a_restart_on_the_same_state_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("new/sandbox.json");
    let sandbox = on_file(&path).await;
    let (access, refresh) = mint(&sandbox).await;
    add_mugs(&sandbox, &access, 4).await;
    sandbox.shutdown().await;

    let sandbox = on_file(&path).await;
    assert_eq!(mugs(&sandbox, &access).await, Some(4));
    let (renewed, _) = pair(&renew(&sandbox, &refresh).await);
    assert_eq!(mugs(&sandbox, &renewed).await, Some(4));
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(!kept.contains(&access) && !kept.contains(&refresh) && !kept.contains("JWS"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&directory.path().join("new/sandbox.json.lock")), 0o600);
        assert_eq!(mode(&directory.path().join("new")), 0o700);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sandboxes_on_one_state_file_lose_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sandbox.json");
    let one = Arc::new(on_file(&path).await);
    let two = Arc::new(on_file(&path).await);
    let (access, refresh) = mint(&one).await;
    let mut adding = tokio::task::JoinSet::new();
    for turn in 0..20 {
        let sandbox = Arc::clone(if turn % 2 == 0 { &one } else { &two });
        let access = access.clone();
        adding.spawn(async move { add_mugs(&sandbox, &access, 1).await.status });
    }
    assert!(adding.join_all().await.iter().all(|status| *status == 200));
    assert_eq!(mugs(&one, &access).await, Some(20));
    let (renewed, _) = pair(&renew(&two, &refresh).await);
    assert_eq!(mugs(&one, &renewed).await, Some(20));
    assert!(one.revoke_refresh(&refresh).unwrap());
    assert_eq!(renew(&two, &refresh).await.code(), "invalid_grant");
}

#[tokio::test]
async fn a_corrupt_state_file_is_an_error_that_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sandbox.json");
    for content in ["", "{", "{}", "[1]", "null"] {
        std::fs::write(&path, content).unwrap();
        let options = SandboxOptions::new().state_file(&path);
        let error = Sandbox::start(options).await.unwrap_err();
        assert_eq!(error.kind(), SandboxErrorKind::CorruptState, "{content}");
        assert!(error.to_string().contains("delete it"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_symbolic_link_is_refused_as_state_file_and_as_lock() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("target");
    std::fs::write(&target, "precious").unwrap();
    for link in ["a.json", "b.json.lock"] {
        std::os::unix::fs::symlink(&target, directory.path().join(link)).unwrap();
    }
    for name in ["a.json", "b.json"] {
        let options = SandboxOptions::new().state_file(directory.path().join(name));
        let error = Sandbox::start(options).await.unwrap_err();
        assert_eq!(error.kind(), SandboxErrorKind::StateFile);
        assert!(error.to_string().contains("symbolic link"), "{error}");
    }
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "precious");
}

#[cfg(unix)]
#[tokio::test]
async fn a_change_that_cannot_be_saved_is_no_change() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sandbox.json");
    let sandbox = on_file(&path).await;
    let (access, _) = mint(&sandbox).await;
    // A directory in the way of the staged file fails the save for every user, root too.
    let staged = directory.path().join("sandbox.json.new");
    std::fs::create_dir(&staged).unwrap();
    let failed = add_mugs(&sandbox, &access, 1).await;
    assert_eq!((failed.status, failed.code().as_str()), (500, "SANDBOX_BROKEN"));
    assert!(!sandbox.log()[1].acted);
    std::fs::remove_dir(&staged).unwrap();
    assert_eq!(mugs(&sandbox, &access).await, None);
    assert_eq!(add_mugs(&sandbox, &access, 1).await.status, 200);
}
