//! What cannot be explored is refused, and not explored as something else.

use std::process::{Command, Output};

fn trace(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wix-visitor-proof"));
    match command.arg("trace").args(arguments).output() {
        Ok(output) => output,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_fault_more_often_than_it_can_strike_is_refused() {
    let refused = trace(&["single", "crash", "crash", "crash", "crash"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("crash is given more than 3 times"));
    assert!(trace(&["single", "crash"]).status.success());
}

#[test]
fn no_round_at_all_is_refused() {
    let refused = trace(&["single", "crash", "--rounds", "0"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("rounds"));
}
