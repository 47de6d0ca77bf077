//! `hit`: a valid token through a handle. All calls of a round within one `block_on`.

use std::{hint::black_box, sync::Arc, time::SystemTime};

use arc_swap::ArcSwap;
use http::HeaderValue;

use crate::{
    Result,
    rounds::{Rounds, Side},
    row::{Bound, Goal, Of, Outcome, Row, Unit},
    site::{runtime, site},
};

pub(crate) fn row() -> Row {
    Row {
        id: "hit",
        work: "a valid token through a handle",
        unit: Unit::Nanoseconds,
        goals: vec![
            Goal(Of::Peer, Bound::Most(0.6)),
            Goal(Of::Foreign, Bound::Most(0.4)),
            Goal(Of::Limit, Bound::Most(1.3)),
            Goal(Of::Counted("allocations"), Bound::Equal(0.0)),
        ],
        run: Box::new(run),
    }
}

fn run(rounds: &Rounds) -> Result<Outcome> {
    let runtime = runtime()?;
    let visitor = site()?.visitor("default");
    let minted = runtime.block_on(visitor.authorization())?;
    let floor = Floor { token: ArcSwap::new(Arc::new((minted.header().clone(), SystemTime::now() + YEAR))) };
    let sides = vec![
        Side::ours(|| {
            Ok(runtime.block_on(async {
                // What `Rounds::nanoseconds` does, but for a future.
                rounds.nanoseconds_async(async || drop(black_box(black_box(&visitor).authorization().await))).await
            }))
        }),
        Side::limit("atomic pointer, clock, clone of the header", || {
            Ok(rounds.nanoseconds(|| drop(black_box(black_box(&floor).authorization()))))
        }),
    ];
    Ok(rounds.alternate(sides)?.into())
}

const YEAR: std::time::Duration = std::time::Duration::from_secs(365 * 24 * 3600);

/// The least that serving a valid token can cost.
struct Floor {
    token: ArcSwap<(HeaderValue, SystemTime)>,
}

impl Floor {
    fn authorization(&self) -> Option<HeaderValue> {
        let token = self.token.load();
        (SystemTime::now() < token.1).then(|| token.0.clone())
    }
}
