//! `doctor`: what is set up, whether it works, and what to do. Mints nothing, renews nothing.

use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use wix_visitor::{
    AccessToken, ClientId, Clock as _, Error, ErrorKind, MemoryStore, Policy, RefreshToken, Role, Secret, Site, Status,
    StoreKey, Stored, SystemClock, TokenInfo, Tokens, WixEndpoint,
};

use crate::args::SiteArgs;
use crate::exit::{Exit, Failure};
use crate::moment::{relative, span};
use crate::output::{Console, Out, colour, paint};
use crate::setup::{Target, client_id, refuse_two_targets};
use crate::store_choice::StoreChoice;

/// A clock that is off by more than this makes good tokens look expired, or the other way round.
const CLOCK_OFF: Duration = Duration::from_secs(60);

#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
    finding: String,
    what_to_do: Option<String>,
    #[serde(skip)]
    exit: Exit,
}

impl Check {
    fn good(name: &'static str, finding: impl Into<String>) -> Self {
        Self { name, ok: true, finding: finding.into(), what_to_do: None, exit: Exit::Done }
    }

    fn bad(name: &'static str, failure: &Failure) -> Self {
        let mut finding = failure.line();
        for cause in &failure.causes {
            finding.push_str(": ");
            finding.push_str(cause);
        }
        Self { name, ok: false, finding, what_to_do: failure.advice.as_deref().map(str::to_owned), exit: failure.exit }
    }

    fn advise(mut self, advice: &str) -> Self {
        self.what_to_do = Some(advice.to_owned());
        self
    }
}

pub(super) async fn run(args: &SiteArgs, console: Console) -> Result<Exit, Failure> {
    let checks = examine(args, console).await;
    let first_problem = checks.iter().find(|check| !check.ok).map_or(Exit::Done, |check| check.exit);
    let mut out = Out::new();
    if console.is_json() {
        out.json(&json!({ "ok": first_problem == Exit::Done, "checks": checks })).await?;
    } else {
        out.write(text(&checks).as_bytes()).await?;
    }
    Ok(first_problem)
}

fn text(checks: &[Check]) -> String {
    let colour = colour(&std::io::stdout());
    let mut text = String::new();
    for check in checks {
        let mark = if check.ok { paint(colour, "32", "✓") } else { paint(colour, "31", "✗") };
        text.push_str(&format!("{mark} {:<10} {}\n", check.name, check.finding));
        if let Some(advice) = &check.what_to_do {
            text.push_str(&format!("  {:<10} → {advice}\n", ""));
        }
    }
    text
}

async fn examine(args: &SiteArgs, console: Console) -> Vec<Check> {
    let mut checks = Vec::new();
    let client_id = client_id(args);
    checks.push(match &client_id {
        Ok(id) if !is_guid(id.as_str()) => {
            let failure = Failure::usage(format!("{id} is not a GUID, and Wix's client ids are"));
            Check::bad("client id", &failure).advise("it looks like 00000000-0000-0000-0000-000000000000")
        }
        Ok(id) => Check::good("client id", format!("{id}; whether Wix knows it shows at the first grant")),
        Err(failure) => Check::bad("client id", failure),
    });
    if let Err(failure) = refuse_two_targets(args) {
        checks.push(Check::bad("API URL", &failure));
        return checks;
    }
    let choice = match StoreChoice::of(args).await {
        Ok(choice) => choice,
        Err(failure) => {
            checks.push(Check::bad("store", &failure));
            return checks;
        }
    };
    let target = match Target::of(args, &choice, console).await {
        Ok(target) => target,
        Err(failure) => {
            checks.push(Check::bad("sandbox", &failure));
            return checks;
        }
    };
    let usable_url = WixEndpoint::builder().options(target.http.clone()).build();
    checks.push(match &usable_url {
        Ok(_) if target.is_sandbox() => Check::good("API URL", format!("{}, an embedded sandbox", target.url)),
        Ok(_) => Check::good("API URL", target.url.clone()),
        Err(error) => Check::bad("API URL", &error.clone().into()),
    });
    // What Wix knows is worth hearing whatever the visitor's state is; without a client id any will do.
    let id = client_id.or_else(|_| ClientId::new("00000000-0000-0000-0000-000000000000").map_err(Failure::from));
    let tokens = match &id {
        Ok(id) => store(args, &choice, &target, id, &mut checks).await,
        Err(_) => Tokens::default(),
    };
    if let (Ok(id), Ok(_)) = (&id, &usable_url) {
        checks.extend(endpoint(&target, id, &tokens).await);
    }
    target.close().await;
    checks
}

/// The store, and the visitor in it.
async fn store(
    args: &SiteArgs,
    choice: &StoreChoice,
    target: &Target,
    client_id: &ClientId,
    checks: &mut Vec<Check>,
) -> Tokens {
    let label = choice.label();
    let store = match choice.open().await {
        Ok(store) => store,
        Err(error) => {
            checks.push(Check::bad("store", &error));
            return Tokens::default();
        }
    };
    let key = StoreKey::new(target.issuer(), client_id, &args.visitor);
    checks.push(match (label.kind, store.health(&key, Stored::MAX_BYTES).await) {
        (_, Err(error)) => Check::bad("store", &wix_visitor::Error::from(error).into()),
        ("memory", Ok(())) => Check::good("store", "memory: every command mints a visitor of its own, and forgets it"),
        (_, Ok(())) => Check::good("store", format!("{label} can be opened and written")),
    });
    for warning in store.warnings() {
        let failure = Failure::new(Exit::Misconfigured, "misconfigured", warning);
        checks.push(Check::bad("store", &failure));
    }
    let Ok(site) = target.builder(client_id).store(store).connect().await else {
        // The API URL, which has been told about.
        return Tokens::default();
    };
    let visitor = site.visitor(args.visitor.expose());
    let status = match visitor.status().await {
        Ok(status) => status,
        Err(error) => {
            checks.push(Check::bad("visitor", &error.into()));
            return Tokens::default();
        }
    };
    checks.push(visitor_check(&status));
    if let Some(error) = &status.last_error {
        let pause = status.paused_for.map(|pause| format!(" (no grant for {})", span(pause))).unwrap_or_default();
        let failure = Failure::new(Exit::Unavailable, "unavailable", format!("the last one failed: {error}{pause}"));
        checks.push(Check::bad("grant", &failure).advise("the visitor is kept; `wix-visitor renew` tries again"));
    }
    visitor.tokens().await.unwrap_or_default()
}

fn visitor_check(status: &Status) -> Check {
    let now = SystemClock::default().wall();
    if !status.exists {
        return Check::good("visitor", "does not exist yet; the next `wix-visitor token` or `call` mints it");
    }
    if status.forgotten {
        return Check::good("visitor", "forgotten; the next `wix-visitor token` or `call` mints a new one");
    }
    let token = match status.expires_at {
        Some(at) if status.usable => format!("its access token ends {}", relative(at, now)),
        _ => "its access token is to be renewed".to_owned(),
    };
    let finding = format!("{} {}, {} renewals; {token}", status.role, status.visitor, status.generation);
    if status.renewable {
        Check::good("visitor", finding)
    } else if status.role == Role::Member {
        let failure = Failure::new(Exit::MemberSessionEnded, "member_session_ended", "the member's session has ended");
        Check::bad("visitor", &failure).advise(
            "`wix-visitor import` takes the tokens of a new sign-in, `wix-visitor forget` goes on as a new visitor",
        )
    } else {
        Check::good("visitor", format!("{finding}; it has no refresh token, and so ends with its access token"))
    }
}

/// Asks about the visitor's access token, or a made-up one: that is answered without any effect.
async fn endpoint(target: &Target, client_id: &ClientId, tokens: &Tokens) -> Vec<Check> {
    let own = tokens.access.as_ref().map(|token| token.value.clone());
    let asked = SystemClock::default().wall();
    let info = match probe(target, client_id, own.clone()).await {
        Ok(info) => info,
        Err(error) => return vec![unanswered(&error)],
    };
    let mut checks = Vec::new();
    if own.is_none() {
        checks.push(Check::good("endpoint", "answers"));
    } else if info.active {
        let whose = info.subject_type.as_deref().unwrap_or("somebody").to_lowercase();
        checks.push(Check::good("endpoint", format!("answers; it knows the access token as a {whose}'s")));
    } else {
        // Nothing wrong in an expired token, which is renewed when it is needed.
        checks.push(Check::good("endpoint", "answers; the access token is no longer good, and is renewed when needed"));
    }
    if let Some(known) = info.client_id.as_deref().filter(|known| !known.eq_ignore_ascii_case(client_id.as_str())) {
        let shown: String = known.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(64).collect();
        let failure = Failure::new(
            Exit::Misconfigured,
            "misconfigured",
            format!("the visitor's tokens were issued to the app {shown}, not to {client_id}"),
        );
        checks.push(
            Check::bad("app", &failure).advise("give the client id that the tokens came from, or another --visitor"),
        );
    }
    // A token cannot have been issued in the future.
    if let Some(ahead) = info.issued.map(|issued| issued.since(asked)).filter(|ahead| *ahead > CLOCK_OFF) {
        let failure = Failure::other(format!("this machine's clock is at least {} behind Wix's", span(ahead)));
        checks.push(Check::bad("clock", &failure).advise("set the clock, or let NTP do it"));
    }
    checks
}

fn unanswered(error: &Error) -> Check {
    match error.status() {
        // It was reached and said something, if not what was asked: to a made-up token that is fine.
        Some(status) if status < 500 && status != 429 => {
            Check::good("endpoint", format!("answers (status {status} to a question about the token)"))
        }
        _ => {
            let mut check = Check::bad("endpoint", &error.clone().into());
            check.exit = match error.kind() {
                ErrorKind::Misconfigured => Exit::Misconfigured,
                _ => Exit::Unavailable,
            };
            check.advise("check the network, the proxy and the API URL; a token that is still good serves meanwhile")
        }
    }
}

/// On a site of its own, in memory, whose token is dated so that it is never due: nothing is minted or renewed by asking.
async fn probe(target: &Target, client_id: &ClientId, token: Option<Secret>) -> Result<TokenInfo, Error> {
    let mut policy = Policy::default();
    (policy.lead, policy.jitter, policy.unusable) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let site: Site = target.builder(client_id).store(MemoryStore::new()).policy(policy).connect().await?;
    let visitor = site.visitor("doctor");
    let made_up = || Secret::new("asked-by-wix-visitor-doctor");
    // Soon: an end further ahead than the token's lifetime would count as a wrong clock, and so as due.
    let access =
        AccessToken::new(token.unwrap_or_else(made_up), SystemClock::default().wall() + Duration::from_secs(60));
    visitor.set_tokens(Tokens::new(Some(access), Some(RefreshToken::new(made_up(), Role::Visitor)))).await?;
    let info = visitor.token_info().await;
    site.shutdown().await?;
    info
}

pub(super) fn is_guid(id: &str) -> bool {
    let parts: Vec<&str> = id.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
