//! Sends the plan's requests, one after the other, and keeps what came.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Request};
use serde_json::{Value, json};
use tokio::time::Instant;
use wix_visitor::{ClientId, Probe, Secret};

use super::plan::Step;
use super::redact::Redactor;
use crate::exit::Failure;
use crate::moment::span;

/// Tokens tell moments in whole seconds: two that were made so far apart tell different ones.
const A_SECOND_SHOWS: Duration = Duration::from_millis(1100);

/// Whoever answers 429 and does not say for how long is left alone for so long.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who asks for more patience than this is asked nothing more.
const LONGEST_PATIENCE: Duration = Duration::from_secs(60);

/// So many visitors are made, and no more.
const MOST_VISITORS: usize = 2;

/// Stands for a client id, and is none.
const NO_GUID: &str = "no-guid";

/// Stands for a token where there is none.
const MADE_UP: &str = "made-up-by-wix-visitor-doctor";

/// An answer as it came.
pub(super) struct Said {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// The tokens in an answer.
#[derive(Clone)]
pub(super) struct Pair {
    pub(super) access: Secret,
    pub(super) refresh: Option<Secret>,
}

/// What became of a request.
pub(super) enum Outcome {
    Said(Said),
    /// It was sent, or was to be, and no answer came.
    Failed(String),
    /// It was not sent; why.
    NotSent(String),
}

/// The questions asked so far.
pub(super) struct Asking {
    probe: Probe,
    client_id: ClientId,
    /// Between two requests.
    pause: Duration,
    /// Until a replaced refresh token is tried again.
    wait: Duration,
    /// Set once the API wants to be left alone for long.
    leave_alone: Option<String>,
    sending: Option<Step>,
    pub(super) outcomes: Vec<(Step, Outcome)>,
    /// The refresh token that [`Step::Renew`] was made with.
    pub(super) renewed_with: Option<Secret>,
    /// How long after that renewal it was presented again.
    pub(super) reused_after: Duration,
    pub(super) redactor: Redactor,
    pub(super) visitors: usize,
    /// How many more there may be: no answer said that there are, and none that there are not.
    doubtful: usize,
}

impl Said {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(super) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// If it grants any.
    pub(super) fn pair(&self) -> Option<Pair> {
        let body = self.json().filter(|_| self.is_success())?;
        let token = |snake, camel| {
            let text = body.get(snake).or_else(|| body.get(camel))?.as_str()?;
            (!text.trim().is_empty()).then(|| Secret::new(text))
        };
        Some(Pair { access: token("access_token", "accessToken")?, refresh: token("refresh_token", "refreshToken") })
    }
}

impl Outcome {
    /// Whether what was asked for may have been done, for all that was answered: a refusal alone says that it was not.
    fn may_have_acted(&self) -> bool {
        match self {
            Self::Said(said) => !(400..500).contains(&said.status),
            Self::Failed(_) => true,
            Self::NotSent(_) => false,
        }
    }
}

impl Asking {
    pub(super) fn new(probe: Probe, client_id: ClientId, pause: Duration, wait: Duration) -> Self {
        let mut redactor = Redactor::default();
        redactor.hide(&Secret::new(client_id.as_str()));
        Self {
            probe,
            client_id,
            pause,
            wait,
            leave_alone: None,
            sending: None,
            outcomes: Vec::new(),
            renewed_with: None,
            reused_after: Duration::ZERO,
            redactor,
            visitors: 0,
            doubtful: 0,
        }
    }

    pub(super) async fn all(&mut self) -> Result<(), Failure> {
        let unknown = random_guid()?;
        self.redactor.hide(&Secret::new(&unknown));
        let id = self.client_id.as_str().to_owned();

        let first = self.token(Step::Mint, &json!({ "clientId": id, "grantType": "anonymous" })).await;
        let minted = Instant::now();
        self.access(first.as_ref()).await;
        let refresh = first.as_ref().and_then(|pair| pair.refresh.as_ref());
        let replaced = self.renewals(&id, refresh, minted).await;

        let wrong = refresh.map_or_else(|| Secret::new(MADE_UP), damaged);
        self.token(Step::DamagedRefresh, &camel(&id, &wrong)).await;
        // None of these should bring a visitor. One that does, or may have done, is the second.
        let mut second = None;
        for (step, client_id, body) in [
            (Step::NoGuid, NO_GUID, json!({ "clientId": NO_GUID, "grantType": "anonymous" })),
            (Step::NoGrantType, &*id, json!({ "clientId": id })),
            (Step::UnknownClient, &*unknown, json!({ "clientId": unknown, "grantType": "anonymous" })),
        ] {
            match &second {
                None => second = self.token(step, &body).await.map(|pair| (client_id.to_owned(), pair)),
                Some(_) => self.skip(step, "it could be granted, and there are two visitors already"),
            }
        }
        self.later(&id, replaced).await;
        match &second {
            None => {
                let body = json!({ "client_id": id, "grant_type": "anonymous" });
                second = self.token(Step::MintSnake, &body).await.map(|pair| (id, pair));
            }
            Some(_) => self.skip(Step::MintSnake, "there are two visitors already"),
        }
        match second {
            Some((id, Pair { refresh: Some(refresh), .. })) => {
                self.revoke(&refresh).await;
                self.token(Step::AfterRevoke, &camel(&id, &refresh)).await;
            }
            _ => {
                for step in [Step::Revoke, Step::AfterRevoke] {
                    self.skip(step, "there was no second visitor with a refresh token");
                }
            }
        }
        Ok(())
    }

    /// What is asked about an access token, and with it.
    async fn access(&mut self, pair: Option<&Pair>) {
        match pair {
            Some(pair) => {
                let body = json!({ "token": pair.access.expose() }).to_string();
                self.send(Step::TokenInfo, posted("/oauth2/token-info", "application/json", body)).await;
                self.send(Step::CartBare, cart(Some(&pair.access))).await;
                let bearer = Secret::new(format!("Bearer {}", pair.access.expose()));
                self.send(Step::CartBearer, cart(Some(&bearer))).await;
            }
            None => {
                for step in [Step::TokenInfo, Step::CartBare, Step::CartBearer] {
                    self.skip(step, "there was no visitor");
                }
            }
        }
        let wrong = pair.map_or_else(|| Secret::new(MADE_UP), |pair| damaged(&pair.access));
        self.send(Step::CartDamaged, cart(Some(&wrong))).await;
        self.send(Step::CartNone, cart(None)).await;
    }

    /// Brings the refresh token that was replaced and is taken still, and when it was replaced.
    async fn renewals(&mut self, id: &str, refresh: Option<&Secret>, minted: Instant) -> Option<(Secret, Instant)> {
        let Some(refresh) = refresh else {
            for step in [Step::RenewSnake, Step::Renew, Step::Reuse, Step::Newest] {
                self.skip(step, "there was no visitor with a refresh token");
            }
            return None;
        };
        tokio::time::sleep_until(minted + A_SECOND_SHOWS).await;
        let snake = json!({ "client_id": id, "refresh_token": refresh.expose(), "grant_type": "refresh_token" });
        let renewed = self.token(Step::RenewSnake, &snake).await;
        let old = renewed.and_then(|pair| pair.refresh).unwrap_or_else(|| refresh.clone());
        self.renewed_with = Some(old.clone());
        let Some(renewed) = self.token(Step::Renew, &camel(id, &old)).await else {
            for step in [Step::Reuse, Step::Newest] {
                self.skip(step, "there was no renewal");
            }
            return None;
        };
        let replaced_at = Instant::now();
        let taken = self.token(Step::Reuse, &camel(id, &old)).await.is_some();
        self.reused_after = replaced_at.elapsed();
        let Some(newest) = renewed.refresh.filter(|newest| newest.expose() != old.expose()) else {
            self.skip(Step::Newest, "the renewal brought no other refresh token");
            return None;
        };
        self.token(Step::Newest, &camel(id, &newest)).await;
        taken.then_some((old, replaced_at))
    }

    async fn later(&mut self, id: &str, replaced: Option<(Secret, Instant)>) {
        if self.wait.is_zero() {
            return;
        }
        match replaced {
            Some((old, at)) => {
                tokio::time::sleep_until(at + self.wait).await;
                self.token(Step::ReuseLater, &camel(id, &old)).await;
            }
            None => self.skip(Step::ReuseLater, "there is no replaced refresh token that was still taken"),
        }
    }

    async fn revoke(&mut self, refresh: &Secret) {
        // In the form that RFC 7009 has for it.
        let body = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("token", refresh.expose())
            .append_pair("token_type_hint", "refresh_token")
            .finish();
        self.send(Step::Revoke, posted("/oauth2/revoke", "application/x-www-form-urlencoded", body)).await;
    }

    /// Asks the token endpoint; brings what it grants.
    async fn token(&mut self, step: Step, body: &Value) -> Option<Pair> {
        let mints = [Step::Mint, Step::NoGuid, Step::NoGrantType, Step::UnknownClient, Step::MintSnake];
        let mints = mints.contains(&step);
        if mints && self.visitors + self.doubtful >= MOST_VISITORS {
            self.skip(step, "it could be granted, and there may be two visitors already");
            return None;
        }
        self.send(step, posted("/oauth2/token", "application/json", body.to_string())).await;
        let pair = match self.outcomes.last() {
            Some((_, Outcome::Said(said))) => said.pair(),
            _ => None,
        };
        if mints && pair.is_some() {
            self.visitors += 1;
        } else if mints && self.outcomes.last().is_some_and(|(_, outcome)| outcome.may_have_acted()) {
            self.doubtful += 1;
        }
        pair
    }

    async fn send(&mut self, step: Step, request: Result<Request<Bytes>, http::Error>) {
        if let Some(why) = self.leave_alone.clone() {
            return self.skip(step, &why);
        }
        let Ok(request) = request else { return self.skip(step, "what would be sent cannot be written") };
        if !self.outcomes.is_empty() {
            tokio::time::sleep(self.pause).await;
        }
        self.sending = Some(step);
        let answer = self.probe.ask(request).await;
        self.sending = None;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let why = self.redactor.text(&error.to_string());
                return self.outcomes.push((step, Outcome::Failed(why)));
            }
        };
        let status = answer.status().as_u16();
        let said = Said { status, headers: answer.headers().clone(), body: answer.body().to_vec() };
        self.hide(&said);
        self.outcomes.push((step, Outcome::Said(said)));
        let patience = answer.retry_after().or((status == 429).then_some(PATIENCE));
        if let Some(patience) = patience.filter(|_| matches!(status, 429 | 503)) {
            self.be_patient(patience).await;
        }
    }

    async fn be_patient(&mut self, patience: Duration) {
        if patience <= LONGEST_PATIENCE {
            tokio::time::sleep(patience).await;
        } else {
            self.leave_alone = Some(format!("the API asked to be left alone for {}", span(patience)));
        }
    }

    /// Notes what must not be told, wherever it comes up again.
    fn hide(&mut self, said: &Said) {
        if let Some(pair) = said.pair() {
            self.redactor.hide(&pair.access);
            pair.refresh.iter().for_each(|refresh| self.redactor.hide(refresh));
        }
        for name in ["subjectId", "siteId", "clientId"] {
            if let Some(id) = said.json().as_ref().and_then(|body| body.get(name)?.as_str()) {
                self.redactor.hide(&Secret::new(id));
            }
        }
    }

    fn skip(&mut self, step: Step, why: &str) {
        self.outcomes.push((step, Outcome::NotSent(why.to_owned())));
    }

    /// How many requests were sent.
    pub(super) fn sent(&self) -> usize {
        self.outcomes.iter().filter(|(_, outcome)| !matches!(outcome, Outcome::NotSent(_))).count()
    }

    /// For whoever ends it early.
    pub(super) fn so_far(&self) -> String {
        let mut lines = vec!["sent so far:".to_owned()];
        let mut tell = |step: Step, came: &str| lines.push(format!("  {:<27} {}: {came}", step.target(), step.what()));
        for (step, outcome) in &self.outcomes {
            match outcome {
                Outcome::Said(said) => tell(*step, &format!("status {}", said.status)),
                Outcome::Failed(why) => tell(*step, why),
                Outcome::NotSent(_) => {}
            }
        }
        if let Some(step) = self.sending {
            tell(step, "its answer was not waited for");
        }
        if lines.len() == 1 { "nothing was sent".to_owned() } else { lines.join("\n") }
    }
}

fn camel(id: &str, refresh: &Secret) -> Value {
    json!({ "clientId": id, "refreshToken": refresh.expose(), "grantType": "refresh_token" })
}

fn posted(path: &str, content_type: &str, body: String) -> Result<Request<Bytes>, http::Error> {
    Request::post(path).header(ACCEPT, "application/json").header(CONTENT_TYPE, content_type).body(body.into())
}

fn cart(token: Option<&Secret>) -> Result<Request<Bytes>, http::Error> {
    let mut request = Request::get("/ecom/v1/carts/current").header(ACCEPT, "application/json");
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, token.expose());
    }
    request.body(Bytes::new())
}

/// The token with another signature, which is no token any more.
fn damaged(token: &Secret) -> Secret {
    let token = token.expose();
    let (head, signature) = token.split_at(token.rfind('.').map_or(0, |dot| dot + 1));
    let filled = |letter: &str| letter.repeat(signature.chars().count());
    let other = if signature == filled("A") { filled("B") } else { filled("A") };
    Secret::new(format!("{head}{other}"))
}

/// When a token was made and when it ends, in seconds since 1970, as far as it says so.
pub(super) fn claims(token: &Secret) -> Option<(i64, i64)> {
    let payload = token.expose().rsplit('.').nth(1)?;
    let payload: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    Some((seconds(&payload, "iat")?, seconds(&payload, "exp")?))
}

/// A number, or a string with a number in it.
pub(super) fn seconds(body: &Value, name: &str) -> Option<i64> {
    let value = body.get(name)?;
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// A GUID, version 4, that nobody has.
fn random_guid() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| Failure::other("the system gives no random bytes").because(&error))?;
    let number = u128::from_be_bytes(bytes) & !(0xf << 76 | 0b11 << 62) | (0x4 << 76 | 0b10 << 62);
    let digits = format!("{number:032x}");
    Ok([&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(payload: &str) -> Secret {
        Secret::new(format!("JWS.head.{}.signature", URL_SAFE_NO_PAD.encode(payload)))
    }

    #[test]
    fn a_token_says_when_it_was_made_and_when_it_ends_or_nothing() {
        assert_eq!(claims(&token(r#"{"iat":10,"exp":"20","data":"x"}"#)), Some((10, 20)));
        for nonsense in [r#"{"iat":10}"#, r#"{"iat":10,"exp":{}}"#, "[]", ""] {
            assert_eq!(claims(&token(nonsense)), None, "{nonsense}");
        }
        for nonsense in ["", ".", "opaque", "a.b", "a.!.c"] {
            assert_eq!(claims(&Secret::new(nonsense)), None, "{nonsense}");
        }
    }

    #[test]
    fn a_damaged_token_has_its_length_and_another_signature() {
        for (whole, other) in [("JWS.a.bcd", "JWS.a.AAA"), ("JWS.a.AA", "JWS.a.BB"), ("opaque", "AAAAAA")] {
            assert_eq!(damaged(&Secret::new(whole)).expose(), other);
        }
    }

    #[test]
    fn a_random_client_id_is_a_guid_and_never_the_same() {
        let one = random_guid().unwrap();
        assert!(crate::commands::doctor::is_guid(&one) && one.as_bytes()[14] == b'4', "{one}");
        assert!(b"89ab".contains(&one.as_bytes()[19]), "{one}");
        assert_ne!(one, random_guid().unwrap());
    }
}
