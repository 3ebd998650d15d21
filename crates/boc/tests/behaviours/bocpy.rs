//! Bugs that bocpy has had, as tests: each is named by where it was found. What is not here is in the tests
//! of the seed, and in `cowns_any.rs` (bocpy #6: repeated cowns).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use pysync_boc::{
    Batch, Cown, Failed, Lane, Limits, Queues, Runtime, Use, acquire_all, acquire_all_timed, read,
    when,
};
use pysync_lock::guarded::Mutex;
use pysync_testing::{hush_panics, together, wait_until, watchdog};

use crate::common::*;

const ZERO: Option<Duration> = Some(Duration::ZERO);
const SOON: Option<Duration> = Some(Duration::from_millis(20));

/// bocpy (c): a behaviour whose cown the main thread held did not wait; it failed with "cannot acquire cown".
#[test]
fn bocpy_c_a_behaviour_waits_for_a_cown_that_a_thread_holds() {
    let _watchdog = watchdog();
    with_workers(|runtime| {
        let cown = Cown::new(1);
        let mut held = cown.acquire();
        let outcome = runtime.when(&cown, |value| *value);
        let outcome = outcome.wait(SOON).expect_err("it waits");
        *held = 2;
        drop(held);
        assert_eq!(result(outcome), 2);
    });
}

/// bocpy (d): a stop that timed out while a worker had a cown raised half way, and left the rest undone.
#[test]
fn bocpy_d_a_stop_that_times_out_is_finished_by_the_next() {
    let _watchdog = watchdog();
    for workers in WORKERS {
        let (runtime, census) = (runtime(workers), Census::default());
        let (cown, gate) = (Cown::new(census.one()), Gate::default());
        let running = runtime.when(&cown, {
            let gate = gate.clone();
            move |_| gate.pass()
        });
        gate.wait_until_reached();
        let queued = [(); 3].map(|()| runtime.when(&cown, |_| ()));
        for timeout in [ZERO, SOON] {
            let stopped = runtime.stop(timeout);
            // A worker that sleeps may need a moment to end.
            assert!((1..=workers).contains(&stopped.still_running));
            assert_eq!(stopped.dropped, 0);
        }
        assert!(!running.is_done() && cown.is_held());
        gate.open();
        let stopped = runtime.stop(None);
        assert_eq!((stopped.still_running, stopped.dropped), (0, 3));
        assert_eq!(runtime.stop(None), stopped, "and once more");
        result(running);
        // (e): such results read "permanently unavailable".
        for outcome in queued {
            let error = finished(outcome).unwrap_err();
            assert!(matches!(error, Failed::Stopped));
            assert_eq!(error.to_string(), "the runtime was stopped");
        }
        drop(cown);
        assert_eq!(census.alive(), 0);
    }
}

/// bocpy (f): after a stop the main interpreter owned every cown named in its frames. And a start after a
/// stop that had failed was refused, for a count left over ("terminator drift").
#[test]
fn bocpy_f_after_a_stop_cowns_are_free_for_the_next_runtime() {
    let _watchdog = watchdog();
    let cown = Cown::new(0);
    let mut stopped = Vec::new();
    for round in 0..10 {
        let (runtime, gate) = (runtime(2), Gate::default());
        let next = move |value: &mut i32| assert_eq!(std::mem::replace(value, round + 1), round);
        result(runtime.when(&cown, next));
        let stuck = runtime.when((), {
            let gate = gate.clone();
            move |()| gate.pass()
        });
        gate.wait_until_reached();
        assert_ne!(runtime.stop(ZERO).still_running, 0);
        assert!(!cown.is_held());
        stopped.push((runtime, stuck, gate));
    }
    assert_eq!(*cown.acquire(), 10);
    for (runtime, stuck, gate) in stopped {
        gate.open();
        result(stuck);
        assert_eq!(runtime.stop(None).still_running, 0);
    }
}

/// bocpy (g): what a body asked for last stayed in its worker's own slot until it ended, though another
/// worker slept. (tokio #4941 is the same.)
#[test]
fn bocpy_g_what_is_ready_is_not_hidden_behind_a_running_body() {
    let _watchdog = watchdog();
    let runtime = runtime(2);
    for round in 0..50 {
        if round % 2 == 0 {
            // The other one sleeps, or searches.
            let parked = |n| runtime.stats().sum(|worker| worker.parked) >= n;
            wait_until(|| parked(2));
        }
        let waits = runtime.when((), |()| {
            let nested = Gate::default();
            for last in [false, true] {
                let nested = nested.clone();
                when((), move |()| {
                    if last {
                        nested.open()
                    }
                });
            }
            // It is opened by the other worker, while this one is busy.
            nested.pass();
        });
        result(waits);
    }
}

/// What a release makes ready is not hidden either: the second waits for the first, on another worker.
#[test]
fn what_a_release_makes_ready_is_not_hidden_behind_the_first_of_it() {
    let _watchdog = watchdog();
    let runtime = runtime(2);
    for _ in 0..200 {
        let (a, b, met) = (Cown::new(()), Cown::new(()), Arc::new(AtomicUsize::new(0)));
        let held = (a.acquire(), b.acquire());
        runtime.fire((&a, &b), |_| ());
        let meet = || {
            let met = met.clone();
            move |_: &mut ()| {
                met.fetch_add(1, SeqCst);
                wait_until(|| met.load(SeqCst) == 2);
            }
        };
        let outcomes = [runtime.when(&a, meet()), runtime.when(&b, meet())];
        drop(held);
        outcomes.into_iter().for_each(result);
    }
}

/// bocpy #7, #15: a cown in a cown, in a message and in a result; each outlives the runtime and the thread
/// that have made it.
#[test]
fn bocpy_7_and_15_cowns_travel_in_cowns_messages_and_results() {
    let _watchdog = watchdog();
    let census = Census::default();
    let queues: Queues<Cown<Counted>> = Queues::new(Limits::default());
    let outer: Cown<Vec<Cown<Counted>>> = Cown::new(Vec::new());
    let returned = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let runtime = runtime(2);
            let (to_outer, inner) = (outer.clone(), Cown::new(census.one()));
            runtime.fire((&to_outer, &inner), {
                let inner = inner.clone();
                move |(outer, _)| outer.push(inner)
            });
            queues.send("cowns", Cown::new(census.one())).unwrap();
            let value = census.one();
            let outcome = runtime.when((), move |()| Cown::new(value));
            assert_eq!(runtime.quiesce(None), Ok(()));
            outcome
        });
        writer.join().unwrap()
    });
    assert_eq!(census.alive(), 3);
    let inner = outer.acquire().pop().unwrap();
    let sent = queues.receive("cowns", None).unwrap().message;
    let returned = result(returned);
    let all = [inner, sent, returned];
    assert_eq!(result(when(&all[..], |group| group.len())), 3);
    assert!(all.iter().all(|cown| !cown.is_held()));
    drop(all);
    assert_eq!(Runtime::global().quiesce(None), Ok(()));
    assert_eq!(census.alive(), 0);
}

/// bocpy #15: a failed acquire left a poisoned state.
#[test]
fn bocpy_15_an_acquire_that_fails_leaves_nothing() {
    let _watchdog = watchdog();
    with_workers(|runtime| {
        let cowns: Vec<_> = (0..3).map(|_| Cown::new(0)).collect();
        let held = cowns[2].acquire();
        for round in 0..200 {
            let timeout = Some(Duration::from_micros(round));
            assert!(acquire_all_timed(&cowns, timeout).is_err());
            assert!(cowns[2].acquire_timed(timeout).is_none());
            runtime.fire(&cowns[0], |value| *value += 1);
            runtime.fire((&cowns[1], read(&cowns[0])), |(value, _)| *value += 1);
        }
        drop(held);
        let mut held = acquire_all(&cowns);
        assert_eq!((held.access()[0], held.access()[1]), (200, 200));
    });
}

/// bocpy 0.7, 0.9: references that leaked with each behaviour, one by pump and those in orphans. Whatever
/// becomes of a behaviour, its closure, its cowns and its result go.
#[test]
fn bocpy_nothing_leaks_whatever_becomes_of_a_behaviour() {
    hush_panics("of a leak test");
    let _watchdog = watchdog();
    for workers in WORKERS {
        let (runtime, census, lane) = (runtime(workers), Census::default(), Lane::new());
        let shared = Cown::new(census.one());
        let on_lane = Cown::on(&lane, census.one());
        for _ in 0..50 {
            let own = || Cown::new((census.one(), Cown::new(census.one())));
            let value = census.one();
            drop(runtime.when((own(), &shared), move |_| value));
            let value = census.one();
            drop(runtime.when((own(), read(&shared)), move |_| -> () {
                let _value = value;
                panic!("of a leak test")
            }));
            let value = census.one();
            runtime.fire((&shared, own()), move |_| drop(value));
            let value = census.one();
            let (promise, held) = Cown::held(census.one());
            let cancelled = runtime.when((promise, own()), move |_| value);
            cancelled.cancel();
            drop(held);
            let (value, disowned) = (census.one(), own());
            disowned.acquire().disown();
            drop(runtime.when((&disowned, own()), move |_| value));
            let value = census.one();
            drop(runtime.when((&on_lane, own()), move |_| value));
            let value = census.one();
            let mut batch = Batch::on(&runtime);
            let first = batch.when(own(), move |_| value);
            drop(batch.when(&first, |_| ()));
            batch.schedule();
            let value = census.one();
            let mut dropped = Batch::on(&runtime);
            drop(dropped.when((own(), &shared), move |_| value));
            drop(dropped);
            let (value, twice) = (census.one(), own());
            drop(runtime.when_any(&[Use::write(&twice), Use::write(&twice)], move |_| value));
            lane.pump(Default::default());
        }
        // Some are left for the stop, and some for the drop of the lane and of the promise.
        let (promise, held) = Cown::held(census.one());
        let outcomes = [(); 20].map(|()| {
            let value = census.one();
            drop(runtime.when((&on_lane, Cown::new(census.one())), |_| ()));
            runtime.when((&promise, Cown::new(census.one()), &shared), move |_| value)
        });
        runtime.stop(None);
        let value = census.one();
        drop(runtime.when(&shared, move |_| value));
        drop((outcomes, lane, runtime, held, shared, promise, on_lane));
        assert_eq!(census.alive(), 0, "{workers} workers");
    }
}

/// bocpy 0.10: a result could be taken only when the whole runtime was idle.
#[test]
fn bocpy_a_result_is_taken_while_the_runtime_is_busy() {
    let _watchdog = watchdog();
    let (runtime, gate) = (runtime(2), Gate::default());
    let busy = runtime.when((), {
        let gate = gate.clone();
        move |()| gate.pass()
    });
    gate.wait_until_reached();
    for number in 0..100 {
        assert_eq!(result(runtime.when((), move |()| number)), number);
    }
    assert!(!busy.is_done());
    gate.open();
    result(busy);
}

/// bocpy: more workers registered than there were after a second start.
#[test]
fn bocpy_workers_are_as_many_as_asked_for() {
    let _watchdog = watchdog();
    for workers in [1, 3, 8] {
        let runtime = runtime(workers);
        assert_eq!((runtime.workers(), runtime.stats().workers.len()), (workers, workers));
        result(runtime.when((), |()| ()));
        runtime.stop(None);
        assert_eq!(runtime.stats().workers.len(), workers);
        let indices = runtime.stats().workers.into_iter().map(|worker| worker.index);
        assert!(indices.eq(0..workers));
    }
}

/// bocpy: a dispatch that failed after a stop stranded the requests that were linked behind it.
#[test]
fn bocpy_what_is_asked_for_during_a_stop_strands_no_other() {
    let _watchdog = watchdog();
    let rounds = if cfg!(debug_assertions) { 40 } else { 150 };
    for round in 0..rounds {
        let (stopped, other) = (runtime(1 + round % 3), runtime(1));
        let cowns = [(); 3].map(|()| Cown::new(0));
        let is_over = AtomicBool::new(false);
        let outcomes = Mutex::new(Vec::new());
        together(3, |id| {
            if id == 0 {
                stopped.stop(None);
                is_over.store(true, SeqCst);
                return;
            }
            let mut random = Seeded::new(round * 3 + id);
            let mut mine = Vec::new();
            let mut after = 0;
            while after < 20 {
                after += usize::from(is_over.load(SeqCst));
                let [a, b] = random.different(3);
                let on = if mine.len() % 4 == 3 { &other } else { &stopped };
                mine.push(on.when((&cowns[a], &cowns[b]), |(a, b)| {
                    *a += 1;
                    *b += 1;
                }));
            }
            outcomes.lock().append(&mut mine);
        });
        let mut ran = 0;
        for outcome in outcomes.into_inner() {
            match finished(outcome) {
                Ok(()) => ran += 1,
                Err(error) => assert!(matches!(error, Failed::Stopped)),
            }
        }
        assert_eq!(cowns.each_ref().map(|cown| *cown.acquire()).iter().sum::<i32>(), 2 * ran);
        assert_eq!(other.quiesce(None), Ok(()));
    }
}
