//! `hit`: a valid token through a handle. All calls of a round within one `block_on`.

use std::{
    cell::RefCell,
    hint::black_box,
    process::Command,
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use http::HeaderValue;
use tokio::runtime::Runtime;

use crate::{
    Result,
    endpoint::{Answers, Endpoint},
    peers::{Aws, Azure, GcpAuth, Google, Peer, WixSdk, Yup},
    program::{sibling, stdout_of},
    rounds::{Measured, Role, Rounds, Side, ratio},
    row::{Bound, Goal, Of, Outcome, Row, Unit},
    site::{runtime, site_at},
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
    let endpoint = Endpoint::start()?;
    let url = endpoint.url("hit", Answers::AT_ONCE);
    let visitor = site_at(&url)?.visitor("default");
    let minted = runtime.block_on(visitor.authorization())?;
    let floor = Floor::new(minted.header().clone());
    let sdk = RefCell::new(WixSdk::new(endpoint.origin())?);
    let sides = vec![
        Side::ours(|| {
            Ok(runtime.block_on(async {
                rounds.batches_async(async || drop(black_box(black_box(&visitor).authorization().await))).await
            }))
        }),
        peer::<Yup>(&runtime, rounds, &url)?,
        peer::<GcpAuth>(&runtime, rounds, &url)?,
        peer::<Google>(&runtime, rounds, &url)?,
        peer::<Azure>(&runtime, rounds, &url)?,
        peer::<Aws>(&runtime, rounds, &url)?,
        Side::new(Role::Foreign, WixSdk::NAME, || sdk.borrow_mut().batches(rounds.time)),
        Side::limit("atomic pointer, clock, clone of the header", || {
            // Within a task too, as the others are.
            let call = async || drop(black_box(black_box(&floor).authorization()));
            Ok(runtime.block_on(rounds.batches_async(call)))
        }),
    ];
    let sides = rounds.alternate(sides)?;
    // With a copy of the header, as a request wants it; that of the limit is one.
    let cloned = rounds.alternate(vec![
        Side::ours(|| {
            let header = async || Result::<_>::Ok(black_box(&visitor).authorization().await?.header().clone());
            Ok(runtime.block_on(rounds.batches_async(async || drop(black_box(header().await)))))
        }),
        Side::limit("the same", || {
            let call = async || drop(black_box(black_box(&floor).authorization()));
            Ok(runtime.block_on(rounds.batches_async(call)))
        }),
    ])?;
    // In a program of its own: to count is to slow.
    let allocations = stdout_of(Command::new(sibling("counts")?).arg("hit"))?.trim().parse()?;
    let series = sides.iter().map(Measured::distribution).collect();
    Ok(Outcome {
        sides,
        counted: vec![("allocations", allocations), ("× limit, with a copy for a request", ratio(&cloned))],
        series,
    })
}

fn peer<'a, P: Peer>(runtime: &'a Runtime, rounds: &'a Rounds, url: &str) -> Result<Side<'a>> {
    let peer = runtime.block_on(P::new(url))?;
    runtime.block_on(peer.token())?;
    Ok(Side::peer(P::NAME, move || {
        Ok(runtime
            .block_on(async { rounds.batches_async(async || drop(black_box(black_box(&peer).token().await))).await }))
    }))
}

/// The least that serving a valid token can cost.
pub(super) struct Floor {
    token: ArcSwap<(HeaderValue, SystemTime)>,
}

impl Floor {
    pub(super) fn new(header: HeaderValue) -> Self {
        const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
        Self { token: ArcSwap::new(Arc::new((header, SystemTime::now() + YEAR))) }
    }

    pub(super) fn authorization(&self) -> Option<HeaderValue> {
        let token = self.token.load();
        (SystemTime::now() < token.1).then(|| token.0.clone())
    }
}
