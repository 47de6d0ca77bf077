//! A runtime that is dropped with a grant on its way, and callers on another one.

use tokio::runtime::{Builder, Runtime};
use wix_visitor_testkit::sandbox::{On, Point};

use crate::child::{Pace, within};
use crate::herd::Herd;
use crate::place::Kind;
use crate::scene::{GRACE, LATER, Scene};

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

#[test]
fn a_runtime_dropped_with_a_grant_on_its_way_holds_up_nobody_on_another() {
    for point in [Point::BeforeActing, Point::AfterActing] {
        let (ours, theirs) = (runtime(), runtime());
        let scene = ours.block_on(Scene::new(Kind::Sqlite, GRACE, Pace::HASTY));
        let (site, clock) = ours.block_on(scene.site());
        let visitor = site.visitor(&scene.key);
        let identity = ours.block_on(async { scene.identity_of(&Herd::send(&visitor, 1).one_token().await) });
        scene.sandbox.advance(LATER);
        clock.advance(LATER);

        let gate = scene.sandbox.hold(On::Renew, point);
        let leader = ours.block_on(async {
            let leader = Herd::send(&visitor, 1);
            within("the grant", gate.arrived()).await;
            leader
        });
        let served = theirs.block_on(async {
            let mut herd = Herd::send(&visitor, 100);
            herd.asked().await;
            ours.shutdown_background();
            drop(leader);
            drop(gate);
            herd.one_token().await
        });
        assert_eq!(scene.identity_of(&served), identity, "{point:?}");
        // The next flight cannot know what became of the first one's grant, so it waits for the lease and asks again.
        assert_eq!((scene.sandbox.renewals(), scene.sandbox.mints()), (2, 1), "{point:?}");
        theirs.block_on(site.shutdown()).unwrap();
    }
}
