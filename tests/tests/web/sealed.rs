//! Sessions whose tokens are in the browser: servers without a store.

use axum::body::Body;
use http::{Request, StatusCode};
use wix_visitor_core::{GrantError, GrantFailure, Role};
use wix_visitor_testkit::{Plan, Rotation};
use wix_visitor_tests::instance::{Instance, hours, secs};
use wix_visitor_web::{KeyRing, SealingKey};

use crate::browser::Browser;
use crate::shop::Shop;

fn ring() -> KeyRing {
    KeyRing::new(key())
}

fn key() -> SealingKey {
    let key = SealingKey::generate().unwrap();
    wix_visitor_testkit::ledger::note_secret(key.to_text().expose());
    key
}

/// Two processes that share nothing but the ring and the endpoint.
fn servers(rotation: Rotation) -> [Shop; 2] {
    let (instance, ring) = (Instance::new(rotation), ring());
    [Shop::sealed(&instance, &ring), Shop::sealed(&instance, &ring)]
}

fn who() -> Request<Body> {
    Request::get("/who").body(Body::empty()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_visitor_goes_from_server_to_server_in_its_cookies_for_a_year() {
    for rotation in [Rotation::Same, Rotation::Single] {
        let [one, other] = servers(rotation);
        let browser = Browser::default();
        let first = browser.get(&one, "/who").await;
        let identity = first.identity();
        for cookie in first.cookies() {
            assert!(cookie.starts_with("__Host-visitor-") && cookie.ends_with("; HttpOnly; Secure; SameSite=Lax"));
            assert!(cookie.len() < 4096);
        }
        for round in 0..100 {
            let server = if round % 2 == 0 { &other } else { &one };
            let path = if round % 3 == 0 { "/" } else { "/who" };
            browser.get(server, path).await;
            assert_eq!(browser.get(&one, "/who").await.identity(), identity, "{rotation:?} {round}");
            tokio::time::sleep(hours(if round % 10 == 0 { 24 * 9 } else { 5 })).await;
        }
        assert_eq!(one.instance.endpoint.mints(), 1);
        assert!(rotation == Rotation::Same || one.instance.endpoint.most_redeemed() == 1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_access_part_goes_with_the_access_token_and_a_page_renews_before_its_handler_runs() {
    let [one, other] = servers(Rotation::Single);
    let browser = Browser::default();
    let identity = browser.get(&one, "/who").await.identity();
    let access = |browser: &Browser| browser.kept().keys().filter(|name| name.contains("-a")).count();
    assert_eq!((browser.kept().len(), access(&browser)), (2, 1));
    assert!(browser.get(&other, "/").await.cookies().is_empty(), "nothing to do");
    tokio::time::sleep(hours(5)).await;
    assert_eq!(access(&browser), 0, "it has ended");
    let page = browser.get(&other, "/").await;
    assert_eq!((page.cookies().len(), one.instance.endpoint.renewals()), (2, 1));
    assert_eq!(browser.get(&one, "/who").await.identity(), identity);
    assert_eq!(one.instance.endpoint.renewals(), 1);
    // What needs no token waits for none.
    tokio::time::sleep(hours(5)).await;
    let picture = Request::get("/json").header("sec-fetch-dest", "image").body(Body::empty()).unwrap();
    assert!(browser.send(&one, picture).await.cookies().is_empty());
    assert_eq!(one.instance.endpoint.renewals(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_requests_of_a_first_page_share_a_visitor_on_one_server_and_may_not_on_two() {
    let [one, other] = servers(Rotation::Same);
    for (servers, most) in [([&one, &one], 1), ([&one, &other], 2)] {
        let browser = Browser::default();
        assert_eq!(browser.get(&one, "/").await.cookies().len(), 1);
        let before = one.instance.endpoint.mints();
        let calls: Vec<_> = (0..6)
            .map(|at| {
                let (browser, server) = (browser.copy(), servers[at % 2].clone());
                tokio::spawn(async move { browser.send_only(&server, who()).await })
            })
            .collect();
        for call in calls {
            browser.take(&call.await.unwrap());
        }
        assert_eq!(one.instance.endpoint.mints() - before, most, "documented as a limit");
        let identity = browser.get(&one, "/who").await.identity();
        assert_eq!(browser.get(&other, "/who").await.identity(), identity);
        assert_eq!(one.instance.endpoint.mints() - before, most, "one of them is it from now on");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_arrives_late_never_sets_the_browser_back() {
    let [one, other] = servers(Rotation::Single);
    let browser = Browser::default();
    let identity = browser.get(&one, "/who").await.identity();
    for round in 0..6 {
        let server = if round % 2 == 0 { &one } else { &other };
        tokio::time::sleep(hours(5)).await;
        let late = browser.send_only(server, who()).await;
        let (first, second) = (browser.copy(), browser.copy());
        // It did arrive, then something newer, and then it arrives again.
        first.take(&late);
        tokio::time::sleep(hours(5)).await;
        let newer = first.send_only(server, who()).await;
        assert_eq!((newer.identity(), newer.cookies().len()), (identity, 2));
        second.take(&newer);
        second.take(&late);
        assert_eq!(second.get(&one, "/who").await.identity(), identity);
        assert_eq!(second.get(&other, "/who").await.identity(), identity);
        browser.take(&newer);
    }
    assert_eq!((one.instance.endpoint.mints(), one.instance.endpoint.most_redeemed()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_or_sign_out_wins_over_what_was_under_way_on_another_server_in_either_order() {
    for late in [false, true] {
        let [one, other] = servers(Rotation::Same);
        let browser = Browser::default();
        let guest = browser.get(&one, "/who").await.identity();
        tokio::time::sleep(hours(5)).await;
        let under_way = browser.copy().send_only(&other, who()).await;
        let signed_in = browser.copy();
        let request = Request::post("/sign-in").header("sec-fetch-site", "same-origin").body(Body::empty()).unwrap();
        let answer = signed_in.send_only(&one, request).await;
        let member = answer.identity();
        let order = if late { [&answer, &under_way] } else { [&under_way, &answer] };
        order.iter().for_each(|answer| browser.take(answer));
        for server in [&one, &other] {
            assert_eq!(browser.get(server, "/who").await.identity(), member, "late={late}");
        }
        tokio::time::sleep(hours(5)).await;
        let under_way = browser.copy().send_only(&other, who()).await;
        let request = Request::post("/sign-out").header("sec-fetch-site", "same-origin").body(Body::empty()).unwrap();
        let answer = browser.copy().send_only(&one, request).await;
        let order = if late { [&answer, &under_way] } else { [&under_way, &answer] };
        order.iter().for_each(|answer| browser.take(answer));
        let new = browser.get(&other, "/who").await.identity();
        assert!(new != member && new != guest, "late={late}");
        assert_eq!(browser.get(&one, "/who").await.identity(), new);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_from_before_renewals_undoes_neither_them_nor_a_sign_in_nor_a_sign_out() {
    for sign_out in [false, true] {
        let [one, _] = servers(Rotation::Single);
        let browser = Browser::default();
        browser.get(&one, "/who").await.identity();
        let slow = browser.copy();
        tokio::time::sleep(hours(5)).await;
        browser.get(&one, "/who").await;
        browser.post(&one, "/sign-in").await.identity();
        if sign_out {
            tokio::time::sleep(hours(5)).await;
            browser.get(&one, "/who").await;
            browser.post(&one, "/sign-out").await;
        }
        let now = browser.get(&one, "/who").await.identity();
        browser.take(&slow.send_only(&one, who()).await);
        assert_eq!(browser.get(&one, "/who").await.identity(), now, "{sign_out}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sign_out_leaves_nothing_of_the_member_in_the_browser() {
    let [one, other] = servers(Rotation::Same);
    let browser = Browser::default();
    browser.get(&one, "/who").await.identity();
    browser.post(&one, "/sign-in").await.identity();
    tokio::time::sleep(hours(5)).await;
    let member = browser.get(&one, "/who").await.identity();
    browser.post(&one, "/sign-out").await;
    assert_eq!(browser.kept().len(), 1, "{:?}", browser.kept().keys());
    let names: Vec<_> = browser.kept().into_keys().collect();
    names.iter().for_each(|name| browser.drop(name));
    assert_ne!(browser.get(&other, "/who").await.identity(), member);
}

#[tokio::test(start_paused = true)]
async fn who_starts_over_or_signs_in_is_rid_of_whatever_is_damaged() {
    for path in ["/start-over", "/sign-in"] {
        for stranger in [true, false] {
            let [one, other] = servers(Rotation::Same);
            let browser = Browser::default();
            let made = if stranger { Shop::sealed(&one.instance, &ring()) } else { one.clone() };
            browser.get(&made, "/who").await.identity();
            for _ in 0..3 {
                tokio::time::sleep(hours(5)).await;
                browser.get(&made, "/who").await;
            }
            if !stranger {
                for name in browser.kept().into_keys() {
                    browser.put(&name, "cut");
                }
            }
            assert_eq!(browser.get(&one, "/who").await.status, StatusCode::BAD_REQUEST);
            assert_eq!(browser.post(&one, path).await.status, StatusCode::OK);
            let who = browser.get(&one, "/who").await.identity();
            assert_eq!(browser.get(&other, "/who").await.identity(), who);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_the_cookies_from_before_a_sign_in_is_never_the_member() {
    let [one, other] = servers(Rotation::Same);
    let planted = Browser::default();
    let guest = planted.get(&one, "/who").await.identity();
    let victim = planted.copy();
    let member = victim.post(&one, "/sign-in").await.identity();
    assert_eq!(planted.get(&one, "/who").await.status, StatusCode::CONFLICT);
    assert_eq!(planted.get(&other, "/who").await.identity(), guest, "documented as a limit: what it was, and no more");
    // And a sign-out takes the cookies away, not the copies: documented as a limit.
    let copy = victim.copy();
    victim.post(&one, "/sign-out").await;
    assert_eq!(copy.get(&one, "/who").await.status, StatusCode::CONFLICT);
    assert_eq!(copy.get(&other, "/who").await.identity(), member);
}

#[tokio::test(start_paused = true)]
async fn a_replayed_cookie_is_the_same_visitor_and_does_not_set_the_newer_one_back() {
    let [one, other] = servers(Rotation::Same);
    let browser = Browser::default();
    let identity = browser.get(&one, "/who").await.identity();
    let old = browser.copy();
    tokio::time::sleep(hours(5)).await;
    browser.get(&one, "/who").await;
    let renewals = one.instance.endpoint.renewals();
    assert_eq!(old.copy().get(&one, "/who").await.identity(), identity);
    assert_eq!(one.instance.endpoint.renewals(), renewals, "this process knows what has become of it");
    assert_eq!(old.copy().get(&other, "/who").await.identity(), identity);
    assert_eq!(browser.get(&other, "/who").await.identity(), identity);
}

#[tokio::test(start_paused = true)]
async fn a13_damage_to_the_newest_cookie_is_an_error_of_its_own_and_neither_mints_nor_replaces() {
    let [one, other] = servers(Rotation::Same);
    let browser = Browser::default();
    let identity = browser.get(&one, "/who").await.identity();
    let name = browser.kept().keys().find(|name| !name.contains("-a")).unwrap().clone();
    let value = browser.kept()[&name].clone();
    let (head, tail) = value.rsplit_once('.').unwrap();
    let middle = tail.len() / 2;
    let flip = if tail.as_bytes()[middle] == b'A' { "B" } else { "A" };
    let huge = "A".repeat(64 * 1024);
    for damaged in [
        String::new(),
        "x".to_owned(),
        huge.clone(),
        format!("{head}.{huge}"),
        value[..value.len() / 2].to_owned(),
        format!("{head}.{}{flip}{}", &tail[..middle], &tail[middle + 1..]),
        value.replacen("1.1.", "3.1.", 1),
        value.replacen("1.1.", "1.2.", 1),
        value.replacen("1.1.", "1.0.", 1),
        value.replacen("1.1.", "1.99999999999.", 1),
        value.replacen("1.1.", "99999999999999999999999.1.", 1),
    ] {
        assert_ne!(damaged, value);
        let broken = browser.copy();
        broken.put(&name, &damaged);
        for server in [&one, &other] {
            let answer = broken.get(server, "/who").await;
            assert_eq!((answer.status, answer.cookies().len()), (StatusCode::BAD_REQUEST, 0), "{damaged:.50}");
            assert!(broken.get(server, "/").await.cookies().is_empty());
        }
    }
    // Swapped for what stands in the other cookie.
    let swapped = browser.copy();
    let access = browser.kept().into_iter().find(|(name, _)| name.contains("-a")).unwrap();
    swapped.put(&name, &access.1);
    assert_eq!(swapped.get(&one, "/who").await.status, StatusCode::BAD_REQUEST);
    // By somebody else's key.
    let stranger = Browser::default();
    stranger.get(&Shop::sealed(&one.instance, &ring()), "/who").await;
    let mints = one.instance.endpoint.mints();
    assert_eq!(stranger.get(&one, "/who").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(one.instance.endpoint.mints(), mints);
    assert_eq!(browser.get(&other, "/who").await.identity(), identity);
}

#[tokio::test(start_paused = true)]
async fn what_is_older_never_stands_in_for_a_newest_cookie_that_is_damaged() {
    let [one, other] = servers(Rotation::Single);
    let browser = Browser::default();
    let identity = browser.get(&one, "/who").await.identity();
    tokio::time::sleep(hours(5)).await;
    browser.get(&one, "/who").await;
    let newest = browser.kept().keys().find(|name| name.ends_with("-0-0")).unwrap().clone();
    let value = browser.kept()[&newest].clone();
    let broken = browser.copy();
    broken.put(&newest, &value[..value.len() - 4]);
    let answer = broken.get(&other, "/who").await;
    assert_eq!((answer.status, answer.cookies().len()), (StatusCode::BAD_REQUEST, 0));
    assert_eq!(browser.get(&other, "/who").await.identity(), identity);
    assert_eq!((one.instance.endpoint.mints(), one.instance.endpoint.most_redeemed()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn damage_to_what_is_older_or_to_the_access_part_costs_nothing_but_a_renewal() {
    let (instance, ring) = (Instance::new(Rotation::Same), ring());
    let server = || Shop::sealed(&instance, &ring);
    let one = server();
    let browser = Browser::default();
    let identity = browser.get(&one, "/who").await.identity();
    tokio::time::sleep(hours(5)).await;
    browser.get(&one, "/who").await;
    let older = browser.kept().keys().find(|name| name.ends_with("-0-1")).unwrap().clone();
    let value = browser.kept()[&older].clone();
    browser.put(&older, &value[..40]);
    assert_eq!(browser.get(&server(), "/who").await.identity(), identity);
    let access = browser.kept().keys().find(|name| name.contains("-a")).unwrap().clone();
    let renewals = one.instance.endpoint.renewals();
    let broken = browser.copy();
    broken.put(&access, "damaged");
    assert_eq!(broken.get(&server(), "/who").await.identity(), identity);
    assert_eq!(one.instance.endpoint.renewals(), renewals + 1);
    // An access token of another session is not this one's.
    let stranger = Browser::default();
    assert_ne!(stranger.get(&one, "/who").await.identity(), identity);
    let theirs = stranger.kept().into_iter().find(|(name, _)| name.contains("-a")).unwrap();
    let mixed = Browser::default();
    let own = mixed.get(&one, "/who").await.identity();
    assert!(mixed.kept().contains_key(&theirs.0));
    mixed.put(&theirs.0, &theirs.1);
    assert_eq!(mixed.get(&server(), "/who").await.identity(), own);
    assert_eq!(one.instance.endpoint.renewals(), renewals + 2);
}

#[tokio::test(start_paused = true)]
async fn large_tokens_are_split_over_cookies_and_a_gap_among_them_is_seen() {
    let [one, other] = servers(Rotation::Same);
    let browser = Browser::default();
    let (_, mut tokens) = one.instance.sign_in(Role::Visitor);
    // The endpoint does not know it, and need not: the access token still serves.
    let long: String = (0..1_000_u32).map(|n| format!("{:08x}", n.wrapping_mul(7_919_317))).collect();
    wix_visitor_testkit::ledger::note_secret(&long);
    tokens.refresh.as_mut().unwrap().value = wix_visitor_core::Secret::new(long);
    let kept = tokens.to_json();
    let answer = browser.post_json(&one, "/take-over", kept.expose()).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{answer:?}");
    assert!(answer.cookies().iter().all(|cookie| cookie.split(';').next().unwrap().len() <= 4096));
    let names: Vec<_> = browser.kept().into_keys().filter(|name| !name.contains("-a")).collect();
    assert!(names.len() >= 3, "{names:?}");
    let identity = browser.get(&other, "/who").await.identity();
    for name in &names {
        let gap = browser.copy();
        gap.drop(name);
        let answer = gap.get(&other, "/who").await;
        assert_eq!((answer.status, answer.cookies().len()), (StatusCode::BAD_REQUEST, 0), "{name}");
    }
    assert_eq!(browser.get(&other, "/who").await.identity(), identity);
    assert_eq!(one.instance.endpoint.mints(), 0);
}

#[tokio::test(start_paused = true)]
async fn keys_are_changed_without_losing_a_session() {
    let (instance, old, new) = (Instance::new(Rotation::Same), key(), key());
    let browser = Browser::default();
    let identity = browser.get(&Shop::sealed(&instance, &KeyRing::new(old.clone())), "/who").await.identity();
    let added = Shop::sealed(&instance, &KeyRing::new(old.clone()).also(new.clone()));
    assert!(browser.get(&added, "/").await.cookies().is_empty());
    let promoted = Shop::sealed(&instance, &KeyRing::new(new.clone()).also(old));
    let resealed = browser.get(&promoted, "/").await;
    assert!(!resealed.cookies().is_empty(), "sealed again by the new key");
    assert_eq!(browser.get(&added, "/who").await.identity(), identity, "also where it is not promoted yet");
    let removed = Shop::sealed(&instance, &KeyRing::new(new));
    assert_eq!(browser.get(&removed, "/who").await.identity(), identity);
    assert_eq!(instance.endpoint.mints(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_down_takes_no_cookie_away_and_a_token_that_works_is_served() {
    let [one, other] = servers(Rotation::Same);
    let browser = Browser::default();
    let identity = browser.get(&one, "/who").await.identity();
    one.instance.endpoint.plan_renewals(Some(Plan::Fail(GrantError::new(GrantFailure::Transient, "busy"))));
    tokio::time::sleep(hours(4) - secs(600)).await;
    assert_eq!(browser.get(&other, "/who").await.identity(), identity, "due, and usable");
    tokio::time::sleep(hours(1)).await;
    let cookies = browser.header();
    let answer = browser.get(&other, "/who").await;
    assert_eq!((answer.status, answer.cookies().len()), (StatusCode::SERVICE_UNAVAILABLE, 0));
    assert!(browser.get(&one, "/").await.cookies().is_empty());
    assert_eq!(browser.header(), cookies);
    one.instance.endpoint.plan_renewals(None);
    tokio::time::sleep(hours(1)).await;
    assert_eq!(browser.get(&one, "/who").await.identity(), identity);
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_token_can_be_read_from_a_cookie() {
    let [one, _] = servers(Rotation::Same);
    let browser = Browser::default();
    let given = browser.post_json(&one, "/pair", "{}").await;
    let given: serde_json::Value = serde_json::from_str(&given.body).unwrap();
    use base64::Engine as _;
    for (_, value) in browser.kept() {
        let text = value.rsplit('.').next().unwrap();
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap();
        for token in [&given["accessToken"]["value"], &given["refreshToken"]["value"]] {
            let token = token.as_str().unwrap().as_bytes();
            assert!(token.len() > 10 && !bytes.windows(10).any(|window| window == &token[..10]));
        }
    }
}
