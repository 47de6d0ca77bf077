//! What of a server's answer may appear in an error: short, printable, and nothing that could be a secret.

use std::collections::{BTreeSet, HashSet};

/// Longest quote, in characters.
const MAX_CHARS: usize = 200;
/// Only so much of an answer is looked at.
const MAX_LOOKED_AT: usize = 2000;
/// A piece of this many bytes in common with what we sent is an echo of it.
const ECHO: usize = 8;
const REDACTED: &str = "[redacted]";

/// A server's text, fit for an error message: control characters and URLs gone, and everything redacted that looks like a
/// token or shares a piece with a secret that we sent.
pub(crate) fn quote(text: &str, secrets: &[&str]) -> String {
    let secrets = Pieces::of(secrets);
    let looked_at: String = text.chars().take(MAX_LOOKED_AT).map(|c| if is_plain(c) { c } else { ' ' }).collect();
    let mut out = String::new();
    for word in looked_at.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        if word.contains("://") {
            out.push_str("[url]");
        } else if is_token_like(word) || secrets.show_in(word) {
            out.push_str(REDACTED);
        } else {
            out.push_str(word);
        }
    }
    // A secret with blanks in it, or one that the server spread over words, shows only in the whole; and it may be what we made of the
    // blanks that shows it, or the blanks between which it will stand.
    if secrets.show_in(&format!(" {out} ")) {
        return REDACTED.to_owned();
    }
    match out.char_indices().nth(MAX_CHARS) {
        Some((cut, _)) => format!("{}…", &out[..cut]),
        None => out,
    }
}

/// A request id as answered, if it can be one. It is printed as it is, so it is held to a plain alphabet.
pub(crate) fn request_id(headers: &http::HeaderMap, secrets: &[&str]) -> Option<String> {
    let id = headers.get("x-wix-request-id")?.to_str().ok()?.trim();
    let fits = !id.is_empty()
        && id.len() <= 128
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'|'));
    (fits && !is_marked(id) && !Pieces::of(secrets).show_in(id)).then(|| id.to_owned())
}

fn is_plain(c: char) -> bool {
    // Besides control characters: those that turn the direction of a terminal's text, or cannot be seen.
    !c.is_control()
        && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Whether a run of token characters in this word is one that no message in words would hold.
fn is_token_like(word: &str) -> bool {
    let token_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+' | '/' | '=' | '~' | '%');
    word.split(|c| !token_char(c)).any(|run| {
        let has = |f: fn(&u8) -> bool| run.as_bytes().iter().any(f);
        let digits = has(u8::is_ascii_digit);
        let mixed = digits && has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
        is_marked(run) || (run.len() >= 16 && mixed) || (run.len() >= 40) || {
            run.len() >= 24 && digits && !is_guid(run.trim_end_matches('.'))
        }
    })
}

/// Whether it has the marks of a token of Wix's, or of any JSON in base64.
fn is_marked(run: &str) -> bool {
    run.contains("JWS.") || run.contains("eyJ")
}

fn is_guid(run: &str) -> bool {
    run.len() == 36
        && run.bytes().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

/// All pieces of some secrets, so that a text is searched for them in one go, however long they are.
struct Pieces<'a> {
    all: HashSet<&'a [u8]>,
    lengths: BTreeSet<usize>,
}

impl<'a> Pieces<'a> {
    fn of(secrets: &[&'a str]) -> Self {
        let (mut all, mut lengths) = (HashSet::new(), BTreeSet::new());
        for secret in secrets {
            let piece = ECHO.min(secret.len());
            // A value of a character or two is in every text; nothing is learnt from it there.
            if piece >= 4 {
                all.extend(secret.as_bytes().windows(piece));
                lengths.insert(piece);
            }
        }
        Self { all, lengths }
    }

    /// Whether the text holds one of them.
    fn show_in(&self, text: &str) -> bool {
        self.lengths.iter().any(|length| text.as_bytes().windows(*length).any(|piece| self.all.contains(piece)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "JWS.eyJraWQiOiJZSEJzdUpwSCIsImFsZyI6IkhTMjU2In0.eyJkYXRhIjoiMSJ9.Qf3mZ";

    #[test]
    fn plain_words_come_through() {
        for text in [
            "invalid_grant",
            "appRuntimeKeys.appId is not a valid GUID",
            "no app 0cb2d1a0-1111-4222-8333-444455556666 here.",
            "OWNED_CART_NOT_FOUND",
        ] {
            assert_eq!(quote(text, &[TOKEN]), text);
        }
    }

    #[test]
    fn nothing_of_what_was_sent_comes_back() {
        for text in [
            TOKEN.to_owned(),
            format!("bad token '{TOKEN}'"),
            format!("bad token {}", &TOKEN[4..20]),
            format!("bad:{}:here", &TOKEN[30..38]),
            format!("a\n{TOKEN}\u{7}"),
            format!("https://x.example/?t={TOKEN}"),
        ] {
            let shown = quote(&text, &[TOKEN]);
            assert!(!Pieces::of(&[TOKEN]).show_in(&shown), "{shown}");
        }
        assert_eq!(quote("not abcdefgh, sorry", &["abcdefgh"]), "not [redacted] sorry");
        for text in ["the word pass word 1 is wrong", "the word pass  word\n1 is wrong"] {
            assert_eq!(quote(text, &["pass word 1"]), REDACTED, "{text:?}");
        }
        assert_eq!(quote("gate 42too", &["key of the gate 42"]), REDACTED, "behind a blank");
        assert_eq!(quote("a  b  c  d  e", &["a b c d e"]), REDACTED, "no piece of it was there before");
    }

    #[test]
    fn a_long_secret_is_looked_for_in_a_long_text() {
        let secret: String = (0..40_000).map(|n| format!("{n:06}")).collect();
        let text = "\u{1f600}".repeat(MAX_LOOKED_AT);
        assert_eq!(quote(&text, &[&secret]).chars().count(), MAX_CHARS + 1);
        assert_eq!(quote(&format!("no {}", &secret[100_000..100_012]), &[&secret]), "no [redacted]");
    }

    #[test]
    fn a_strangers_token_is_redacted_too() {
        for token in
            [TOKEN, "OauthNG.JWS.short", "Abcdefgh12345678", "0123456789abcdef0123456789abcdef", &"a".repeat(40)]
        {
            assert_eq!(quote(&format!("no {token}!"), &[]), "no [redacted]");
        }
    }

    #[test]
    fn quotes_are_short_and_printable() {
        assert_eq!(quote("a\u{1b}[31mb\r\nc\u{202e}d", &[]), "a [31mb c d");
        assert!(quote(&"word ".repeat(1000), &[]).chars().count() <= MAX_CHARS + 1);
        assert!(quote(&"ä ".repeat(1000), &[]).ends_with('…'));
    }

    #[test]
    fn a_request_id_is_kept_only_if_it_looks_like_one() {
        let id = |value: &str| {
            let mut headers = http::HeaderMap::new();
            headers.insert("x-wix-request-id", value.parse().unwrap());
            request_id(&headers, &[TOKEN])
        };
        assert_eq!(id("1699999999.123-abc").as_deref(), Some("1699999999.123-abc"));
        for bad in
            ["", "two words", TOKEN, &TOKEN[10..30], &"1".repeat(200), "<b>", "OauthNG.JWS.another", "eyJhbm90aGVyIn0"]
        {
            assert_eq!(id(bad), None, "{bad}");
        }
    }
}
