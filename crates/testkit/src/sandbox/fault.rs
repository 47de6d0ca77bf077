//! Planned faults: a queue, of which each matching request takes the first.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    asked::{Asked, RequestKind},
    reply::Reply,
};
use crate::random;

/// Which requests a fault or a gate is for. Preflights never match, nor does what steers the sandbox itself.
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

/// As a fault's text says it.
impl fmt::Display for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mint => "mint",
            Self::Renew => "renew",
            Self::Token => "token",
            Self::TokenInfo => "token-info",
            Self::Api(prefix) => prefix,
            Self::Any => "any",
        })
    }
}

impl On {
    pub(super) fn matches(&self, asked: &Asked) -> bool {
        match (self, asked.kind) {
            (_, RequestKind::Preflight | RequestKind::Control) => false,
            (Self::Any, _)
            | (Self::Mint, RequestKind::Mint)
            | (Self::Renew, RequestKind::Renew)
            | (Self::TokenInfo, RequestKind::TokenInfo)
            | (Self::Token, RequestKind::Mint | RequestKind::Renew | RequestKind::SignIn | RequestKind::OtherGrant) => {
                true
            }
            (Self::Api(prefix), RequestKind::Api | RequestKind::Revoke | RequestKind::Tool) => {
                asked.path.starts_with(prefix.as_str())
            }
            _ => false,
        }
    }
}

/// One planned fault.
///
/// Begins with what it is for, goes on with what happens, and ends with how often; once, if nothing is said. The order of what
/// is said changes nothing.
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
///
/// A fault can be written as text too, as on the command line: see [its `FromStr`](#impl-FromStr-for-Fault).
#[derive(Clone)]
pub struct Fault {
    on: On,
    skip: u32,
    /// How often still; `None` is always.
    left: Option<u32>,
    /// Of a hundred requests, so many at random.
    percent: u8,
    effect: Effect,
}

/// What happens to one request.
#[derive(Clone, Default)]
pub(super) struct Effect {
    /// Answered in place of the truth.
    answer: Option<Reply>,
    way: Way,
    /// What happens takes the place of acting, unless `after_acting` is said too.
    instead: bool,
    after_acting: bool,
    pub(super) delay: Duration,
    pub(super) delay_after: Duration,
    headers: Vec<(String, String)>,
}

#[derive(Clone, Copy, Default)]
enum Way {
    #[default]
    Whole,
    Truncated,
    Oversized(u64),
    Reset,
    Never,
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
        Self { on, skip: 0, left: Some(1), percent: 100, effect: Effect::default() }
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

    /// Answers this status, 200 to 999 (anything else becomes 500), with an empty body if no other is said, instead of acting.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.answer().status = status;
        self.effect.instead = true;
        self
    }

    /// Answers this body, as `application/json` unless [`content_type`](Self::content_type) says otherwise and with status 200
    /// unless [`status`](Self::status) does, instead of acting.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        let reply = self.answer();
        reply.body = body.into();
        if reply.content_type.is_none() {
            reply.content_type = Some("application/json".to_owned());
        }
        self.effect.instead = true;
        self
    }

    /// The type of the [`body`](Self::body).
    #[must_use]
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.answer().content_type = Some(content_type.into());
        self.effect.instead = true;
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
    pub fn reset(mut self) -> Self {
        self.effect.instead = true;
        self.way(Way::Reset)
    }

    /// Acts, then resets the connection: the token is minted or rotated, and the reply lost.
    #[must_use]
    pub fn reset_after_acting(self) -> Self {
        self.reset().after_acting()
    }

    /// Neither acts nor answers, until the client goes away or the sandbox stops.
    #[must_use]
    pub fn hang(mut self) -> Self {
        self.effect.instead = true;
        self.way(Way::Never)
    }

    /// Acts, and never answers.
    #[must_use]
    pub fn hang_after_acting(self) -> Self {
        self.hang().after_acting()
    }

    /// Acts, announces the whole answer by `Content-Length`, sends half of the body and ends the connection.
    #[must_use]
    pub fn truncate(self) -> Self {
        self.way(Way::Truncated)
    }

    /// Acts, and answers well-formed JSON grown by about this many bytes of padding, without a `Content-Length`.
    #[must_use]
    pub fn oversize(self, bytes: u64) -> Self {
        self.way(Way::Oversized(bytes))
    }

    /// Acts, and answers with a page for people, as a captive portal or a proxy does: with status 200, unless
    /// [`status`](Self::status) says another and so takes the place of acting.
    #[must_use]
    pub fn html(mut self) -> Self {
        let reply = self.answer();
        let page = "<!doctype html><title>Sign in</title><h1>Welcome to the hotel</h1>\n";
        *reply = Reply::html(reply.status, page);
        self
    }

    /// Acts, and answers with an empty body: with status 200, unless [`status`](Self::status) says another and so takes the
    /// place of acting.
    #[must_use]
    pub fn empty(mut self) -> Self {
        let reply = self.answer();
        *reply = Reply::empty(reply.status);
        self
    }

    /// Acts first, whatever then happens to the answer.
    #[must_use]
    pub fn after_acting(mut self) -> Self {
        self.effect.after_acting = true;
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

    /// Passes over requests at random, so that it happens to so many in a hundred.
    #[must_use]
    pub fn percent(mut self, percent: u8) -> Self {
        self.percent = percent.min(100);
        self
    }

    /// What can be shown of it: not the body of an answer, in which a test may have put a token.
    pub(super) fn summary(&self) -> Value {
        json!({ "on": self.on.to_string(), "does": self.effect.in_words(), "skip": self.skip, "times": self.left, "percent": self.percent })
    }

    #[cfg(test)]
    pub(super) fn delays(&self) -> (Duration, Duration) {
        (self.effect.delay, self.effect.delay_after)
    }

    fn way(mut self, way: Way) -> Self {
        self.effect.way = way;
        self
    }

    fn answer(&mut self) -> &mut Reply {
        self.effect.answer.get_or_insert_with(|| Reply::empty(200))
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
            .field("percent", &self.percent)
            .finish()
    }
}

impl Effect {
    pub(super) fn acts(&self) -> bool {
        self.after_acting || !self.instead
    }

    /// For the log.
    pub(super) fn in_words(&self) -> String {
        let mut words = match (self.way, &self.answer) {
            (Way::Reset, _) => "reset".to_owned(),
            (Way::Never, _) => "hang".to_owned(),
            (Way::Truncated, _) => "truncate".to_owned(),
            (Way::Oversized(_), _) => "oversize".to_owned(),
            (Way::Whole, Some(reply)) => format!("status {}", reply.status),
            (Way::Whole, None) if self.headers.is_empty() => return "delay".to_owned(),
            (Way::Whole, None) => return "headers".to_owned(),
        };
        if self.acts() {
            words.push_str(" after acting");
        }
        words
    }

    /// What leaves the sandbox; `acted` is the true answer, where the request acted.
    pub(super) fn deliver(self, acted: Option<Reply>) -> Delivery {
        // Only what is reset, hangs or is answered otherwise does not act.
        let mut reply = self.answer.or(acted).unwrap_or_else(|| Reply::empty(500));
        reply.headers.extend(self.headers);
        match self.way {
            Way::Whole => Delivery::Whole(reply),
            Way::Truncated => Delivery::Truncated(reply),
            Way::Oversized(bytes) => Delivery::Oversized(reply, bytes),
            Way::Reset => Delivery::Reset,
            Way::Never => Delivery::Never,
        }
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

    /// What is planned still, in the order in which it is looked at.
    pub(super) fn planned(&self) -> Vec<Fault> {
        self.lock().iter().filter(|fault| fault.left != Some(0)).cloned().collect()
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
            if fault.percent < 100 && random::percent() >= fault.percent {
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
