//! `seal`: a record of 1 KB is sealed and opened again.

use std::hint::black_box;

use chacha20poly1305::{
    Key, KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use wix_visitor_core::{KeyRing, SealingKey};

use crate::{
    Result,
    rounds::{Rounds, Side},
    row::{Bound, Goal, Of, Outcome, Row, Unit},
};

pub(crate) fn row() -> Row {
    Row {
        id: "seal",
        work: "seal and open 1 KB",
        unit: Unit::Nanoseconds,
        goals: vec![Goal(Of::Limit, Bound::Most(1.2))],
        run: Box::new(run),
    }
}

/// As long as that of a record.
const PURPOSE: [u8; 137] = [b'p'; 137];
const PLAIN: [u8; 1024] = [b'x'; 1024];

fn run(rounds: &Rounds) -> Result<Outcome> {
    let ring = KeyRing::new(SealingKey::generate()?);
    let (cipher, nonce) = (XChaCha20Poly1305::new(&Key::from([7; 32])), XNonce::from([7; 24]));
    let sides = vec![
        Side::ours(|| {
            Ok(rounds.nanoseconds(|| {
                let sealed = ring.seal(&PURPOSE, black_box(&PLAIN));
                let _ = black_box(ring.open(&PURPOSE, black_box(&sealed)));
            }))
        }),
        Side::limit("XChaCha20-Poly1305", || {
            Ok(rounds.nanoseconds(|| {
                let plain = Payload { msg: black_box(&PLAIN), aad: &PURPOSE };
                let sealed = cipher.encrypt(&nonce, plain).unwrap_or_default();
                let sealed = Payload { msg: black_box(&sealed), aad: &PURPOSE };
                let _ = black_box(cipher.decrypt(&nonce, sealed));
            }))
        }),
    ];
    // Both do what they are measured for.
    let sealed = ring.seal(&PURPOSE, &PLAIN);
    if ring.open(&PURPOSE, &sealed)?.0[..] != PLAIN {
        return Err("what was sealed did not come back".into());
    }
    Ok(rounds.alternate(sides)?.into())
}
