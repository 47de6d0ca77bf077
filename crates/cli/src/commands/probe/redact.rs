//! What of an answer may be in a report: words stay; tokens, ids and addresses become their length and form.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

use serde_json::Value;
use wix_visitor::Secret;

/// A piece of this many bytes in common with what must not be told is an echo of it.
const ECHO: usize = 8;

/// Longest text, in characters.
const LONGEST: usize = 600;

/// Only so much of a text is looked at.
const LONGEST_LOOKED_AT: usize = 4096;

/// Takes out what it was told of, and what looks like something of the kind.
#[derive(Default)]
pub(super) struct Redactor {
    /// Every piece of it, in lower case.
    pieces: HashSet<[u8; ECHO]>,
}

impl Redactor {
    pub(super) fn hide(&mut self, secret: &Secret) {
        self.pieces.extend(pieces(secret.expose()));
    }

    /// A body, on one line. Of JSON the fields are looked at one by one.
    pub(super) fn body(&self, body: &[u8]) -> String {
        match serde_json::from_slice(body) {
            Ok(json) => cut(&plain(&self.value("", json).to_string())),
            Err(_) => self.text(&String::from_utf8_lossy(body)),
        }
    }

    /// Any text, on one line.
    pub(super) fn text(&self, text: &str) -> String {
        cut(&plain(&self.words(text)))
    }

    fn value(&self, key: &str, value: Value) -> Value {
        match value {
            Value::Object(fields) => Value::Object(
                // Two keys may become the same word; then one of them is enough.
                fields.into_iter().map(|(key, value)| (self.words(&key), self.value(&key, value))).collect(),
            ),
            // What is in a list is of the kind that the list is.
            Value::Array(items) => Value::Array(items.into_iter().map(|item| self.value(key, item)).collect()),
            Value::String(text) if text.is_empty() => Value::String(text),
            Value::String(text) if names_somebody(key) => Value::String(form(&text)),
            Value::String(text) => Value::String(self.words(&text)),
            Value::Number(number) => {
                let text = number.to_string();
                // A moment in seconds has ten digits, and is nobody's.
                let tells = text.len() > 10 || names_somebody(key);
                if tells { Value::String(format!("<number of {} chars>", text.len())) } else { Value::Number(number) }
            }
            other => other,
        }
    }

    fn words(&self, text: &str) -> String {
        let (mut out, mut run) = (String::new(), String::new());
        // A blank more ends the last run.
        for character in text.chars().take(LONGEST_LOOKED_AT).chain([' ']) {
            if is_of_a_run(character) {
                run.push(character);
            } else {
                out.push_str(&self.run(&run));
                run.clear();
                out.push(character);
            }
        }
        out.pop();
        // A secret that holds other characters, or was spread over several words, shows only in the whole.
        if self.echoes(&out) { format!("<text of {} chars>", text.chars().count()) } else { out }
    }

    fn run(&self, run: &str) -> String {
        let bare = run.trim_end_matches(['.', ':']);
        if !bare.is_empty() && (self.echoes(run) || is_address(bare) || is_telling(run)) {
            form(bare) + &run[bare.len()..]
        } else {
            run.to_owned()
        }
    }

    /// Whether the text holds a piece of a secret, in whatever case.
    fn echoes(&self, text: &str) -> bool {
        pieces(text).any(|piece| self.pieces.contains(&piece))
    }
}

fn pieces(text: &str) -> impl Iterator<Item = [u8; ECHO]> {
    text.as_bytes().windows(ECHO).filter_map(|piece| {
        let mut piece = <[u8; ECHO]>::try_from(piece).ok()?;
        piece.make_ascii_lowercase();
        Some(piece)
    })
}

/// What stands under such a key is told by its form alone, whatever it looks like.
fn names_somebody(key: &str) -> bool {
    let key: String = key.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    const ENDS: [&str; 8] = ["token", "id", "ids", "email", "nonce", "secret", "signature", "address"];
    ENDS.iter().any(|end| key.ends_with(end)) || key == "ip" || key.ends_with("clientip")
}

fn is_of_a_run(character: char) -> bool {
    character.is_alphanumeric() || "-_.:+/=~%@".contains(character)
}

/// `<token of 932 chars, 5 parts>` and the like.
fn form(text: &str) -> String {
    let chars = text.chars().count();
    let parts = text.split('.').count();
    if is_guid(text) {
        "<GUID>".to_owned()
    } else if is_address(text) {
        "<IP address>".to_owned()
    } else if looks_signed(text) {
        format!("<token of {chars} chars, {parts} parts>")
    } else {
        format!("<value of {chars} chars>")
    }
}

fn looks_signed(text: &str) -> bool {
    text.contains("JWS.") || text.contains("eyJ")
}

fn is_address(text: &str) -> bool {
    let text = text.trim_matches(['/', '=']);
    // The time of day is no address, and `::` is an operator.
    text.len() > 2 && (text.parse::<IpAddr>().is_ok() || text.parse::<SocketAddr>().is_ok())
}

fn is_guid(text: &str) -> bool {
    text.len() == 36 && text.split('-').map(str::len).eq([8, 4, 4, 4, 12]) && text.bytes().all(is_hex)
}

fn is_hex(byte: u8) -> bool {
    byte == b'-' || byte.is_ascii_hexdigit()
}

/// Whether a run of characters is one that no message in words would hold.
fn is_telling(run: &str) -> bool {
    let has = |text: &str, is: fn(&u8) -> bool| text.as_bytes().iter().any(is);
    let in_words = |run: &str| {
        run.split(|c: char| !c.is_alphanumeric()).all(|part| {
            let (digits, letters) = (has(part, u8::is_ascii_digit), part.chars().any(char::is_alphabetic));
            !(part.len() >= 32 || (part.len() >= 12 && digits && letters) || (part.len() >= 11 && digits))
        })
    };
    let mixed = has(run, u8::is_ascii_digit) && has(run, u8::is_ascii_uppercase) && has(run, u8::is_ascii_lowercase);
    looks_signed(run)
        || run.contains('@')
        || run.contains("//")
        || run.as_bytes().windows(36).any(|piece| std::str::from_utf8(piece).is_ok_and(is_guid))
        || run.split(['/', '=', '%']).any(|part| is_address(part.trim_end_matches('.')))
        || !in_words(run)
        || (run.len() >= 20 && mixed && run.contains(['-', '_', '+', '=', '~', '%']))
}

/// One line that stands in Markdown as it is.
fn plain(text: &str) -> String {
    let odd = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    let text: String = text
        .chars()
        .map(|c| {
            if odd(c) {
                ' '
            } else if c == '`' {
                '\''
            } else {
                c
            }
        })
        .collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "JWS.eyJraWQiOiJZSEJzdUpwSCIsImFsZyI6IkhTMjU2In0.eyJkYXRhIjoiMSJ9.Qf3mZ";
    const GUID: &str = "0cb2d1a0-1111-4222-8333-444455556666";

    fn text(text: &str) -> String {
        Redactor::default().text(text)
    }

    fn body(body: &str) -> String {
        Redactor::default().body(body.as_bytes())
    }

    #[test]
    fn words_codes_and_short_numbers_stay() {
        for plain in [
            "invalid_grant",
            "OWNED_CART_NOT_FOUND",
            "WDE0117: MetaSite not found",
            "appRuntimeKeys.appId: appId is not a valid GUID",
            "wix.ecom.v1.CartService",
            "application/json; charset=utf-8",
            "at 12:30:45, in 14400 s",
            "Bearer error='invalid_token'",
            "<!doctype html><title>Error</title>",
        ] {
            assert_eq!(text(plain), plain);
        }
        let answer =
            r#"{"active":true,"exp":1767225600,"expires_in":14400,"refresh_token":null,"subjectType":"VISITOR"}"#;
        assert_eq!(body(answer), answer);
    }

    #[test]
    fn tokens_ids_and_addresses_become_their_form() {
        for (told, shown) in [
            (TOKEN, "<token of 70 chars, 4 parts>"),
            (GUID, "<GUID>"),
            ("a1b2c3d4e5f60718293a4b5c6d7e8f90", "<value of 32 chars>"),
            ("1699999999.12345678901234567890", "<value of 31 chars>"),
            ("203.0.113.7", "<IP address>"),
            ("203.0.113.7:443", "<IP address>"),
            ("2001:db8::1", "<IP address>"),
            ("somebody@example.com", "<value of 20 chars>"),
            ("https://example.com/a", "<value of 21 chars>"),
            ("aB3-x9_Qw7+Zk2-Lm5_Np8", "<value of 22 chars>"),
        ] {
            assert_eq!(text(told), shown, "{told}");
            assert_eq!(text(&format!("no {told}.")), format!("no {shown}."), "{told}");
            assert!(!text(&format!("(x='{told}')")).contains(told), "{told}");
            assert!(!text(&format!("app={told}")).contains(told), "{told}");
            assert!(!body(&format!(r#"{{"{told}":["{told}"]}}"#)).contains(told), "{told}");
        }
    }

    #[test]
    fn what_stands_under_the_name_of_an_id_is_never_told() {
        assert_eq!(
            body(r#"{"siteId":"mine","subject_id":7,"access_token":"t","ids":["a"],"clientIp":"x","id":""}"#),
            r#"{"access_token":"<value of 1 chars>","clientIp":"<value of 1 chars>","id":"","ids":["<value of 1 chars>"],"siteId":"<value of 4 chars>","subject_id":"<number of 1 chars>"}"#
        );
        assert_eq!(body(r#"{"at":1767225600123}"#), r#"{"at":"<number of 13 chars>"}"#);
    }

    #[test]
    fn no_piece_of_what_is_to_be_hidden_comes_through() {
        let mut redactor = Redactor::default();
        for secret in ["two words known", "Shop.Ahead", "short"] {
            redactor.hide(&Secret::new(secret));
        }
        assert_eq!(redactor.text("no hop.ahea here"), "no <value of 8 chars> here");
        assert_eq!(redactor.text("it is SHOP.AHEAD."), "it is <value of 10 chars>.");
        assert_eq!(redactor.text("these two words known to us"), "<text of 27 chars>");
        assert_eq!(redactor.text("in short"), "in short");
    }

    #[test]
    fn it_is_one_short_line_that_cannot_leave_its_quotes() {
        assert_eq!(text("a`b\r\n\u{1b}[31mc\u{202e}d"), "a'b [31mc d");
        assert!(text(&"word ".repeat(1000)).chars().count() <= LONGEST + 1);
        assert!(body(&format!("[{}1]", "1,".repeat(5000))).chars().count() <= LONGEST + 1);
    }
}
