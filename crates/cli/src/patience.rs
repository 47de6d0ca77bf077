//! What is said where a command takes long.

use std::time::Duration;

use crate::moment::span;
use crate::output::Console;
use crate::setup::Session;

/// Nobody wonders before this.
const SILENT: Duration = Duration::from_secs(2);

/// Does the work; where it takes long because of a grant, that is told once.
pub(crate) async fn patiently<T>(session: &Session, console: Console, work: impl Future<Output = T>) -> T {
    let explain = async {
        tokio::time::sleep(SILENT).await;
        if session.visitor.status().await.is_ok_and(|status| status.claimed) {
            let lease = span(session.site().policy().lease);
            console.notice(
                "waiting",
                &format!(
                    "a grant for this visitor is under way, here or in another process; if that process has ended, its \
                     claim runs out within {lease}"
                ),
            );
        }
        std::future::pending().await
    };
    tokio::select! {
        biased;
        result = work => result,
        result = explain => result,
    }
}
