//! Store URLs, and the paths in them.

use std::fs;
use std::path::Path;

use wix_visitor::{ErrorKind, StoreUrl};

use crate::{MIB, is_refused, shown, texts};

/// The text with each byte as `%XX`.
fn encoded(text: &[u8]) -> String {
    text.iter().map(|byte| format!("%{byte:02x}")).collect()
}

#[test]
fn a_store_url_of_any_text_is_read_or_refused_and_never_makes_anything() {
    let prefixes =
        ["", "memory:", "file:", "sqlite:", "redis://", "rediss://:", "redis+unix://", "redis+sentinel://h/"];
    let infixes = ["", "v?", "v?timeout_ms=", "v?synchronous=", "v?x=", "//", "//localhost", "h/", "u:", "h/0?prefix="];
    for text in texts() {
        for (prefix, infix) in prefixes.iter().flat_map(|prefix| infixes.map(|infix| (prefix, infix))) {
            if text.len() == MIB && !infix.is_empty() && *infix != *"v?x=" {
                continue;
            }
            let url = format!("{prefix}{infix}{text}");
            match StoreUrl::parse(&url) {
                Ok(url) => drop((url.kind(), url.deadline(), url.check(&wix_visitor::Policy::default()))),
                Err(error) => {
                    let secret = if prefix.starts_with("redis") { text.as_str() } else { "" };
                    assert!(matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Misconfigured), "{error:.200}");
                    assert!(shown(&error).len() < 3 * url.len() * 10 + 10_000, "{:.100?}", url);
                    assert!(secret.trim().len() < 8 || !shown(&error).contains(secret.trim()), "{url:.100?}");
                }
            }
        }
    }
}

#[test]
fn a_url_of_more_options_than_there_are_is_refused_at_once() {
    let options: String = (0..200_000).map(|n| format!("a{n}=&")).collect();
    for scheme in ["file:v", "sqlite:v.db"] {
        is_refused(&StoreUrl::parse(&format!("{scheme}?{options}")).unwrap_err(), &options);
    }
}

/// What is there, from here on, by its path.
fn tree(at: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for entry in fs::read_dir(at).unwrap().map(Result::unwrap) {
        all.push(entry.path().display().to_string());
        if entry.file_type().unwrap().is_dir() {
            all.extend(tree(&entry.path()));
        }
    }
    all
}

#[tokio::test]
async fn a_path_of_any_text_is_opened_where_it_leads_or_refused_with_the_reason() {
    wix_visitor_tests::trace::to_stderr();
    let texts: Vec<_> = texts().into_iter().filter(|text| text.len() < MIB || text.starts_with(['x', 'a'])).collect();
    let mut paths: Vec<_> = texts.iter().map(|text| encoded(text.as_bytes())).collect();
    paths.retain(|path| path != &encoded(b"..") && path != "%2f" && !path.is_empty() && path != &encoded(b"-"));
    paths.extend([encoded(&[0xff, 0xfe, 0x80]), encoded("d/".repeat(5000).as_bytes()), encoded(&[b'n'; 256])]);
    for (scheme, path) in ["file", "sqlite"].into_iter().flat_map(|scheme| paths.iter().map(move |path| (scheme, path)))
    {
        let home = tempfile::tempdir().unwrap();
        let inside = home.path().join("inside");
        fs::create_dir(&inside).unwrap();
        let url = format!("{scheme}:{}/{path}?timeout_ms=5000", inside.display());
        match wix_visitor::open_store(&url).await {
            Ok(store) => {
                let made = tree(home.path());
                assert!(
                    made.len() > 1 && made.iter().all(|path| path.starts_with(&*inside.to_string_lossy())),
                    "{made:?}"
                );
                drop(store);
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Store, "{path:.60}: {error:.200}");
                let kind = error.store_error().unwrap().kind();
                assert_eq!(kind, wix_visitor::StoreErrorKind::Misconfigured, "{path:.60}: {error:.200}");
            }
        }
    }
}
