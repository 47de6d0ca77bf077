//! Does one thing over and over, for `cargo xtask instructions` to count what it takes. `instructions` lists what there is;
//! `instructions CASE TIMES` does it.

#![expect(clippy::expect_used, reason = "without a site or a token there is nothing to count")]

mod decisions;
mod records;
mod site;

use std::process::ExitCode;

/// What is counted: its name, and how to do it so often.
type Case = (&'static str, fn(u32));

const CASES: &[Case] = &[
    ("hit", site::hit),
    ("key", site::key),
    ("tokens", site::tokens),
    ("encode", records::encoded),
    ("decode", records::decoded),
    ("schedule", decisions::scheduled),
    ("reconcile", decisions::reconciled),
    ("admit", decisions::admitted),
    ("renewal", decisions::renewal),
    ("mint", decisions::mint),
];

#[expect(clippy::print_stdout, reason = "that is what it is for")]
fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => CASES.iter().for_each(|(name, _)| println!("{name}")),
        [name, times] => {
            let case = CASES.iter().find(|(case, _)| case == name);
            let (Some((_, act)), Ok(times)) = (case, times.parse()) else { return ExitCode::from(2) };
            act(times);
        }
        _ => return ExitCode::from(2),
    }
    ExitCode::SUCCESS
}
