//! One request's session: from its cookie to its visitor, and what the response says of it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, SET_COOKIE, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::time::Instant;
use wix_visitor_core::{Secret, Timestamp, Tokens, Visitor, Visitors};

use crate::arrival::{Arrival, Head};
use crate::cookie::{SessionId, Shown};
use crate::error::SessionError;
use crate::keeping::{Known, News, Sessions};
use crate::meters::{self, Without};
use crate::sealed::Jar;

/// For how long a request that was under way may still come with a session that was replaced, since this process first saw that it was.
const UNDER_WAY: Duration = Duration::from_secs(60);
/// So long ago by the wall clock, it was replaced before any request that is under way, whatever is wrong with a clock.
const LONG_SINCE: Duration = Duration::from_secs(24 * 60 * 60);
/// How often the retirement of a replaced session is tried, and how long after one another at first.
const RETIRE_TRIES: u32 = 10;
const RETIRE_PAUSE: Duration = Duration::from_millis(500);
/// How long a request waits for a renewal while the token at hand still serves.
const PATIENCE: Duration = Duration::from_secs(2);

/// The session of one request, out of its extensions. Cheap to clone; clones share everything.
///
/// Nothing is read, written or minted before [`visitor`](Self::visitor) is asked for.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    sessions: Arc<Sessions>,
    arrival: Arrival,
    /// What the browser showed.
    shown: Option<Known>,
    jar: Jar,
    /// Its cookies have their plain name.
    plain: bool,
    state: Mutex<State>,
}

struct State {
    id: Id,
    /// Somebody asked for its visitor.
    used: bool,
    answer: Answer,
}

/// How far the response is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Ahead,
    /// The head is out, and the browser knows the session.
    Told,
    /// The head is out, and the browser does not.
    Silent,
}

/// Which session it is.
#[derive(Clone, Debug)]
enum Id {
    /// The one that the browser showed.
    Shown,
    /// New; the browser is told if it gets a page, or if the visitor is used.
    Offered(SessionId),
    /// New, and the browser has to be told: signed in or out.
    Changed(SessionId),
    /// The browser shows something that is no session.
    Damaged,
    /// The browser may have a session, and shows none.
    Withheld,
}

impl Session {
    pub(crate) fn of(request: Head<'_>, sessions: &Arc<Sessions>) -> Self {
        let arrival = Arrival::of(request);
        let plain = sessions.is_plain(request);
        let (shown, jar) = sessions.read(request.headers, plain);
        let (id, shown) = match shown {
            Shown::Session(known) => (Id::Shown, Some(known)),
            Shown::Nothing if arrival.cookie_withheld => (Id::Withheld, None),
            Shown::Nothing => (Id::Offered(SessionId::new()), None),
            Shown::Damaged => {
                tracing::warn!("a session cookie is damaged; it is left as it is, and nothing is minted in its place");
                meters::without(Without::Damaged, &sessions.visitors);
                (Id::Damaged, None)
            }
        };
        let state = Mutex::new(State { id, used: false, answer: Answer::Ahead });
        Self(Arc::new(Inner { sessions: Arc::clone(sessions), arrival, shown, jar, plain, state }))
    }

    /// The visitor of this session, new or not. Nothing is minted until a token is needed; where the browser keeps the tokens, that is
    /// now.
    ///
    /// Ask for it before the response begins: a new session's cookie goes out with its head.
    ///
    /// # Errors
    /// [`SessionError::Damaged`], [`SessionError::CrossSite`], [`SessionError::Retired`] and [`SessionError::TooLate`] as they say;
    /// [`SessionError::Visitor`] if it is not known whether the session was replaced, because the store fails; and where the browser
    /// keeps the tokens, if there are none and none can be had.
    pub async fn visitor(&self) -> Result<Visitor, SessionError> {
        if let Some(visitor) = self.at_hand() {
            return Ok(visitor);
        }
        // It is large, and would be a part of each handler.
        let found = Box::pin(self.find()).await;
        let why = match &found {
            Err(SessionError::Retired) => Without::Retired,
            Err(SessionError::CrossSite) => Without::CrossSite,
            Err(SessionError::TooLate) => Without::TooLate,
            // Damage was counted when it arrived.
            _ => return found,
        };
        meters::without(why, self.visitors());
        found
    }

    /// The visitor whom the browser showed, where there is nothing to ask the store.
    fn at_hand(&self) -> Option<Visitor> {
        let known = self.0.shown.as_ref().filter(|_| !self.0.sessions.in_browser())?;
        let mut state = self.state();
        let visitor = matches!(state.id, Id::Shown).then(|| known.with_key(|key| self.visitors().visitor(key)))?;
        let at_hand = visitor.is_in_memory();
        state.used |= at_hand;
        at_hand.then_some(visitor)
    }

    async fn find(&self) -> Result<Visitor, SessionError> {
        let known = {
            let mut state = self.state();
            if state.answer == Answer::Silent && !state.used && matches!(state.id, Id::Offered(_)) {
                return Err(SessionError::TooLate);
            }
            state.used = true;
            matches!(state.id, Id::Shown)
        };
        let visitor = self.current()?;
        if !known || !self.is_retired(&visitor).await? {
            return self.ready(visitor).await;
        }
        // Long since: the answer that brought the new session's cookie never arrived.
        {
            let mut state = self.state();
            if state.answer != Answer::Ahead {
                return Err(SessionError::TooLate);
            }
            if matches!(state.id, Id::Shown) {
                state.id = Id::Changed(SessionId::new());
            }
        }
        self.ready(self.current()?).await
    }

    /// Whether the session that the browser showed was replaced: not if that is so lately that this request may have been under way,
    /// which is an error.
    async fn is_retired(&self, visitor: &Visitor) -> Result<bool, SessionError> {
        match visitor.retired().await? {
            Some(since) if self.may_be_under_way(visitor, since) => Err(SessionError::Retired),
            retired => Ok(retired.is_some()),
        }
    }

    /// Fails where a request under way could put a session in the place of the one that has replaced this one.
    async fn not_under_way(&self) -> Result<(), SessionError> {
        if matches!(self.state().id, Id::Shown) {
            self.is_retired(&self.current()?).await?;
        }
        Ok(())
    }

    /// Whether a session was replaced so lately that this request may have begun before.
    fn may_be_under_way(&self, visitor: &Visitor, since: Timestamp) -> bool {
        #[derive(Default)]
        struct Seen(OnceLock<Instant>);
        let seen = visitor.attachment::<Seen>();
        let here = seen.0.get_or_init(Instant::now).elapsed();
        self.now().since(since) < LONG_SINCE && here < UNDER_WAY
    }

    /// With tokens, where the head of the response has to carry them.
    async fn ready(&self, visitor: Visitor) -> Result<Visitor, SessionError> {
        if self.0.sessions.in_browser() && visitor.tokens().await? == Tokens::default() {
            if self.state().answer != Answer::Ahead {
                return Err(SessionError::TooLate);
            }
            visitor.authorization().await?;
        }
        Ok(visitor)
    }

    /// Renews what the browser keeps before the response begins, since its head has to carry that.
    pub(crate) async fn prepare(&self) {
        if self.0.sessions.in_browser() && self.0.shown.is_some() && self.0.arrival.may_need_tokens {
            // It is far larger than what a request needs that has nothing to renew.
            Box::pin(self.renew_if_due()).await;
        }
    }

    async fn renew_if_due(&self) {
        let due = async {
            let visitor = self.current().ok()?;
            let status = visitor.status().await.ok()?;
            let access = visitor.tokens().await.ok()?.access;
            status.due.then_some((visitor, access, status.usable))
        };
        let Some((visitor, access, usable)) = due.await else { return };
        let rejected = access.map_or_else(|| Secret::new(""), |access| access.value);
        // What goes wrong is told to whoever needs a token.
        let renewal = visitor.renew_if(rejected.expose());
        if usable {
            let _ = tokio::time::timeout(PATIENCE, renewal).await;
        } else {
            let _ = renewal.await;
        }
    }

    /// Signs a member in: keeps the tokens under a new session id, whose cookie goes out with this response, and retires the old one
    /// with whatever it held, on all instances. A session id that somebody knew before the sign-in is worth nothing after it.
    ///
    /// Where the old one cannot be retired just now, that is tried again in the background.
    ///
    /// # Errors
    /// [`SessionError::CrossSite`] if another site *posts* the shopper back, since the old session is not known then: redirect to a page
    /// of yours first; [`SessionError::Retired`]; [`SessionError::TooLate`]; [`SessionError::Visitor`] if the tokens cannot be kept: the
    /// session is as it was then.
    pub async fn sign_in(&self, tokens: Tokens) -> Result<(), SessionError> {
        if matches!(self.state().id, Id::Withheld) {
            return Err(SessionError::CrossSite);
        }
        self.unanswered()?;
        self.not_under_way().await?;
        let new = SessionId::new();
        self.visitors().visitor(new.key()).set_tokens(tokens).await?;
        let old = if self.is_unknown() { None } else { self.current().ok() };
        self.change_to(new)?;
        if let Some(old) = old {
            retire(old).await;
        }
        Ok(())
    }

    /// Signs out, or forgets a visitor: the session is retired with whatever it held, on all instances, and a new one without a
    /// visitor takes its place. Twice is no more than once.
    ///
    /// # Errors
    /// [`SessionError::CrossSite`] if no page of this very host asked for it; [`SessionError::TooLate`]; [`SessionError::Damaged`];
    /// [`SessionError::Visitor`] if that could not be saved: the session is as it was then, unless the store's error is *unknown*.
    pub async fn sign_out(&self) -> Result<(), SessionError> {
        self.own()?;
        self.unanswered()?;
        let old = self.current()?;
        match self.not_under_way().await {
            Err(SessionError::Retired) => return Ok(()),
            checked => checked?,
        }
        if self.is_unknown() {
            return Ok(());
        }
        old.retire().await?;
        self.change_to(SessionId::new())
    }

    /// Puts a new session in place of whatever the cookie says, also of a damaged one; what an old session held stays where it is,
    /// out of reach. For a button that a shopper presses.
    ///
    /// # Errors
    /// [`SessionError::CrossSite`] if no page of this very host asked for it; [`SessionError::Retired`]; [`SessionError::TooLate`];
    /// [`SessionError::Visitor`] if the store fails.
    pub async fn start_over(&self) -> Result<(), SessionError> {
        self.own()?;
        self.unanswered()?;
        self.not_under_way().await?;
        self.change_to(SessionId::new())
    }

    /// Takes over the tokens of a visitor or member that the browser had elsewhere, if this session has no visitor: under a new
    /// session id, as at a sign-in.
    ///
    /// # Errors
    /// [`SessionError::HasVisitor`] if there is one, one is being minted, or tokens were taken over just now: nothing is overwritten
    /// then; [`SessionError::CrossSite`] if no page of this very host asked for it; else as [`sign_in`](Self::sign_in).
    pub async fn take_over(&self, tokens: Tokens) -> Result<(), SessionError> {
        self.own()?;
        self.unanswered()?;
        self.not_under_way().await?;
        let old = self.current()?;
        // Kept first: if that fails, the browser still has both its session and its tokens.
        let new = SessionId::new();
        let kept = self.visitors().visitor(new.key());
        kept.set_tokens(tokens).await?;
        // From here on nothing is minted under the old id, so there is no visitor to lose.
        match old.retire_unused().await {
            Ok(true) => self.change_to(new),
            Ok(false) => {
                retire(kept).await;
                Err(SessionError::HasVisitor)
            }
            Err(error) => {
                retire(kept).await;
                Err(error.into())
            }
        }
    }

    /// Fails where it was no page of this very host that asked.
    fn own(&self) -> Result<(), SessionError> {
        if self.0.arrival.own { Ok(()) } else { Err(SessionError::CrossSite) }
    }

    /// Whether another site made the browser send this request.
    pub fn is_cross_site(&self) -> bool {
        self.0.arrival.cross_site
    }

    /// Whether this is what another layer of these cookies would make.
    pub(crate) fn has_cookie(&self, name: &str) -> bool {
        self.0.sessions.name() == name
    }

    /// Whether this is the client id of the session's site.
    pub(crate) fn is_of(&self, client_id: &str) -> bool {
        self.visitors().client_id().as_str().eq_ignore_ascii_case(client_id.trim())
    }

    fn visitors(&self) -> &Visitors {
        &self.0.sessions.visitors
    }

    fn current(&self) -> Result<Visitor, SessionError> {
        let visitor = |key: &str| self.visitors().visitor(key);
        match (&self.state().id, &self.0.shown) {
            (Id::Offered(id) | Id::Changed(id), _) => Ok(visitor(id.key())),
            (Id::Shown, Some(known)) => Ok(known.with_key(visitor)),
            (Id::Damaged, _) => Err(SessionError::Damaged),
            (Id::Withheld | Id::Shown, _) => Err(SessionError::CrossSite),
        }
    }

    /// Whether neither the browser nor the store can know this session.
    fn is_unknown(&self) -> bool {
        let state = self.state();
        matches!(state.id, Id::Offered(_)) && !state.used
    }

    fn unanswered(&self) -> Result<(), SessionError> {
        if self.state().answer == Answer::Ahead { Ok(()) } else { Err(SessionError::TooLate) }
    }

    fn change_to(&self, new: SessionId) -> Result<(), SessionError> {
        let mut state = self.state();
        if state.answer != Answer::Ahead {
            return Err(SessionError::TooLate);
        }
        state.id = Id::Changed(new);
        Ok(())
    }

    /// Tells the browser what it needs to know, in the head of the response.
    pub(crate) async fn answer(&self, status: StatusCode, headers: &mut HeaderMap) {
        let (fresh, used) = {
            let mut state = self.state();
            state.answer = Answer::Silent;
            let fresh = match &state.id {
                Id::Offered(id) => Some((id.clone(), News::New)),
                Id::Changed(id) => Some((id.clone(), News::Another)),
                Id::Shown | Id::Damaged | Id::Withheld => None,
            };
            (fresh, state.used)
        };
        let shown = self.0.shown.as_ref();
        let (id, news) = match (&fresh, shown) {
            (Some((id, news)), _) => (id, news),
            (None, Some(known)) => (&known.id, &News::Same),
            (None, None) => return,
        };
        // A page that the browser has already comes without its type.
        let page = is_page(headers) || (status == StatusCode::NOT_MODIFIED && self.0.arrival.document);
        let page = page && caching(headers) != Caching::Shared;
        let mut cookies = self.0.sessions.write((id, shown), &self.0.jar, news, (page, used), self.0.plain);
        // A session that was replaced meanwhile must not come back.
        if let (News::Same, Some(known), false) = (news, shown, cookies.is_empty()) {
            let visitor = known.with_key(|key| self.visitors().visitor(key));
            if !matches!(Box::pin(visitor.retired()).await, Ok(None)) {
                cookies.clear();
            }
        }
        // Whoever kept the response for others would hand them the session, or what was made for it.
        if cookies.is_empty() {
            if used {
                headers.entry(CACHE_CONTROL).or_insert(FOR_NOBODY_ELSE);
            }
            return;
        }
        if caching(headers) != Caching::Own {
            headers.insert(CACHE_CONTROL, FOR_NOBODY_ELSE);
        }
        headers.append(VARY, HeaderValue::from_static("cookie"));
        self.state().answer = Answer::Told;
        for cookie in cookies {
            headers.append(SET_COOKIE, cookie);
        }
    }

    /// The time by the site's clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.visitors().now()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Plain values, written in one go: a panic elsewhere leaves them whole.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Retires a session that was replaced: at once, or else in the background until it works.
async fn retire(old: Visitor) {
    let Err(error) = old.retire().await else { return };
    tracing::warn!(visitor = %old.id(), %error, "a replaced session could not be retired yet; it is tried again");
    // No more of these than there were sign-ins within the last minutes, each of which the store has taken.
    tokio::spawn(async move {
        let mut pause = RETIRE_PAUSE;
        for _ in 1..RETIRE_TRIES {
            tokio::time::sleep(pause).await;
            pause *= 2;
            if old.retire().await.is_ok() {
                return;
            }
        }
        tracing::error!(visitor = %old.id(), "a replaced session could not be retired; it goes on as it was");
    });
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("id", &self.state().id).finish_non_exhaustive()
    }
}

fn is_page(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    kind.get(..9).is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/html"))
}

const FOR_NOBODY_ELSE: HeaderValue = HeaderValue::from_static("private, no-cache");

/// What a response says of caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caching {
    /// It is for nobody else, for certain.
    Own,
    /// Nothing for certain.
    Unsaid,
    /// It is meant for others too.
    Shared,
}

fn caching(headers: &HeaderMap) -> Caching {
    let (mut own, mut shared, mut asks, mut lasts) = (false, false, false, false);
    for directive in headers.get_all(CACHE_CONTROL).into_iter().flat_map(|value| value.as_bytes().split(|b| *b == b','))
    {
        // With a field's name after it, `private` and `no-cache` speak of that field alone.
        match directive.trim_ascii().to_ascii_lowercase().as_slice() {
            b"private" | b"no-store" => own = true,
            b"no-cache" => asks = true,
            b"public" => shared = true,
            directive if directive.starts_with(b"s-maxage") => shared = true,
            directive if directive.starts_with(b"max-age") => lasts = true,
            _ => {}
        }
    }
    match (shared, own) {
        (true, _) => Caching::Shared,
        (false, true) => Caching::Own,
        (false, false) if lasts && !asks => Caching::Shared,
        _ => Caching::Unsaid,
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use http::header::COOKIE;
    use wix_visitor_core::{ClientId, Grant, GrantError, GrantFailure, GrantReply, TokenEndpoint, async_trait};

    use super::*;
    use crate::cookie::CookieName;
    use crate::id_cookie::IdCookie;
    use crate::keeping::Keeping;
    use crate::pocket::Pocket;

    #[derive(Debug)]
    struct Nowhere;

    #[async_trait]
    impl TokenEndpoint for Nowhere {
        fn issuer(&self) -> &str {
            "nowhere"
        }

        async fn grant(&self, _: &ClientId, _: &Grant, _: Duration) -> Result<GrantReply, GrantError> {
            Err(GrantError::new(GrantFailure::Transient, "nowhere"))
        }
    }

    #[test]
    fn the_plain_name_is_for_loopback_and_only_where_it_is_wanted() {
        for wanted in [true, false] {
            let visitors = Visitors::builder(ClientId::new("client").unwrap(), Nowhere, Pocket::new()).build().unwrap();
            let mut name = CookieName::new("visitor").unwrap();
            name.plain_on_loopback = wanted;
            let sessions = Sessions { visitors, keeping: Keeping::Server(IdCookie { name }) };
            let is_plain =
                |host: &str| sessions.is_plain((&Request::get("/").header("host", host).body(()).unwrap()).into());
            assert_eq!(is_plain("localhost:8080"), wanted);
            assert!(!is_plain("shop.example"));
        }
    }

    #[test]
    fn a_session_shows_neither_its_id_nor_the_cookie_it_came_with() {
        let visitors = Visitors::builder(ClientId::new("client").unwrap(), Nowhere, Pocket::new()).build().unwrap();
        let keeping = Keeping::Server(IdCookie { name: CookieName::new("visitor").unwrap() });
        let sessions = Arc::new(Sessions { visitors, keeping });
        let id = SessionId::new();
        for cookie in [format!("__Host-visitor={}.20000", id.key()), format!("__Host-visitor={}", id.key())] {
            let request = Request::get("/").header(COOKIE, cookie).body(()).unwrap();
            let session = Session::of((&request).into(), &sessions);
            let shown = format!("{session:?} {:?} {:?}", session.0.shown, session.0.sessions);
            assert!(!shown.contains(id.key()), "{shown}");
        }
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_page_is_html_and_what_others_may_be_given_is_told_by_cache_control() {
        assert!(is_page(&headers(&[("content-type", "text/html; charset=utf-8")])));
        assert!(!is_page(&headers(&[("content-type", "application/json")])) && !is_page(&headers(&[])));
        for (says, what) in [
            ("public", Caching::Shared),
            ("Public, max-age=60", Caching::Shared),
            ("max-age=60", Caching::Shared),
            ("s-maxage=1", Caching::Shared),
            ("public, no-cache", Caching::Shared),
            ("no-cache, s-maxage=600", Caching::Shared),
            ("private=\"x-foo\", public, max-age=600", Caching::Shared),
            ("max-age=60, no-cache=\"x-foo\"", Caching::Shared),
            ("private", Caching::Own),
            ("private, max-age=60", Caching::Own),
            ("no-store", Caching::Own),
            ("no-cache", Caching::Unsaid),
            ("max-age=0, no-cache", Caching::Unsaid),
            ("must-revalidate", Caching::Unsaid),
            ("stale-while-revalidate=60", Caching::Unsaid),
        ] {
            assert_eq!(caching(&headers(&[("cache-control", says)])), what, "{says}");
        }
    }
}
