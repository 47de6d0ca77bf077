//! What a command says while another one is at work for the same visitor.

use std::io::{BufRead as _, BufReader, Read as _};

use crate::support::{Said, User, sandbox};

#[tokio::test]
async fn a_long_wait_for_another_holders_claim_is_told_once() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    user.token();
    for (words, says) in [
        (&["renew"][..], "waiting: a grant for this visitor is under way"),
        (&["--json", "renew"], r#"{"notice":{"kind":"waiting""#),
    ] {
        let gate = sandbox.hold_renewals();
        let first = user.start(&["renew", "--json"]);
        gate.arrived().await;
        let mut second = user.start(words);
        let mut stderr = BufReader::new(second.stderr.take().unwrap());
        let mut told = String::new();
        while !told.contains(says) {
            assert!(stderr.read_line(&mut told).unwrap() > 0, "it said nothing of what it waits for: {told}");
        }
        gate.release();
        assert_eq!(Said::from(first.wait_with_output().unwrap()).code, Some(0));
        let mut rest = String::new();
        stderr.read_to_string(&mut rest).unwrap();
        assert!(!rest.contains("a grant for this visitor is under way"), "{rest}");
        assert_eq!(second.wait().unwrap().code(), Some(0), "{rest}");
    }
    assert_eq!(sandbox.mints(), 1);
}
