//! A store named by a URL.

use std::sync::Arc;

use wix_visitor_core::{Error, ErrorKind, TokenStore};

/// The kinds of store URL there are, and the feature that each needs.
const KINDS: [(&str, bool); 2] = [("memory:", cfg!(feature = "memory")), ("sqlite:PATH", cfg!(feature = "sqlite"))];

/// Opens the store that a URL names: `memory:` or `sqlite:PATH`, with the features of the same names.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] if the URL is of no known kind, of one whose feature is off, or holds an unknown option;
/// [`ErrorKind::Store`] if the store cannot be opened.
pub async fn open_store(url: &str) -> Result<Arc<dyn TokenStore>, Error> {
    let url = url.trim();
    let kind = url.split_once(':').map_or("", |(kind, _)| kind).to_ascii_lowercase();
    match kind.as_str() {
        #[cfg(feature = "memory")]
        "memory" if url.len() == "memory:".len() => Ok(Arc::new(wix_visitor_memory::MemoryStore::new())),
        #[cfg(feature = "memory")]
        "memory" => Err(invalid("a memory: store URL takes nothing after the colon".to_owned())),
        #[cfg(feature = "sqlite")]
        "sqlite" => {
            let options = wix_visitor_sqlite::SqliteOptions::from_url(url)
                .map_err(|error| Error::new(ErrorKind::InvalidInput, error.to_string()).with_source(error))?;
            Ok(Arc::new(options.open().await?))
        }
        _ => Err(unknown(&kind)),
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
}

/// Never quotes the URL: it may hold a password.
fn unknown(kind: &str) -> Error {
    let list = |on: bool| {
        let names: Vec<_> = KINDS.iter().filter(|(_, enabled)| *enabled == on).map(|(name, _)| *name).collect();
        names.join(", ")
    };
    if let Some((name, _)) = KINDS.iter().find(|(name, on)| !on && name.split(':').next() == Some(kind)) {
        return invalid(format!(
            "{name} needs the feature `{kind}` of wix-visitor, which this program was built without"
        ));
    }
    let known = list(true);
    let known = if known.is_empty() { "none: turn on a store's feature".to_owned() } else { known };
    let shown: String = kind.chars().filter(char::is_ascii_alphanumeric).take(16).collect();
    let what = if shown.is_empty() {
        "the store URL names no kind of store".to_owned()
    } else {
        format!("there is no kind of store called {shown:?}")
    };
    invalid(format!("{what}; known here: {known}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_unknown_store_url_names_the_known_ones_and_quotes_no_password() {
        for url in ["", "sqlit:x", "visitors.db", "mongodb://user:hunter2@host/", "memory:x"] {
            let error = open_store(url).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{url}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[cfg(not(feature = "sqlite"))]
    #[tokio::test]
    async fn a_store_that_was_left_out_says_which_feature_brings_it() {
        let error = open_store("sqlite:x").await.unwrap_err();
        assert!(error.to_string().contains("feature `sqlite`"), "{error}");
    }

    #[cfg(feature = "sqlite")]
    #[tokio::test]
    async fn an_unknown_option_or_no_path_is_the_callers_mistake() {
        for url in ["sqlite:x?speed=high", "sqlite:", "sqlite:?synchronous=full"] {
            let error = open_store(url).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{url}");
        }
    }
}
