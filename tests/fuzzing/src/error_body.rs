//! Any answer of the token endpoint, head and body: only what says so refuses a token, and nothing secret comes back in words.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use wix_visitor_core::GrantFailure::{Doubtful, Misconfigured, Refused, Transient, Unknown};
use wix_visitor_http::fuzzing::judge;

use crate::marker::{FOREIGN, SENT, SENT_WORDS, planted};

/// An answer, written as `renewal 400`, lines of headers, an empty line, and the body; `mint` and `cut` are known too.
struct Answer {
    renewal: bool,
    status: u16,
    whole: bool,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn of(bytes: &[u8]) -> Self {
        let end = memchr::memmem::find(bytes, b"\n\n");
        let (head, body) = end.map_or((&b""[..], bytes), |end| (&bytes[..end], &bytes[end + 2..]));
        let mut answer =
            Self { renewal: true, status: 400, whole: true, headers: HeaderMap::new(), body: planted(body) };
        for line in planted(head).split(|byte| *byte == b'\n') {
            match line.iter().position(|byte| *byte == b':') {
                Some(colon) => answer.header(&line[..colon], &line[colon + 1..]),
                None => answer.first(&String::from_utf8_lossy(line)),
            }
        }
        answer
    }

    fn first(&mut self, line: &str) {
        for word in line.split_ascii_whitespace() {
            match word {
                "mint" => self.renewal = false,
                "cut" => self.whole = false,
                _ => self.status = word.parse().unwrap_or(self.status),
            }
        }
    }

    fn header(&mut self, name: &[u8], value: &[u8]) {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value.trim_ascii())) {
            self.headers.append(name, value);
        }
    }

    fn json(&self) -> Option<Value> {
        let body = self.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.body);
        serde_json::from_slice(body).ok().filter(|_| self.whole)
    }
}

pub(crate) fn check(bytes: &[u8]) {
    let answer = Answer::of(bytes);
    let Answer { renewal, status, whole, ref headers, ref body } = answer;
    let error = match judge(renewal, status, headers, (body, whole), &[SENT.text(), SENT_WORDS.text()]) {
        Ok(_) => return assert!((200..=299).contains(&status), "an error is no reply"),
        Err(error) => error,
    };
    let json = answer.json();
    let object = json.as_ref().is_some_and(Value::is_object);
    let rejects = renewal && matches!(status, 400 | 401);
    match error.failure {
        Refused => {
            assert!(rejects, "{status} refuses nothing");
            assert_eq!(json.as_ref().and_then(|json| json.get("error")?.as_str()), Some("invalid_grant"));
        }
        Doubtful => assert!(rejects && object, "what is in neither shape says nothing of a token"),
        Misconfigured => {
            assert!((400..=499).contains(&status) && !matches!(status, 408 | 429) && object, "{status} is not ours");
        }
        Unknown => assert!((200..=299).contains(&status) && !whole, "an answer that came whole is known"),
        Transient => {}
        other => panic!("an outcome that nobody knows: {other:?}"),
    }
    let (words, shown) = (error.to_string(), format!("{error:?}"));
    for text in [&words, &shown] {
        assert!(!SENT.shows_in(text, 8) && !SENT_WORDS.shows_in(text, 8), "what was sent came back: {text}");
        assert!(!FOREIGN.shows_in(text, 16), "a token came back: {text}");
    }
    assert!(words.chars().count() < 400 && !words.chars().any(char::is_control), "not fit for a line: {words}");
    assert!(error.retry_after.is_none_or(|after| after <= Duration::from_secs(3600)), "locked out");
}
