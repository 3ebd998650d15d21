//! Timeouts: never early, never lost, and none too long or too short.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use common::{park_announced, park_until_announced, unpark_one};
use pysync_parking_lot::{Deadline, Native, ParkStatus, park, park_in, unpark_all};
use pysync_testing::{wait_until, watchdog};

use pysync_platform::monotonic_now;
const TIMEOUTS: [Duration; 7] = [
    Duration::ZERO,
    Duration::from_nanos(1),
    Duration::from_nanos(999),
    Duration::from_micros(50),
    Duration::from_millis(1),
    Duration::from_micros(3_333),
    Duration::from_millis(15),
];

#[test]
fn a_timeout_is_never_early_and_not_much_too_late() {
    let _watchdog = watchdog();
    let word = AtomicU8::new(0);
    let mut quickest = Duration::MAX;
    for timeout in TIMEOUTS.repeat(5) {
        let (start, start_nanos) = (Instant::now(), monotonic_now());
        assert_eq!(park(&word, 0, Some(timeout), null_mut(), false), ParkStatus::Timeout);
        let (took, nanos) = (start.elapsed(), monotonic_now() - start_nanos);
        assert!(took >= timeout, "{took:?} instead of {timeout:?}");
        assert!(u128::from(nanos) >= timeout.as_nanos(), "{nanos} ns instead of {timeout:?}");
        assert!(took < timeout + Duration::from_secs(10), "{took:?} instead of {timeout:?}");
        quickest = quickest.min(took - timeout);
    }
    // However busy the machine is, one of many is in time.
    assert!(quickest < Duration::from_millis(50), "all were late by {quickest:?} or more");
}

#[test]
fn a_deadline_is_never_early_and_may_be_in_the_past() {
    let _watchdog = watchdog();
    let word = AtomicU32::new(9);
    let park_until = |deadline| park_in::<Native, _>(&word, 9, deadline, null_mut(), false);
    let now = monotonic_now();
    let soon = Deadline::at(now, Some(Duration::from_millis(5)));
    assert_eq!(park_until(soon), ParkStatus::Timeout);
    assert!(monotonic_now() >= soon.as_nanos() && soon.has_passed());

    for past in
        [soon, Deadline::at(now, Some(Duration::ZERO)), Deadline::at(0, Some(Duration::ZERO))]
    {
        assert_eq!(park_until(past), ParkStatus::Timeout);
    }
}

#[test]
fn zero_still_parks() {
    let _watchdog = watchdog();
    let word = AtomicU8::new(0);
    let queued = AtomicUsize::new(0);
    for n in 1..=3 {
        let status = park_announced(&word, 0, Some(Duration::ZERO), null_mut(), &queued);
        assert_eq!(status, ParkStatus::Timeout);
        assert_eq!(queued.load(SeqCst), n, "it was on the queue");
        assert!(unpark_one(&word).is_none(), "and is no longer");
    }
    let again = park_announced(&word, 1, Some(Duration::ZERO), null_mut(), &queued);
    assert_eq!(again, ParkStatus::Again);
    assert_eq!(queued.load(SeqCst), 3);
}

#[test]
fn failing_at_once_is_quick() {
    let _watchdog = watchdog();
    let word = AtomicU8::new(0);
    // The best of some batches: 1,000 that slept would take 50 ms and more each time.
    let quickest = (0..20)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..1_000 {
                let status = park(&word, 0, Some(Duration::ZERO), null_mut(), false);
                assert_eq!(status, ParkStatus::Timeout);
            }
            start.elapsed()
        })
        .min();
    assert!(quickest < Some(Duration::from_millis(40)), "{quickest:?}");
}

#[test]
fn the_longest_timeouts_do_not_overflow() {
    let _watchdog = watchdog();
    let almost_never = Deadline::at(0, Some(Duration::from_nanos(u64::MAX - 1)));
    let deadlines = [
        Deadline::after(Some(Duration::MAX)),
        Deadline::after(Some(Duration::from_secs(u64::MAX))),
        // As many nanoseconds as a u64 takes for none.
        Deadline::after(Some(Duration::new(18_446_744_073, 709_551_616))),
        Deadline::after(Some(Duration::from_secs(i64::MAX as u64))),
        Deadline::after(Some(Duration::from_nanos(i64::MAX as u64))),
        Deadline::after(Some(Duration::from_secs(i32::MAX as u64 + 1))),
        almost_never,
        Deadline::NEVER,
    ];
    assert!(!almost_never.is_never());
    let word = AtomicU8::new(0);
    let queued = AtomicUsize::new(0);
    for deadline in deadlines {
        thread::scope(|s| {
            let waiter = s.spawn(|| park_until_announced(&word, 0, deadline, null_mut(), &queued));
            wait_until(|| queued.load(SeqCst) == 1);
            for _ in 0..100 {
                thread::yield_now();
            }
            assert!(unpark_one(&word).is_some(), "{deadline:?} has run out");
            assert_eq!(waiter.join().unwrap(), ParkStatus::Ok);
        });
        queued.store(0, SeqCst);
    }
}

#[test]
fn a_timed_wait_is_ended_by_an_unpark() {
    let _watchdog = watchdog();
    let word = AtomicU8::new(0);
    let queued = AtomicUsize::new(0);
    let hour = Some(Duration::from_secs(3600));
    thread::scope(|s| {
        let waiter = s.spawn(|| park_announced(&word, 0, hour, null_mut(), &queued));
        wait_until(|| queued.load(SeqCst) == 1);
        assert!(unpark_one(&word).is_some());
        assert_eq!(waiter.join().unwrap(), ParkStatus::Ok);
    });
}

#[test]
fn spurious_wakes_do_not_end_a_wait_early() {
    // Wakes of other threads that sleep at the same address in turn, a thread's stack being
    // where the last one's was.
    let _watchdog = watchdog();
    let word = AtomicU8::new(0);
    let stop = AtomicBool::new(false);
    thread::scope(|s| {
        s.spawn(|| {
            while !stop.load(SeqCst) {
                unpark_all(&word);
                thread::yield_now();
            }
        });
        for _ in 0..200 {
            let timeout = Duration::from_micros(200);
            let start = Instant::now();
            if park(&word, 0, Some(timeout), null_mut(), false) == ParkStatus::Timeout {
                assert!(start.elapsed() >= timeout);
            }
        }
        stop.store(true, SeqCst);
    });
}
