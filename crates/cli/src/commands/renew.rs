//! `renew`: a new access token, needed or not.

use wix_visitor::ErrorKind;

use super::status::Report;
use crate::exit::Failure;
use crate::output::{Console, Out};
use crate::setup::Session;

pub(super) async fn run(session: &Session, console: Console, out: &mut Out) -> Result<(), Failure> {
    session.visitor.renew().await.map_err(|error| {
        let nothing_there = error.kind() == ErrorKind::InvalidInput;
        let failure = Failure::from(error);
        if nothing_there { failure.advise("`wix-visitor token` mints a visitor") } else { failure }
    })?;
    let report = Report::of(session).await?;
    if console.is_json() {
        return out.json(&report).await;
    }
    console.notice("renewed", &report.token());
    Ok(())
}
