//! `hit-2t`: a valid token of one visitor through its handle, from two threads at once.

use std::{cell::RefCell, hint::black_box, sync::Barrier, thread};

use tokio::runtime::Runtime;

use super::hit::Floor;
use crate::{
    Result,
    endpoint::{Answers, Endpoint},
    peers::{Aws, Azure, GcpAuth, Google, Peer, WixSdk, Yup},
    rounds::{Role, Rounds, Side, middle},
    row::{Bound, Goal, Of, Outcome, Row, Unit},
    site::site_at,
};

const THREADS: usize = 2;

pub(crate) fn row() -> Row {
    Row {
        id: "hit-2t",
        work: "the same from 2 threads on one visitor",
        unit: Unit::PerSecond,
        goals: vec![Goal(Of::Limit, Bound::Least(0.9))],
        run: Box::new(run),
    }
}

fn run(rounds: &Rounds) -> Result<Outcome> {
    let rounds = &rounds.finer(3);
    let runtime = Runtime::new()?;
    let endpoint = Endpoint::start()?;
    let url = endpoint.url("hit-2t", Answers::AT_ONCE);
    let visitor = site_at(&url)?.visitor("default");
    let minted = runtime.block_on(visitor.authorization())?;
    let floor = Floor::new(minted.header().clone());
    let sdk = RefCell::new(WixSdk::new(endpoint.origin())?);
    let sides = vec![
        Side::ours(|| {
            Ok(together(|| {
                runtime.block_on(async {
                    rounds.nanoseconds_async(async || drop(black_box(black_box(&visitor).authorization().await))).await
                })
            }))
        }),
        peer::<Yup>(&runtime, rounds, &url)?,
        peer::<GcpAuth>(&runtime, rounds, &url)?,
        peer::<Google>(&runtime, rounds, &url)?,
        peer::<Azure>(&runtime, rounds, &url)?,
        peer::<Aws>(&runtime, rounds, &url)?,
        // A client of the SDK's cannot be shared by two threads.
        Side::new(Role::Foreign, "@wix/sdk, one thread", || Ok(1e9 / middle(sdk.borrow_mut().batches(rounds.time)?))),
        Side::limit("atomic pointer, clock, clone of the header", || {
            let call = async || drop(black_box(black_box(&floor).authorization()));
            Ok(together(|| runtime.block_on(rounds.nanoseconds_async(call))))
        }),
    ];
    Ok(rounds.alternate(sides)?.into())
}

fn peer<'a, P: Peer>(runtime: &'a Runtime, rounds: &'a Rounds, url: &str) -> Result<Side<'a>> {
    let peer = runtime.block_on(P::new(url))?;
    runtime.block_on(peer.token())?;
    Ok(Side::peer(P::NAME, move || {
        Ok(together(|| {
            runtime.block_on(async {
                rounds.nanoseconds_async(async || drop(black_box(black_box(&peer).token().await))).await
            })
        }))
    }))
}

/// How many calls a second the threads make together, each as many as it can; it says how many nanoseconds one takes.
fn together(nanoseconds: impl Fn() -> f64 + Sync) -> f64 {
    let ready = Barrier::new(THREADS);
    let thread = || {
        ready.wait();
        1e9 / nanoseconds()
    };
    thread::scope(|scope| {
        let threads = [(); THREADS].map(|()| scope.spawn(thread));
        threads.into_iter().map(|thread| thread.join().unwrap_or(f64::NAN)).sum()
    })
}
