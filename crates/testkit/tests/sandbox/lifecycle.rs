//! Starting and stopping.

use crate::client::*;

#[tokio::test]
async fn only_loopback_is_listened_on() {
    for address in ["0.0.0.0:0", "192.0.2.1:0", "[::]:0"] {
        let options = SandboxOptions::new().listen(address.parse().unwrap());
        let error = Sandbox::start(options).await.unwrap_err();
        assert_eq!(error.kind(), SandboxErrorKind::NotLoopback);
        assert!(error.to_string().contains("loopback only"), "{error}");
    }
}

#[tokio::test]
async fn a_taken_port_is_a_clear_error_and_shutdown_frees_it() {
    let sandbox = plain().await;
    let addr = sandbox.addr();
    let error = Sandbox::start(SandboxOptions::new().listen(addr)).await.unwrap_err();
    assert_eq!(error.kind(), SandboxErrorKind::Listen);
    sandbox.shutdown().await;
    let refused = tokio::net::TcpStream::connect(addr).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_sandbox_on_its_own_thread_outlives_the_clients_runtime() {
    let sandbox = Sandbox::start_on_thread(SandboxOptions::new()).unwrap();
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(mint(&sandbox))
    };
    let (one, _) = run();
    let (two, _) = run();
    assert_ne!(one, two);
    assert_eq!(sandbox.mints(), 2);
}

#[tokio::test]
async fn a_sandbox_on_its_own_thread_starts_inside_a_runtime_and_shuts_down() {
    let sandbox = Sandbox::start_on_thread(SandboxOptions::new()).unwrap();
    mint(&sandbox).await;
    let addr = sandbox.addr();
    sandbox.shutdown().await;
    assert!(tokio::net::TcpStream::connect(addr).await.is_err());
    let options = SandboxOptions::new().listen("0.0.0.0:0".parse().unwrap());
    let error = Sandbox::start_on_thread(options).unwrap_err();
    assert_eq!(error.kind(), SandboxErrorKind::NotLoopback);
}
