//! What the binding to an interpreter needs: to be told when a worker has nothing to do, and to wait for
//! either of two things.

use std::sync::atomic::{AtomicUsize, Ordering::*};
use std::sync::{Arc, mpsc};
use std::thread;

use pysync_boc::{Busy, Cown, Deadline, Lane, LockFlags, NotQuiet, Runtime};
use pysync_platform::Native;
use pysync_testing::{wait_until, watchdog};

use crate::common::result;

#[test]
fn a_worker_says_that_it_has_run_dry_before_it_sleeps() {
    let _watchdog = watchdog();
    let (idle, attached) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (count, detach) = (idle.clone(), attached.clone());
    let runtime = Runtime::builder()
        .workers(1)
        .on_idle(move |worker| {
            assert_eq!(worker, 0);
            detach.store(0, SeqCst);
            count.fetch_add(1, SeqCst);
        })
        .build()
        .unwrap();
    wait_until(|| idle.load(SeqCst) == 1);
    for round in 0..5 {
        wait_until(|| runtime.stats().workers[0].parked == round + 1);
        assert_eq!(idle.load(SeqCst), round + 1);
        let own = attached.clone();
        result(runtime.when((), move |()| own.store(1, SeqCst)));
        wait_until(|| attached.load(SeqCst) == 0);
    }
}

#[test]
fn a_worker_that_goes_on_has_not_run_dry() {
    let _watchdog = watchdog();
    let idle = Arc::new(AtomicUsize::new(0));
    let count = idle.clone();
    let runtime = Runtime::builder()
        .workers(1)
        .on_idle(move |_| _ = count.fetch_add(1, SeqCst))
        .build()
        .unwrap();
    wait_until(|| idle.load(SeqCst) == 1);
    let (cown, gate) = (Cown::new(0), Cown::held(()));
    for _ in 0..100 {
        runtime.fire((&gate.0, &cown), |((), n)| *n += 1);
    }
    let last = runtime.when(&cown, |n| *n);
    drop(gate.1);
    assert_eq!(result(last), 100);
    wait_until(|| idle.load(SeqCst) == 2);
}

#[test]
fn a_quiesce_ends_for_something_else() {
    let _watchdog = watchdog();
    let runtime = Arc::new(Runtime::builder().workers(1).build().unwrap());
    let lane = Arc::new(Lane::new());
    let (own, (ready, is_ready)) = (runtime.clone(), mpsc::channel());
    lane.on_ready(move || {
        own.recheck();
        _ = ready.send(());
    });
    let (cown, gate) = (Cown::on(&lane, 0), Cown::held(()));
    runtime.fire((&gate.0, &cown), |((), n)| *n += 1);
    let until = |deadline| {
        let is_over = || !lane.is_empty();
        runtime.quiesce_or_in::<Native>(deadline, LockFlags::DETACH, is_over)
    };
    assert_eq!(until(Deadline::NOW), Err(NotQuiet::Busy(Busy { pending: 1 })));
    // What changes nothing does not end it, and what does ends it though the wait has begun.
    thread::scope(|scope| {
        scope.spawn(|| {
            (0..100).for_each(|_| runtime.recheck());
            drop(gate.1);
        });
        assert_eq!(until(Deadline::NEVER), Ok(false));
    });
    is_ready.recv().unwrap();
    assert_eq!(until(Deadline::NEVER), Ok(false));
    lane.pump(pysync_boc::Bounds::default());
    assert_eq!(until(Deadline::NEVER), Ok(true));
}

#[test]
fn those_who_only_wait_for_quiet_sleep_on_through_a_recheck() {
    let _watchdog = watchdog();
    let runtime = Runtime::builder().workers(1).build().unwrap();
    let (gate, held) = Cown::held(());
    runtime.fire(&gate, |()| ());
    let waiters = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                waiters.fetch_add(1, SeqCst);
                runtime.quiesce(None).unwrap();
                assert!(!gate.is_held());
                waiters.fetch_sub(1, SeqCst);
            });
        }
        wait_until(|| waiters.load(SeqCst) == 3);
        for _ in 0..1000 {
            runtime.recheck();
            assert_eq!(waiters.load(SeqCst), 3);
        }
        drop(held);
    });
}
