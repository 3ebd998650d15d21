//! The one-shot event.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering::*};
use std::thread;
use std::time::{Duration, Instant};

use common::{Sleeper, event_bits, sleeping};
use pysync_lock::{Event, LockFlags, LockStatus};
use pysync_testing::{wait_until, watchdog};

#[test]
fn an_event_is_unset_then_set_for_good() {
    let event = Event::new();
    assert!(!event.is_set());
    assert_eq!(event_bits(&event), 0);
    event.notify();
    assert!(event.is_set());
    assert_eq!(event_bits(&event), 1);
    event.notify();
    assert_eq!(event_bits(&event), 1);
}

#[test]
fn waits_on_a_set_event_return_at_once() {
    let event = Event::new();
    event.notify();
    event.wait();
    assert!(event.wait_timed(None, true));
    assert!(event.wait_timed(Some(Duration::ZERO), false));
    let status = event.wait_flags(Some(Duration::MAX), LockFlags::FAIL_IF_INTERRUPTED);
    assert_eq!(status, LockStatus::Acquired);
}

#[test]
fn a_zero_timeout_only_looks() {
    let event = Event::new();
    assert!(!event.wait_timed(Some(Duration::ZERO), true));
    // No waiter has been announced.
    assert_eq!(event_bits(&event), 0);
}

#[test]
fn timed_waits_never_end_before_their_deadline_and_soon_after_it() {
    let _watchdog = watchdog();
    let event = Event::new();
    for micros in [1, 100, 1_000, 10_000] {
        let timeout = Duration::from_micros(micros);
        let wait = || {
            let start = Instant::now();
            assert!(!event.wait_timed(Some(timeout), true));
            let elapsed = start.elapsed();
            assert!(elapsed >= timeout, "{elapsed:?} is less than {timeout:?}");
            elapsed
        };
        let best = (0..10).map(|_| wait()).min().unwrap();
        assert!(best < timeout + Duration::from_millis(50), "{timeout:?} took {best:?} at best");
    }
    // Whoever waits later is found, whatever the others have left behind.
    assert_eq!(event_bits(&event), 2);
    let sleeper = Sleeper::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            sleeper.enter();
            event.wait();
        });
        sleeper.wait_until_asleep();
        event.notify();
    });
}

#[test]
fn gh_112804_the_longest_timeouts_do_not_overflow() {
    let _watchdog = watchdog();
    let event = Event::new();
    let sleepers: [Sleeper; 2] = Default::default();
    thread::scope(|scope| {
        for (sleeper, timeout) in sleepers.iter().zip([Duration::MAX, Duration::from_secs(1 << 40)])
        {
            let event = &event;
            scope.spawn(move || {
                sleeper.enter();
                assert!(event.wait_timed(Some(timeout), true));
            });
        }
        sleeping(&sleepers);
        event.notify();
    });
}

#[test]
fn every_kind_of_wait_sees_the_event_and_what_came_before_it() {
    const ROUNDS: usize = 200;

    let _watchdog = watchdog();
    for round in 0..ROUNDS {
        let (event, data) = (Event::new(), AtomicUsize::new(0));
        thread::scope(|scope| {
            for i in 0..4 {
                let (event, data) = (&event, &data);
                scope.spawn(move || {
                    match i {
                        0 => event.wait(),
                        1 => assert!(event.wait_timed(Some(Duration::from_secs(3600)), i == 0)),
                        2 => assert!(event.wait_timed(None, false)),
                        _ => wait_until(|| event.is_set()),
                    }
                    assert_eq!(data.load(Relaxed), round);
                });
            }
            // Sometimes before they wait, sometimes after.
            (0..round % 40).for_each(|_| thread::yield_now());
            data.store(round, Relaxed);
            event.notify();
        });
        assert_eq!(event_bits(&event), 1);
    }
}

#[test]
fn of_many_notifies_at_once_one_wakes_all() {
    let _watchdog = watchdog();
    for _ in 0..50 {
        let event = Event::new();
        let sleepers: [Sleeper; 4] = Default::default();
        thread::scope(|scope| {
            for sleeper in &sleepers {
                let event = &event;
                scope.spawn(move || {
                    sleeper.enter();
                    event.wait();
                });
            }
            wait_until(|| event_bits(&event) == 2);
            for _ in 0..4 {
                scope.spawn(|| event.notify());
            }
        });
    }
}

#[test]
fn two_thousand_waiters_at_a_time_all_wake() {
    const WAITERS: usize = 2_000;

    let _watchdog = watchdog();
    let event = Event::new();
    let sleepers: Vec<Sleeper> = (0..WAITERS).map(|_| Sleeper::new()).collect();
    let woken = AtomicUsize::new(0);
    thread::scope(|scope| {
        for sleeper in &sleepers {
            let (event, woken) = (&event, &woken);
            let waiter = move || {
                sleeper.enter();
                event.wait();
                woken.fetch_add(1, Relaxed);
            };
            thread::Builder::new().stack_size(64 << 10).spawn_scoped(scope, waiter).unwrap();
        }
        sleeping(&sleepers);
        assert_eq!(woken.load(Relaxed), 0);
        event.notify();
    });
    assert_eq!(woken.into_inner(), WAITERS);
}
