//! What becomes of behaviours: results, waits, cancels and panics.

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use crate::common::*;
use pysync_boc::{
    Cown, Deadline, Failed, LockFlags, Outcome, acquire_all, acquire_all_timed, fire, when,
};
use pysync_platform::Native;
use pysync_testing::{Sleeper, together, wait_until, watchdog};

const ZERO: Option<Duration> = Some(Duration::ZERO);
const SOON: Option<Duration> = Some(Duration::from_millis(5));
/// What a body that would wait is told.
const MUST_NOT_WAIT: &str =
    "a behaviour must not wait for a cown: name it in `when`, or try to acquire it";

/// A behaviour that waits until the promise is dropped.
fn pending() -> (Outcome<()>, pysync_boc::Held<()>) {
    let (cown, held) = Cown::held(());
    (when(&cown, |_| ()), held)
}

#[test]
fn a_result_is_waited_for_and_taken() {
    let _watchdog = watchdog();
    assert_eq!(result(when((), |()| 7)), 7);
    assert_eq!(result(when((), |()| Some(String::from("text")))).as_deref(), Some("text"));
    result(when((), |()| ()));
    assert_eq!(result(when((), |()| [1_u64; 100])), [1; 100]);
    for timeout in [None, Some(Duration::from_secs(60)), Some(Duration::MAX)] {
        assert!(matches!(when((), |()| 1).wait(timeout), Ok(Ok(1))));
    }
    let outcome = when((), |()| 1);
    wait_until(|| outcome.is_done());
    // Done comes a moment before the release.
    wait_until(|| !outcome.is_held());
    assert!(matches!(outcome.wait(ZERO), Ok(Ok(1))));
}

/// The thread sleeps, and is woken by the completion.
#[test]
fn a_waiter_sleeps_until_there_is_a_result() {
    let _watchdog = watchdog();
    for timeout in [None, Some(Duration::from_secs(3600))] {
        let (outcome, promise) = pending();
        let sleeper = Sleeper::new();
        thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                sleeper.enter();
                assert!(matches!(outcome.wait(timeout), Ok(Ok(()))));
            });
            sleeper.wait_until_asleep();
            assert!(!waiter.is_finished());
            drop(promise);
        });
    }
}

#[test]
fn a_timeout_gives_the_outcome_back() {
    let _watchdog = watchdog();
    let (outcome, promise) = pending();
    let outcome = outcome.wait(ZERO).unwrap_err();
    let outcome = outcome.wait(SOON).unwrap_err();
    let deadline = Deadline::after(SOON);
    let (outcome, error) =
        outcome.wait_in::<Native>(deadline, LockFlags::empty()).map(drop).unwrap_err();
    assert_eq!(error, pysync_boc::NotAcquired::Timeout);
    assert_eq!(format!("{outcome:?}"), "Outcome { is_done: false }");
    assert!(outcome.try_look().is_none());
    drop(promise);
    result(outcome);
}

#[test]
fn a_result_can_be_looked_at() {
    let _watchdog = watchdog();
    let outcome = when((), |()| vec![1]);
    wait_until(|| outcome.try_look().is_some());
    assert!(outcome.is_done());
    outcome.try_look().unwrap().as_mut().unwrap().push(2);
    assert_eq!(result(outcome), [1, 2]);
}

/// Of several that wait for one result by handles of its cown, one takes it.
#[test]
fn a_result_is_taken_once() {
    let _watchdog = watchdog();
    for _ in 0..200 {
        let (cown, promise) = Cown::held(());
        let census = Census::default();
        let value = census.one();
        let outcome = when(&cown, move |_| value);
        let handles: [Cown<Result<Counted, Failed>>; 3] = [(); 3].map(|()| (*outcome).clone());
        let taken = AtomicUsize::new(0);
        let outcome = pysync_lock::guarded::Mutex::new(Some(outcome));
        let promise = pysync_lock::guarded::Mutex::new(Some(promise));
        together(3, |id| match id {
            0 => {
                let outcome = outcome.lock().take().unwrap();
                match finished(outcome) {
                    Ok(_) => _ = taken.fetch_add(1, SeqCst),
                    Err(error) => assert!(matches!(error, Failed::Disowned)),
                }
            }
            1 => drop(promise.lock().take()),
            _ => {
                if let Some(held) = handles[id].acquire_timed(None) {
                    assert!(held.is_ok());
                    held.disown();
                    taken.fetch_add(1, SeqCst);
                }
            }
        });
        assert_eq!((taken.load(SeqCst), census.alive()), (1, 0));
    }
}

/// 2, 5, 20, 13: each step a behaviour over the outcome of the one before.
#[test]
fn a_chain_of_outcomes() {
    let _watchdog = watchdog();
    with_workers(|runtime| {
        let two = Cown::new(2);
        let five = runtime.when(&two, |two| *two + 3);
        let twenty = runtime.when(&five, |five| *five.as_ref().unwrap() * 4);
        let thirteen = runtime.when(&twenty, |twenty| *twenty.as_ref().unwrap() - 7);
        assert_eq!(result(thirteen), 13);
        assert_eq!((result(five), result(twenty)), (5, 20));
    });
}

/// bocpy #7, #15: a cown in a result, in a cown and in a closure, each of which outlives its maker.
#[test]
fn a_behaviour_may_return_a_cown_or_an_outcome() {
    let _watchdog = watchdog();
    with_workers(|runtime| {
        let outer = runtime.when((), |()| {
            let inner = Cown::new(vec![1]);
            let doubled = when(&inner, |list| list.push(2));
            (inner, doubled)
        });
        let (inner, doubled) = result(outer);
        result(doubled);
        assert_eq!(*inner.acquire(), [1, 2]);
        // The outcome of an outcome.
        let nested = runtime.when((), |()| when((), |()| when((), |()| 5)));
        assert_eq!(result(result(result(nested))), 5);
    });
}

#[test]
fn a_result_that_is_not_wanted_is_dropped() {
    let _watchdog = watchdog();
    let (runtime, census) = (runtime(2), Census::default());
    for _ in 0..100 {
        let value = census.one();
        drop(runtime.when((), move |()| value));
        let (value, cown) = (census.one(), Cown::new(census.one()));
        let first = runtime.when(&cown, move |_| value);
        drop(runtime.when((&first, cown), |_| ()));
        drop(first);
        let value = census.one();
        drop(runtime.when((), move |()| panic_any(value)));
    }
    assert_eq!(runtime.quiesce(None), Ok(()));
    assert_eq!(census.alive(), 0);
    assert_eq!(runtime.stats().panicked(), 100);
}

#[test]
fn a_cancelled_behaviour_does_not_run() {
    let _watchdog = watchdog();
    let census = Census::default();
    let (cown, promise) = Cown::held(0);
    let closure = census.one();
    let first = when(&cown, |value| *value += 1);
    let cancelled = when(&cown, move |value| {
        let _closure = closure;
        *value += 10;
    });
    let last = when(&cown, |value| *value += 100);
    let follows = when(&cancelled, |result| matches!(result, Err(Failed::Cancelled)));
    assert!(cancelled.cancel());
    assert_eq!(census.alive(), 0, "here and now");
    assert!(cancelled.is_done() && !first.is_done() && !last.is_done());
    assert!(!cancelled.cancel(), "twice");
    // What follows the outcome, and the outcome, need not wait for the turn of the behaviour.
    assert!(result(follows));
    assert!(matches!(finished(cancelled), Err(Failed::Cancelled)));
    drop(promise);
    result(first);
    result(last);
    assert_eq!(*cown.acquire(), 101);
}

#[test]
fn a_behaviour_that_has_begun_cannot_be_cancelled() {
    let _watchdog = watchdog();
    let gate = Gate::default();
    let running = when((), {
        let gate = gate.clone();
        move |()| {
            gate.pass();
            5
        }
    });
    gate.wait_until_reached();
    assert!(!running.cancel() && !running.is_done());
    gate.open();
    wait_until(|| running.is_done());
    assert!(!running.cancel());
    assert_eq!(result(running), 5);
}

/// Cancellers race each other and the worker: the body runs, or one of them has cancelled it.
#[test]
fn one_of_canceller_and_worker_wins() {
    let _watchdog = watchdog();
    let rounds = if cfg!(debug_assertions) { 2_000 } else { 20_000 };
    let (runtime, census) = (runtime(1), Census::default());
    let (cown, ran) = (Cown::new(0), AtomicUsize::new(0));
    let mut cancelled = 0;
    for round in 0..rounds {
        let closure = census.one();
        let outcome = runtime.when(&cown, move |count| {
            let _closure = closure;
            *count += 1;
        });
        (0..round % 50).for_each(|_| std::hint::spin_loop());
        let is_cancelled = outcome.cancel();
        match finished(outcome) {
            Ok(()) => _ = ran.fetch_add(1, SeqCst),
            Err(error) => assert!(is_cancelled && matches!(error, Failed::Cancelled)),
        }
        cancelled += usize::from(is_cancelled);
    }
    assert_eq!(runtime.quiesce(None), Ok(()));
    assert_eq!(*cown.acquire(), ran.load(SeqCst));
    assert_eq!((ran.load(SeqCst) + cancelled, census.alive()), (rounds, 0));
}

#[test]
fn a_panic_is_the_outcome() {
    #[derive(Debug, PartialEq)]
    struct SystemExit(i32);

    let _watchdog = watchdog();
    let runtime = runtime(1);
    let cown = Cown::new(0);
    assert_eq!(panicked(runtime.when(&cown, |_| panic!("text"))), "text");
    assert_eq!(panicked(runtime.when(&cown, |n| panic!("{n} is {}", 0))), "0 is 0");
    let exit = finished(runtime.when(&cown, |_| panic_any(SystemExit(3))));
    let Err(Failed::Panicked(payload)) = exit else { panic!("{exit:?}") };
    assert_eq!(*payload.downcast::<SystemExit>().unwrap(), SystemExit(3));
    // Those who follow the outcome see it, and the worker lives.
    let failed = runtime.when(&cown, |_| -> i32 { panic!("text") });
    let seen = runtime.when(&failed, |result| result.as_ref().unwrap_err().message().is_some());
    assert!(result(seen));
    result(runtime.when(&cown, |_| ()));
    let _ = runtime.fire(&cown, |_| panic!("text"));
    assert_eq!(runtime.quiesce(None), Ok(()));
    assert_eq!(runtime.stats().panicked(), 5);
    assert!(!cown.is_held());
}

#[test]
fn failures_say_what_has_happened() {
    let _watchdog = watchdog();
    let panicked = finished(when((), |()| panic!("text"))).unwrap_err();
    assert_eq!(panicked.to_string(), "the behaviour has panicked: text");
    assert_eq!(format!("{panicked:?}"), r#"Panicked(Some("text"))"#);
    let other = finished(when((), |()| panic_any(1))).unwrap_err();
    assert_eq!((other.to_string(), other.message()), ("the behaviour has panicked".into(), None));
    let texts = [Failed::Cancelled, Failed::Stopped, Failed::Disowned].map(|f| f.to_string());
    assert_eq!(texts[0], "the behaviour was cancelled");
    assert_eq!(texts[1], "the runtime was stopped");
    assert_eq!(texts[2], "a cown of the behaviour has been disowned");
    let error: Box<dyn std::error::Error> = Box::new(Failed::Cancelled);
    assert!(error.source().is_none());
}

/// A body must not wait: its worker would wait for itself. It is told so, and that is its outcome.
#[test]
fn a_wait_inside_of_a_body_panics() {
    let _watchdog = watchdog();
    let runtime = runtime(1);
    let (cown, promise) = Cown::held(0);
    let (never, other) = (runtime.when(&cown, |value| *value), cown.clone());
    let waits = runtime.when((), move |()| never.wait(None).map(drop).is_ok());
    assert_eq!(panicked(waits), MUST_NOT_WAIT);
    let waits = runtime.when((), {
        let cown = other.clone();
        move |()| when(&cown, |_| ()).wait(SOON).is_ok()
    });
    assert_eq!(panicked(waits), MUST_NOT_WAIT);
    let tries: [fn(&Cown<i32>); 5] = [
        |cown| drop(cown.acquire()),
        |cown| drop(cown.acquire_timed(None)),
        |cown| drop(cown.acquire_timed(SOON)),
        |cown| drop(acquire_all(cown)),
        |cown| drop(cown.acquire_in::<Native>(Deadline::NEVER, LockFlags::HANDLE_SIGNALS)),
    ];
    for wait in tries {
        let cown = other.clone();
        assert_eq!(panicked(runtime.when((), move |()| wait(&cown))), MUST_NOT_WAIT);
    }
    let quiesces = runtime.clone();
    let message = panicked(runtime.when((), move |()| quiesces.quiesce(None)));
    assert!(message.contains("inside a behaviour"), "{message}");
    drop(promise);
    // None of them has been queued. What need not wait is allowed.
    result(runtime.when(&other, |_| ()));
    assert_eq!(runtime.quiesce(None), Ok(()));
    let inside = other.clone();
    let done = runtime.when((), |()| 1);
    wait_until(|| done.is_done() && !done.is_held());
    let waits = runtime.when((), move |()| {
        let taken = done.wait(None).unwrap().unwrap();
        *inside.acquire() += taken;
        *acquire_all_timed(&inside, ZERO).unwrap().access()
    });
    assert_eq!(result(waits), 1);
    let mine = other.clone();
    let waits = runtime.when(&other, move |_| mine.acquire_timed(ZERO).is_none());
    assert!(result(waits));
}

/// A payload, a closure, a result and a value whose drop panics: the behaviour ends, its cowns are
/// released, and the worker lives.
#[test]
fn a_panic_in_a_drop_is_contained() {
    struct Bomb(#[allow(dead_code)] Counted);
    impl Bomb {
        fn new(census: &Census) -> Self {
            Self(census.one())
        }
    }
    impl Drop for Bomb {
        fn drop(&mut self) {
            if !thread::panicking() {
                panic!("a drop");
            }
        }
    }

    /// The payload of its panic panics in turn.
    struct Chain(Option<Bomb>);
    impl Drop for Chain {
        fn drop(&mut self) {
            panic_any(self.0.take());
        }
    }

    let _watchdog = watchdog();
    let (runtime, census) = (runtime(1), Census::default());
    let cown = Cown::new(0);
    // A result that no handle is left for. The cown is held, so that the handle goes first.
    let held = cown.acquire();
    let bomb = Bomb::new(&census);
    drop(runtime.when(&cown, move |_| bomb));
    let chain = Chain(Some(Bomb::new(&census)));
    drop(runtime.when(&cown, move |_| chain));
    drop(held);
    // A value whose last handle the behaviour has.
    let last = Cown::new(Bomb::new(&census));
    let outcome = runtime.when((&cown, last), |_| 1);
    assert_eq!(result(outcome), 1);
    // The payload of a panic.
    let held = cown.acquire();
    let bomb = Bomb::new(&census);
    drop(runtime.when(&cown, move |_| panic_any(bomb)));
    drop(held);
    let bomb = Bomb::new(&census);
    _ = runtime.fire(&cown, move |_| panic_any(bomb));
    // A closure that is dropped since the cown has no value.
    let (disowned, bomb) = (Cown::new(()), Bomb::new(&census));
    disowned.acquire().disown();
    let outcome = runtime.when((&cown, &disowned), move |_| drop(bomb));
    assert!(matches!(finished(outcome), Err(Failed::Disowned)));
    // A closure that is dropped by a cancel: the canceller has the panic.
    let (other, promise) = Cown::held(());
    let bomb = Bomb::new(&census);
    let outcome = runtime.when((&other, &cown), move |_| drop(bomb));
    let text = catch_unwind(AssertUnwindSafe(|| outcome.cancel())).unwrap_err();
    assert_eq!(text.downcast_ref(), Some(&"a drop"));
    assert!(matches!(finished(outcome), Err(Failed::Cancelled)));
    drop(promise);
    // A closure that is dropped by a stop.
    let (other, promise) = Cown::held(());
    let bomb = Bomb::new(&census);
    let outcome = runtime.when((&other, &cown), move |_| drop(bomb));
    assert_eq!(result(runtime.when((), |()| 7)), 7);
    let stopped = runtime.stop(None);
    assert_eq!(stopped.still_running, 0);
    drop(promise);
    assert!(matches!(finished(outcome), Err(Failed::Stopped)));
    assert!(!cown.is_held());
    assert_eq!(census.alive(), 0, "a value is dropped also if its drop panics");
}

#[test]
fn what_comes_after_a_stop_is_refused() {
    let _watchdog = watchdog();
    let (runtime, census) = (runtime(1), Census::default());
    let cown = Cown::new(0);
    runtime.stop(None);
    let closure = census.one();
    let outcome = runtime.when(&cown, move |_| drop(closure));
    assert_eq!(census.alive(), 0);
    assert!(outcome.is_done() && !outcome.cancel());
    assert!(matches!(outcome.wait(ZERO), Ok(Err(Failed::Stopped))));
    assert!(!runtime.fire(&cown, |_| ()));
    assert!(fire(&cown, |value| *value += 1), "another runtime");
    assert_eq!(result(when(&cown, |value| *value)), 1);
}
