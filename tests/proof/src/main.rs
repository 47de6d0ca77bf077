//! `wix-visitor-proof`: explores a fleet under every single fault, and prints what was met.

#![allow(clippy::print_stdout, reason = "what it finds out is read on stdout")]

use std::process::ExitCode;

use wix_visitor_proof::table::{SINGLE_FAULTS, explore_row};

fn main() -> ExitCode {
    println!(
        "two instances, one visitor, every interleaving; lost: some execution ends without a token that still works;"
    );
    println!("dup: a token is redeemed twice");
    println!();
    println!("| fault | static endpoint | rotating, grace | with reuse detection | single use | states |");
    println!("| --- | --- | --- | --- | --- | --- |");
    let mut as_expected = true;
    for row in SINGLE_FAULTS {
        let found = explore_row(row);
        let states: usize = found.iter().map(|cell| cell.states).sum();
        let cells: Vec<_> = found.iter().map(ToString::to_string).collect();
        println!("| {} | {} | {states} |", row.name(), cells.join(" | "));
        for (cell, expected) in found.iter().zip(row.expected) {
            if cell.verdict != expected || !cell.breaches.is_empty() {
                as_expected = false;
                println!("  expected {expected:?}, and no breach of a rule");
            }
        }
    }
    if as_expected { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
