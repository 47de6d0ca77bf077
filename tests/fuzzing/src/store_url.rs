//! A store's URL, any text: a password in it is never shown.

use wix_visitor::{Policy, StoreUrl};

/// Stands in inputs for the password.
const STANDS_FOR_PASSWORD: &str = "PASSWORD";
const PASSWORD: &str = "hunter2hunter2";

pub(crate) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let url = text.replace(STANDS_FOR_PASSWORD, PASSWORD);
    let scheme = url.trim().split(':').next().unwrap_or_default().to_ascii_lowercase();
    // These know no passwords: what stands in them is a path, or the name of an option.
    let local = matches!(scheme.as_str(), "file" | "sqlite");
    let is_kind = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    match StoreUrl::parse(&url) {
        Ok(read) => {
            assert!(["memory", "file", "sqlite", "redis"].contains(&read.kind()));
            assert_eq!(read.path().is_some(), local);
            assert!(read.deadline().is_none_or(|deadline| !deadline.is_zero()));
            let _ = read.check(&Policy::default());
            let shown = format!("{read:?} {read:#?}");
            assert!(local || !is_password(&url) || !shown.contains(PASSWORD), "a password is shown: {shown}");
        }
        Err(error) => {
            let shown = format!("{error} {error:?}");
            assert!(
                local || (is_kind && scheme.contains(PASSWORD)) || !shown.contains(PASSWORD),
                "it is quoted: {shown}"
            );
        }
    }
}

/// Whether the password stands nowhere but where passwords do: before the last `@` of the authority, after its user; or as that of the
/// Sentinels.
fn is_password(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else { return false };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    let user = login.split(':').next().unwrap_or_default();
    let options = query.split('&').filter(|option| !option.starts_with("sentinel_password="));
    ![user, hosts, path].into_iter().chain(options).any(|part| may_become(part, PASSWORD))
}

/// Whether this part can be that text, as it is or once it is decoded.
fn may_become(part: &str, text: &str) -> bool {
    part.contains(text) || part.contains('%')
}
