//! Signals on threads that wait for cowns, outcomes and quiescence: which flags make them heard, what runs
//! meanwhile, and that a wait that a signal ends is in no other's way.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use pysync_boc::{Cown, Deadline, NotAcquired, NotQuiet};
use pysync_parking_lot::PendingCallError;
use pysync_testing::{Target, alone, rain, signals_handled, wait_until, watchdog};

use crate::behaviours_common::*;
use crate::cases::*;
use crate::counting::{Counting, Counts, set_pending_calls};

fn panic_once() -> Result<(), PendingCallError> {
    if is_raining() { panic!("a pending call") } else { Ok(()) }
}

/// A thread waits by `wait` under fire once it sleeps.
fn under_fire<T: Send>(
    case: Case,
    wait: impl FnOnce() -> T + Send,
    wake: impl FnOnce(),
) -> (T, Counts) {
    let (ended, counts) = crate::cases::under_fire(case, wait, |sleeper| sleeper.is_asleep(), wake);
    if case.is_ended && case.runs_calls() {
        assert_eq!(counts.pending, 1, "{:?}", case.flags);
    }
    (ended, counts)
}

/// Each case with and without a deadline.
fn every_way(test: impl Fn(Case, Deadline)) {
    let _alone = alone();
    for case in cases() {
        for timeout in [None, Some(Duration::from_secs(3600))] {
            test(case, Deadline::after(timeout));
        }
    }
    assert!(signals_handled() > 0);
}

#[test]
fn acquire_in_heeds_signals_as_it_is_told() {
    every_way(|case, deadline| {
        let (cown, held) = Cown::held(0);
        let before = pysync_boc::when(&cown, |value| *value += 1);
        let wait = || cown.acquire_in::<Counting>(deadline, case.flags).map(|held| *held);
        let (acquired, counts) = under_fire(case, wait, || drop(held));
        let expected = if case.is_ended { Err(NotAcquired::Interrupted) } else { Ok(1) };
        assert_eq!(acquired, expected, "{:?}", case.flags);
        case.check(counts, deadline);
        result(before);
        assert!(cown.acquire_timed(None).is_some(), "it is in no way");
    });
}

#[test]
fn wait_in_heeds_signals_as_it_is_told() {
    every_way(|case, deadline| {
        let (cown, held) = Cown::held(7);
        let outcome = pysync_boc::when(&cown, |value| *value);
        let wait = || outcome.wait_in::<Counting>(deadline, case.flags);
        let (waited, counts) = under_fire(case, wait, || drop(held));
        case.check(counts, deadline);
        match waited {
            Ok(value) => {
                assert!(!case.is_ended, "{:?}", case.flags);
                assert_eq!(value.unwrap(), 7);
            }
            Err((outcome, error)) => {
                assert!(case.is_ended && error == NotAcquired::Interrupted, "{:?}", case.flags);
                assert_eq!(result(outcome), 7, "it is given back");
            }
        }
    });
}

#[test]
fn quiesce_in_heeds_signals_as_it_is_told() {
    every_way(|case, deadline| {
        let (runtime, (cown, held)) = (runtime(1), Cown::held(()));
        let outcome = runtime.when(&cown, |_| ());
        let wait = || runtime.quiesce_in::<Counting>(deadline, case.flags);
        let (quiet, counts) = under_fire(case, wait, || drop(held));
        case.check(counts, deadline);
        let expected = if case.is_ended { Err(NotQuiet::Interrupted) } else { Ok(()) };
        assert_eq!(quiet, expected, "{:?}", case.flags);
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
    let case = Case::new(HANDLE, panic_once, true);
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
    let sleeps = Case::new(NONE, fail, false);
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
