//! `doctor --probe`: asks the API what nobody has documented about its tokens, with visitors of its own.

mod asking;
mod findings;
mod plan;
mod redact;
mod report;

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use wix_visitor::{ClientId, Probe};

use self::asking::Asking;
use self::report::Report;
use super::doctor::is_guid;
use crate::args::{DoctorArgs, SiteArgs};
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::output::{Console, Out};
use crate::setup::{Target, client_id, refuse_two_targets};
use crate::store_choice::StoreChoice;

/// Between two requests to a server that others use too.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn run(
    options: &DoctorArgs,
    site: &SiteArgs,
    console: Console,
    interrupt: &Interrupt,
) -> Result<Exit, Failure> {
    let client_id = client_id(site)?;
    if !is_guid(client_id.as_str()) {
        return Err(Failure::usage("the client id is not a GUID, and Wix's client ids are; nothing was sent")
            .advise("it looks like 00000000-0000-0000-0000-000000000000"));
    }
    refuse_two_targets(site)?;
    // A sandbox keeps nothing of this either.
    let target = interrupt.or(Target::of(site, &StoreChoice::memory()?, console)).await?;
    let result = perform(options, &target, client_id, console, interrupt).await;
    target.close().await;
    result
}

async fn perform(
    options: &DoctorArgs,
    target: &Target,
    client_id: ClientId,
    console: Console,
    interrupt: &Interrupt,
) -> Result<Exit, Failure> {
    let probe = Probe::new(&target.http, Duration::from_secs(options.probe_timeout))?;
    let origin = probe.origin();
    let wait = Duration::from_secs(options.probe_wait);
    let pause = pause(&origin);
    let place = place(target, &origin);
    console.notice("plan", &plan::text(&place, pause, wait));
    if !options.yes {
        interrupt.or(consent(console)).await?;
    }
    let mut asking = Asking::new(probe, client_id, pause, wait);
    if let Err(failure) = interrupt.or(asking.all()).await {
        if matches!(failure.exit, Exit::Interrupted(_)) {
            console.notice("interrupted", &asking.so_far());
        }
        return Err(failure);
    }
    let report = Report::new(place, &asking, wait);
    let mut out = Out::new();
    if console.is_json() {
        out.json(&report).await?;
    } else {
        out.write(report.markdown().as_bytes()).await?;
    }
    if let Some(missing) = report.missing() {
        console.warning("unanswered", &missing);
    }
    Ok(report.exit())
}

/// Plain HTTP goes to this machine alone, where nobody else is kept waiting.
fn pause(origin: &str) -> Duration {
    if origin.starts_with("http://") { Duration::ZERO } else { PAUSE }
}

fn place(target: &Target, origin: &str) -> String {
    if target.is_sandbox() {
        "an embedded sandbox, not Wix".to_owned()
    } else if origin.starts_with("http://") {
        "a server on this machine, not Wix".to_owned()
    } else {
        origin.to_owned()
    }
}

/// Nothing is sent without it.
async fn consent(console: Console) -> Result<(), Failure> {
    if console.is_json() || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::usage("nothing was sent: there is nobody to ask whether to go on")
            .advise("read the plan above; --yes agrees to it"));
    }
    // Who cannot read the question is not heard to agree.
    let _ = write!(io::stderr().lock(), "Continue? [y/N] ");
    let read = || io::stdin().lines().next();
    let line = tokio::task::spawn_blocking(read).await.map_err(io::Error::other).ok().flatten();
    match line {
        Some(Ok(line)) if agrees(&line) => Ok(()),
        _ => Err(Failure::other("nothing was sent, since you did not agree")),
    }
}

fn agrees(line: &str) -> bool {
    ["y", "yes"].contains(&line.trim().to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_one() {
        for yes in ["y", "Y\n", " yes ", "YES"] {
            assert!(agrees(yes), "{yes}");
        }
        for no in ["", "\n", "n", "no", "yy", "ja", "yes please"] {
            assert!(!agrees(no), "{no}");
        }
    }

    #[test]
    fn a_server_that_others_use_is_given_a_pause() {
        assert_eq!(pause("https://www.wixapis.com"), PAUSE);
        assert_eq!(pause("http://127.0.0.1:4747"), Duration::ZERO);
    }
}
