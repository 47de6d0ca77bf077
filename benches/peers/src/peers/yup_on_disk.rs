//! yup-oauth2 with its tokens on disk. It writes its file anew each time, and does not wait for the disk: what was written last may be gone
//! after a power loss, and after a crash in between the whole file.

use std::path::Path;

use yup_oauth2::{AccessTokenAuthenticator, authenticator::DefaultAuthenticator};

use crate::Result;

/// Gives out this token, without a network, and keeps it in this file.
pub(crate) async fn authenticator(file: &Path, token: String) -> Result<DefaultAuthenticator> {
    Ok(AccessTokenAuthenticator::builder(token).persist_tokens_to_disk(file).build().await?)
}

/// Has it keep its token once more.
pub(crate) async fn keep(authenticator: &DefaultAuthenticator) -> Result {
    let token = authenticator.force_refreshed_token(&["visitor"]).await?;
    token.token().map(drop).ok_or_else(|| "there is no token".into())
}
