//! Prints what a crowd of visitors who come once does to those who come again and again, as a table: `crowd VISITORS`.

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::error::Error;

use wix_visitor_benches::crowd;

const BUDGET: usize = 64 << 20;
/// The budget counts what each visitor holds; the allocator rounds that up, and the process has other things.
const MEMORY: f64 = 1.25;
const SLOWER: f64 = 1.5;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let visitors: usize = std::env::args().nth(1).ok_or("say how many visitors come")?.parse()?;
    let came = crowd(visitors, BUDGET).await?;
    let grown = came.grown as f64 / BUDGET as f64;
    let verdict = |holds: bool| if holds { "pass" } else { "FAIL" };
    println!(
        "| {visitors} visitors, one in a hundred of them again and again | | at most | |\n| --- | --- | --- | --- |"
    );
    println!(
        "| memory, to the budget of {} MiB | {grown:.2} | {MEMORY} | {} |",
        BUDGET >> 20,
        verdict(grown <= MEMORY)
    );
    println!("| forgotten though they came again | {} | 0 | {} |", came.forgotten, verdict(came.forgotten == 0));
    println!(
        "| a hit after the crowd, to one on a site that had none | {:.2} | {SLOWER} | {} |",
        came.slower,
        verdict(came.slower <= SLOWER)
    );
    Ok(())
}
