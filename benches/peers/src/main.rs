//! What wix-visitor costs, beside what users would pick instead and beside the limit of the part below: one table.

mod concurrency;
mod endpoint;
mod files;
mod herd;
mod keys;
mod manifests;
mod peers;
mod processors;
mod program;
mod random;
mod redis_server;
mod rounds;
mod row;
mod rows;
mod scratch;
mod series;
mod sessions;
mod site;
mod table;
mod tasks;
mod visitors;

use std::{fs::File, io::Write, path::PathBuf, process::ExitCode};

use clap::Parser;

use crate::rounds::Rounds;

type Result<T = (), E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// Measures wix-visitor, its peers and the limit in turns, and prints one table.
#[derive(Debug, Parser)]
struct Arguments {
    /// Fewer and shorter rounds.
    #[arg(long)]
    quick: bool,
    /// Where to write the same as JSON, one object to a line.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only these rows; else all.
    #[arg(value_name = "ROW")]
    rows: Vec<String>,
}

fn main() -> ExitCode {
    match measure(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(3),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// `true` if all goals are met.
fn measure(arguments: &Arguments) -> Result<bool> {
    files::as_many_as_allowed()?;
    let all = rows::all();
    if let Some(unknown) = arguments.rows.iter().find(|id| all.iter().all(|row| row.id != **id)) {
        let known: Vec<_> = all.iter().map(|row| row.id).collect();
        return Err(format!("there is no row {unknown}; known: {}", known.join(", ")).into());
    }
    let rounds = if arguments.quick { Rounds::QUICK } else { Rounds::FULL };
    let mut json = arguments.json.as_ref().map(File::create).transpose()?;
    let chosen: Vec<_> =
        all.iter().filter(|row| arguments.rows.is_empty() || arguments.rows.iter().any(|id| id == row.id)).collect();
    let mut told = Vec::new();
    for (number, row) in chosen.iter().enumerate() {
        eprintln!("[{}/{}] {}: {}", number + 1, chosen.len(), row.id, row.work);
        let row = row.tell(&rounds).map_err(|error| format!("{}: {error}", row.id))?;
        if let Some(json) = &mut json {
            writeln!(json, "{}", serde_json::to_string(&row)?)?;
        }
        told.push(row);
    }
    println!("{}", table::table(&told));
    Ok(told.iter().all(|row| row.met))
}
