//! The semaphore that a parked thread sleeps on.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use pysync_platform::{ParkStatus, Parker};
use pysync_testing::{wait_until, watchdog};

const ZERO: Option<Duration> = Some(Duration::ZERO);

#[test]
fn a_wakeup_may_come_before_its_wait() {
    let _watchdog = watchdog();
    let semaphore = Parker::new();
    semaphore.wakeup();
    assert_eq!(semaphore.wait(None, false), ParkStatus::Ok);
    semaphore.wakeup();
    assert_eq!(semaphore.wait(ZERO, false), ParkStatus::Ok);
    assert_eq!(semaphore.wait(ZERO, false), ParkStatus::Timeout);
}

#[test]
fn wakeups_are_counted_and_each_is_taken_once() {
    let _watchdog = watchdog();
    let semaphore = Parker::new();
    // More than the ten of C's Windows semaphore.
    for _ in 0..1_000 {
        semaphore.wakeup();
    }
    for _ in 0..1_000 {
        assert_eq!(semaphore.wait(None, false), ParkStatus::Ok);
    }
    assert_eq!(semaphore.wait(ZERO, false), ParkStatus::Timeout);
}

#[test]
fn a_wakeup_ends_a_wait_whether_it_is_timed_or_not() {
    let _watchdog = watchdog();
    for timeout in [None, Some(Duration::from_secs(3600)), Some(Duration::MAX)] {
        let semaphore = Parker::new();
        let turns = AtomicUsize::new(0);
        thread::scope(|s| {
            s.spawn(|| {
                for turn in 0..500 {
                    assert_eq!(semaphore.wait(timeout, false), ParkStatus::Ok);
                    turns.store(turn + 1, SeqCst);
                }
            });
            for turn in 0..500 {
                semaphore.wakeup();
                wait_until(|| turns.load(SeqCst) == turn + 1);
            }
        });
        assert_eq!(semaphore.wait(ZERO, false), ParkStatus::Timeout);
    }
}

#[test]
fn a_wait_times_out_and_never_early() {
    let _watchdog = watchdog();
    let semaphore = Parker::default();
    for micros in [0, 1, 100, 2_000] {
        let timeout = Duration::from_micros(micros);
        let start = Instant::now();
        assert_eq!(semaphore.wait(Some(timeout), false), ParkStatus::Timeout);
        assert!(start.elapsed() >= timeout);
    }
    semaphore.wakeup();
    assert_eq!(semaphore.wait(None, false), ParkStatus::Ok);
}

#[test]
fn no_wakeup_is_lost_to_a_timeout() {
    const WAKEUPS: usize = 5_000;
    let _watchdog = watchdog();
    let semaphore = Parker::new();
    let given = AtomicUsize::new(0);
    let mut timeouts = 0;
    thread::scope(|s| {
        s.spawn(|| {
            for _ in 0..WAKEUPS {
                semaphore.wakeup();
                given.fetch_add(1, SeqCst);
                for _ in 0..given.load(SeqCst) % 7 {
                    thread::yield_now();
                }
            }
        });
        let mut taken = 0;
        while taken < WAKEUPS {
            match semaphore.wait(Some(Duration::from_nanos(taken as u64 % 3_000)), false) {
                ParkStatus::Ok => taken += 1,
                ParkStatus::Timeout => timeouts += 1,
                other => panic!("{other:?}"),
            }
        }
    });
    assert_eq!(semaphore.wait(ZERO, false), ParkStatus::Timeout);
    println!("{WAKEUPS} wakeups, {timeouts} timeouts between them");
}

#[test]
fn several_threads_may_share_one_though_it_is_made_for_one() {
    let _watchdog = watchdog();
    let semaphore = Parker::new();
    thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                for _ in 0..200 {
                    assert_eq!(semaphore.wait(None, false), ParkStatus::Ok);
                }
            });
        }
        for _ in 0..800 {
            semaphore.wakeup();
        }
    });
    assert_eq!(semaphore.wait(ZERO, false), ParkStatus::Timeout);
}
