//! Who gets how much of a store that all want at once.

use std::sync::mpsc;
use std::thread;

use crate::place::{Kind, Place, of_each_kind};
use crate::worker::Running;

of_each_kind!(
    four_processes_count_up_one_record_and_no_step_is_lost,
    of_four_busy_processes_each_gets_its_share_of_the_commits,
    of_two_busy_processes_each_gets_at_least_a_third_of_the_commits,
);

fn four_processes_count_up_one_record_and_no_step_is_lost(kind: Kind) {
    let place = Place::new(kind);
    // They also race to create the store.
    let mut workers: Vec<_> = (0..4).map(|_| Running::start(&["count", &place.url(), "site/shared", "150"])).collect();
    let mut reached = 0;
    for worker in &mut workers {
        let last = worker.lines().last();
        assert!(worker.0.wait().unwrap().success(), "{last:?}");
        reached = reached.max(last.unwrap().parse().unwrap());
    }
    assert_eq!(reached, 600);
}

fn of_four_busy_processes_each_gets_its_share_of_the_commits(kind: Kind) {
    let shares = shares::<4>(kind, 4000);
    assert!(shares.iter().all(|share| *share >= 1000 / 4), "{shares:?}");
}

fn of_two_busy_processes_each_gets_at_least_a_third_of_the_commits(kind: Kind) {
    let shares = shares::<2>(kind, 3000);
    assert!(shares.iter().all(|share| *share >= 1000), "{shares:?}");
}

/// Of so many commits, how many each process made.
fn shares<const PROCESSES: usize>(kind: Kind, commits: usize) -> [usize; PROCESSES] {
    let place = Place::new(kind);
    let (steps, heard) = mpsc::channel();
    let _workers: Vec<_> = (0..PROCESSES)
        .map(|n| {
            // One record for all, and each its own: the processes want the same lock, whatever a store locks.
            let mut worker = Running::start(&["run", &place.url(), &format!("site/{n}"), "site/shared"]);
            let (lines, steps) = (worker.lines(), steps.clone());
            thread::spawn(move || {
                let counted = lines.filter(|line| kind == Kind::Sqlite || line.starts_with("site/shared "));
                counted.for_each(|_| steps.send(n).unwrap_or(()));
            });
            worker
        })
        .collect();
    let mut heard = heard.iter();
    let mut waiting = [true; PROCESSES];
    while waiting.contains(&true) {
        waiting[heard.next().unwrap()] = false;
    }
    // All are at work: from here on it counts.
    let mut shares = [0; PROCESSES];
    for n in heard.take(commits) {
        shares[n] += 1;
    }
    println!("{shares:?} of {commits}");
    shares
}
