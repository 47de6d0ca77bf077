//! The published JavaScript SDK, unchanged but for the address that its `fetch` reaches, against the sandbox; and its tokens, to
//! the command `wix-visitor` and back.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use wix_visitor_testkit::sandbox::{Encoding, RequestKind, Rotation, Sandbox, SandboxOptions};
use wix_visitor_tests::{command::wix_visitor, trace};

const CLIENT_ID: &str = "2f3d1c5a-7b7e-4c56-9d0e-0a1b2c3d4e5f";

const CART: &str = "/ecom/v1/carts/current";

fn sandbox() -> Sandbox {
    trace::to_stderr();
    Sandbox::start_on_thread(SandboxOptions::new()).unwrap()
}

/// Runs one step of the script; what it fails with is its stderr.
fn try_sdk(sandbox: &Sandbox, step: &[&str], tokens: Option<&Value>) -> Result<Value, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk/interop.mjs");
    assert!(
        script.with_file_name("node_modules").is_dir(),
        "the JavaScript SDK is not installed; install it with: cargo xtask setup"
    );
    let mut node = Command::new("node");
    node.arg(script).args(step).env("WIX_API_URL", sandbox.url()).env("WIX_CLIENT_ID", CLIENT_ID);
    let output = run(node, tokens);
    if output.status.success() {
        Ok(serde_json::from_slice(&output.stdout).unwrap())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn sdk(sandbox: &Sandbox, step: &[&str], tokens: Option<&Value>) -> Value {
    try_sdk(sandbox, step, tokens).unwrap()
}

/// The command with a store of its own, on the sandbox.
struct Cli<'a> {
    sandbox: &'a Sandbox,
    home: TempDir,
}

impl<'a> Cli<'a> {
    fn new(sandbox: &'a Sandbox) -> Self {
        Self { sandbox, home: tempfile::tempdir().unwrap() }
    }

    fn try_run(&self, words: &[&str], stdin: Option<&Value>) -> Output {
        let mut command = Command::new(wix_visitor());
        // Whatever the person who runs the tests has set up for their own site.
        for name in ["WIX_CLIENT_ID", "WIX_API_URL", "WIX_VISITOR_STORE", "WIX_VISITOR_STORE_FILE", "WIX_VISITOR"] {
            command.env_remove(name);
        }
        command
            .env("XDG_DATA_HOME", self.home.path())
            .args(["--client-id", CLIENT_ID, "--api-url", &self.sandbox.url()])
            .arg("--store")
            .arg(format!("sqlite:{}", self.home.path().join("visitors.db").display()))
            .args(words);
        run(command, stdin)
    }

    /// What the command prints, read as JSON.
    fn run(&self, words: &[&str], stdin: Option<&Value>) -> Value {
        let output = self.try_run(words, stdin);
        assert!(output.status.success(), "wix-visitor {words:?} failed: {}", output.status);
        match output.stdout.trim_ascii() {
            b"" => Value::Null,
            text => serde_json::from_slice(text).unwrap(),
        }
    }
}

/// Runs a program to its end. Its stderr is also ours, so that it is searched for secrets; its stdout is where tokens belong.
fn run(mut command: Command, stdin: Option<&Value>) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap_or_else(|error| {
            panic!(
                "cannot start {}: {error}; install what is missing with: cargo xtask setup",
                command.get_program().display()
            )
        });
    let mut pipe = child.stdin.take().unwrap();
    if let Some(stdin) = stdin {
        // A program that ends without reading is judged by its exit code.
        let _ = pipe.write_all(stdin.to_string().as_bytes());
    }
    drop(pipe);
    let output = child.wait_with_output().unwrap();
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    output
}

fn access(tokens: &Value) -> &str {
    tokens["accessToken"]["value"].as_str().unwrap()
}

fn refresh(tokens: &Value) -> &str {
    tokens["refreshToken"]["value"].as_str().unwrap()
}

/// The identity behind both tokens.
fn identity(sandbox: &Sandbox, tokens: &Value) -> String {
    let identity = sandbox.identity_of(refresh(tokens)).unwrap().unwrap();
    assert_eq!(sandbox.identity_of(access(tokens)).unwrap().as_ref(), Some(&identity));
    identity
}

/// The same tokens when the access token's time is over, here and at the sandbox.
fn expired(sandbox: &Sandbox, tokens: &Value) -> Value {
    sandbox.advance(Duration::from_secs(5 * 3600));
    let mut tokens = tokens.clone();
    tokens["accessToken"]["expiresAt"] = json!(1);
    tokens
}

/// The body of a call that puts something in the cart.
fn something(sandbox: &Sandbox, tokens: &Value) -> String {
    let products = sdk(sandbox, &["call", "POST", "/stores/v3/products/query", "{}"], Some(tokens));
    let id = products["body"]["products"][0]["id"].as_str().unwrap();
    json!({ "lineItems": [{ "catalogReference": { "appId": "stores", "catalogItemId": id }, "quantity": 2 }] })
        .to_string()
}

#[test]
fn the_sdk_mints_a_visitor() {
    let sandbox = sandbox();
    let tokens = sdk(&sandbox, &["mint"], None);
    assert_eq!(tokens["refreshToken"]["role"], "visitor");
    let now = sandbox.now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let left = tokens["accessToken"]["expiresAt"].as_u64().unwrap() - now;
    assert!((14_000..=14_400).contains(&left), "{left} s left");
    identity(&sandbox, &tokens);
    assert_eq!((sandbox.mints(), sandbox.token_requests()), (1, 1));
    assert_eq!(sandbox.log()[0].encoding, Some(Encoding::Json));
}

#[test]
fn the_sdk_renews_and_stays_the_same_visitor() {
    for rotation in [Rotation::Same, Rotation::New] {
        let sandbox = sandbox();
        sandbox.set(|switches| switches.rotation = rotation);
        let minted = sdk(&sandbox, &["mint"], None);
        let stale = expired(&sandbox, &minted);
        for step in ["renew", "generate"] {
            let renewed = sdk(&sandbox, &[step], Some(&stale));
            assert_ne!(access(&renewed), access(&minted), "{step}");
            assert_eq!(identity(&sandbox, &renewed), identity(&sandbox, &minted), "{step}");
        }
        assert_eq!((sandbox.mints(), sandbox.renewals()), (1, 2));
    }
}

#[test]
fn tokens_that_are_still_good_are_not_renewed_by_the_sdk() {
    let sandbox = sandbox();
    let minted = sdk(&sandbox, &["mint"], None);
    assert_eq!(sdk(&sandbox, &["generate"], Some(&minted)), minted);
    assert_eq!(sandbox.token_requests(), 1);
}

#[test]
fn the_sdk_is_refused_with_a_revoked_token() {
    let sandbox = sandbox();
    let minted = sdk(&sandbox, &["mint"], None);
    assert!(sandbox.revoke_refresh(refresh(&minted)).unwrap());
    let error = try_sdk(&sandbox, &["renew"], Some(&minted)).unwrap_err();
    assert!(error.contains("invalid_grant"), "{error}");
}

#[test]
fn the_sdk_calls_apis_as_its_visitor_and_keeps_the_cart_over_a_renewal() {
    let sandbox = sandbox();
    let minted = sdk(&sandbox, &["mint"], None);
    let added =
        sdk(&sandbox, &["call", "POST", &format!("{CART}/add-to-cart"), &something(&sandbox, &minted)], Some(&minted));
    assert_eq!(added["status"], 200);

    let later = sdk(&sandbox, &["call", "GET", CART], Some(&expired(&sandbox, &minted)));
    assert_eq!(later["status"], 200);
    assert_eq!(later["body"]["cart"]["id"], added["body"]["cart"]["id"]);
    assert_eq!(later["body"]["cart"]["lineItems"][0]["quantity"], 2);
    assert_eq!(identity(&sandbox, &later["tokens"]), identity(&sandbox, &minted));
    assert_eq!((sandbox.mints(), sandbox.renewals()), (1, 1));
    assert!(sandbox.log().iter().any(|entry| entry.kind == RequestKind::Api));
}

#[test]
fn tokens_of_the_sdk_go_on_in_the_command() {
    let sandbox = sandbox();
    let cli = Cli::new(&sandbox);
    let minted = sdk(&sandbox, &["mint"], None);
    let body = something(&sandbox, &minted);
    let added = sdk(&sandbox, &["call", "POST", &format!("{CART}/add-to-cart"), &body], Some(&minted));

    cli.run(&["import", "-"], Some(&minted));
    let cart = cli.run(&["call", "GET", CART], None);
    assert_eq!(cart["cart"]["id"], added["body"]["cart"]["id"]);
    // Untouched so far, they come out as they went in.
    assert_eq!(cli.run(&["export"], None), minted);
    assert_eq!(sandbox.renewals(), 0);

    assert!(cli.try_run(&["renew"], None).status.success());
    let renewed = cli.run(&["export"], None);
    assert_ne!(access(&renewed), access(&minted));
    assert_eq!(identity(&sandbox, &renewed), identity(&sandbox, &minted));
    assert_eq!((sandbox.mints(), sandbox.renewals()), (1, 1));
}

#[test]
fn expired_tokens_of_the_sdk_in_a_file_are_renewed_by_the_command() {
    let sandbox = sandbox();
    let cli = Cli::new(&sandbox);
    let minted = sdk(&sandbox, &["mint"], None);
    let file = cli.home.path().join("from-the-sdk.json");
    std::fs::write(&file, expired(&sandbox, &minted).to_string()).unwrap();

    cli.run(&["import", file.to_str().unwrap()], None);
    cli.run(&["call", "POST", "/stores/v3/products/query", "-d", "{}"], None);
    let exported = cli.run(&["export"], None);
    assert_eq!(identity(&sandbox, &exported), identity(&sandbox, &minted));
    assert_eq!((sandbox.mints(), sandbox.renewals()), (1, 1));
}

#[test]
fn tokens_of_the_command_go_on_in_the_sdk() {
    let sandbox = sandbox();
    let cli = Cli::new(&sandbox);
    let products = cli.run(&["call", "POST", "/stores/v3/products/query", "-d", "{}"], None);
    let id = products["products"][0]["id"].as_str().unwrap();
    let body =
        json!({ "lineItems": [{ "catalogReference": { "appId": "stores", "catalogItemId": id }, "quantity": 3 }] });
    let added = cli.run(&["call", "POST", &format!("{CART}/add-to-cart"), "-d", &body.to_string()], None);

    let exported = cli.run(&["export"], None);
    assert_eq!(exported["refreshToken"]["role"], "visitor");
    let seen = sdk(&sandbox, &["call", "GET", CART], Some(&exported));
    assert_eq!(seen["body"]["cart"]["id"], added["cart"]["id"]);
    // They were good, so the SDK renewed nothing.
    assert_eq!(seen["tokens"], exported);

    let later = sdk(&sandbox, &["call", "GET", CART], Some(&expired(&sandbox, &exported)));
    assert_eq!(later["body"]["cart"]["id"], added["cart"]["id"]);
    assert_eq!((sandbox.mints(), sandbox.renewals()), (1, 1));
}
