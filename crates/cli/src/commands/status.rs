//! `status`: what is known of the visitor.

use serde::Serialize;
use wix_visitor::{Clock as _, Role, Status, SystemClock, Timestamp};

use crate::exit::Failure;
use crate::moment::{absolute, relative, span};
use crate::output::{Console, Out};
use crate::setup::Session;
use crate::store_choice::StoreLabel;

pub(super) async fn run(session: &Session, console: Console, out: &mut Out) -> Result<(), Failure> {
    let report = Report::of(session).await?;
    if console.is_json() { out.json(&report).await } else { out.write(report.text().as_bytes()).await }
}

/// A visitor's status as `--json` prints it. Holds no secret.
#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    visitor: String,
    client_id: &'a str,
    issuer: &'a str,
    exists: bool,
    forgotten: bool,
    pub(super) role: Role,
    expires_at: Option<String>,
    /// Seconds; below zero once it has ended.
    expires_in: Option<i64>,
    usable: bool,
    due: bool,
    renewable: bool,
    generation: u64,
    epoch: u64,
    claimed: bool,
    alternates: usize,
    last_error: Option<String>,
    /// Seconds.
    paused_for: Option<f64>,
    saved: bool,
    store: &'a StoreLabel,
    #[serde(skip)]
    ends: Option<Timestamp>,
    #[serde(skip)]
    now: Timestamp,
}

impl<'a> Report<'a> {
    pub(super) async fn of(session: &'a Session) -> Result<Self, Failure> {
        let status = session.visitor.status().await?;
        Ok(Self::new(status, session, SystemClock::default().wall()))
    }

    fn new(status: Status, session: &'a Session, now: Timestamp) -> Self {
        Self {
            visitor: status.visitor.to_string(),
            client_id: session.site().client_id().as_str(),
            issuer: session.site().issuer(),
            exists: status.exists,
            forgotten: status.forgotten,
            role: status.role,
            expires_at: status.expires_at.and_then(absolute),
            expires_in: status.expires_at.map(|at| at.as_secs().saturating_sub(now.as_secs())),
            usable: status.usable,
            due: status.due,
            renewable: status.renewable,
            generation: status.generation,
            epoch: status.epoch,
            claimed: status.claimed,
            alternates: status.alternates,
            last_error: status.last_error,
            paused_for: status.paused_for.map(|pause| pause.as_secs_f64()),
            saved: status.saved,
            store: &session.store,
            ends: status.expires_at,
            now,
        }
    }

    /// The access token, in words.
    pub(super) fn token(&self) -> String {
        let Some(ends) = self.ends else { return "no access token".to_owned() };
        let when = match &self.expires_at {
            Some(at) => format!("{at} ({})", relative(ends, self.now)),
            None => relative(ends, self.now),
        };
        match (self.usable, self.due) {
            (true, false) => format!("access token usable until {when}"),
            (true, true) => format!("access token usable until {when}, due for renewal"),
            (false, _) if ends > self.now => format!("access token too short-lived to be sent: ends {when}"),
            (false, _) => format!("access token ended {when}"),
        }
    }

    fn text(&self) -> String {
        let mut lines = vec![("visitor", format!("{} of {} at {}", self.visitor, self.client_id, self.issuer))];
        if !self.exists {
            lines.push(("state", "does not exist yet; `wix-visitor token` mints it".to_owned()));
        } else if self.forgotten {
            lines.push(("state", "forgotten; `wix-visitor token` mints a new one".to_owned()));
        } else {
            lines.push(("role", self.role.to_string()));
            lines.push(("token", self.token()));
            let renewal = if self.renewable { "there is a refresh token" } else { "no refresh token that works" };
            lines.push(("renewal", renewal.to_owned()));
            lines.push(("generation", format!("{} (renewals of this identity)", self.generation)));
        }
        lines.push(("epoch", format!("{} (imports and forgets)", self.epoch)));
        let claim = if self.claimed { "held: a grant is under way, or its holder has ended" } else { "none" };
        lines.push(("claim", claim.to_owned()));
        lines.push(("alternates", format!("{} (refresh tokens kept aside)", self.alternates)));
        let mut trouble = self.last_error.clone().unwrap_or_else(|| "none".to_owned());
        if let Some(pause) = self.paused_for.and_then(|secs| std::time::Duration::try_from_secs_f64(secs).ok()) {
            trouble.push_str(&format!("; no grant for {}", span(pause)));
        }
        lines.push(("last error", trouble));
        let but = match (self.store.exists, self.saved) {
            (false, _) => ", which is not there yet",
            (true, false) => ", which does not show the newest tokens yet",
            (true, true) => "",
        };
        lines.push(("store", format!("{}{but}", self.store)));
        lines.iter().map(|(name, value)| format!("{name:<12}{value}\n")).collect()
    }
}
