//! Lanes: behaviours that run on the thread that pumps them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use pysync_boc::{Bounds, Cown, Failed, Lane, Outcome, Pumped, Runtime};
use pysync_platform::Deadline;
use pysync_testing::{Sleeper, together, wait_until, watchdog};

fn runtime() -> Runtime {
    Runtime::builder().workers(2).build().unwrap()
}

fn wait<R: Send + 'static>(outcome: Outcome<R>) -> Result<R, Failed> {
    outcome.wait(None).unwrap()
}

fn at_most(max: usize) -> Bounds {
    Bounds { max: Some(max), ..Bounds::default() }
}

fn message(f: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).unwrap_err();
    payload.downcast_ref::<&str>().map_or_else(|| "another".into(), |text| text.to_string())
}

#[test]
fn a_pump_runs_what_is_ready_here_and_in_order() {
    let _watchdog = watchdog();
    let (runtime, lane) = (runtime(), Lane::new());
    let cown = Cown::on(&lane, Vec::new());
    let here = thread::current().id();
    assert_eq!(lane.pump(Bounds::default()), Pumped::default());
    for i in 0..10 {
        runtime.fire(&cown, move |order| {
            assert_eq!(thread::current().id(), here);
            order.push(i);
        });
    }
    assert_eq!(lane.len(), 1, "the others wait for the cown");
    let pumped = lane.pump(at_most(3));
    assert_eq!((pumped.executed, pumped.panicked, pumped.deadline_reached), (3, 0, false));
    assert_eq!(lane.pump(at_most(0)).executed, 0);
    assert_eq!(lane.pump(Bounds::default()).executed, 7);
    assert!(lane.is_empty());
    assert!(cown.acquire().iter().copied().eq(0..10));
    runtime.quiesce(None).unwrap();
}

/// A behaviour with a cown of a lane and another one runs on the lane, and the others do not.
#[test]
fn lanes_and_workers_take_turns() {
    let _watchdog = watchdog();
    let (runtime, lane) = (runtime(), Lane::new());
    let (on_lane, free) = (Cown::on(&lane, 0), Cown::new(0));
    let here = thread::current().id();
    let outcomes: Vec<_> = (0..200)
        .map(|i| match i % 2 {
            0 => runtime.when((&on_lane, &free), move |(a, b)| {
                assert_eq!(thread::current().id(), here);
                (*a, *b) = (*a + 1, *b + 1);
            }),
            _ => runtime.when(&free, move |b| {
                assert_ne!(thread::current().id(), here);
                *b += 1;
            }),
        })
        .collect();
    while !outcomes.iter().all(Outcome::is_done) {
        assert!(lane.wait(Some(Duration::from_millis(1))) || lane.is_empty());
        lane.pump(Bounds::default());
    }
    outcomes.into_iter().for_each(|outcome| wait(outcome).unwrap());
    assert_eq!((*on_lane.acquire(), *free.acquire()), (100, 200));
}

#[test]
fn a_pump_ends_at_its_deadline() {
    let _watchdog = watchdog();
    let (runtime, lane) = (runtime(), Lane::new());
    let cown = Cown::on(&lane, ());
    (0..3).for_each(|_| _ = runtime.fire(&cown, |_| ()));
    let bounds = |deadline| Bounds { deadline: Some(deadline), ..Bounds::default() };
    let pumped = lane.pump(bounds(Deadline::NOW));
    assert_eq!((pumped.executed, pumped.deadline_reached), (0, true));
    let pumped = lane.pump(bounds(Deadline::NEVER));
    assert_eq!((pumped.executed, pumped.deadline_reached), (3, false));
}

#[test]
fn a_panic_does_not_leave_the_pump() {
    let _watchdog = watchdog();
    let (runtime, lane) = (runtime(), Lane::new());
    let cown = Cown::on(&lane, ());
    let outcomes: Vec<_> =
        (0..4).map(|i| runtime.when(&cown, move |_| assert!(i % 2 == 0, "odd"))).collect();
    let pumped = lane.pump(Bounds::default());
    assert_eq!((pumped.executed, pumped.panicked), (4, 2));
    let are_ok: Vec<_> = outcomes.into_iter().map(|outcome| wait(outcome).is_ok()).collect();
    assert_eq!(are_ok, [true, false, true, false]);
    assert_eq!(runtime.stats().outside.panicked, 2);
    assert_eq!(lane.pump(Bounds::default()), Pumped::default());
}

#[test]
fn a_body_on_a_lane_is_inside_of_its_runtime() {
    let _watchdog = watchdog();
    let (runtime, lane) = (runtime(), Arc::new(Lane::new()));
    let cown = Cown::on(&lane, ());
    let nested = runtime.when(&cown, {
        let (own, lane, cown) = (runtime.clone(), Arc::clone(&lane), cown.clone());
        move |_| {
            assert_eq!(Runtime::current().as_ref(), Some(&own));
            assert_eq!(
                message(|| _ = lane.pump(Bounds::default())),
                "a lane was pumped inside a behaviour"
            );
            assert!(message(|| _ = own.quiesce(None)).starts_with("quiesce was called inside"));
            // Behind what is queued.
            pysync_boc::when(&cown, |_| Runtime::current())
        }
    });
    assert_eq!(lane.pump(Bounds::default()).executed, 2);
    assert_eq!(wait(wait(nested).unwrap()).unwrap(), Some(runtime));
    assert_eq!(Runtime::current(), None);
}

#[test]
fn one_thread_pumps_at_a_time() {
    let _watchdog = watchdog();
    let (runtime, lane) = (runtime(), Lane::new());
    let cown = Cown::on(&lane, ());
    let (begun, over) = (AtomicBool::new(false), Arc::new(AtomicBool::new(false)));
    let begun = Arc::new(begun);
    runtime.fire(&cown, {
        let (begun, over) = (Arc::clone(&begun), Arc::clone(&over));
        move |_| {
            begun.store(true, SeqCst);
            wait_until(|| over.load(SeqCst));
        }
    });
    together(2, |thread| {
        if thread == 0 {
            assert_eq!(lane.pump(Bounds::default()).executed, 1);
        } else {
            wait_until(|| begun.load(SeqCst));
            assert_eq!(
                message(|| _ = lane.pump(Bounds::default())),
                "another thread is pumping this lane"
            );
            over.store(true, SeqCst);
        }
    });
    assert_eq!(lane.pump(Bounds::default()).executed, 0);
}

#[test]
fn a_thread_sleeps_until_its_lane_is_ready() {
    let _watchdog = watchdog();
    let (runtime, lane) = (runtime(), Lane::new());
    let cown = Cown::on(&lane, 0);
    assert!(!lane.wait(Some(Duration::ZERO)));
    assert!(!lane.wait(Some(Duration::from_millis(2))));
    for _ in 0..50 {
        let sleeper = Sleeper::new();
        together(2, |thread| {
            if thread == 0 {
                sleeper.enter();
                assert!(lane.wait(None));
                assert_eq!(lane.pump(Bounds::default()).executed, 1);
            } else {
                sleeper.wait_until_asleep();
                runtime.fire(&cown, |n| *n += 1);
            }
        });
    }
    assert_eq!(*cown.acquire(), 50);
}

#[test]
fn a_hook_tells_that_a_lane_is_no_longer_empty() {
    let _watchdog = watchdog();
    let (runtime, lane) = (runtime(), Lane::new());
    let cowns = [Cown::on(&lane, ()), Cown::on(&lane, ())];
    let calls = Arc::new(AtomicUsize::new(0));
    lane.on_ready({
        let calls = Arc::clone(&calls);
        move || _ = calls.fetch_add(1, SeqCst)
    });
    for round in 1..4 {
        cowns.iter().for_each(|cown| _ = runtime.fire(cown, |_| ()));
        assert_eq!(calls.load(SeqCst), round);
        assert_eq!(lane.pump(Bounds::default()).executed, 2);
    }
    assert_eq!(
        message(|| lane.on_ready(|| ())),
        "what a lane calls when it is ready can be set only once"
    );
}

#[test]
fn what_is_on_a_lane_that_is_dropped_is_given_up() {
    let _watchdog = watchdog();
    let (runtime, lane) = (runtime(), Lane::new());
    let (on_lane, free) = (Cown::on(&lane, ()), Cown::new(()));
    let order = Arc::new(Mutex::new(Vec::new()));
    let outcomes: Vec<_> = (0..5)
        .map(|i| {
            let order = Arc::clone(&order);
            runtime.when((&on_lane, &free), move |_| order.lock().unwrap().push(i))
        })
        .collect();
    let behind = runtime.when(&free, |_| ());
    drop(lane);
    assert!(outcomes.into_iter().all(|outcome| matches!(wait(outcome), Err(Failed::Stopped))));
    wait(behind).unwrap();
    let late = runtime.when((&on_lane, &free), |_| ());
    assert!(matches!(wait(late), Err(Failed::Stopped)));
    runtime.quiesce(None).unwrap();
    assert!(order.lock().unwrap().is_empty());
}

#[test]
fn a_pump_gives_up_what_is_of_a_stopped_runtime() {
    let _watchdog = watchdog();
    let lane = Lane::new();
    let cown = Cown::on(&lane, 0);
    let (stopped, other) = (runtime(), runtime());
    let outcomes = [stopped.when(&cown, |n| *n += 1), stopped.when(&cown, |n| *n += 1)];
    let last = other.when(&cown, |n| *n += 1);
    drop(stopped);
    assert_eq!(lane.pump(Bounds::default()).executed, 1);
    assert!(outcomes.into_iter().all(|outcome| matches!(wait(outcome), Err(Failed::Stopped))));
    wait(last).unwrap();
    assert_eq!(*cown.acquire(), 1);
}

/// The cowns keep what they need of a lane.
#[test]
fn cowns_outlive_their_lane() {
    let _watchdog = watchdog();
    let runtime = runtime();
    let cown = Cown::on(&Lane::new(), Arc::new(()));
    let value = Arc::clone(&*cown.acquire());
    assert!(matches!(wait(runtime.when(&cown, |_| ())), Err(Failed::Stopped)));
    drop(cown);
    wait_until(|| Arc::strong_count(&value) == 1);
}

/// Threads that take turns on a lane, pumped by one of them.
#[test]
fn a_lane_loses_no_wake() {
    const EACH: usize = 2_000;
    let _watchdog = watchdog();
    let (runtime, lane) = (runtime(), Lane::new());
    let cowns: Vec<_> = (0..3).map(|_| Cown::on(&lane, 0)).collect();
    together(4, |thread| {
        if thread == 3 {
            let mut executed = 0;
            while executed < 3 * EACH {
                assert!(lane.wait(None));
                executed += lane.pump(at_most(7)).executed;
            }
        } else {
            for _ in 0..EACH {
                runtime.fire(&cowns[thread], |n| *n += 1);
            }
        }
    });
    assert!(cowns.iter().all(|cown| *cown.acquire() == EACH));
}
