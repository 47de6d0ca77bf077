//! What the answers say to each question, and how sure that is.

use std::time::Duration;

use http::{HeaderMap, HeaderName};
use serde::Serialize;
use serde_json::Value;
use wix_visitor::Secret;

use super::asking::{Asking, Outcome, Pair, Said, claims, seconds};
use super::plan::Step;
use super::redact::Redactor;
use crate::moment::span;

const SEEN: &str = "seen in this run";
const TOLD: &str = "what the token says; what the endpoint holds to is not known";
const INFERRED: &str = "inferred from what was seen in this run";

/// A question and its answer.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) id: &'static str,
    pub(super) question: &'static str,
    pub(super) answered: bool,
    pub(super) answer: String,
    pub(super) sure: Option<&'static str>,
    /// What shows it.
    #[serde(skip)]
    pub(super) steps: &'static [Step],
}

/// An answer in words and how sure it is, or why there is none.
type Answer = Result<(String, &'static str), String>;

pub(super) fn findings(asking: &Asking, wait: Duration) -> Vec<Finding> {
    let seen = Seen(asking);
    let finding = |id, question, steps, answer: Answer| match answer {
        Ok((answer, sure)) => Finding { id, question, answered: true, answer, sure: Some(sure), steps },
        Err(why) => Finding { id, question, answered: false, answer: why, sure: None, steps },
    };
    let mut all = vec![
        finding(
            "rotation",
            "Does a renewal replace the refresh token?",
            &[Step::RenewSnake, Step::Renew],
            seen.rotation(),
        ),
        finding(
            "old_token",
            "Does the refresh token of a renewal stay good after it?",
            &[Step::Reuse],
            seen.old_token(),
        ),
    ];
    if !wait.is_zero() {
        all.push(finding(
            "old_token_later",
            "Is a replaced refresh token still good after the wait?",
            &[Step::ReuseLater],
            seen.later(wait),
        ));
    }
    all.extend([
        finding(
            "newest_token",
            "Does the new refresh token survive that the old one is presented again?",
            &[Step::Newest],
            seen.newest(),
        ),
        finding(
            "lifetime",
            "Does a renewal extend the refresh token's lifetime?",
            &[Step::Mint, Step::Renew],
            seen.lifetime(),
        ),
        finding(
            "invalid_refresh_token",
            "What is an invalid refresh token answered?",
            &[Step::DamagedRefresh],
            seen.told(Step::DamagedRefresh),
        ),
        finding(
            "unknown_client_id",
            "What is an unknown client id answered?",
            &[Step::UnknownClient],
            seen.told(Step::UnknownClient),
        ),
        finding("no_guid", "What is a client id that is no GUID answered?", &[Step::NoGuid], seen.told(Step::NoGuid)),
        finding(
            "no_grant_type",
            "What is a missing grant type answered?",
            &[Step::NoGrantType],
            seen.told(Step::NoGrantType),
        ),
        finding("rate_limits", "Does any answer hold a `Retry-After` or a rate limit?", &[], seen.rate_limits()),
        finding(
            "api_invalid_token",
            "What does an e-commerce API answer to an invalid token?",
            &[Step::CartDamaged],
            seen.told(Step::CartDamaged),
        ),
        finding(
            "api_no_token",
            "What does an e-commerce API answer without a token?",
            &[Step::CartNone],
            seen.told(Step::CartNone),
        ),
        finding(
            "spellings",
            "Are fields in camelCase and in snake_case both taken?",
            &[Step::Mint, Step::Renew, Step::MintSnake, Step::RenewSnake],
            seen.spellings(),
        ),
        finding(
            "bearer",
            "Is `Bearer ` before the access token accepted?",
            &[Step::CartBare, Step::CartBearer],
            seen.bearer(),
        ),
        finding(
            "token_info",
            "What does token-info say of a fresh access token?",
            &[Step::TokenInfo],
            seen.token_info(),
        ),
        finding(
            "revoke",
            "Is there an address that revokes a token?",
            &[Step::Revoke, Step::AfterRevoke],
            seen.revoke(),
        ),
    ]);
    all
}

/// Whether a header is about how often one may ask.
pub(super) fn is_about_rates(name: &HeaderName) -> bool {
    let name = name.as_str();
    name == "retry-after" || name.contains("ratelimit") || name.contains("rate-limit")
}

enum Renewal {
    Granted(Pair),
    /// What was answered instead, in words.
    Refused(String),
}

struct Seen<'a>(&'a Asking);

impl Seen<'_> {
    fn said(&self, step: Step) -> Result<&Said, String> {
        match self.0.outcomes.iter().find(|(known, _)| *known == step) {
            Some((_, Outcome::Said(said))) => Ok(said),
            Some((_, Outcome::Failed(why))) => Err(format!("No answer: {why}.")),
            Some((_, Outcome::NotSent(why))) => Err(format!("Not asked: {why}.")),
            None => Err("Not asked.".to_owned()),
        }
    }

    /// That a renewal was refused says something of its token; that the endpoint was down does not.
    fn renewal(&self, step: Step) -> Result<Renewal, String> {
        let said = self.said(step)?;
        if let Some(pair) = said.pair() {
            return Ok(Renewal::Granted(pair));
        }
        let words = words(said, &self.0.redactor);
        if matches!(said.status, 400 | 401) {
            Ok(Renewal::Refused(words))
        } else {
            Err(format!("It cannot be told from this: {words}."))
        }
    }

    fn granted(&self, step: Step) -> Result<Pair, String> {
        match self.renewal(step)? {
            Renewal::Granted(pair) => Ok(pair),
            Renewal::Refused(words) => Err(format!("It cannot be told, since this was refused: {words}.")),
        }
    }

    /// The new refresh token, where the renewal brought another one than it was made with.
    fn replacement(&self) -> Result<Option<Secret>, String> {
        let brought = self.granted(Step::Renew)?.refresh;
        let old = self.0.renewed_with.as_ref();
        Ok(brought.filter(|new| old.is_none_or(|old| old.expose() != new.expose())))
    }

    fn rotation(&self) -> Answer {
        let brought = self.granted(Step::Renew)?.refresh;
        let replaced = self.replacement()?;
        Ok((
            match (brought, replaced) {
                (_, Some(_)) => "Yes: it answers another refresh token than it was asked with.",
                (Some(_), None) => "No: it answers the refresh token that it was asked with.",
                (None, None) => "No: it answers no refresh token.",
            }
            .to_owned(),
            SEEN,
        ))
    }

    fn old_token(&self) -> Answer {
        let replaced = self.replacement()?.is_some();
        let after = span(self.0.reused_after);
        Ok((
            match (self.renewal(Step::Reuse)?, replaced) {
                (Renewal::Granted(_), true) => format!("Yes: presented again {after} later, it was taken."),
                (Renewal::Granted(_), false) => "Yes: it was not replaced, and was taken again.".to_owned(),
                (Renewal::Refused(words), true) => {
                    format!("No: presented again {after} later, it was refused: {words}.")
                }
                (Renewal::Refused(words), false) => format!("No: it was not replaced, and yet refused: {words}."),
            },
            SEEN,
        ))
    }

    fn later(&self, wait: Duration) -> Answer {
        let after = span(wait);
        if self.replacement()?.is_none() {
            return Ok(("This does not arise: it is not replaced.".to_owned(), INFERRED));
        }
        if let Renewal::Refused(_) = self.renewal(Step::Reuse)? {
            return Ok(("No: it was refused at once.".to_owned(), INFERRED));
        }
        Ok((
            match self.renewal(Step::ReuseLater)? {
                Renewal::Granted(_) => format!("Yes: presented again {after} after the renewal, it was taken."),
                Renewal::Refused(words) => {
                    format!("No: presented again {after} after the renewal, it was refused: {words}.")
                }
            },
            SEEN,
        ))
    }

    fn newest(&self) -> Answer {
        if self.replacement()?.is_none() {
            return Ok(("This does not arise: it is not replaced.".to_owned(), INFERRED));
        }
        Ok(match self.renewal(Step::Newest)? {
            Renewal::Granted(_) => ("Yes: it was taken after that.".to_owned(), SEEN),
            Renewal::Refused(words) => {
                (format!("No: it was refused after that, as where reuse counts as theft: {words}."), INFERRED)
            }
        })
    }

    fn lifetime(&self) -> Answer {
        let first = self.granted(Step::Mint)?.refresh.ok_or("It cannot be told: the mint brought no refresh token.")?;
        let renewed = self.granted(Step::Renew)?.refresh;
        let Some(before) = claims(&first) else {
            return Ok(("It cannot be told: the token does not say when it ends.".to_owned(), TOLD));
        };
        let after = renewed.as_ref().map_or(Some(before), claims);
        let days = |(issued, ends): (i64, i64)| span(length(issued, ends));
        Ok((
            match after {
                None => "It cannot be told: the new token does not say when it ends.".to_owned(),
                Some(after) if after.1 > before.1 => format!(
                    "Yes: its end moved by {}; the new token lives {} from its own issue, the first one lived {}.",
                    days((before.1, after.1)),
                    days(after),
                    days(before)
                ),
                Some(after) if after.1 < before.1 => {
                    format!("No: it ends {} earlier than before.", days((after.1, before.1)))
                }
                Some(_) => format!("No: it ends when it did before, {} after its issue.", days(before)),
            },
            TOLD,
        ))
    }

    /// What was answered, if it can be about what was asked.
    fn told(&self, step: Step) -> Answer {
        let said = self.said(step)?;
        let words = words(said, &self.0.redactor);
        match said.status {
            _ if said.pair().is_some() => Ok((format!("It was granted: {words}."), SEEN)),
            408 | 429 | 500.. => Err(format!("It cannot be told from this: {words}.")),
            _ if said.is_success() && said.json().is_none() => Err(format!("It cannot be told from this: {words}.")),
            _ => Ok((format!("{}.", first_upper(&words)), SEEN)),
        }
    }

    fn rate_limits(&self) -> Answer {
        let answers = self.0.outcomes.iter().filter_map(|(_, outcome)| match outcome {
            Outcome::Said(said) => Some(&said.headers),
            _ => None,
        });
        let answers: Vec<&HeaderMap> = answers.collect();
        let with: Vec<_> = answers.iter().filter(|headers| headers.keys().any(is_about_rates)).collect();
        let mut names: Vec<&str> = with
            .iter()
            .flat_map(|headers| headers.keys())
            .filter(|name| is_about_rates(name))
            .map(HeaderName::as_str)
            .collect();
        names.sort_unstable();
        names.dedup();
        let names: Vec<String> = names.iter().map(|name| format!("`{}`", self.0.redactor.text(name))).collect();
        match (answers.len(), with.len()) {
            (0, _) => Err("There was no answer.".to_owned()),
            (all, 0) => Ok((format!("No: none of {all} answers does."), SEEN)),
            (all, some) => Ok((format!("Yes: {some} of {all} answers; {}.", names.join(", ")), SEEN)),
        }
    }

    fn spellings(&self) -> Answer {
        let take = |step| self.renewal(step).map(|renewal| matches!(renewal, Renewal::Granted(_)));
        let camel = take(Step::Mint)? && take(Step::Renew)?;
        let snake = take(Step::RenewSnake)?;
        // The second visitor is not minted where a random client id was granted one.
        let minted = self.said(Step::MintSnake).map_or(snake, |said| said.pair().is_some());
        Ok((
            match (camel, snake && minted) {
                (true, true) => "Both are.".to_owned(),
                (true, false) => format!(
                    "camelCase is; snake_case is {} at a renewal and {} at a mint.",
                    if snake { "taken" } else { "refused" },
                    if minted { "taken" } else { "refused" }
                ),
                (false, true) => "snake_case is; camelCase is refused.".to_owned(),
                (false, false) => "Neither at all times.".to_owned(),
            },
            SEEN,
        ))
    }

    fn bearer(&self) -> Answer {
        let (bare, bearer) = (self.said(Step::CartBare)?, self.said(Step::CartBearer)?);
        // A cart that is not there is as good an answer as a cart.
        let knows = |said: &Said| said.is_success() || said.status == 404;
        match (knows(bare), knows(bearer)) {
            (true, true) if bare.status == bearer.status => {
                Ok((format!("Yes: with it and without, the answer is status {}.", bare.status), SEEN))
            }
            (true, false) if matches!(bearer.status, 400 | 401 | 403) => {
                Ok((format!("No: without it the answer is status {}, with it {}.", bare.status, bearer.status), SEEN))
            }
            _ => Err(format!(
                "It cannot be told: without it the answer is status {}, with it {}.",
                bare.status, bearer.status
            )),
        }
    }

    fn token_info(&self) -> Answer {
        let said = self.said(Step::TokenInfo)?;
        let Some(body) = said.json().filter(|body| said.is_success() && body.is_object()) else {
            return Err(format!("It does not say: {}.", words(said, &self.0.redactor)));
        };
        let shown = |name: &str| match body.get(name) {
            None | Some(Value::Null) => format!("`{name}` is not given"),
            Some(Value::Bool(value)) => format!("`{name}` is {value}"),
            Some(Value::String(text)) => format!("`{name}` is `{}`", self.0.redactor.text(text)),
            Some(_) => format!("`{name}` is given"),
        };
        let given = |name: &str| {
            let there = body.get(name).is_some_and(|value| !value.is_null());
            format!("`{name}` is {}", if there { "given" } else { "not given" })
        };
        let lifetime = match (seconds(&body, "iat"), seconds(&body, "exp")) {
            (Some(issued), Some(ends)) => format!("`exp` is {} after `iat`", span(length(issued, ends))),
            _ => format!("{}, {}", given("iat"), given("exp")),
        };
        let parts =
            [shown("active"), shown("subjectType"), lifetime, given("clientId"), given("subjectId"), given("siteId")];
        Ok((first_upper(&format!("{}.", parts.join("; "))), SEEN))
    }

    fn revoke(&self) -> Answer {
        let said = self.said(Step::Revoke)?;
        let told = words(said, &self.0.redactor);
        let after = match self.renewal(Step::AfterRevoke)? {
            Renewal::Granted(_) => "the refresh token works still",
            Renewal::Refused(_) => "the refresh token, which had never been used, is refused since",
        };
        let answer = match (said.is_success(), self.renewal(Step::AfterRevoke)?) {
            (true, Renewal::Refused(_)) => "Yes, it seems",
            (_, Renewal::Granted(_)) => "Not at `/oauth2/revoke`, as far as this shows",
            (false, Renewal::Refused(_)) => "It cannot be told",
        };
        Ok((format!("{answer}: {told}; {after}."), INFERRED))
    }
}

fn length(from: i64, to: i64) -> Duration {
    Duration::from_secs(u64::try_from(to.saturating_sub(from)).unwrap_or(0))
}

fn first_upper(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + rest.as_str())
}

/// Status and form of an answer: `status 400, OAuth's form with the error …`.
fn words(said: &Said, redactor: &Redactor) -> String {
    let form = match said.json() {
        _ if said.body.is_empty() => "an empty body".to_owned(),
        Some(body) => json_words(&body, redactor),
        None if said.body.trim_ascii_start().starts_with(b"<") => "a page for people".to_owned(),
        None => "a text that is no JSON".to_owned(),
    };
    format!("status {}, {form}", said.status)
}

fn json_words(body: &Value, redactor: &Redactor) -> String {
    let quoted = |value: Option<&Value>| {
        value.and_then(Value::as_str).map_or_else(|| "none".to_owned(), |text| format!("`{}`", redactor.text(text)))
    };
    let details = body.get("details");
    let application = details.and_then(|details| details.get("applicationError")).filter(|error| error.is_object());
    let violation = details.and_then(|details| details.get("validationError")?.get("fieldViolations")?.get(0));
    if body.get("error").is_some_and(Value::is_string) {
        format!("OAuth's form with the error {}", quoted(body.get("error")))
    } else if let Some(application) = application {
        format!("Wix's form for errors with the code {}", quoted(application.get("code")))
    } else if let Some(violation) = violation {
        format!("Wix's form for fields that are wrong, with the field {}", quoted(violation.get("field")))
    } else if let Value::Object(fields) = body {
        let names: Vec<String> = fields.keys().take(12).map(|name| format!("`{}`", redactor.text(name))).collect();
        if names.is_empty() { "an empty JSON object".to_owned() } else { format!("JSON with {}", names.join(", ")) }
    } else {
        "JSON that is no object".to_owned()
    }
}
