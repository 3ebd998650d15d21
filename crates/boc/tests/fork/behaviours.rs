//! Children of a process whose threads and behaviours have cowns, wait for them, and run: a child inherits
//! the memory and one thread. What a runtime is in a child is in `runtime_fork.rs`.

use std::thread;
use std::time::Duration;

use crate::behaviours_common::*;
use pysync_boc::{Batch, Cown, Failed, Lane, Runtime, acquire_all, acquire_all_timed, read};
use pysync_testing::{Sleeper, fork, sleeping, watchdog};

const SOON: Option<Duration> = Some(Duration::from_millis(5));
const ZERO: Option<Duration> = Some(Duration::ZERO);

/// What a child does first.
fn begin(parent: &Runtime) -> Runtime {
    // SAFETY: the child has one thread.
    unsafe {
        pysync_parking_lot::after_fork();
        parent.after_fork();
    }
    runtime(2)
}

/// Cowns that were free at the fork, and one that the forking thread has.
#[test]
fn a_child_goes_on_with_what_is_free_and_what_it_has() {
    let _watchdog = watchdog();
    let (parent, mine) = (runtime(2), Cown::new(1));
    let free: Vec<_> = (0..4).map(Cown::new).collect();
    for _ in 0..50 {
        // The workers have just had them.
        for pair in free.windows(2) {
            parent.fire((&pair[0], &pair[1]), |_| ());
        }
        assert_eq!(parent.quiesce(None), Ok(()));
        let mut held = Some(mine.acquire());
        fork(|| {
            let own = begin(&parent);
            **held.as_mut().unwrap() += 1;
            let behind = own.when(&mine, |value| *value);
            assert!(!behind.is_done());
            drop(held.take());
            assert_eq!(result(behind), 2);
            let mut batch = Batch::on(&own);
            let sum = batch.when(&free, |group| group.iter().sum::<i32>());
            batch.when((&free[0], read(&mine)), |(value, mine)| *value += mine);
            batch.schedule();
            assert_eq!(result(sum), 6);
            let mut held = acquire_all((&free, &mine));
            assert_eq!(held.access().0[0], 2);
            drop(held);
            own.quiesce(None).is_ok()
        });
        // The parent has not seen any of it.
        assert_eq!((**held.as_ref().unwrap(), *free[0].acquire()), (1, 0));
    }
}

/// Cowns that behaviours have at the fork, or wait for: the child has none of the workers. It does not get the
/// cowns, and is told so if it waits with a deadline. Threads wait for them too. The child gives their stacks
/// to its own threads, so their requests must not lie there.
#[test]
fn a_child_does_not_get_what_others_have() {
    let _watchdog = watchdog();
    let parent = runtime(2);
    let (running, waited_for) = (Cown::new(0), Cown::new(0));
    let gate = Gate::default();
    let body = parent.when(&running, {
        let gate = gate.clone();
        move |value| {
            gate.pass();
            *value += 1;
        }
    });
    gate.wait_until_reached();
    let queued = parent.when((&running, &waited_for), |(_, value)| *value += 1);
    let behind = parent.when(&waited_for, |value| *value += 1);
    let sleepers: [Sleeper; 2] = Default::default();
    thread::scope(|scope| {
        for sleeper in &sleepers {
            scope.spawn(|| {
                sleeper.enter();
                *waited_for.acquire() += 1;
            });
        }
        sleeping(&sleepers);
        for _ in 0..50 {
            fork(|| {
                let own = begin(&parent);
                assert!(running.try_acquire().is_none() && waited_for.is_held());
                assert!(running.acquire_timed(SOON).is_none());
                assert!(acquire_all_timed((&waited_for, &running), SOON).is_err());
                assert!(!body.is_done() && !queued.is_done() && !behind.is_done());
                // What it asks for waits, and can be cancelled, as can what was queued at the fork.
                let mine = own.when(&waited_for, |_| ());
                let mine = mine.wait(SOON).unwrap_err();
                assert!(mine.cancel() && queued.cancel());
                assert!(matches!(finished(mine), Err(Failed::Cancelled)));
                own.stop(ZERO);
                true
            });
        }
        gate.open();
    });
    result(body);
    result(queued);
    result(behind);
    assert_eq!((*running.acquire(), *waited_for.acquire()), (1, 4));
}

/// Outcomes that have a result at the fork, and a lane that is pumped in the child.
#[test]
fn a_child_takes_the_results_that_were_there() {
    let _watchdog = watchdog();
    let parent = runtime(1);
    for _ in 0..20 {
        let outcome = parent.when((), |()| String::from("text"));
        assert_eq!(parent.quiesce(None), Ok(()));
        let mut outcome = Some(outcome);
        fork(|| {
            let own = begin(&parent);
            let lane = Lane::new();
            let on_lane = Cown::on(&lane, 0);
            let outcome = outcome.take().unwrap();
            let length = own.when((&outcome, &on_lane), |(text, _)| text.as_ref().unwrap().len());
            assert!(lane.wait(None));
            assert_eq!(lane.pump(Default::default()).executed, 1);
            result(length) == 4 && result(outcome) == "text"
        });
        assert_eq!(result(outcome.unwrap()), "text");
    }
}

/// A body forks, and the child goes on in it, with the cowns that the behaviour has.
#[test]
fn a_body_that_forks_has_its_cowns_in_the_child() {
    let _watchdog = watchdog();
    let parent = runtime(2);
    let cown = Cown::new(0);
    let (own, name) = (parent.clone(), cown.clone());
    let outcome = parent.when(&cown, move |value| {
        for _ in 0..20 {
            fork(|| {
                // SAFETY: the child has one thread.
                unsafe {
                    pysync_parking_lot::after_fork();
                    own.after_fork();
                }
                *value += 1;
                assert!(name.try_acquire().is_none());
                let refused = own.when((), |()| ()).wait(ZERO);
                matches!(refused, Ok(Err(Failed::Stopped))) && *value == 1
            });
        }
        *value += 5;
    });
    result(outcome);
    assert_eq!(*cown.acquire(), 5);
}
