//! The browser itself: what the other tests rest on.

use std::panic::AssertUnwindSafe;

use crate::browser::{Browser, processes_of};
use crate::scene::Scene;

#[tokio::test]
async fn a_browser_keeps_its_cookies_over_a_restart_and_scripts_run_only_where_they_may() {
    let scene = Scene::new();
    let page = format!("{}/_sandbox/checkout", scene.sandbox.url());
    let mut browser = Browser::new().await;
    browser.goto(&page).await.unwrap();
    browser.run("document.cookie = 'kept=1; max-age=60'", vec![]).await;
    browser.restart().await;
    browser.goto(&page).await.unwrap();
    assert_eq!(browser.run("return document.cookie", vec![]).await, "kept=1");

    let plain = Browser::without_javascript().await;
    let probe = "data:text/html,<p id=p>off</p><script>document.getElementById('p').textContent='on'</script>";
    plain.goto(probe).await.unwrap();
    assert_eq!(plain.text("#p").await, "off");
    browser.goto(probe).await.unwrap();
    assert_eq!(browser.text("#p").await, "on");
}

#[tokio::test]
async fn a_browser_ends_with_its_test_also_by_a_panic() {
    let browser = Browser::new().await;
    let profile = browser.profile().to_owned();
    assert!(!processes_of(&profile).is_empty());
    let ended = std::panic::catch_unwind(AssertUnwindSafe(move || {
        let _dropped = browser;
        std::panic::resume_unwind(Box::new("a panic that nobody sees"));
    }));
    assert!(ended.is_err());
    wix_visitor_tests::wait::until("the browser to be gone", || processes_of(&profile).is_empty()).await;
}
