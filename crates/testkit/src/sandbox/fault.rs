//! Planned faults: a queue, of which each matching request takes the first.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;

use super::{
    asked::{Asked, RequestKind},
    reply::Reply,
};

/// Which requests a fault or a gate is for. Preflights never match.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum On {
    /// Requests to mint.
    Mint,
    /// Requests to renew.
    Renew,
    /// Any request to the token endpoint.
    Token,
    /// Requests to token-info.
    TokenInfo,
    /// Other requests whose path begins with this.
    Api(String),
    /// Every request.
    Any,
}

impl On {
    pub(super) fn matches(&self, asked: &Asked) -> bool {
        match (self, asked.kind) {
            (_, RequestKind::Preflight) => false,
            (Self::Any, _)
            | (Self::Mint, RequestKind::Mint)
            | (Self::Renew, RequestKind::Renew)
            | (Self::TokenInfo, RequestKind::TokenInfo)
            | (Self::Token, RequestKind::Mint | RequestKind::Renew | RequestKind::OtherGrant) => true,
            (Self::Api(prefix), RequestKind::Api | RequestKind::Tool) => asked.path.starts_with(prefix.as_str()),
            _ => false,
        }
    }
}

/// One planned fault.
///
/// Begins with what it is for, goes on with what happens, and ends with how often; once, if nothing is said.
///
/// ```
/// use std::time::Duration;
/// use wix_visitor_testkit::sandbox::Fault;
///
/// let busy = Fault::on_renew().status(503).retry_after(5).times(2);
/// let lost = Fault::on_token().reset_after_acting();
/// let slow = Fault::on_api("/ecom/").delay(Duration::from_secs(1)).always();
/// # let _ = (busy, lost, slow);
/// ```
#[derive(Clone)]
pub struct Fault {
    on: On,
    skip: u32,
    /// How often still; `None` is always.
    left: Option<u32>,
    effect: Effect,
}

/// What happens to one request.
#[derive(Clone)]
pub(super) struct Effect {
    kind: Kind,
    pub(super) acts: bool,
    pub(super) delay: Duration,
    pub(super) delay_after: Duration,
    headers: Vec<(String, String)>,
}

#[derive(Clone)]
enum Kind {
    Pass,
    Answer(Reply),
    Reset,
    Hang,
    Truncate,
    Oversize(u64),
}

/// How an answer leaves the sandbox, or does not.
pub(super) enum Delivery {
    Whole(Reply),
    /// The connection ends in the middle of the body.
    Truncated(Reply),
    /// The body goes on for so many bytes more.
    Oversized(Reply, u64),
    Reset,
    Never,
}

impl Fault {
    /// A fault for these requests. Until more is said, nothing happens to them.
    pub fn on(on: On) -> Self {
        Self {
            on,
            skip: 0,
            left: Some(1),
            effect: Effect {
                kind: Kind::Pass,
                acts: true,
                delay: Duration::ZERO,
                delay_after: Duration::ZERO,
                headers: Vec::new(),
            },
        }
    }

    /// A fault for requests to mint.
    pub fn on_mint() -> Self {
        Self::on(On::Mint)
    }

    /// A fault for requests to renew.
    pub fn on_renew() -> Self {
        Self::on(On::Renew)
    }

    /// A fault for any request to the token endpoint.
    pub fn on_token() -> Self {
        Self::on(On::Token)
    }

    /// A fault for requests to token-info.
    pub fn on_token_info() -> Self {
        Self::on(On::TokenInfo)
    }

    /// A fault for other requests whose path begins with `prefix`.
    pub fn on_api(prefix: impl Into<String>) -> Self {
        Self::on(On::Api(prefix.into()))
    }

    /// A fault for every request.
    pub fn on_any() -> Self {
        Self::on(On::Any)
    }

    /// Answers this status, 200 to 999 (anything else becomes 500), with an empty body, instead of acting. [`body`](Self::body) and
    /// [`after_acting`](Self::after_acting) change that.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        match &mut self.effect.kind {
            Kind::Answer(reply) => reply.status = status,
            _ => self.effect.kind = Kind::Answer(Reply::empty(status)),
        }
        self.effect.acts = false;
        self
    }

    /// Answers this body, as `application/json` unless [`content_type`](Self::content_type) says otherwise; with status 200
    /// and instead of acting, unless [`status`](Self::status) or [`after_acting`](Self::after_acting) is said.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        let reply = self.answer();
        reply.body = body.into();
        if reply.content_type.is_none() {
            reply.content_type = Some("application/json".to_owned());
        }
        self
    }

    /// The type of the [`body`](Self::body).
    #[must_use]
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.answer().content_type = Some(content_type.into());
        self
    }

    /// A header more in the answer, whatever it is. One that HTTP cannot carry is left out.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.effect.headers.push((name.into(), value.into()));
        self
    }

    /// `Retry-After`, in seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        self.header("retry-after", seconds.to_string())
    }

    /// Waits this long before acting.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.effect.delay = delay;
        self
    }

    /// Waits this long between acting and answering.
    #[must_use]
    pub fn delay_after_acting(mut self, delay: Duration) -> Self {
        self.effect.delay_after = delay;
        self
    }

    /// Resets the connection (TCP RST) instead of acting.
    #[must_use]
    pub fn reset(self) -> Self {
        self.kind(Kind::Reset, false)
    }

    /// Acts, then resets the connection: the token is minted or rotated, and the reply lost.
    #[must_use]
    pub fn reset_after_acting(self) -> Self {
        self.kind(Kind::Reset, true)
    }

    /// Neither acts nor answers, until the client goes away or the sandbox stops.
    #[must_use]
    pub fn hang(self) -> Self {
        self.kind(Kind::Hang, false)
    }

    /// Acts, and never answers.
    #[must_use]
    pub fn hang_after_acting(self) -> Self {
        self.kind(Kind::Hang, true)
    }

    /// Acts, announces the whole answer by `Content-Length`, sends half of the body and ends the connection.
    #[must_use]
    pub fn truncate(self) -> Self {
        self.kind(Kind::Truncate, true)
    }

    /// Acts, and answers well-formed JSON grown by about this many bytes of padding, without a `Content-Length`.
    #[must_use]
    pub fn oversize(self, bytes: u64) -> Self {
        self.kind(Kind::Oversize(bytes), true)
    }

    /// Acts, and answers 200 with a page for people, as a captive portal or a proxy does.
    #[must_use]
    pub fn html(self) -> Self {
        let page = Reply::html(200, "<!doctype html><title>Sign in</title><h1>Welcome to the hotel</h1>\n");
        self.kind(Kind::Answer(page), true)
    }

    /// Acts, and answers 200 with an empty body.
    #[must_use]
    pub fn empty(self) -> Self {
        self.kind(Kind::Answer(Reply::empty(200)), true)
    }

    /// Acts first, whatever then happens to the answer.
    #[must_use]
    pub fn after_acting(mut self) -> Self {
        self.effect.acts = true;
        self
    }

    /// Lets so many matching requests pass first.
    #[must_use]
    pub fn skip(mut self, requests: u32) -> Self {
        self.skip = requests;
        self
    }

    /// Happens to so many matching requests, then no more.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.left = Some(times);
        self
    }

    /// Happens to every matching request, until the faults are cleared.
    #[must_use]
    pub fn always(mut self) -> Self {
        self.left = None;
        self
    }

    fn kind(mut self, kind: Kind, acts: bool) -> Self {
        self.effect.kind = kind;
        self.effect.acts = acts;
        self
    }

    fn answer(&mut self) -> &mut Reply {
        if !matches!(self.effect.kind, Kind::Answer(_)) {
            self.effect.kind = Kind::Answer(Reply::empty(200));
            self.effect.acts = false;
        }
        match &mut self.effect.kind {
            Kind::Answer(reply) => reply,
            _ => unreachable!("it was just made an answer"),
        }
    }
}

impl fmt::Debug for Fault {
    // The body of an answer is left out: a test may put a token in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fault")
            .field("on", &self.on)
            .field("effect", &self.effect.in_words())
            .field("skip", &self.skip)
            .field("left", &self.left)
            .finish()
    }
}

impl Effect {
    /// For the log.
    pub(super) fn in_words(&self) -> String {
        let mut words = match &self.kind {
            Kind::Pass if self.headers.is_empty() => "delay".to_owned(),
            Kind::Pass => "headers".to_owned(),
            Kind::Answer(reply) => format!("status {}", reply.status),
            Kind::Reset => "reset".to_owned(),
            Kind::Hang => "hang".to_owned(),
            Kind::Truncate => "truncate".to_owned(),
            Kind::Oversize(_) => "oversize".to_owned(),
        };
        if self.acts && !matches!(self.kind, Kind::Pass) {
            words.push_str(" after acting");
        }
        words
    }

    /// What leaves the sandbox; `acted` is the true answer, where the request acted.
    pub(super) fn deliver(self, acted: Option<Reply>) -> Delivery {
        let mut delivery = match (self.kind, acted) {
            (Kind::Reset, _) => Delivery::Reset,
            (Kind::Hang, _) => Delivery::Never,
            (Kind::Answer(reply), _) => Delivery::Whole(reply),
            (Kind::Truncate, Some(reply)) => Delivery::Truncated(reply),
            (Kind::Oversize(bytes), Some(reply)) => Delivery::Oversized(reply, bytes),
            (_, Some(reply)) => Delivery::Whole(reply),
            // Only what is reset, hangs or is answered otherwise does not act.
            (_, None) => Delivery::Whole(Reply::empty(500)),
        };
        if let Delivery::Whole(reply) | Delivery::Truncated(reply) | Delivery::Oversized(reply, _) = &mut delivery {
            reply.headers.extend(self.headers);
        }
        delivery
    }
}

/// The queue.
#[derive(Default)]
pub(super) struct Faults {
    queue: Mutex<Vec<Fault>>,
}

impl Faults {
    pub(super) fn plan(&self, fault: Fault) {
        self.lock().push(fault);
    }

    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    /// The first fault for this request, used up by one.
    pub(super) fn take(&self, asked: &Asked) -> Option<Effect> {
        let mut queue = self.lock();
        queue.retain(|fault| fault.left != Some(0));
        for fault in queue.iter_mut().filter(|fault| fault.on.matches(asked)) {
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            if let Some(left) = &mut fault.left {
                *left -= 1;
            }
            return Some(fault.effect.clone());
        }
        None
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Fault>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
