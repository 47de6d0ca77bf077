//! Where a session's tokens are kept: by the server, under an id that the browser shows, or by the browser itself.

use http::{HeaderMap, HeaderValue};
use wix_visitor_core::record::Record;
use wix_visitor_core::{Secret, StoreKey, Visitors};
use zeroize::Zeroizing;

use crate::arrival::{Head, is_loopback};
use crate::cookie::{CookieName, Day, Letters, SessionId, Shown};
use crate::id_cookie::IdCookie;
use crate::pocket::Pocket;
use crate::sealed::{Held, Jar, SealedCookies};

/// The sessions of one site.
#[derive(Debug)]
pub(crate) struct Sessions {
    pub(crate) visitors: Visitors,
    pub(crate) keeping: Keeping,
}

#[derive(Debug)]
pub(crate) enum Keeping {
    /// The browser has an id.
    Server(IdCookie),
    /// The browser has it all.
    Browser(SealedCookies, Pocket),
}

/// A session that the browser showed.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) id: SessionId,
    pub(crate) day: Day,
    held: Option<Box<Held>>,
}

/// What there is to tell a browser.
#[derive(Debug)]
pub(crate) enum News {
    /// A session that it does not have yet.
    New,
    /// Another session than the one it showed: somebody signed in or out.
    Another,
    /// Nothing, but that the session goes on.
    Same,
}

impl Known {
    /// How often the session has changed, where the browser keeps it.
    fn version(&self) -> u64 {
        self.held.as_ref().map_or(0, |held| held.version)
    }

    /// Does something with the visitor's key: of what the browser keeps, each version is a visitor of its own.
    pub(crate) fn with_key<T>(&self, act: impl FnOnce(&str) -> T) -> T {
        match &self.held {
            None => act(self.id.key()),
            Some(held) => act(&Zeroizing::new(format!("{}.{}", held.id.key(), held.version))),
        }
    }
}

impl Sessions {
    /// What its cookies are called.
    pub(crate) fn name(&self) -> &str {
        self.cookie_name().text()
    }

    fn cookie_name(&self) -> &CookieName {
        match &self.keeping {
            Keeping::Server(cookie) => &cookie.name,
            Keeping::Browser(cookies, _) => &cookies.name,
        }
    }

    /// Whether the cookies of such a request have their plain name.
    pub(crate) fn is_plain(&self, request: Head<'_>) -> bool {
        self.cookie_name().plain_on_loopback && is_loopback(request)
    }

    /// Reads a session; and which cookies there are, where the browser keeps it.
    pub(crate) fn read(&self, headers: &HeaderMap, plain: bool) -> (Shown<Known>, Jar) {
        match &self.keeping {
            Keeping::Server(cookie) => {
                let known = |(id, day): (Letters<'_>, Day)| Known { id: id.into(), day, held: None };
                (cookie.read(headers, plain).map(known), Jar::default())
            }
            Keeping::Browser(cookies, pocket) => {
                let jar = cookies.jar(headers, plain);
                let known = |held: Box<Held>| {
                    pocket.saw(&held.id, held.version);
                    let known = Known { id: held.id.clone(), day: held.day, held: Some(held) };
                    if let Some(held) = known.held.as_ref().filter(|held| held.record.chain().is_some()) {
                        pocket.offer(&known.with_key(|key| self.store_key(key)), &held.record);
                    }
                    known
                };
                (cookies.read(headers, &jar, plain).map(known), jar)
            }
        }
    }

    /// Whether the browser keeps the tokens, so that they have to be there before the response begins.
    pub(crate) fn in_browser(&self) -> bool {
        matches!(self.keeping, Keeping::Browser(..))
    }

    /// The cookies that tell the browser, if there is any need to. A new session is told to who gets a page or uses it, and so is, on
    /// another day, that a session goes on.
    pub(crate) fn write(
        &self,
        (id, shown): (&SessionId, Option<&Known>),
        jar: &Jar,
        news: &News,
        (page, used): (bool, bool),
        plain: bool,
    ) -> Vec<HeaderValue> {
        let (now, keep) = (self.visitors.now(), self.visitors.policy().keep);
        let today = Day::of(now);
        let another_day = (page || used) && shown.is_some_and(|shown| shown.day != today);
        match &self.keeping {
            Keeping::Server(cookie) => {
                let tell = match news {
                    News::New => page || used,
                    News::Another => true,
                    News::Same => another_day,
                };
                tell.then(|| cookie.write(id, today, keep, plain)).flatten().into_iter().collect()
            }
            Keeping::Browser(cookies, pocket) => {
                let key = match (news, shown) {
                    (News::Same, Some(known)) => known.with_key(|key| self.store_key(key)),
                    _ => self.store_key(id.key()),
                };
                let record = pocket.record(&key).filter(|record| record.chain().is_some());
                let before = shown.and_then(|shown| shown.held.as_deref());
                let changed = match (&record, before) {
                    (Some(record), Some(before)) => record.version() != before.record.version(),
                    (record, _) => record.is_some(),
                };
                let base = shown.map_or(0, Known::version);
                let begun = jar.era.map_or(0, |era| era.saturating_add(1));
                let place = match news {
                    News::New => (changed || page || used).then_some((begun, u64::from(changed))),
                    News::Another => Some((begun, u64::from(changed))),
                    // What is newer already is not set back.
                    News::Same if base < pocket.newest(id) => None,
                    News::Same => {
                        let again = another_day || before.is_some_and(|before| page && before.stale_key);
                        // Only we count it: nobody else can seal one.
                        let version = if changed { Some(base.saturating_add(1)) } else { again.then_some(base) };
                        version.map(|version| (jar.era.unwrap_or(0), version))
                    }
                };
                let Some((era, version)) = place else { return Vec::new() };
                let same = || Some(before?.record.clone()).filter(|_| matches!(news, News::Same));
                let record = record.or_else(same).unwrap_or_else(Record::default);
                let held = Held { id: id.clone(), era, version, day: today, record, stale_key: false };
                cookies.write(&held, jar, keep, now, plain)
            }
        }
    }

    fn store_key(&self, key: &str) -> StoreKey {
        StoreKey::new(self.visitors.issuer(), self.visitors.client_id(), &Secret::new(key))
    }
}
