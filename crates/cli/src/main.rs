//! The `wix-visitor` command: gets, keeps, renews and uses the tokens of Wix Headless visitors from a shell.

mod args;
mod commands;
mod data_dir;
mod exit;
mod input;
mod interrupt;
mod log;
mod moment;
mod output;
mod patience;
mod progress;
mod setup;
mod store_choice;
mod usage;
mod watch;

use std::process::ExitCode;

use tokio::runtime::Builder;

use crate::args::{Args, Command};
use crate::exit::{Exit, Failure};
use crate::output::Console;

fn main() -> ExitCode {
    match usage::parse() {
        Ok(args) => run(&args).into(),
        Err(exit) => exit.into(),
    }
}

fn run(args: &Args) -> Exit {
    let console = Console::new(args.output.json);
    log::start(args.output.verbose);
    let exit = start(args, console).unwrap_or_else(|failure| {
        console.failure(&failure);
        failure.exit
    });
    tracing::debug!(exit = exit.code(), "the command is done");
    exit
}

fn start(args: &Args, console: Console) -> Result<Exit, Failure> {
    let runtime = builder(args)
        .enable_all()
        .build()
        .map_err(|error| Failure::other("the runtime cannot be started").because(&error))?;
    let result = runtime.block_on(commands::run(args, console));
    // Not waited for: a thread may still sit in a read of standard input, which only the user can end.
    runtime.shutdown_background();
    result
}

/// The command goes on in this thread and what it sets going in a worker, so that a full pipe at our own output holds up neither the
/// sandbox nor a grant. A log is written by the worker itself, so there it has a second one. To print a token, as scripts do again and
/// again, is not worth a worker's start: a token goes to a thread of its own where nobody takes it at once, and the store is read in this
/// one, which is watched over.
fn builder(args: &Args) -> Builder {
    match args.command {
        Command::Token { .. } if !log::is_on() => Builder::new_current_thread(),
        _ => {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(if log::is_on() { 2 } else { 1 });
            builder
        }
    }
}
