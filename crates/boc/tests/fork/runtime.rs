//! A runtime in the child of a fork: it has no workers there, and says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::*};
use std::time::Duration;

use pysync_boc::{Bounds, Cown, Failed, Lane, Runtime};
use pysync_testing::{fork, wait_until, watchdog};

fn runtime() -> Runtime {
    Runtime::builder().workers(2).build().unwrap()
}

fn after_fork(runtimes: &[&Runtime]) {
    // SAFETY: the child has one thread.
    unsafe {
        pysync_parking_lot::after_fork();
        runtimes.iter().for_each(|runtime| runtime.after_fork());
    }
}

#[test]
fn a_child_uses_idle_cowns_in_a_runtime_of_its_own() {
    let _watchdog = watchdog();
    let parent = runtime();
    let cown = Cown::new(1);
    for round in 0..20 {
        // The workers are busy, asleep, or in between.
        (0..round).for_each(|_| _ = parent.fire((), |()| ()));
        let global = Runtime::global();
        fork(|| {
            after_fork(&[&parent, global]);
            let refused = [parent.when(&cown, |n| *n), pysync_boc::when(&cown, |n| *n)];
            for outcome in refused {
                assert!(matches!(outcome.wait(None).unwrap(), Err(Failed::Stopped)));
            }
            parent.quiesce(None).unwrap();
            assert_eq!(parent.stop(None).still_running, 0);
            let own = runtime();
            let sum = own.when(&cown, |n| *n + 1).wait(None).unwrap().unwrap();
            own.quiesce(None).unwrap();
            drop(own);
            drop(parent.clone());
            sum == 2
        });
    }
    assert_eq!(parent.when(&cown, |n| *n).wait(None).unwrap().unwrap(), 1);
}

/// A cown that is held at the fork, with behaviours behind it: the child may release it.
#[test]
fn a_child_gives_up_what_waits_for_a_cown_that_it_releases() {
    let _watchdog = watchdog();
    let parent = runtime();
    let cown = Cown::new(());
    let mut held = Some(cown.acquire());
    let mut behind = Some(parent.when(&cown, |_| ()));
    fork(|| {
        after_fork(&[&parent]);
        drop(held.take());
        matches!(behind.take().unwrap().wait(None).unwrap(), Err(Failed::Stopped))
    });
    drop(held);
    behind.unwrap().wait(None).unwrap().unwrap();
}

/// A body forks: its thread is the one that the child has, and ends with the body.
#[test]
fn a_body_may_fork() {
    let _watchdog = watchdog();
    let parent = runtime();
    let own = parent.clone();
    let forked = parent.when((), move |()| {
        let is_over = Arc::new(AtomicBool::new(false));
        fork(|| {
            after_fork(&[&own]);
            assert!(!own.fire((), |()| ()));
            is_over.store(true, SeqCst);
            true
        });
    });
    forked.wait(None).unwrap().unwrap();
    wait_until(|| parent.quiesce(Some(Duration::from_millis(1))).is_ok());
}

/// The lane is empty in the child, and as good as before there.
#[test]
fn a_child_uses_the_lanes_of_its_parent() {
    let _watchdog = watchdog();
    let (parent, lane) = (runtime(), Lane::new());
    let (busy, idle) = (Cown::on(&lane, 1), Cown::on(&lane, 10));
    let waiting = parent.when(&busy, |n| *n += 1);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Another thread is about to lock the queue, or has it.
        scope.spawn(|| {
            while !is_over.load(SeqCst) {
                parent.fire(Cown::on(&lane, 0), |_| ());
            }
        });
        for _ in 0..20 {
            fork(|| {
                after_fork(&[&parent]);
                // SAFETY: the child has one thread.
                unsafe { lane.after_fork() };
                assert!(lane.is_empty());
                let own = runtime();
                let next = own.when(&idle, |n| *n + 1);
                assert_eq!(lane.pump(Bounds::default()).executed, 1);
                next.wait(None).unwrap().unwrap() == 11
            });
        }
        is_over.store(true, SeqCst);
    });
    lane.pump(Bounds::default());
    waiting.wait(None).unwrap().unwrap();
}
