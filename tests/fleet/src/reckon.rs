//! When a fleet renews if nothing holds it back: reckoned from core's own [`Schedule`], with no store, no endpoint and no limit.
//!
//! That an instance with the limits out of the way renews in the very same minutes is a test.

use wix_visitor_core::protocol::schedule::Schedule;
use wix_visitor_core::record::{Chain, Lineage, Spent};
use wix_visitor_core::{AccessToken, Timestamp, Tokens};

use crate::books::Minutes;
use crate::instance::{key, spread_of};
use crate::scene::{LATENCY, LIFETIME, Scene, Seconds};

/// The renewals of each minute.
pub fn renewals(scene: &Scene) -> Minutes {
    let mut minutes = Minutes::default();
    let mut chain = Chain {
        lineage: Lineage(0),
        generation: 0,
        replaces: None,
        began: Timestamp::default(),
        tokens: Tokens::default(),
        lifetime: LIFETIME,
        refused: false,
        alternates: Vec::new(),
        spent: Spent::default(),
        doubt: None,
    };
    for (shopper, arrival) in (0..).zip(&scene.arrivals) {
        let spread = spread_of(&key(scene.seed, shopper));
        let mut schedule = |granted: Seconds, generation: u64| {
            let expiry = moment(granted) + LATENCY + LIFETIME;
            chain.tokens.access = Some(AccessToken::new("", expiry));
            chain.generation = generation;
            Schedule::of(&chain, &scene.policy, spread)
        };
        let (mut granted, mut generation) = (*arrival, 0);
        let mut present = schedule(granted, generation);
        // The mint is under way while the next call is chosen, so that one follows at its own pace.
        let mut call = scene.next_call(shopper, *arrival);
        while call < scene.end {
            let next = scene.call_after(shopper, call, Some(granted));
            if present.is_due(moment(call)) {
                minutes.note(call);
                (granted, generation) = (call, generation + 1);
                present = schedule(granted, generation);
            }
            call = next;
        }
    }
    minutes
}

fn moment(second: Seconds) -> Timestamp {
    Timestamp::from_secs(second.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::books::Purpose;
    use crate::day::{Fleet, Spread};
    use crate::instance::run;

    #[test]
    fn an_instance_without_limits_renews_in_the_very_minutes_that_the_schedule_says() {
        let fleet = Fleet { visitors: 1_000, instances: 1, seed: 8 };
        for spread in [Spread::None, Spread::Jitter] {
            let scene = fleet.scene(0, spread);
            let books = run(&scene).unwrap();
            assert_eq!(books.granted(Purpose::Waiting).sum(), 0);
            assert_eq!(*books.granted(Purpose::Background), renewals(&scene), "{spread:?}");
        }
    }
}
