//! The report: what was asked, what was answered, and nothing that is anybody's.

use std::time::Duration;

use serde::Serialize;
use wix_visitor::{Clock as _, SystemClock};

use super::asking::{Asking, Outcome, Said};
use super::findings::{Finding, findings, is_about_rates};
use super::plan::{Step, steps};
use crate::exit::Exit;
use crate::moment::absolute;

/// Where nothing safe to send would tell.
const STAYS_UNKNOWN: &str = "What the header `client-binding` of the JavaScript SDK does stays unknown: no request that is safe to \
                             send would show it.";

const WHERE_TO: &str = "To share this report, attach it to an issue. It holds no token, no client id and nobody's id; have a look at \
                        it first all the same.";

#[derive(Debug, Serialize)]
pub(super) struct Report {
    date: Option<String>,
    version: &'static str,
    api: String,
    requests_sent: usize,
    visitors_made: usize,
    ok: bool,
    questions: Vec<Question>,
    stays_unknown: &'static str,
    where_to: &'static str,
    #[serde(skip)]
    exit: Exit,
}

#[derive(Debug, Serialize)]
struct Question {
    #[serde(flatten)]
    finding: Finding,
    evidence: Vec<Evidence>,
}

/// One request and what it was answered.
#[derive(Debug, Serialize)]
struct Evidence {
    /// Its number in the plan.
    number: usize,
    target: &'static str,
    what: &'static str,
    status: Option<u16>,
    /// With their values where those tell nothing of anybody.
    headers: Vec<String>,
    body: Option<String>,
    /// Why there is no answer.
    missing: Option<String>,
}

impl Report {
    pub(super) fn new(api: String, asking: &Asking, wait: Duration) -> Self {
        let plan = steps(wait);
        let questions: Vec<Question> = findings(asking, wait)
            .into_iter()
            .map(|finding| {
                let of_rates = finding.id == "rate_limits";
                let shown = |step: Step, outcome: &Outcome| match outcome {
                    Outcome::Said(said) if of_rates => said.headers.keys().any(is_about_rates),
                    _ => finding.steps.contains(&step),
                };
                let evidence = asking.outcomes.iter().filter(|(step, outcome)| shown(*step, outcome));
                let evidence = evidence.map(|(step, outcome)| Evidence::of(*step, outcome, &plan, asking)).collect();
                Question { evidence, finding }
            })
            .collect();
        let ok = questions.iter().all(|question| question.finding.answered);
        Self {
            date: absolute(SystemClock::default().wall()),
            version: env!("CARGO_PKG_VERSION"),
            api,
            requests_sent: asking.sent(),
            visitors_made: asking.visitors,
            ok,
            questions,
            stays_unknown: STAYS_UNKNOWN,
            where_to: WHERE_TO,
            exit: if ok { Exit::Done } else { why_not(asking) },
        }
    }

    pub(super) fn exit(&self) -> Exit {
        self.exit
    }

    /// What is to be said where something has no answer.
    pub(super) fn missing(&self) -> Option<String> {
        let missing = self.questions.iter().filter(|question| !question.finding.answered).count();
        (missing > 0)
            .then(|| format!("{missing} of {} questions have no answer; the report says why", self.questions.len()))
    }

    pub(super) fn markdown(&self) -> String {
        let mut text = format!(
            "# What the token endpoint does\n\n- {}\n- wix-visitor {}, `doctor --probe`\n- API: {}\n- {} requests, {} throw-away \
             visitors\n\nIn place of what could be secret or somebody's, its length and form are shown.\n",
            self.date.as_deref().unwrap_or("(the clock shows no date)"),
            self.version,
            self.api,
            self.requests_sent,
            self.visitors_made
        );
        for Question { finding, evidence } in &self.questions {
            let sure = finding.sure.map(|sure| format!(" ({sure})")).unwrap_or_default();
            let mark = if finding.answered { "" } else { "No answer. " };
            text.push_str(&format!("\n## {}\n\n{mark}{}{sure}\n", finding.question, finding.answer));
            if !evidence.is_empty() {
                text.push('\n');
            }
            evidence.iter().for_each(|evidence| text.push_str(&evidence.markdown()));
        }
        text.push_str(&format!("\n## What was not asked\n\n{STAYS_UNKNOWN}\n\n---\n\n{WHERE_TO}\n"));
        text
    }
}

/// Without a visitor there is little to see: then what became of the mint decides.
fn why_not(asking: &Asking) -> Exit {
    match asking.outcomes.first() {
        Some((Step::Mint, Outcome::Said(said))) if matches!(said.status, 400 | 401 | 404) => Exit::Misconfigured,
        _ => Exit::Unavailable,
    }
}

impl Evidence {
    fn of(step: Step, outcome: &Outcome, plan: &[Step], asking: &Asking) -> Self {
        let number = plan.iter().position(|planned| *planned == step).map_or(0, |place| place + 1);
        let (target, what) = (step.target(), step.what());
        match outcome {
            Outcome::Said(said) => Self {
                number,
                target,
                what,
                status: Some(said.status),
                headers: headers(said, asking),
                body: Some(asking.redactor.body(&said.body)),
                missing: None,
            },
            Outcome::Failed(why) | Outcome::NotSent(why) => {
                Self { number, target, what, status: None, headers: Vec::new(), body: None, missing: Some(why.clone()) }
            }
        }
    }

    fn markdown(&self) -> String {
        let head = format!("- Request {}, `{}`, {}: ", self.number, self.target, self.what);
        let (Some(status), Some(body)) = (self.status, &self.body) else {
            return format!("{head}{}\n", self.missing.as_deref().unwrap_or("no answer"));
        };
        let headers: String = self.headers.iter().map(|header| format!(", `{header}`")).collect();
        let body = if body.is_empty() { "(an empty body)".to_owned() } else { format!("`{body}`") };
        format!("{head}status {status}{headers}\n  {body}\n")
    }
}

/// The headers that matter here. Of some, such as a request's id, it is enough that they are there.
fn headers(said: &Said, asking: &Asking) -> Vec<String> {
    let mut headers = Vec::new();
    for (name, value) in &said.headers {
        let shown = asking.redactor.text(name.as_str());
        if is_about_rates(name) || ["content-type", "www-authenticate"].contains(&name.as_str()) {
            let value = asking.redactor.text(&String::from_utf8_lossy(value.as_bytes()));
            headers.push(format!("{shown}: {value}"));
        } else if ["x-wix-request-id", "location"].contains(&name.as_str()) {
            headers.push(shown);
        }
    }
    headers
}
