//! `doctor --probe`: what it sends, what it says, and what it never tells.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;
use wix_visitor_testkit::ledger::note_secret;
use wix_visitor_testkit::sandbox::{
    ClientIds, DeadToken, ErrorShape, Fault, On, Point, RefreshField, RequestKind, Rotation, Sandbox, SandboxOptions,
};

use crate::support::{CLIENT_ID, Said, User, sandbox, send_signal};

const PROBE: [&str; 3] = ["doctor", "--probe", "--yes"];

/// A sandbox that, as Wix is thought to, knows no client id but the site's own.
fn strict_about_clients(options: SandboxOptions) -> Sandbox {
    Sandbox::start_on_thread(options.client_ids(ClientIds::only([CLIENT_ID]))).unwrap()
}

fn with_rotation(rotation: Rotation) -> Sandbox {
    strict_about_clients(SandboxOptions::new().rotation(rotation))
}

fn probed(sandbox: &Sandbox) -> Value {
    report(User::of(sandbox).run(&[&PROBE[..], &["--json"]].concat()).done())
}

fn report(said: Said) -> Value {
    holds_nothing_of_anybody(&said.stdout);
    said.json()
}

fn question<'a>(report: &'a Value, id: &str) -> &'a Value {
    report["questions"].as_array().unwrap().iter().find(|question| question["id"] == id).unwrap()
}

fn says(report: &Value, id: &str, words: &str) {
    let question = question(report, id);
    let answer = question["answer"].as_str().unwrap();
    assert!(answer.contains(words) && question["answered"] == true, "{id}: expected {words:?} in {answer:?}");
}

fn leaves_open(report: &Value, id: &str, words: &str) {
    let question = question(report, id);
    let answer = question["answer"].as_str().unwrap();
    assert!(answer.contains(words) && question["answered"] == false, "{id}: expected {words:?} in {answer:?}");
}

fn holds_nothing_of_anybody(text: &str) {
    for form in ["JWS.", "eyJ", CLIENT_ID, &CLIENT_ID[..8], "127.0.0.1"] {
        assert!(!text.contains(form), "{form} is in the report");
    }
    let is_guid = |piece: &[u8]| {
        let hyphens = piece.iter().enumerate().filter(|(_, byte)| **byte == b'-').map(|(at, _)| at);
        hyphens.eq([8, 13, 18, 23]) && piece.iter().all(|byte| *byte == b'-' || byte.is_ascii_hexdigit())
    };
    assert!(!text.as_bytes().windows(36).any(is_guid), "a GUID is in the report");
    let longest = text.split(|c: char| !c.is_ascii_alphanumeric()).map(str::len).max().unwrap_or(0);
    assert!(longest < 32, "a word of {longest} characters is in the report");
}

#[test]
fn a_token_that_is_kept_is_told() {
    let sandbox = with_rotation(Rotation::Same);
    let report = probed(&sandbox);
    says(&report, "rotation", "No: it answers the refresh token that it was asked with");
    says(&report, "old_token", "Yes: it was not replaced");
    says(&report, "newest_token", "does not arise");
    says(&report, "lifetime", "No: it ends when it did before, 365 d 0 h after its issue");
    assert_eq!((sandbox.mints(), sandbox.redeemed_twice(), report["ok"].clone()), (2, 0, true.into()));
}

#[test]
fn a_token_that_is_replaced_and_stays_good_is_told() {
    let report = probed(&with_rotation(Rotation::New));
    says(&report, "rotation", "Yes: it answers another refresh token");
    says(&report, "old_token", "Yes: presented again");
    says(&report, "newest_token", "Yes: it was taken");
    says(&report, "lifetime", "Yes: its end moved by");
    assert!(question(&report, "lifetime")["sure"].as_str().unwrap().starts_with("what the token says"));
}

#[tokio::test]
async fn a_grace_is_told_and_that_it_is_over_after_the_wait() {
    let sandbox = with_rotation(Rotation::Grace(Duration::from_secs(60)));
    let renewals = sandbox.hold(On::Renew, Point::BeforeActing);
    let user = User::of(&sandbox);
    let child = user.start(&[&PROBE[..], &["--json", "--probe-wait", "1"]].concat());
    // Two renewals, the old token, the newest and a damaged one; the sixth is the old token after the wait.
    for _ in 0..5 {
        renewals.release_one();
    }
    renewals.arrived_times(6).await;
    sandbox.advance(Duration::from_secs(61));
    renewals.release();
    let report = report(Said::from(child.wait_with_output().unwrap()).done());
    says(&report, "rotation", "Yes");
    says(&report, "old_token", "Yes: presented again");
    says(&report, "old_token_later", "No: presented again 1 s after the renewal, it was refused: status 400");
    says(&report, "newest_token", "Yes: it was taken");
}

#[test]
fn reuse_that_counts_as_theft_is_told_and_does_not_hide_what_revoking_does() {
    let sandbox = with_rotation(Rotation::Strict);
    sandbox.set(|switches| switches.revoke = true);
    let report = probed(&sandbox);
    says(&report, "rotation", "Yes");
    says(&report, "old_token", "No: presented again");
    says(&report, "newest_token", "No: it was refused after that, as where reuse counts as theft");
    says(&report, "revoke", "Yes, it seems: status 200, an empty body");
    says(&probed(&with_rotation(Rotation::Strict)), "revoke", "Not at `/oauth2/revoke`");
}

#[test]
fn a_revoke_address_that_does_nothing_is_none() {
    let sandbox = with_rotation(Rotation::Same);
    sandbox.fault(Fault::on_api("/oauth2/revoke").status(200));
    says(&probed(&sandbox), "revoke", "Not at `/oauth2/revoke`, as far as this shows: status 200");
}

#[test]
fn a_renewal_that_shows_no_refresh_token_replaces_none() {
    let options = SandboxOptions::new().rotation(Rotation::New);
    let sandbox = strict_about_clients(options.with(|switches| switches.refresh_in_renewal = RefreshField::Omitted));
    let report = probed(&sandbox);
    says(&report, "rotation", "No: it answers no refresh token");
    says(&report, "lifetime", "No: it ends when it did before");
}

#[test]
fn each_kind_of_error_is_told_by_its_status_and_form() {
    let sandbox = with_rotation(Rotation::Same);
    let report = probed(&sandbox);
    says(&report, "invalid_refresh_token", "Status 400, OAuth's form with the error `invalid_grant`");
    says(&report, "unknown_client_id", "Status 400, OAuth's form with the error `invalid_client`");
    says(&report, "no_guid", "Status 400, Wix's form for fields that are wrong, with the field `appRuntimeKeys.appId`");
    says(&report, "no_grant_type", "with the field `grantType`");
    says(&report, "rate_limits", "No: none of 16 answers does");
    says(&report, "api_invalid_token", "Status 401, Wix's form for errors with the code `UNAUTHENTICATED`");
    says(&report, "api_no_token", "Status 401");
    says(&report, "spellings", "Both are");
    says(&report, "bearer", "Yes: with it and without, the answer is status 404");
    says(
        &report,
        "token_info",
        "`active` is true; `subjectType` is `VISITOR`; `exp` is 4 h 0 min after `iat`; `clientId` is given",
    );
    let shown = question(&report, "invalid_refresh_token")["evidence"][0].clone();
    assert_eq!((&shown["number"], &shown["status"]), (&11.into(), &400.into()));
    assert!(shown["body"].as_str().unwrap().contains("the refresh token is not known"));
    assert!(shown["headers"].as_array().unwrap().contains(&"content-type: application/json".into()));

    sandbox.set(|switches| {
        switches.refusal = ErrorShape::WixApplication;
        switches.refusal_status = 401;
        switches.unknown_client = ErrorShape::Empty;
        switches.unknown_client_status = 404;
        switches.dead_token = DeadToken::MetaSiteNotFound;
    });
    let report = probed(&sandbox);
    says(&report, "invalid_refresh_token", "Status 401, Wix's form for errors with the code `INVALID_GRANT`");
    says(&report, "unknown_client_id", "Status 404, an empty body");
    says(&report, "api_invalid_token", "Status 400, Wix's form for errors with the code `WDE0117`");
    says(&report, "api_no_token", "Status 401");
    let body = r#"{"reason":"dead"}"#.to_owned();
    sandbox.set(|switches| switches.dead_token = DeadToken::Other { status: 403, body });
    says(&probed(&sandbox), "api_invalid_token", "Status 403, JSON with `reason`");
}

#[test]
fn what_is_sent_is_the_plan_once_each_and_never_the_users_visitor() {
    let sandbox = with_rotation(Rotation::Same);
    let user = User::of(&sandbox);
    user.token();
    let exported = user.exported();
    let kept = std::fs::read(user.database()).unwrap();
    sandbox.clear_log();
    let said = user.run(&PROBE).done();
    assert!(user.exported() == exported, "the visitor has changed");
    assert!(std::fs::read(user.database()).unwrap() == kept, "something was written into the store");
    let identity = user.identity(&sandbox);
    let log = sandbox.log();
    assert!(log.iter().all(|entry| entry.identity.as_ref() != Some(&identity)), "the visitor was used");
    // All but the one that has no sense where the token is not replaced.
    assert_eq!(log.len(), 16);
    assert!(said.errors().contains("at most 17 requests"), "{said:?}");
    let sent: Vec<_> = log.iter().map(|entry| format!("{} {}", entry.method, entry.path)).collect();
    let errors = said.errors();
    let words = errors.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let numbered = words.filter(|words| words[0].ends_with('.') && words[0].len() < 4);
    let planned: Vec<_> = numbered.map(|words| words[1..3].join(" ")).collect();
    assert_eq!(planned.len(), 17);
    assert_eq!([&planned[..9], &planned[10..]].concat(), sent);
    // Revoking is the last thing, but to look what came of it.
    assert_eq!((log[14].kind, log[15].kind), (RequestKind::Revoke, RequestKind::Renew));
}

#[test]
fn a_visitor_that_a_strange_client_id_is_granted_is_the_second_and_last() {
    let sandbox = sandbox();
    let report = probed(&sandbox);
    says(&report, "unknown_client_id", "It was granted: status 200");
    says(&report, "revoke", "the refresh token works still");
    assert_eq!((sandbox.mints(), &report["visitors_made"]), (2, &2.into()));
}

#[test]
fn a_visitor_whose_mint_was_not_answered_counts_as_one_of_the_two() {
    // It takes any client id. The third mint is that of a random one.
    let sandbox = sandbox();
    sandbox.fault(Fault::on_mint().skip(2).after_acting().status(504));
    sandbox.fault(Fault::on_mint().reset_after_acting());
    let said = User::of(&sandbox).run(&[&PROBE[..], &["--json"]].concat());
    assert!(said.code == Some(4) && said.errors().contains("At most two throw-away visitors are made"), "{said:?}");
    let told = report(said);
    leaves_open(&told, "rotation", "there was no visitor");
    assert_eq!((sandbox.mints(), &told["visitors_made"]), (2, &0.into()));

    sandbox.clear_log();
    sandbox.fault(Fault::on_mint().hang().always());
    let said = User::of(&sandbox).run(&[&PROBE[..], &["--probe-timeout", "1"]].concat());
    let mints = sandbox.log().iter().filter(|entry| entry.kind == RequestKind::Mint).count();
    assert_eq!((said.code, mints), (Some(4), 2), "{said:?}");
}

#[test]
fn without_consent_nothing_is_sent() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    let said = user.run(&["doctor", "--probe"]).failed(2, "nothing was sent");
    assert!(said.errors().contains("  17. POST /oauth2/token ") && said.errors().contains("--yes agrees"), "{said:?}");
    let said = user.run_with(&["doctor", "--probe", "--json"], "y\n").failed(2, "nothing was sent");
    assert!(said.errors().lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{said:?}");
    user.run(&["doctor", "--yes"]).failed(2, "--probe");
    user.run(&["doctor", "--probe", "--yes", "--client-id", "mine"]).failed(2, "not a GUID");
    user.run(&["doctor", "--probe", "--yes", "--api-url", "http://www.wixapis.com"]).failed(2, "use https");
    assert!(sandbox.log().is_empty() && !user.database().exists());
}

/// A terminal: the person's end of it, and the program's.
fn terminal() -> (File, File) {
    let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&person).unwrap();
    unlockpt(&person).unwrap();
    let name = ptsname(&person, Vec::new()).unwrap();
    let program = rustix::fs::open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    (person.into(), program.into())
}

#[test]
fn a_person_at_a_terminal_is_asked() {
    for (answer, code, sent) in [("n\n", 1, 0), ("\n", 1, 0), ("y\n", 0, 16)] {
        let sandbox = with_rotation(Rotation::Same);
        let (mut person, program) = terminal();
        let user = User::of(&sandbox);
        let mut command = user.command(&["doctor", "--probe"]);
        command.stdin(program.try_clone().unwrap()).stderr(program).stdout(Stdio::piped());
        let child = command.spawn().unwrap();
        let mut shown = Vec::new();
        while !shown.ends_with(b"[y/N] ") {
            let mut piece = [0; 512];
            let read = person.read(&mut piece).unwrap();
            shown.extend_from_slice(&piece[..read]);
        }
        assert!(sandbox.log().is_empty());
        person.write_all(answer.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), sandbox.log().len()), (Some(code), sent), "{answer:?}");
        assert_eq!(output.stdout.is_empty(), sent == 0);
    }
}

#[test]
fn an_embedded_sandbox_is_probed_and_keeps_nothing() {
    let user = User::new();
    user.run(&["--sandbox", "doctor", "--probe"]).failed(2, "nothing was sent");
    let said = user.run(&["--sandbox", "doctor", "--probe", "--yes"]).done();
    assert!(said.stdout.contains("API: an embedded sandbox, not Wix"), "{}", said.stdout);
    assert!(!user.path("wix-visitor").exists());
}

#[test]
fn the_report_is_markdown_that_says_what_when_and_where_to() {
    let sandbox = with_rotation(Rotation::Same);
    let text = User::of(&sandbox).run(&PROBE).done().stdout;
    holds_nothing_of_anybody(&text);
    assert!(text.starts_with("# What the token endpoint does\n\n- 20"), "{text}");
    for words in [
        "API: a server on this machine, not Wix",
        "## Does a renewal replace the refresh token?",
        "(seen in this run)",
        r#"`{"access_token":"<token of "#,
        "`client-binding`",
        "stays unknown",
        concat!("wix-visitor ", env!("CARGO_PKG_VERSION")),
    ] {
        assert!(text.contains(words), "no {words:?} in {text}");
    }
    assert!(text.lines().last().unwrap().contains("attach it to an issue"), "{text}");
}

#[test]
fn one_question_without_an_answer_leaves_the_others_theirs() {
    for fault in [Fault::on_token_info().hang(), Fault::on_token_info().html(), Fault::on_token_info().reset()] {
        let sandbox = with_rotation(Rotation::New);
        sandbox.fault(fault);
        let said = User::of(&sandbox).run(&[&PROBE[..], &["--json", "--probe-timeout", "1"]].concat());
        assert!(said.code == Some(4) && said.errors().contains("1 of 15 questions have no answer"), "{said:?}");
        let report = report(said);
        let open: Vec<_> = report["questions"].as_array().unwrap().iter().filter(|q| q["answered"] == false).collect();
        assert!(open.len() == 1 && open[0]["id"] == "token_info", "{report}");
        says(&report, "newest_token", "Yes");
    }
}

#[test]
fn an_answer_that_is_about_something_else_is_none() {
    let sandbox = with_rotation(Rotation::New);
    // The fifth renewal is the one with a damaged token.
    sandbox.fault(Fault::on_renew().skip(4).status(500));
    let said = User::of(&sandbox).run(&[&PROBE[..], &["--json"]].concat());
    assert!(said.code == Some(4) && said.errors().contains("1 of 15 questions"), "{said:?}");
    leaves_open(&report(said), "invalid_refresh_token", "status 500, an empty body");
    sandbox.fault(Fault::on_renew().skip(2).status(503));
    let told = report(User::of(&sandbox).run(&[&PROBE[..], &["--json"]].concat()));
    leaves_open(&told, "old_token", "status 503");
    says(&told, "rotation", "Yes");
}

#[test]
fn a_spelling_or_a_prefix_that_is_not_taken_is_told_and_costs_no_other_answer() {
    let sandbox = with_rotation(Rotation::New);
    sandbox.fault(Fault::on_renew().status(400).body("{}"));
    sandbox.fault(Fault::on_api("/ecom/").skip(1).status(401));
    let report = probed(&sandbox);
    says(&report, "spellings", "camelCase is; snake_case is refused at a renewal and taken at a mint");
    says(&report, "bearer", "No: without it the answer is status 404, with it 401");
    says(&report, "rotation", "Yes");
    says(&report, "old_token", "Yes: presented again");
}

#[test]
fn an_endpoint_that_is_none_is_told_question_by_question() {
    let sandbox = sandbox();
    sandbox.fault(Fault::on_any().html().always());
    let said = User::of(&sandbox).run(&[&PROBE[..], &["--json"]].concat());
    assert_eq!(said.code, Some(4), "{said:?}");
    let told = report(said);
    leaves_open(&told, "rotation", "Not asked: there was no");
    leaves_open(&told, "invalid_refresh_token", "a page for people");
    // Two of them were mints: there may be two visitors.
    assert_eq!(told["requests_sent"], 5);

    sandbox.clear_faults();
    sandbox.fault(Fault::on_any().hang().always());
    let said = User::of(&sandbox).run(&[&PROBE[..], &["--json", "--probe-timeout", "1"]].concat());
    assert_eq!(said.code, Some(4), "{said:?}");
    leaves_open(&report(said), "no_guid", "no answer in time");

    let user = User::of(&sandbox).with("WIX_API_URL", "http://127.0.0.1:1");
    let said = user.run(&PROBE);
    assert!(said.code == Some(4) && said.stdout.contains("connection refused"), "{said:?}");
}

#[test]
fn a_client_id_that_is_refused_is_misconfigured() {
    let sandbox = Sandbox::start_on_thread(
        SandboxOptions::new().client_ids(ClientIds::only(["11111111-2222-4333-8444-555555555555"])),
    )
    .unwrap();
    let said = User::of(&sandbox).run(&PROBE);
    assert!(said.code == Some(3) && said.stdout.contains("`invalid_client`"), "{said:?}");
}

#[test]
fn who_asks_for_patience_gets_it_and_is_told_of() {
    let sandbox = with_rotation(Rotation::Same);
    sandbox.fault(Fault::on_token_info().status(429).retry_after(1).header("x-ratelimit-remaining", "0"));
    let said = User::of(&sandbox).run(&[&PROBE[..], &["--json"]].concat());
    assert_eq!(said.code, Some(4), "{said:?}");
    let told = report(said);
    says(&told, "rate_limits", "Yes: 1 of 16 answers; `retry-after`, `x-ratelimit-remaining`");
    assert!(
        question(&told, "rate_limits")["evidence"][0]["headers"].as_array().unwrap().contains(&"retry-after: 1".into())
    );
    let log = sandbox.log();
    assert!(log[2].at_ms - log[1].at_ms >= 1000, "it was not patient");

    // For longer than anybody would wait here.
    sandbox.clear_log();
    sandbox.fault(Fault::on_token_info().status(503).retry_after(600));
    let said = User::of(&sandbox).run(&[&PROBE[..], &["--json"]].concat());
    leaves_open(&report(said), "rotation", "asked to be left alone for 10 min 0 s");
    assert_eq!(sandbox.log().len(), 2);
}

#[tokio::test]
async fn ctrl_c_ends_it_at_once_and_tells_what_was_sent() {
    let sandbox = sandbox();
    let gate = sandbox.hold(On::TokenInfo, Point::BeforeActing);
    let child = User::of(&sandbox).start(&PROBE);
    gate.arrived().await;
    send_signal(&child, "INT");
    // The gate holds the answer: it cannot have been waited for.
    let said = Said::from(child.wait_with_output().unwrap()).failed(130, "sent so far:");
    for words in ["camelCase: status 200", "its access token is: its answer was not waited for"] {
        assert!(said.errors().contains(words), "{said:?}");
    }
    assert_eq!(sandbox.log().len(), 2);
}

#[test]
fn the_log_of_a_probe_holds_no_secret_either() {
    let sandbox = with_rotation(Rotation::Strict);
    let said = User::of(&sandbox).with("RUST_LOG", "trace").run(&PROBE).done();
    assert!(said.stderr.contains("TRACE") && !said.stderr.contains("JWS.") && !said.stderr.contains("eyJ"));
}

/// Tokens that look like none, so that only who knows them can take them out.
const ACCESS: &str = "zorbl quuxing vex.gnarl yclept brizzle";
const REFRESH: &str = "thrumbly-wexford.of-plinth";

#[test]
fn a_server_that_repeats_what_it_is_sent_gets_nothing_into_the_report() {
    note_secret(ACCESS);
    note_secret(REFRESH);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            repeat(stream.unwrap());
        }
    });
    let user = User::new().with("WIX_CLIENT_ID", CLIENT_ID).with("WIX_API_URL", url);
    for words in [&PROBE[..], &["doctor", "--probe", "--yes", "--json"]] {
        let said = user.run(words);
        let text = said.stdout;
        holds_nothing_of_anybody(&text);
        for secret in [ACCESS, REFRESH, CLIENT_ID, "203.0.113.7", "shopper@example.com"] {
            for piece in secret.as_bytes().windows(8) {
                let piece = std::str::from_utf8(piece).unwrap();
                assert!(!text.contains(piece) && !said.stderr.contains(piece), "{piece:?} is told");
            }
        }
        assert!(text.contains("retry-after: 0") && text.contains("does not say when it ends"), "{text}");
    }
}

/// Answers with tokens, and with all that was sent, in odd places too.
fn repeat(mut stream: TcpStream) {
    let mut asked = Vec::new();
    let mut buffer = [0; 4096];
    let whole = |asked: &[u8]| {
        let text = String::from_utf8_lossy(asked).to_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        body.len() >= length.unwrap_or(0)
    };
    while !whole(&asked) {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(read) => asked.extend_from_slice(&buffer[..read]),
        }
    }
    let asked = String::from_utf8_lossy(&asked);
    let body = serde_json::json!({
        "access_token": ACCESS,
        "refresh_token": REFRESH,
        "error": format!("no {REFRESH}"),
        "echo": asked,
        "active": true,
        "subjectType": format!("VISITOR {ACCESS}"),
        asked.clone(): 1,
        "for": "203.0.113.7, shopper@example.com",
        "exp": ACCESS,
    });
    let body = body.to_string();
    let echo: String = asked.chars().filter(|c| !c.is_control()).collect();
    let _ = write!(
        stream,
        "HTTP/1.1 200 OK\r\nconnection: close\r\nretry-after: 0\r\nwww-authenticate: {echo}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
}
