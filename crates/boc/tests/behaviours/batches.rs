//! Behaviours that are queued in one step. That nothing comes in between is in `guarantees.rs`.

use std::thread;

use crate::common::*;
use pysync_boc::{Batch, Cown, Failed};
use pysync_testing::{Sleeper, watchdog};

/// On each cown the behaviours of a batch follow each other in the order in which they were added.
#[test]
fn a_batch_keeps_its_order() {
    let _watchdog = watchdog();
    with_workers(|runtime| {
        let cowns = [(); 3].map(|()| Cown::new(Vec::new()));
        let mut batch = Batch::on(runtime);
        for number in 0..300 {
            let (a, b) = (&cowns[number % 3], &cowns[(number / 3 + 1 + number) % 3]);
            let outcome = match a == b {
                true => batch.when(a, move |a| a.push(number)),
                false => batch.when((a, b), move |(a, b)| {
                    a.push(number);
                    b.push(number);
                }),
            };
            drop(outcome);
        }
        batch.schedule();
        let lists = cowns.map(|cown| std::mem::take(&mut *cown.acquire()));
        assert!(lists.iter().all(|list| list.len() >= 100 && list.is_sorted()), "{lists:?}");
    });
}

/// A batch that is dropped does not run; an empty one is fine.
#[test]
fn a_batch_that_is_not_scheduled_leaves_nothing() {
    let _watchdog = watchdog();
    let (runtime, census) = (runtime(1), Census::default());
    let cown = Cown::new(census.one());
    let mut batch = Batch::on(&runtime);
    let closure = census.one();
    let outcome = batch.when(&cown, move |_| drop(closure));
    assert!(!outcome.is_done() && !cown.is_held());
    assert_eq!(format!("{batch:?}"), "Batch { len: 1 }");
    drop(batch);
    assert!(matches!(finished(outcome), Err(Failed::Cancelled)));
    assert_eq!(census.alive(), 1);
    Batch::on(&runtime).schedule();
    let mut batch = Batch::on(&runtime);
    let outcomes = [(); 3].map(|()| batch.when((), |()| 1));
    batch.schedule();
    assert_eq!(outcomes.map(result), [1, 1, 1]);
    let mut batch = Batch::on(&runtime);
    let outcome = batch.when(&cown, |_| ());
    runtime.stop(None);
    batch.schedule();
    assert!(matches!(finished(outcome), Err(Failed::Stopped)));
    assert!(!cown.is_held());
}

/// Found here: a batch that is dropped cancels its behaviours, and those that wait for their outcomes run.
#[test]
fn what_follows_a_behaviour_of_a_dropped_batch_runs() {
    let _watchdog = watchdog();
    let runtime = runtime(1);
    let mut batch = Batch::on(&runtime);
    let first = batch.when((), |()| 1);
    let follows = runtime.when(&first, |result| matches!(result, Err(Failed::Cancelled)));
    let sleeper = Sleeper::new();
    thread::scope(|scope| {
        let waits = scope.spawn(|| {
            sleeper.enter();
            first.acquire_timed(None).is_some()
        });
        sleeper.wait_until_asleep();
        drop(batch);
        assert!(waits.join().unwrap());
    });
    assert!(result(follows));
}
