//! `sandbox`: a sandbox Wix until Ctrl-C.

use std::time::Duration;

use serde_json::json;
use wix_visitor_testkit::sandbox::{DeadToken, ExpiresIn, LogEntry, RefreshField, Rotation, Sandbox, SandboxOptions};

use crate::args::{DeadTokenArg, ExpiresInArg, RotationArg, SandboxArgs};
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::output::{Console, Out};

pub(super) async fn run(args: &SandboxArgs, console: Console, interrupt: &Interrupt) -> Result<Exit, Failure> {
    let sandbox = interrupt.or(async { Ok(Sandbox::start(options(args)).await?) }).await?;
    for fault in &args.faults {
        sandbox.fault(fault.clone());
    }
    let mut answers = sandbox.answers();
    let mut out = Out::new();
    let url = sandbox.url();
    if console.is_json() {
        out.json(&json!({ "sandbox": { "url": url, "state": args.state } })).await?;
    } else {
        out.write(welcome(&url, args).as_bytes()).await?;
    }
    loop {
        tokio::select! {
            biased;
            _ = interrupt.asked() => break,
            answer = answers.next() => match answer {
                Some(entry) => tell(&entry, console, &mut out).await?,
                None => break,
            },
        }
    }
    sandbox.shutdown().await;
    // Ctrl-C is how a server is meant to end.
    Ok(Exit::Done)
}

fn options(args: &SandboxArgs) -> SandboxOptions {
    let rotation = match args.rotation {
        RotationArg::Same => Rotation::Same,
        RotationArg::New => Rotation::New,
        RotationArg::Grace => Rotation::Grace(Duration::from_secs(args.grace)),
        RotationArg::Strict => Rotation::Strict,
    };
    let options = SandboxOptions::new()
        .listen(args.listen)
        .token_lifetime(args.token_ttl)
        .rotation(rotation)
        .latency(Duration::from_millis(args.latency))
        .with(|switches| {
            switches.expires_in = match args.expires_in {
                ExpiresInArg::Number => ExpiresIn::Number,
                ExpiresInArg::String => ExpiresIn::String,
                ExpiresInArg::Omitted => ExpiresIn::Omitted,
            };
            switches.dead_token = match args.dead_token {
                DeadTokenArg::Unauthorized => DeadToken::Unauthorized,
                DeadTokenArg::Wde0117 => DeadToken::MetaSiteNotFound,
            };
            if args.omit_refresh {
                switches.refresh_in_renewal = RefreshField::Omitted;
            }
        });
    match &args.state {
        Some(state) => options.state_file(state),
        None => options,
    }
}

fn welcome(url: &str, args: &SandboxArgs) -> String {
    let kept = match &args.state {
        Some(state) => format!("visitors and carts are kept in {}", state.display()),
        None => "visitors and carts are forgotten when it ends (--state FILE keeps them)".to_owned(),
    };
    format!(
        "\
A sandbox, not Wix, answers at {url}; {kept}.
Any GUID is a client id. To try it:

  curl {url}/oauth2/token -H 'content-type: application/json' \\
    -d '{{\"clientId\": \"00000000-0000-0000-0000-000000000000\", \"grantType\": \"anonymous\"}}'

  export WIX_API_URL={url} WIX_CLIENT_ID=00000000-0000-0000-0000-000000000000
  wix-visitor call POST /stores/v3/products/query -d '{{}}'
  wix-visitor token --header | curl -H @- {url}/ecom/v1/carts/current

Failures can be planned: `wix-visitor sandbox --help` tells how.
Ctrl-C ends it. What it is asked:
"
    )
}

/// One request, without its query, its tokens and its body.
async fn tell(entry: &LogEntry, console: Console, out: &mut Out) -> Result<(), Failure> {
    if console.is_json() {
        return out
            .json(&json!({ "request": {
                "number": entry.number,
                "at_ms": entry.at_ms,
                "kind": format!("{:?}", entry.kind),
                "method": entry.method,
                "path": entry.path,
                "status": entry.status,
                "identity": entry.identity,
                "fault": entry.fault,
            } }))
            .await;
    }
    let whose = entry.identity.as_deref().map(|identity| format!("  as {identity}")).unwrap_or_default();
    let fault = entry.fault.as_deref().map(|fault| format!("  [planned: {fault}]")).unwrap_or_default();
    let status = entry.status.map_or("---".to_owned(), |status| status.to_string());
    out.line(&format!("  {status} {:<6} {}{whose}{fault}", entry.method, entry.path)).await
}
