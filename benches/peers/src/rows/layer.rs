//! `layer`: a request of a browser that was here before, whose handler wants a token. What counts is what each layer adds to the service
//! alone, which wants none.

use std::{convert::Infallible, hint::black_box};

use http::{
    HeaderValue, Request, Response,
    header::{ACCEPT, CONTENT_TYPE, COOKIE, HOST, SET_COOKIE, USER_AGENT},
};
use tower::{Layer, Service, service_fn};
use tower_sessions::{MemoryStore, SessionManagerLayer};
use wix_visitor_web::{Session, SessionLayer};

use crate::{
    Result,
    rounds::{Measured, Rounds, Side, middle},
    row::{Bound, Goal, Of, Outcome, Row, Unit},
    sessions,
    site::{runtime, site},
    visitors::{record, tokens},
};

const SHARE: &str = "of the peer's overhead";

pub(crate) fn row() -> Row {
    Row {
        id: "layer",
        work: "a request through the web layer, with a usable token",
        unit: Unit::Nanoseconds,
        goals: vec![Goal(Of::Counted(SHARE), Bound::Most(0.5))],
        run: Box::new(run),
    }
}

fn run(rounds: &Rounds) -> Result<Outcome> {
    let rounds = &rounds.finer(3);
    let runtime = runtime()?;
    let mut ours = SessionLayer::new(&site()?).layer(service_fn(ours));
    let mut theirs = SessionManagerLayer::new(MemoryStore::default()).layer(service_fn(theirs));
    let mut alone = service_fn(alone);
    // The first request of each brings the cookie, and tokens as long as Wix's.
    let cookie = |response: Response<String>| {
        let cookie = response.headers().get(SET_COOKIE).and_then(|cookie| cookie.to_str().ok()?.split(';').next());
        HeaderValue::from_str(cookie.ok_or("there is no cookie")?).map_err(Box::from)
    };
    let first = || request(HeaderValue::from_static("a=b"));
    let our_cookie: Result<_> = cookie(runtime.block_on(ours.call(first()))?);
    let their_cookie: Result<_> = cookie(runtime.block_on(theirs.call(first()))?);
    let (our_cookie, their_cookie) = (our_cookie?, their_cookie?);
    let sides = vec![
        Side::ours(|| {
            let call = async || drop(black_box(ours.call(request(our_cookie.clone())).await));
            Ok(runtime.block_on(rounds.nanoseconds_async(call)))
        }),
        Side::peer("tower-sessions, memory", || {
            let call = async || drop(black_box(theirs.call(request(their_cookie.clone())).await));
            Ok(runtime.block_on(rounds.nanoseconds_async(call)))
        }),
        Side::limit("the service alone", || {
            let call = async || drop(black_box(alone.call(request(their_cookie.clone())).await));
            Ok(runtime.block_on(rounds.nanoseconds_async(call)))
        }),
    ];
    let sides = rounds.alternate(sides)?;
    let share = share(&sides);
    Ok(Outcome { sides, counted: vec![(SHARE, share)], ..Outcome::default() })
}

/// Of the rounds, the middle one.
fn share(sides: &[Measured]) -> f64 {
    let [ours, theirs, alone] = sides else { return f64::NAN };
    let rounds = ours.rounds.iter().zip(&theirs.rounds).zip(&alone.rounds);
    middle(rounds.map(|((ours, theirs), alone)| (ours - alone) / (theirs - alone)).collect())
}

fn request(cookie: HeaderValue) -> Request<()> {
    let mut request = Request::new(());
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_static("shop.example"));
    headers.insert(USER_AGENT, HeaderValue::from_static("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101"));
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(COOKIE, cookie);
    request
}

/// What each handler answers.
fn answer() -> Response<String> {
    let mut response = Response::new(String::new());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

async fn alone(request: Request<()>) -> Result<Response<String>, Infallible> {
    black_box(request);
    Ok(answer())
}

async fn ours(request: Request<()>) -> Result<Response<String>> {
    let session = request.extensions().get::<Session>().ok_or("there is no session")?;
    let visitor = session.visitor().await?;
    if request.headers()[COOKIE] == "a=b" {
        visitor.set_tokens(tokens()).await?;
    }
    black_box(visitor.authorization().await?.header());
    Ok(answer())
}

async fn theirs(request: Request<()>) -> Result<Response<String>> {
    let session = request.extensions().get::<tower_sessions::Session>().ok_or("there is no session")?;
    if request.headers()[COOKIE] == "a=b" {
        for (name, value) in sessions::data(record().await?.len()) {
            session.insert_value(&name, value).await?;
        }
    }
    let token: Option<String> = session.get("access_token").await?;
    black_box(token.ok_or("there is no token")?);
    Ok(answer())
}
