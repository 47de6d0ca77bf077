//! `export` and `import`: tokens out and in, in the JSON of the JavaScript SDK.

use wix_visitor::{Secret, Tokens};

use super::status::Report;
use crate::exit::Failure;
use crate::input;
use crate::output::{Console, Out};
use crate::setup::Session;

/// Both tokens are about 1 KB.
const LARGEST: u64 = 1024 * 1024;

pub(super) async fn export(session: &Session, out: &mut Out) -> Result<(), Failure> {
    let tokens = session.visitor.tokens().await?;
    if tokens.access.is_none() && tokens.refresh.is_none() {
        return Err(Failure::other("there are no tokens to export").advise("`wix-visitor token` mints a visitor"));
    }
    out.line(tokens.to_json().expose()).await
}

pub(super) async fn import(file: &str, session: &Session, console: Console, out: &mut Out) -> Result<(), Failure> {
    let bytes = input::read(file, LARGEST, "the tokens").await?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::usage("this is not the token JSON of the Wix JavaScript SDK: it is not UTF-8"))?;
    let tokens = Tokens::from_json(Secret::new(text.trim_start_matches('\u{feff}')).expose())?;
    session.visitor.set_tokens(tokens).await?;
    let report = Report::of(session).await?;
    if console.is_json() {
        return out.json(&report).await;
    }
    console.notice("imported", &format!("tokens of the role {}; {}", report.role, report.token()));
    Ok(())
}
