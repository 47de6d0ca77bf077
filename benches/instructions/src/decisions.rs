//! The functions that decide.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use wix_visitor_core::protocol::admission::{Admission, Purpose};
use wix_visitor_core::protocol::flight::{Action, Flight, Goal, Input};
use wix_visitor_core::protocol::reconcile::{Held, reconcile};
use wix_visitor_core::protocol::schedule::Schedule;
use wix_visitor_core::protocol::watch::Watch;
use wix_visitor_core::record::Record;
use wix_visitor_core::{Etag, GrantReply, Now, Policy, Timestamp};

use crate::records::{LIFETIME, access, record, refresh};

fn at(after: Duration) -> Now {
    Now { wall: Timestamp::default() + after, monotonic: after }
}

fn held(record: Record) -> Held {
    Held { record, etag: Some(Etag::from_bits(1)), seen: at(Duration::ZERO) }
}

pub(crate) fn scheduled(times: u32) {
    let (record, policy) = (record(), Policy::default());
    let chain = record.chain().expect("a chain");
    for visitor in 0..times {
        black_box(Schedule::of(black_box(chain), &policy, visitor.into()).is_due(Timestamp::default()));
    }
}

pub(crate) fn reconciled(times: u32) {
    let (mine, theirs, policy) = (held(record()), record(), Policy::default());
    for _ in 0..times {
        black_box(reconcile(black_box(&mine), Some(black_box(&theirs)), at(LIFETIME), &policy));
    }
}

pub(crate) fn admitted(times: u32) {
    let (mut admission, policy) = (Admission::default(), Policy::default());
    for _ in 0..times {
        if let Ok(pass) = admission.admit(black_box(Purpose::Waiting), at(LIFETIME), &policy) {
            admission.answered();
            admission.hand_back(&pass);
        }
    }
}

/// All steps of a flight at a store and an endpoint that do as they are asked.
fn fly(policy: &Arc<Policy>, goal: Goal, held: Option<Held>, now: Now) {
    let mut flight = Flight::new(Arc::clone(policy), 7, goal, held, Watch::default());
    let (mut input, mut drawn) = (Input::Start, 0);
    loop {
        let step = flight.next(input, now, &mut || {
            drawn += 1;
            drawn
        });
        input = match step.action {
            Action::Load => Input::Loaded(None),
            Action::Swap(_) => Input::Swapped,
            Action::Grant { .. } => {
                let mut reply = GrantReply::default();
                (reply.access_token, reply.refresh_token) = (Some(access()), Some(refresh()));
                reply.expires_in = Some(LIFETIME);
                Input::Granted(Ok(reply))
            }
            Action::Sleep(_) => Input::Woke,
            Action::Done(result) => {
                black_box(result.expect("a token"));
                return;
            }
        };
    }
}

pub(crate) fn renewal(times: u32) {
    let (policy, held) = (Arc::new(Policy::default()), held(record()));
    for _ in 0..times {
        fly(&policy, Goal::Serve, Some(held.clone()), at(LIFETIME));
    }
}

pub(crate) fn mint(times: u32) {
    let policy = Arc::new(Policy::default());
    for _ in 0..times {
        fly(&policy, Goal::Serve, None, at(LIFETIME));
    }
}
