//! What the user hands over in a file or on standard input.

use std::fs::File;
use std::io::{self, Read};

use crate::exit::Failure;

/// A file by name, or standard input for `-`, up to so many bytes.
pub(crate) async fn read(source: &str, most: u64, what: &'static str) -> Result<Vec<u8>, Failure> {
    let name = source.to_owned();
    let read = move || match name.as_str() {
        "-" => read_from(io::stdin().lock(), most),
        path => read_from(File::open(path)?, most),
    };
    let result = tokio::task::spawn_blocking(read).await.map_err(io::Error::other).and_then(|result| result);
    let from = if source == "-" { "standard input".to_owned() } else { format!("the file {}", shown(source)) };
    match result {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(Failure::usage(format!("cannot read {what} from {from}: it is larger than {most} bytes"))),
        Err(error) => Err(Failure::usage(format!("cannot read {what} from {from}")).because(&error)),
    }
}

fn read_from(source: impl Read, most: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    source.take(most + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= most).then_some(bytes))
}

/// A file's name for an error; not if it looks like something that was meant to be *in* the file.
fn shown(name: &str) -> &str {
    let is_name = name.len() <= 200 && !name.contains(['{', '"', '\n']) && !name.contains("JWS.");
    if is_name { name } else { "(its name looks like tokens or JSON, so it is not shown: give a file's name, or -)" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_given_as_a_file_name_are_not_shown() {
        for name in [r#"{"accessToken":{}}"#, "OauthNG.JWS.abc", "JWS.abc", &"a".repeat(201)] {
            assert!(shown(name).starts_with('('), "{name}");
        }
        assert_eq!(shown("../tokens.json"), "../tokens.json");
    }

    #[test]
    fn more_than_the_most_is_refused() {
        assert_eq!(read_from(&b"abc"[..], 3).unwrap().as_deref(), Some(&b"abc"[..]));
        assert_eq!(read_from(&b"abcd"[..], 3).unwrap(), None);
    }
}
