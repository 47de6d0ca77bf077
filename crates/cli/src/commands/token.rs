//! `token`: a valid access token.

use serde_json::json;
use wix_visitor::Authorization;

use super::{is_due, renew_due};
use crate::exit::Failure;
use crate::moment::absolute;
use crate::output::{Console, Out};
use crate::setup::Session;

pub(super) async fn run(session: &Session, header: bool, console: Console, out: &mut Out) -> Result<(), Failure> {
    let due = is_due(session).await?;
    let authorization = session.visitor.authorization().await?;
    print(session, header, console, out, &authorization).await?;
    if due { renew_due(session, console).await } else { Ok(()) }
}

async fn print(
    session: &Session,
    header: bool,
    console: Console,
    out: &mut Out,
    authorization: &Authorization,
) -> Result<(), Failure> {
    let token = authorization.as_ref();
    if console.is_json() {
        let status = session.visitor.status().await?;
        let token = String::from_utf8_lossy(token);
        let (name, value) =
            if header { ("header", format!("Authorization: {token}")) } else { ("token", token.into()) };
        let expires_at = status.expires_at.and_then(absolute);
        return out.json(&json!({ name: value, "expires_at": expires_at, "role": status.role })).await;
    }
    let prefix: &[u8] = if header { b"Authorization: " } else { b"" };
    // In one piece: half a header line is of no use to anybody.
    out.write(&[prefix, token, b"\n"].concat()).await
}
