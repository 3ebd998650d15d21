//! One allocation for a cown, one for a behaviour, and none for what becomes of them: queueing, releases,
//! steals, waits, cancels.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use pysync_boc::{Cown, Outcome, Use, acquire_all, acquire_all_timed, read, when};
use pysync_testing::{Sleeper, asked, measured, wait_until, watchdog};

use crate::behaviours_common::*;

/// How often the calling thread allocates in `body`.
fn allocations<R>(body: impl FnOnce() -> R) -> usize {
    measured(body).1.allocated
}

#[test]
fn the_count_counts() {
    assert_eq!(allocations(|| Box::new(7)), 1);
    assert_eq!(allocations(|| ()), 0);
}

#[test]
fn one_for_a_cown() {
    assert_eq!(allocations(|| Cown::new([0; 100])), 1);
    assert_eq!(allocations(|| Cown::held(0)), 1);
    let cown = Cown::new(0);
    assert_eq!(allocations(|| (cown.clone(), cown.try_acquire())), 0);
}

#[test]
fn one_for_a_behaviour() {
    let _watchdog = watchdog();
    let runtime = runtime(1);
    let cowns: Vec<_> = (0..8).map(|_| Cown::new(0)).collect();
    let [a, b, c, ..] = &cowns[..] else { unreachable!() };
    for is_held in [false, true] {
        let held = is_held.then(|| acquire_all(&cowns));
        let big = [1_u8; 1_000];
        let counts = [
            allocations(|| runtime.fire((), |()| ())),
            allocations(|| runtime.when((), |()| ())),
            allocations(|| runtime.fire(a, move |_| assert_eq!(big[999], 1))),
            allocations(|| runtime.when(a, |_| [0; 100])),
            allocations(|| runtime.when((a, b, read(c)), |_| ())),
            allocations(|| runtime.when([c, a, b], |_| ())),
            allocations(|| runtime.when(&cowns, |_| ())),
            allocations(|| runtime.fire(a.clone(), |_| ())),
        ];
        assert_eq!(counts, [1; 8]);
        let outcome = runtime.when(a, |_| ());
        assert_eq!(allocations(|| runtime.when(&outcome, |_| ())), 1);
        // One more, for what each is used for.
        let uses = [Use::write(a), Use::read(b), Use::write(a)];
        assert_eq!(allocations(|| runtime.when_any(&uses, |_| ())), 2);
        drop(held);
        assert_eq!(runtime.quiesce(None), Ok(()));
    }
}

/// A release that makes many ready, a cancel, and what looks.
#[test]
fn none_for_a_release_a_cancel_or_a_look() {
    let _watchdog = watchdog();
    let runtime = runtime(2);
    let (cown, held) = Cown::held(0);
    let outcomes: Vec<_> = (0..100).map(|_| runtime.when(read(&cown), |_| ())).collect();
    let others: Vec<_> = (0..100).map(|_| runtime.when(&cown, |count| *count += 1)).collect();
    assert_eq!(allocations(|| others.iter().filter(|other| other.cancel()).count()), 0);
    assert_eq!(allocations(|| drop(held)), 0);
    let looks = || {
        wait_until(|| outcomes.iter().chain(&others).all(|outcome| outcome.is_done()));
        outcomes.iter().filter(|outcome| outcome.try_look().is_some()).count()
    };
    assert_eq!(allocations(looks), 0);
    assert_eq!(allocations(|| outcomes.into_iter().for_each(result)), 0);
    assert_eq!(allocations(|| cown.acquire().disown()), 0);
    assert_eq!(allocations(|| runtime.quiesce(None)), 0);
}

/// A thread that has to wait for a cown allocates its request, which a fork must not take away with its stack.
/// One that wakes it, or waits until all is quiet, does not.
#[test]
fn two_for_a_wait() {
    let _watchdog = watchdog();
    let runtime = runtime(1);
    let (cown, held) = Cown::held(0);
    let outcome = runtime.when(&cown, |count| *count += 1);
    let soon = Some(Duration::from_millis(1));
    let outcome = {
        let (outcome, asked) = measured(|| outcome.wait(soon).unwrap_err());
        assert_eq!(asked.allocated, 2);
        outcome
    };
    assert_eq!(allocations(|| cown.acquire_timed(soon).is_none()), 2);
    let waits: [Box<dyn FnOnce() + Send + '_>; 3] = [
        Box::new(|| result(outcome)),
        Box::new(|| drop(cown.acquire())),
        Box::new(|| assert_eq!(runtime.quiesce(None), Ok(()))),
    ];
    thread::scope(|scope| {
        let waiters = waits.map(|wait| {
            let sleeper = Arc::new(Sleeper::new());
            let waiter = scope.spawn({
                let sleeper = sleeper.clone();
                move || {
                    sleeper.enter();
                    allocations(wait)
                }
            });
            (waiter, sleeper)
        });
        waiters.iter().for_each(|(_, sleeper)| sleeper.wait_until_asleep());
        assert_eq!(allocations(|| drop(held)), 0);
        let counts = waiters.map(|(waiter, _)| waiter.join().unwrap());
        assert_eq!(counts, [2, 2, 0]);
    });
}

/// A thread that acquires several cowns needs two lists of them, and its request if it waits.
#[test]
fn four_at_most_to_acquire_several() {
    let _watchdog = watchdog();
    let (a, b) = (Cown::new(0), Cown::new(0));
    assert!(allocations(|| acquire_all((&a, &b))) <= 4);
    let held = a.acquire();
    let soon = Some(Duration::from_millis(1));
    assert!(allocations(|| acquire_all_timed((&a, &b), soon).is_err()) <= 4);
    drop(held);
}

/// What a worker allocates between its first body and its last: as much as the bodies, and no more, with all
/// that it has taken from others, and slept.
#[test]
fn none_in_a_worker() {
    thread_local! {
        static FIRST: std::cell::Cell<Option<usize>> = const { std::cell::Cell::new(None) };
        static ASKED_FOR: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    }

    /// Called in each body; asks for so many nested ones.
    fn body(cowns: Arc<Vec<Cown<usize>>>, depth: usize, checks: Arc<AtomicUsize>) {
        let first = FIRST.get().unwrap_or_else(|| {
            FIRST.set(Some(asked().allocated));
            asked().allocated
        });
        // One for each behaviour that bodies on this worker have asked for.
        assert_eq!(asked().allocated - first, ASKED_FOR.get());
        checks.fetch_add(1, SeqCst);
        for index in 0..if depth > 0 { 4 } else { 0 } {
            let (next, checks) = (cowns.clone(), checks.clone());
            let pair = (&cowns[index * depth % 8], read(&cowns[8 + index]));
            when(pair, move |_| body(next, depth - 1, checks));
            ASKED_FOR.set(ASKED_FOR.get() + 1);
        }
    }

    let _watchdog = watchdog();
    let (runtime, checks) = (runtime(3), Arc::new(AtomicUsize::new(0)));
    let cowns: Arc<Vec<_>> = Arc::new((0..12).map(Cown::new).collect());
    let mut asked_for = 0;
    for round in 0..50 {
        let (cowns, checks) = (cowns.clone(), checks.clone());
        runtime.fire((), move |()| body(cowns, 4, checks));
        asked_for += 1 + 4 + 16 + 64 + 256;
        if round % 2 == 0 {
            assert_eq!(runtime.quiesce(None), Ok(()));
            wait_until(|| runtime.stats().sum(|worker| worker.parked) >= 3);
        }
    }
    assert_eq!(runtime.quiesce(None), Ok(()));
    let stats = runtime.stats();
    assert_eq!((checks.load(SeqCst), stats.panicked()), (asked_for, 0));
    println!("{} stolen, {} parked", stats.sum(|w| w.stolen), stats.sum(|w| w.parked));
}

/// A result that is taken is moved, and not boxed; an outcome that is dropped frees what it had.
#[test]
fn none_for_a_result() {
    let _watchdog = watchdog();
    let runtime = runtime(1);
    let outcomes: Vec<Outcome<[u8; 200]>> =
        (0..10).map(|n| runtime.when((), move |()| [n; 200])).collect();
    assert_eq!(runtime.quiesce(None), Ok(()));
    let taken =
        || outcomes.into_iter().map(|outcome| usize::from(result(outcome)[199])).sum::<usize>();
    let (sum, asked) = measured(taken);
    assert_eq!((sum, asked.allocated), (45, 0));
}
