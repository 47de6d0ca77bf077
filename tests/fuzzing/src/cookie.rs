//! The head of a request, any lines: a session's cookies are read as they were given out, or as damage, and never as another's.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{COOKIE, HOST, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use tokio::runtime::{Builder, Runtime};
use tower::{Service, ServiceExt as _};
use tower_layer::Layer;
use url::{Host, Url};
use wix_visitor::MemoryStore;
use wix_visitor::web::{SealedSessionLayer, Session, SessionError, SessionLayer, SessionService};
use wix_visitor_core::{
    ClientId, Grant, GrantError, GrantFailure, GrantReply, KeyRing, SealingKey, Secret, TokenEndpoint, Tokens,
    VisitorId, Visitors, async_trait,
};
use wix_visitor_testkit::TestClock;

/// Each input has visitors of its own, and few.
const FEW_BYTES: usize = 64 * 1024;
/// More of them is only slow.
const MOST_PLANTED: usize = 32;

pub(crate) fn check(bytes: &[u8]) {
    let (given, request) = (&*GIVEN, Head::of(&planted(bytes, &GIVEN)));
    runtime().block_on(async {
        by_id(&request).await;
        sealed(&request, given).await;
        if request.headers.contains_key(HOST) {
            on_loopback(&request).await;
        }
    });
}

/// A request's method and headers, written as lines.
struct Head {
    method: Method,
    headers: HeaderMap,
}

impl Head {
    fn of(bytes: &[u8]) -> Self {
        let mut head = Self { method: Method::GET, headers: HeaderMap::new() };
        for line in bytes.split(|byte| *byte == b'\n') {
            let Some(colon) = line.iter().position(|byte| *byte == b':') else {
                head.method = Method::from_bytes(line).unwrap_or(head.method);
                continue;
            };
            let (name, value) = (HeaderName::from_bytes(&line[..colon]), line[colon + 1..].trim_ascii());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
                let _ = head.headers.try_append(name, value);
            }
        }
        head
    }

    fn with_cookie(cookie: &[u8]) -> Self {
        let cookie = HeaderValue::from_bytes(cookie).unwrap_or_else(|error| panic!("{error}"));
        Self { method: Method::GET, headers: HeaderMap::from_iter([(COOKIE, cookie)]) }
    }

    fn request(&self) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = self.method.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }

    /// Its cookies that begin so, whole.
    fn cookies(&self, begin: &[u8]) -> Vec<&[u8]> {
        let pairs = self.headers.get_all(COOKIE).into_iter().flat_map(|value| value.as_bytes().split(|b| *b == b';'));
        pairs.map(<[u8]>::trim_ascii).filter(|pair| pair.starts_with(begin)).collect()
    }
}

/// What a handler does with its session.
#[derive(Clone, Copy)]
enum Act {
    Visit,
    Renew,
    SignOut,
}

type Found = Result<(VisitorId, Tokens), SessionError>;

/// A handler that asks for its visitor.
#[derive(Clone)]
struct Handler {
    act: Act,
    found: Arc<Mutex<Option<Found>>>,
}

impl Service<Request<()>> for Handler {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<()>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let Self { act, found } = self.clone();
        Box::pin(async move {
            let session = request.extensions().get::<Session>().cloned().unwrap_or_else(|| panic!("no session"));
            let what = visit(&session, act).await;
            *found.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
            Ok(Response::new(()))
        })
    }
}

async fn visit(session: &Session, act: Act) -> Found {
    match act {
        Act::Visit => {}
        Act::Renew => drop(session.visitor().await?.renew().await?),
        Act::SignOut => session.sign_out().await?,
    }
    let visitor = session.visitor().await?;
    Ok((visitor.id(), visitor.tokens().await?))
}

/// What the handler found, and the cookies that are given out.
async fn ask<L>(layer: &L, act: Act, head: &Head) -> (Found, Vec<HeaderValue>)
where
    L: Layer<Handler, Service = SessionService<Handler>>,
{
    let handler = Handler { act, found: Arc::default() };
    let found = Arc::clone(&handler.found);
    let Ok(mut response) = layer.layer(handler).oneshot(head.request()).await;
    let found = found.lock().unwrap_or_else(PoisonError::into_inner).take();
    let cookies = match response.headers_mut().entry(SET_COOKIE) {
        http::header::Entry::Occupied(cookies) => cookies.remove_entry_mult().1.collect(),
        http::header::Entry::Vacant(_) => Vec::new(),
    };
    (found.unwrap_or_else(|| panic!("the handler was not asked")), cookies)
}

/// Mints and renews; a token says what it is, whose, and after how many renewals: `r.new1.0`.
#[derive(Debug)]
struct Issuer {
    /// What its visitors are called.
    name: &'static str,
    minted: AtomicU32,
}

#[async_trait]
impl TokenEndpoint for Issuer {
    fn issuer(&self) -> &str {
        "fuzzing"
    }

    async fn grant(&self, _: &ClientId, grant: &Grant, _: Duration) -> Result<GrantReply, GrantError> {
        let (whose, generation, padding) = match grant {
            Grant::Anonymous => {
                let number = self.minted.fetch_add(1, Ordering::Relaxed);
                // So long that its cookie is split.
                (format!("{}{number}", self.name), 0, if number == 2 { 5000 } else { 0 })
            }
            Grant::Refresh(token) => {
                let (whose, generation) = whose(token);
                (whose, generation + 1, 0)
            }
            _ => return Err(GrantError::new(GrantFailure::Transient, "a grant that nobody knows")),
        };
        let token = |kind: &str| Some(Secret::new(format!("{kind}.{whose}.{generation}.{:x<padding$}", "")));
        let mut reply = GrantReply::default();
        reply.access_token = token("a");
        reply.refresh_token = token("r");
        reply.expires_in = Some(Duration::from_secs(4 * 3600));
        Ok(reply)
    }
}

fn whose(token: &Secret) -> (String, u32) {
    let mut parts = token.expose().split('.').skip(1);
    let whose = parts.next().unwrap_or_else(|| panic!("not a token of ours"));
    let generation = parts.next().and_then(|part| part.parse().ok()).unwrap_or_else(|| panic!("not a token of ours"));
    (whose.to_owned(), generation)
}

fn runtime() -> Runtime {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap_or_else(|error| panic!("no runtime: {error}"))
}

fn client_id() -> ClientId {
    ClientId::new("fuzzing").unwrap_or_else(|error| panic!("{error}"))
}

/// To be called within the runtime.
fn sealed_layer(name: &'static str) -> SealedSessionLayer {
    let key =
        SealingKey::from_text("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap_or_else(|error| panic!("{error}"));
    let issuer = Issuer { name, minted: AtomicU32::new(0) };
    let layer = SealedSessionLayer::configured(client_id(), issuer, KeyRing::new(key), |builder| {
        builder.clock(TestClock::default()).snapshot_bytes(FEW_BYTES)
    });
    layer.unwrap_or_else(|error| panic!("{error}"))
}

/// To be called within the runtime.
fn visitors() -> Visitors {
    let issuer = Issuer { name: "new", minted: AtomicU32::new(0) };
    let builder = Visitors::builder(client_id(), issuer, MemoryStore::new()).clock(TestClock::default());
    builder.snapshot_bytes(FEW_BYTES).build().unwrap_or_else(|error| panic!("{error}"))
}

/// The cookies of one answer, each a name and a value, and whose tokens are in them.
struct Given {
    whose: String,
    cookies: Vec<Vec<u8>>,
}

/// What was really given out: to a visitor, to the same after a renewal, to it after a sign-out, and to one of long tokens.
static GIVEN: LazyLock<Vec<Given>> = LazyLock::new(|| {
    runtime().block_on(async {
        let layer = sealed_layer("given");
        let mut given: Vec<Given> = Vec::new();
        for act in [Act::Visit, Act::Renew, Act::SignOut, Act::Visit] {
            let before =
                given.last().filter(|_| !matches!(act, Act::Visit)).map(|given| given.cookies.join(&b"; "[..]));
            let head = before.map_or_else(|| Head::of(b""), |cookies| Head::with_cookie(&cookies));
            let (found, cookies) = ask(&layer, act, &head).await;
            let (_, tokens) = found.unwrap_or_else(|error| panic!("{error}"));
            let refresh = tokens.refresh.unwrap_or_else(|| panic!("no refresh token"));
            let pairs = cookies.iter().filter_map(|cookie| cookie.as_bytes().split(|byte| *byte == b';').next());
            // One that is taken away has no value.
            let cookies = pairs.filter(|pair| !pair.ends_with(b"=")).map(<[u8]>::to_vec).collect();
            given.push(Given { whose: whose(&refresh.value).0, cookies });
        }
        given
    })
});

/// The lines with genuine cookies in them: `$0` is the first one, `@0` its value alone.
fn planted(bytes: &[u8], given: &[Given]) -> Vec<u8> {
    let genuine: Vec<&[u8]> = given.iter().flat_map(|given| &given.cookies).map(Vec::as_slice).collect();
    let (mut out, mut rest, mut left) = (Vec::new(), bytes, MOST_PLANTED);
    while let Some((first, after)) = rest.split_first() {
        let number = after.first().map(|digit| usize::from(digit.wrapping_sub(b'0')));
        match number.and_then(|number| genuine.get(number)).filter(|_| left > 0 && matches!(first, b'$' | b'@')) {
            Some(pair) => {
                let value = pair.iter().position(|byte| *byte == b'=').map_or(0, |equals| equals + 1);
                out.extend_from_slice(if *first == b'$' { pair } else { &pair[value..] });
                (rest, left) = (&after[1..], left - 1);
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}

/// Where the server keeps the tokens, any id that could have been given out is one, and the only one.
async fn by_id(head: &Head) {
    let visitors = visitors();
    let layer = SessionLayer::new(&visitors);
    let shown = head.cookies(b"__Host-visitor=");
    let ids: BTreeSet<&str> = shown.iter().filter_map(|pair| id(&pair[b"__Host-visitor=".len()..])).collect();
    let (found, cookies) = ask(&layer, Act::Visit, head).await;
    match (found, ids.first()) {
        (Ok((visitor, _)), Some(id)) if ids.len() == 1 => assert_eq!(visitor, visitors.visitor(id).id(), "another's"),
        (Ok((visitor, _)), None) if shown.is_empty() => {
            let cookie = cookies.first().unwrap_or_else(|| panic!("a new session that nobody is told of"));
            let pair = cookie.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
            let (again, _) = ask(&layer, Act::Visit, &Head::with_cookie(pair)).await;
            assert!(again.is_ok_and(|(again, _)| again == visitor), "what was given out is not found again");
        }
        (Err(SessionError::Damaged), _) if ids.len() != 1 && !shown.is_empty() => assert!(cookies.is_empty()),
        (Err(SessionError::CrossSite), None) if shown.is_empty() => assert!(cookies.is_empty()),
        (found, _) => panic!("{} sessions are shown, and it is {found:?}", ids.len()),
    }
}

/// The id in a cookie's value, if it can be one: 16 bytes, spelt as we spell them, and a day.
fn id(value: &[u8]) -> Option<&str> {
    let (id, day) = std::str::from_utf8(value).ok()?.split_once('.')?;
    let bytes = URL_SAFE_NO_PAD.decode(id).ok()?;
    let day = (1..=6).contains(&day.len()) && day.bytes().all(|digit| digit.is_ascii_digit());
    (day && bytes.len() == 16 && URL_SAFE_NO_PAD.encode(bytes) == id).then_some(id)
}

/// Where the browser keeps the tokens, they are those that were given out, all of one visitor; and who brings anything is not
/// taken for somebody new.
async fn sealed(head: &Head, given: &[Given]) {
    let ours: BTreeSet<&[u8]> = head.cookies(b"__Host-visitor-").into_iter().filter(|pair| has_era(pair)).collect();
    let (found, cookies) = ask(&sealed_layer("new"), Act::Visit, head).await;
    let whole = given.iter().find(|given| given.cookies.iter().map(Vec::as_slice).collect::<BTreeSet<_>>() == ours);
    match found {
        Ok((_, Tokens { access, refresh, .. })) => {
            let refresh = whose(&refresh.unwrap_or_else(|| panic!("tokens without a refresh token")).value);
            assert_eq!(refresh.0.starts_with("new"), ours.is_empty(), "minted in place of what is there, or made up");
            assert!(access.is_none_or(|access| whose(&access.value) == refresh), "tokens of two");
            assert!(whole.is_none_or(|given| given.whose == refresh.0), "another's");
        }
        Err(SessionError::Damaged) => assert!(!ours.is_empty() && whole.is_none() && cookies.is_empty(), "not damaged"),
        Err(SessionError::CrossSite) => assert!(ours.is_empty() && cookies.is_empty(), "nothing is kept back"),
        Err(error) => panic!("{error:?}"),
    }
}

/// Whether a cookie's name begins as those of an era do.
fn has_era(pair: &[u8]) -> bool {
    let name = pair.split(|byte| *byte == b'=').next().and_then(|name| std::str::from_utf8(name).ok());
    let suffix = name.and_then(|name| name.strip_prefix("__Host-visitor-"));
    suffix.and_then(|suffix| suffix.split('-').next()).is_some_and(|era| era.parse::<u32>().is_ok())
}

/// A cookie that may go over a wire in the clear is for this very machine alone.
async fn on_loopback(head: &Head) {
    let (_, cookies) = ask(&SessionLayer::new(&visitors()).plain_on_loopback(), Act::Visit, head).await;
    if cookies.iter().any(|cookie| !cookie.to_str().is_ok_and(|cookie| cookie.contains("; Secure;"))) {
        let host = head.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let host = Url::parse(&format!("http://{}", host.trim())).ok();
        let loopback = host.as_ref().and_then(Url::host).is_none_or(|host| match host {
            Host::Ipv4(ip) => ip.is_loopback(),
            Host::Ipv6(ip) => ip.is_loopback(),
            Host::Domain(name) => name == "localhost",
        });
        assert!(loopback, "a plain cookie for {host:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn genuine_cookies_are_planted_by_their_numbers_and_lead_to_their_visitors() {
        let cookies: Vec<usize> = GIVEN.iter().map(|given| given.cookies.len()).collect();
        assert_eq!(cookies, [2, 2, 2, 4], "the last ones are split");
        for (line, whose) in
            [("$0; $1", "given0"), ("$2; $3", "given0"), ("$4; $5", "given1"), ("$6; $7; $8; $9", "given2")]
        {
            let head = Head::of(&planted(format!("cookie: {line}").as_bytes(), &GIVEN));
            let (found, _) = runtime().block_on(async { ask(&sealed_layer("new"), Act::Visit, &head).await });
            let refresh = found.unwrap().1.refresh.unwrap();
            assert_eq!(super::whose(&refresh.value).0, whose, "{line}");
        }
    }
}
