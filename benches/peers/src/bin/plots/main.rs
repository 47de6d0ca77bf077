//! Draws the pictures of docs/performance.md from what the benchmark wrote as JSON.

mod axis;
mod labels;
mod picture;
mod plots;
mod rows;
#[path = "../../series.rs"]
#[allow(dead_code, reason = "only rows make lines")]
mod series;

use std::{fs, path::PathBuf, process::ExitCode};

use clap::Parser;

use crate::rows::Rows;

type Result<T = (), E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// Draws hit.svg, concurrency.svg and growth.svg.
#[derive(Debug, Parser)]
struct Arguments {
    /// What `wix-visitor-peers --json FILE` wrote.
    file: PathBuf,
    /// Where the pictures go.
    folder: PathBuf,
}

fn main() -> ExitCode {
    match draw(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn draw(Arguments { file, folder }: &Arguments) -> Result {
    let of_file = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let text = fs::read_to_string(file).map_err(|error| of_file(&error))?;
    let rows = Rows::parse(&text).map_err(|error| of_file(&error))?;
    // All of them or none.
    let pictures = [
        ("hit.svg", plots::hit(&rows).map_err(|error| of_file(&error))?),
        ("concurrency.svg", plots::concurrency(&rows).map_err(|error| of_file(&error))?),
        ("growth.svg", plots::growth(&rows).map_err(|error| of_file(&error))?),
    ];
    for (name, panels) in pictures {
        let path = folder.join(name);
        picture::draw(&path, &panels).map_err(|error| format!("{}: {error}", path.display()))?;
        println!("{}", path.display());
    }
    Ok(())
}
