//! The commands, and what is the same for each that has a visitor.

mod call;
mod doctor;
mod forget;
mod inspect;
mod keys;
mod list;
mod migrate;
mod probe;
mod purge;
mod renew;
mod reseal;
mod sandbox;
mod status;
mod token;
mod transfer;

use crate::args::{Args, Command};
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::output::{Console, Out};
use crate::patience::patiently;
use crate::setup::Session;

pub(crate) async fn run(args: &Args, console: Console) -> Result<Exit, Failure> {
    let interrupt = Interrupt::listen()?;
    match &args.command {
        Command::Sandbox(options) => return sandbox::run(options, console, &interrupt).await,
        Command::Doctor(options) if options.probe => return probe::run(options, &args.site, console, &interrupt).await,
        Command::Doctor(_) => return interrupt.or(doctor::run(&args.site, console)).await,
        Command::Keys { what } => return interrupt.or(keys::run(what, &args.site, console)).await,
        Command::Reseal => return interrupt.or(reseal::run(&args.site, console)).await,
        Command::List { limit, after, all } => {
            return interrupt.or(list::run(&args.site, console, *limit, after.as_deref(), *all)).await;
        }
        Command::Inspect { hash } => return interrupt.or(inspect::run(&args.site, console, hash.as_deref())).await,
        Command::Purge { trust_clock } => return interrupt.or(purge::run(&args.site, console, *trust_clock)).await,
        Command::Migrate(options) => return interrupt.or(migrate::run(options, &args.site, console)).await,
        // What is wrong with a call is told before anything is opened.
        Command::Call(call) => call::check(call)?,
        _ => {}
    }
    let looks = matches!(args.command, Command::Status | Command::Export);
    let session = interrupt.or(Session::open(&args.site, looks, console)).await?;
    let result = interrupt.or(perform(args, &session, console)).await;
    if result.as_ref().is_err_and(|failure| matches!(failure.exit, Exit::Interrupted(_))) {
        console.notice("interrupted", "finishing what is under way; once more to stop at once");
    }
    // Whatever the command came to, what it set going is finished and kept.
    match (result, session.close().await) {
        (result, Ok(())) => result,
        (Ok(_), Err(unsaved)) => Err(unsaved),
        (Err(failure), Err(unsaved)) => {
            console.failure(&failure);
            Err(unsaved)
        }
    }
}

async fn perform(args: &Args, session: &Session, console: Console) -> Result<Exit, Failure> {
    let mut out = Out::new();
    match &args.command {
        Command::Token { header } => {
            patiently(session, console, token::run(session, *header, console, &mut out)).await?;
        }
        Command::Status => status::run(session, console, &mut out).await?,
        Command::Renew => patiently(session, console, renew::run(session, console, &mut out)).await?,
        Command::Call(call) => {
            let calling = Box::pin(call::run(call, session, console, &mut out));
            return patiently(session, console, calling).await;
        }
        Command::Export => transfer::export(session, &mut out).await?,
        Command::Import { file } => transfer::import(file, session, console, &mut out).await?,
        Command::Forget => forget::run(session, console, &mut out).await?,
        // They have no session.
        Command::Doctor(_)
        | Command::Sandbox(_)
        | Command::Keys { .. }
        | Command::Reseal
        | Command::List { .. }
        | Command::Inspect { .. }
        | Command::Purge { .. }
        | Command::Migrate(_) => {}
    }
    Ok(Exit::Done)
}

/// Whether the next run is worth a renewal by this one, once its token has served: if it is due, nobody else is at it, and the
/// last failure is not too fresh.
async fn is_due(session: &Session) -> Result<bool, Failure> {
    let status = session.visitor.status().await?;
    Ok(status.usable && status.due && !status.claimed && status.paused_for.is_none())
}

/// Renews a token that has served, and waits for that: this process is too short-lived to do it meanwhile.
async fn renew_due(session: &Session, console: Console) -> Result<(), Failure> {
    let present = session.visitor.authorization().await?;
    if let Err(error) = session.visitor.renew_if(present.header()).await {
        console.warning("renewal_failed", &format!("the present token serves, but could not be renewed: {error}"));
    }
    Ok(())
}
