//! A fault as text, for whoever plans one from a shell.

use std::{fmt, str::FromStr, time::Duration};

use super::fault::{Fault, On};

/// For which requests, and what that means.
const REQUESTS: [(&str, &str); 6] = [
    ("mint", "token requests for a new visitor"),
    ("renew", "token requests with a refresh token"),
    ("token", "any token request"),
    ("token-info", "questions about a token"),
    ("/PATH", "other requests whose path begins like this, such as /ecom/"),
    ("any", "every request"),
];

/// What happens, and what that means.
const EVENTS: [(&str, &str); 16] = [
    ("status=NNN", "answers this status, 200 to 599, instead of acting"),
    ("body=TEXT", "answers this JSON instead of acting; goes on to the end of the text"),
    ("html", "acts, and answers with a page for people"),
    ("empty", "acts, and answers with an empty body"),
    ("truncate", "acts, and ends the connection after half of the answer"),
    ("oversize=BYTES", "acts, and answers with so many bytes of padding"),
    ("reset", "resets the connection instead of acting"),
    ("hang", "neither acts nor answers"),
    ("after-acting", "acts first, though the above says otherwise: only the answer is lost"),
    ("retry-after=SECONDS", "adds this header to the answer"),
    ("delay=TIME", "waits before acting, so long: 500ms, 2s"),
    ("delay-after-acting=TIME", "waits between acting and answering"),
    ("times=N", "happens to so many requests; to one, if nothing is said"),
    ("always", "happens to every request, until the faults are cleared"),
    ("skip=N", "lets so many requests pass first"),
    ("percent=N", "happens to so many in a hundred, at random"),
];

const EXAMPLE: &str = "renew: status=503, retry-after=5, times=2";

/// A fault that cannot be read from its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultTextError(String);

impl fmt::Display for FaultTextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FaultTextError {}

/// `REQUESTS: WHAT, WHAT, …`, such as `renew: status=503, retry-after=5, times=2`. What may stand there is told by
/// [`Fault::grammar`].
impl FromStr for Fault {
    type Err = FaultTextError;

    fn from_str(text: &str) -> Result<Self, FaultTextError> {
        let (on, mut rest) = text.split_once(':').ok_or_else(no_requests)?;
        let mut fault = Self::on(requests(on.trim()).ok_or_else(no_requests)?);
        let mut happens = false;
        loop {
            rest = rest.trim();
            if rest.is_empty() {
                break;
            }
            let item;
            (item, rest) =
                if rest.starts_with("body=") { (rest, "") } else { rest.split_once(',').unwrap_or((rest, "")) };
            let (word, value) = item.split_once('=').map_or((item, None), |(word, value)| (word, Some(value.trim())));
            let word = word.trim();
            fault = event(fault, word, value).ok_or_else(|| wrong(word))?;
            happens |= !["after-acting", "times", "always", "skip", "percent"].contains(&word);
        }
        if happens { Ok(fault) } else { Err(FaultTextError(format!("nothing happens in this fault; {}", known()))) }
    }
}

impl Fault {
    /// How a fault is written as text, for a person to read.
    pub fn grammar() -> String {
        let rows = |rows: &[(&str, &str)]| -> String {
            rows.iter().map(|(form, meaning)| format!("    {form:<24}{meaning}\n")).collect()
        };
        format!(
            "A fault is written `REQUESTS: WHAT, WHAT, …`; of several for one request the first is used.\n  \
             REQUESTS is one of\n{}  WHAT is any of\n{}",
            rows(&REQUESTS),
            rows(&EVENTS),
        )
    }
}

fn requests(text: &str) -> Option<On> {
    Some(match text {
        "mint" => On::Mint,
        "renew" => On::Renew,
        "token" => On::Token,
        "token-info" => On::TokenInfo,
        "any" => On::Any,
        path if path.starts_with('/') => On::Api(path.to_owned()),
        _ => return None,
    })
}

/// Nothing if there is no such word, or not with such a value.
fn event(fault: Fault, word: &str, value: Option<&str>) -> Option<Fault> {
    Some(match (word, value) {
        ("status", Some(status)) => fault.status(status.parse().ok().filter(|status| (200..=599).contains(status))?),
        ("body", Some(body)) => fault.body(body.to_owned()),
        ("html", None) => fault.html(),
        ("empty", None) => fault.empty(),
        ("truncate", None) => fault.truncate(),
        ("oversize", Some(bytes)) => fault.oversize(bytes.parse().ok()?),
        ("reset", None) => fault.reset(),
        ("hang", None) => fault.hang(),
        ("after-acting", None) => fault.after_acting(),
        ("retry-after", Some(seconds)) => fault.retry_after(seconds.parse().ok()?),
        ("delay", Some(delay)) => fault.delay(time(delay)?),
        ("delay-after-acting", Some(delay)) => fault.delay_after_acting(time(delay)?),
        ("times", Some(times)) => fault.times(times.parse().ok().filter(|times| *times > 0)?),
        ("always", None) => fault.always(),
        ("skip", Some(requests)) => fault.skip(requests.parse().ok()?),
        ("percent", Some(percent)) => {
            fault.percent(percent.parse().ok().filter(|percent| (1..=100).contains(percent))?)
        }
        _ => return None,
    })
}

fn time(text: &str) -> Option<Duration> {
    match text.strip_suffix("ms") {
        Some(millis) => Some(Duration::from_millis(millis.trim().parse().ok()?)),
        None => Some(Duration::from_secs(text.strip_suffix('s')?.trim().parse().ok()?)),
    }
}

fn no_requests() -> FaultTextError {
    let forms = forms(&REQUESTS);
    FaultTextError(format!("a fault begins with its requests and a colon, as in `{EXAMPLE}`; known requests: {forms}"))
}

/// Repeats the word only where it is one: what stands in a wrong place may be a token.
fn wrong(word: &str) -> FaultTextError {
    let name = |form: &str| form.split('=').next() == Some(word);
    FaultTextError(match EVENTS.iter().find(|(form, _)| name(form)) {
        Some((form, meaning)) => format!("`{form}` in a fault: {meaning}"),
        None if word.len() < 20 && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-') => {
            format!("`{word}` is nothing that happens in a fault; {}", known())
        }
        None => format!("there is something in this fault that is nothing that happens; {}", known()),
    })
}

fn known() -> String {
    format!("known: {}", forms(&EVENTS))
}

fn forms(rows: &[(&str, &str)]) -> String {
    rows.iter().map(|(form, _)| *form).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_says_what_the_builder_says() {
        for (text, built) in [
            ("renew: status=503, retry-after=5, times=2", Fault::on_renew().status(503).retry_after(5).times(2)),
            ("mint:reset,after-acting", Fault::on_mint().reset_after_acting()),
            (" token : hang , after-acting , always ", Fault::on_token().hang_after_acting().always()),
            ("token-info: truncate, skip=1", Fault::on_token_info().truncate().skip(1)),
            ("/ecom/: oversize=100", Fault::on_api("/ecom/").oversize(100)),
            ("any: html", Fault::on_any().html()),
            ("token: reset, always, percent=30", Fault::on_token().reset().always().percent(30)),
            ("any: empty, status=403", Fault::on_any().empty().status(403)),
            ("renew: status=400, body={\"error\": \"a, b\"}", Fault::on_renew().status(400).body("{}")),
        ] {
            assert_eq!(format!("{:?}", text.parse::<Fault>().unwrap()), format!("{built:?}"), "{text}");
        }
        let slow: Fault = "mint: delay=2s, delay-after-acting=30 ms".parse().unwrap();
        let (before, after) = slow.delays();
        assert_eq!((before, after), (Duration::from_secs(2), Duration::from_millis(30)));
    }

    #[test]
    fn what_cannot_be_read_names_what_can() {
        for (text, says) in [
            ("", "known requests: mint, renew, token, token-info, /PATH, any"),
            ("status=503", "known requests: mint"),
            ("renewal: reset", "known requests: mint"),
            ("renew:", "nothing happens in this fault; known: status=NNN, body=TEXT"),
            ("renew: times=2, after-acting", "nothing happens"),
            ("renew: explode", "`explode` is nothing that happens in a fault; known: status=NNN"),
            ("renew: 503", "known: status=NNN"),
            ("renew: status", "`status=NNN` in a fault: answers this status, 200 to 599"),
            ("renew: status=700", "200 to 599"),
            ("renew: reset=yes", "`reset` in a fault"),
            ("renew: delay=2", "500ms, 2s"),
            ("renew: reset, times=0", "so many requests"),
        ] {
            let said = text.parse::<Fault>().unwrap_err().to_string();
            assert!(said.contains(says), "{text}: {said}");
        }
        let said = "renew: JWS.secret-secret-secret".parse::<Fault>().unwrap_err().to_string();
        assert!(!said.contains("secret"), "{said}");
    }

    #[test]
    fn every_word_of_the_grammar_is_understood() {
        for (form, _) in EVENTS {
            let text = form.replace("NNN", "503").replace("TEXT", "{}").replace("TIME", "2s");
            let text = ["BYTES", "SECONDS", "N"].iter().fold(text, |text, number| text.replace(number, "3"));
            let (word, value) = text.split_once('=').map_or((text.as_str(), None), |(word, value)| (word, Some(value)));
            assert!(event(Fault::on_any(), word, value).is_some(), "{form}");
            assert!(Fault::grammar().contains(form));
        }
        for (form, _) in REQUESTS {
            assert!(requests(form).is_some(), "{form}");
        }
    }
}
