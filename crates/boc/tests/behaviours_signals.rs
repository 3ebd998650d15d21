//! Signals on threads that wait for cowns, outcomes and quiescence: which flags make them heard, what runs
//! meanwhile, and that a wait that a signal ends is in no other's way.
// The portable parker sleeps through signals, so there is nothing to see.
#![cfg(all(target_os = "linux", not(any(pysync_loom, pysync_shuttle, pysync_portable))))]

// The runtime that the locks are tested with.
mod behaviours_common;
#[path = "../../lock/tests/common/counting.rs"]
#[allow(dead_code)]
mod counting;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use behaviours_common::*;
use counting::{Counting, Counts, set_pending_calls, take_counts};
use pysync_boc::{Cown, Deadline, LockFlags, NotAcquired, NotQuiet};
use pysync_parking_lot::PendingCallError;
use pysync_testing::{Target, alone, rain, rain_until, signals_handled, wait_until, watchdog};

const DETACH: LockFlags = LockFlags::DETACH;
const HANDLE: LockFlags = LockFlags::HANDLE_SIGNALS;
const FAIL: LockFlags = LockFlags::FAIL_IF_INTERRUPTED;
const NONE: LockFlags = LockFlags::empty();

/// Whether signals are sent, so that there may be pending calls.
static IS_RAINING: AtomicBool = AtomicBool::new(false);

fn succeed() -> Result<(), PendingCallError> {
    Ok(())
}

fn fail() -> Result<(), PendingCallError> {
    if IS_RAINING.load(SeqCst) { Err(PendingCallError) } else { Ok(()) }
}

fn panic_once() -> Result<(), PendingCallError> {
    if IS_RAINING.load(SeqCst) { panic!("a pending call") } else { Ok(()) }
}

type Calls = fn() -> Result<(), PendingCallError>;

/// Flags, what the pending calls come to, and whether a signal ends the wait.
const CASES: [(LockFlags, Calls, bool); 5] = [
    (NONE, fail, false),
    // The wait goes on.
    (HANDLE, succeed, false),
    (HANDLE, fail, true),
    (FAIL, succeed, true),
    // The stronger of the two.
    (FAIL.union(HANDLE), fail, true),
];

/// A thread waits by `wait` under fire: until that ends, or, if it is to sleep on, for many signals and then
/// until `wake`. Returns what it has come to, and what it has asked of its runtime.
fn under_fire<T: Send>(
    (_, calls, is_ended): (LockFlags, Calls, bool),
    wait: impl FnOnce() -> T + Send,
    wake: impl FnOnce(),
) -> (T, Counts) {
    let target = Target::default();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            set_pending_calls(calls);
            target.enter();
            let result = wait();
            (result, take_counts())
        });
        let threads = [target.thread()];
        target.sleeper.wait_until_asleep();
        IS_RAINING.store(true, SeqCst);
        if is_ended {
            // SAFETY: joined later.
            unsafe { rain_until(&threads, || waiter.is_finished()) };
        } else {
            // SAFETY: joined later.
            unsafe { rain(&threads, 200) };
            assert!(!waiter.is_finished());
        }
        IS_RAINING.store(false, SeqCst);
        wake();
        waiter.join().unwrap()
    })
}

fn check(case: (LockFlags, Calls, bool), flags: LockFlags, counts: Counts) {
    let (with, _, is_ended) = case;
    assert_eq!(counts.detached, counts.attached, "{flags:?}");
    assert_eq!(counts.detached > 0, flags.contains(DETACH), "{flags:?}");
    let handles = with.contains(HANDLE) && !with.contains(FAIL);
    assert_eq!(counts.pending > 0, handles, "{flags:?}");
    if is_ended && handles {
        assert_eq!(counts.pending, 1, "{flags:?}");
    }
}

/// Each case with and without a deadline, and a detach.
fn every_way(test: impl Fn((LockFlags, Calls, bool), Deadline, LockFlags)) {
    let _alone = alone();
    let _watchdog = watchdog();
    for case in CASES {
        for timeout in [None, Some(Duration::from_secs(3600))] {
            for detach in [NONE, DETACH] {
                test(case, Deadline::after(timeout), case.0 | detach);
            }
        }
    }
    assert!(signals_handled() > 0);
}

#[test]
fn acquire_in_heeds_signals_as_it_is_told() {
    every_way(|case, deadline, flags| {
        let (cown, held) = Cown::held(0);
        let before = pysync_boc::when(&cown, |value| *value += 1);
        let wait = || cown.acquire_in::<Counting>(deadline, flags).map(|held| *held);
        let (result_of_wait, counts) = under_fire(case, wait, || drop(held));
        let expected = if case.2 { Err(NotAcquired::Interrupted) } else { Ok(1) };
        assert_eq!(result_of_wait, expected, "{flags:?}");
        check(case, flags, counts);
        result(before);
        assert!(cown.acquire_timed(None).is_some(), "it is in no way");
    });
}

#[test]
fn wait_in_heeds_signals_as_it_is_told() {
    every_way(|case, deadline, flags| {
        let (cown, held) = Cown::held(7);
        let outcome = pysync_boc::when(&cown, |value| *value);
        let wait = || outcome.wait_in::<Counting>(deadline, flags);
        let (waited, counts) = under_fire(case, wait, || drop(held));
        check(case, flags, counts);
        match waited {
            Ok(value) => {
                assert!(!case.2, "{flags:?}");
                assert_eq!(value.unwrap(), 7);
            }
            Err((outcome, error)) => {
                assert!(case.2 && error == NotAcquired::Interrupted, "{flags:?}");
                assert_eq!(result(outcome), 7, "it is given back");
            }
        }
    });
}

#[test]
fn quiesce_in_heeds_signals_as_it_is_told() {
    every_way(|case, deadline, flags| {
        let (runtime, (cown, held)) = (runtime(1), Cown::held(()));
        let outcome = runtime.when(&cown, |_| ());
        let wait = || runtime.quiesce_in::<Counting>(deadline, flags);
        let (quiet, counts) = under_fire(case, wait, || drop(held));
        check(case, flags, counts);
        assert_eq!(quiet, if case.2 { Err(NotQuiet::Interrupted) } else { Ok(()) }, "{flags:?}");
        result(outcome);
    });
}

/// A wait that goes on after pending calls does so behind those that have come meanwhile; one that pays no
/// heed keeps its place.
#[test]
fn a_wait_that_goes_on_is_behind_all_others_if_calls_have_run() {
    let _alone = alone();
    let _watchdog = watchdog();
    for (flags, is_behind) in [(HANDLE | DETACH, true), (NONE, false)] {
        let runtime = runtime(1);
        let (cown, held) = Cown::held(Vec::new());
        let target = Target::default();
        thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                set_pending_calls(succeed);
                target.enter();
                cown.acquire_in::<Counting>(Deadline::NEVER, flags).unwrap().push(1);
            });
            target.sleeper.wait_until_asleep();
            let other = runtime.when(&cown, |list| list.push(2));
            // SAFETY: joined later.
            unsafe { rain(&[target.thread()], 20) };
            // It is queued again once it sleeps.
            target.sleeper.wait_until_asleep();
            drop(held);
            waiter.join().unwrap();
            result(other);
        });
        assert_eq!(*cown.acquire(), if is_behind { [2, 1] } else { [1, 2] });
    }
}

/// A pending call that panics leaves the wait, and nothing behind.
#[test]
fn a_pending_call_that_panics_leaves_nothing() {
    let _alone = alone();
    let _watchdog = watchdog();
    let case = (HANDLE, panic_once as Calls, true);
    let (cown, held) = Cown::held(0);
    let wait = || {
        let wait = || cown.acquire_in::<Counting>(Deadline::NEVER, HANDLE).is_ok();
        catch_unwind(AssertUnwindSafe(wait)).is_err()
    };
    let (has_panicked, counts) = under_fire(case, wait, || drop(held));
    assert!(has_panicked && counts.pending == 1);
    wait_until(|| !cown.is_held());
    let (cown, held) = Cown::held(0);
    let outcome = pysync_boc::when(&cown, |value| *value);
    let wait = || {
        let wait = || outcome.wait_in::<Counting>(Deadline::NEVER, HANDLE).is_ok();
        catch_unwind(AssertUnwindSafe(wait)).is_err()
    };
    let (has_panicked, _) = under_fire(case, wait, || drop(held));
    assert!(has_panicked);
    drop(cown.acquire());
}

/// What blocks through signals does so: bocpy (b), the other way round.
#[test]
fn plain_waits_sleep_through_signals() {
    let _alone = alone();
    let _watchdog = watchdog();
    let sleeps = (NONE, fail as Calls, false);
    let (runtime, (cown, held)) = (runtime(1), Cown::held(0));
    under_fire(sleeps, || drop(cown.acquire()), || drop(held));
    let held = cown.acquire();
    let hour = Some(Duration::from_secs(3600));
    let acquired = under_fire(sleeps, || cown.acquire_timed(hour).is_some(), || drop(held));
    assert!(acquired.0);
    let held = cown.acquire();
    let outcome = runtime.when(&cown, |value| *value);
    assert_eq!(under_fire(sleeps, || result(outcome), || drop(held)).0, 0);
    let held = cown.acquire();
    let all = || drop(pysync_boc::acquire_all((&Cown::new(0), &cown)));
    under_fire(sleeps, all, || drop(held));
    let held = cown.acquire();
    runtime.fire(&cown, |_| ());
    assert_eq!(under_fire(sleeps, || runtime.quiesce(None), || drop(held)).0, Ok(()));
}
