//! Prints how long a load takes in stores of 1,000 visitors and more, as a table: `growth MOST`.

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::error::Error;

use wix_visitor_benches::{FEW, Growing, Kind};

/// How many times as long as among the fewest it may take: a search tree is a few levels deeper by then, and its pages no longer
/// fit into the cache of the connection; a directory's index is one level deeper.
const LIMIT: f64 = 2.0;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let most: usize = std::env::args().nth(1).ok_or("say how many visitors there are to be at most")?.parse()?;
    println!("| store | visitors | a load | to one among 1,000 | at most | |\n| --- | --- | --- | --- | --- | --- |");
    for kind in [Kind::Memory, Kind::File, Kind::Sqlite, Kind::Redis] {
        let directory = tempfile::tempdir()?;
        let mut few = Growing::new(kind, &directory.path().join("few")).await?;
        few.grow(FEW).await?;
        let mut many = Growing::new(kind, &directory.path().join("many")).await?;
        let sizes = std::iter::successors(Some(FEW), |size| Some(size * 10)).take_while(|size| *size <= most);
        for size in sizes {
            eprintln!("{}: filling up to {size}", kind.name());
            many.grow(size).await?;
            let (load, ratio) = many.against(&few).await?;
            let verdict = if ratio <= LIMIT { "pass" } else { "FAIL" };
            let micros = load.as_secs_f64() * 1e6;
            println!("| {} | {size} | {micros:.0} µs | {ratio:.2} | {LIMIT:.1} | {verdict} |", kind.name());
        }
    }
    Ok(())
}
