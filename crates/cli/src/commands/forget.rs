//! `forget`: the visitor is gone, on purpose.

use serde_json::json;

use crate::exit::Failure;
use crate::output::{Console, Out};
use crate::setup::Session;

pub(super) async fn run(session: &Session, console: Console, out: &mut Out) -> Result<(), Failure> {
    session.visitor.forget().await?;
    if console.is_json() {
        return out.json(&json!({ "visitor": session.visitor.id().to_string(), "forgotten": true })).await;
    }
    console.notice("forgotten", "the next need for a token mints a new visitor");
    Ok(())
}
