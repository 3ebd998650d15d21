//! The condition variable for guards: every method, with the guard's own mutex.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;
use std::time::{Duration, Instant};

use common::*;
use pysync_cond::guarded::Condvar;
use pysync_cond::{Cancel, Deadline, LockFlags, WaitStatus};
use pysync_lock::guarded::{Mutex, MutexGuard, MutexIn};
use pysync_testing::{wait_until, watchdog};

const DETACH: LockFlags = LockFlags::DETACH;
const SOON: Duration = Duration::from_millis(2);
const HOUR: Duration = Duration::from_secs(3600);

type Wait<'a> = &'a (dyn Fn(&mut MutexGuard<'_, u32>) + Sync);

/// A thread waits by `wait` for the number to become 1, and notified of that it goes on.
fn is_notified(condvar: &Condvar, wait: Wait<'_>) {
    let _watchdog = watchdog();
    for inside in [true, false] {
        let number = Mutex::new(0);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut guard = number.lock();
                wait(&mut guard);
                assert_eq!(*guard, 1);
                *guard = 2;
            });
            wait_for_waiters(condvar, 1);
            let mut guard = number.lock();
            *guard = 1;
            if inside {
                assert!(condvar.notify_one());
                drop(guard);
            } else {
                drop(guard);
                assert_eq!(condvar.notify_all(), 1);
            }
        });
        assert_eq!(number.into_inner(), 2);
        assert!(!condvar.notify_one());
        assert_eq!(condvar.notify_all(), 0);
    }
}

#[test]
fn every_wait_can_be_notified() {
    let condvar = Condvar::new();
    let later = Instant::now() + HOUR;
    let deadline = Deadline::after(Some(HOUR));
    let waits: [Wait<'_>; 12] = [
        &|guard| condvar.wait(guard),
        &|guard| assert!(!condvar.wait_until(guard, later).timed_out()),
        &|guard| assert!(!condvar.wait_for(guard, HOUR).timed_out()),
        &|guard| assert!(!condvar.wait_for(guard, Duration::MAX).timed_out()),
        &|guard| condvar.wait_while(guard, |number| *number == 0),
        &|guard| {
            let result = condvar.wait_while_until(guard, |number| *number == 0, later);
            assert!(!result.timed_out());
        },
        &|guard| {
            let result = condvar.wait_while_for(guard, |number| *number == 0, HOUR);
            assert!(!result.timed_out());
        },
        &|guard| {
            let result = condvar.wait_while_for(guard, |number| *number == 0, Duration::MAX);
            assert!(!result.timed_out());
        },
        &|guard| {
            assert_eq!(condvar.wait_flags(guard, deadline, DETACH), WaitStatus::Notified);
        },
        &|guard| {
            let status = condvar.wait_flags(guard, Deadline::NEVER, LockFlags::empty());
            assert_eq!(status, WaitStatus::Notified);
        },
        &|guard| {
            let status =
                condvar.wait_while_flags(guard, |number| *number == 0, deadline, DETACH, None);
            assert_eq!(status, WaitStatus::Notified);
        },
        &|guard| {
            let (condition, cancel) = (|number: &mut u32| *number == 0, Cancel::new());
            let status =
                condvar.wait_while_flags(guard, condition, deadline, DETACH, Some(&cancel));
            assert_eq!(status, WaitStatus::Notified);
        },
    ];
    for wait in waits {
        is_notified(&condvar, wait);
    }
    // What lies below is the same.
    assert!(std::ptr::addr_eq(condvar.get(), &condvar));
}

#[test]
fn timed_waits_end_by_their_timeout_and_not_before() {
    let (condvar, number) = (Condvar::default(), Mutex::new(0));
    let mut guard = number.lock();
    let start = Instant::now();
    assert!(condvar.wait_for(&mut guard, SOON).timed_out());
    assert!(start.elapsed() >= SOON);
    let deadline = Instant::now() + SOON;
    assert!(condvar.wait_until(&mut guard, deadline).timed_out());
    assert!(Instant::now() >= deadline);
    // It passes no second time.
    assert!(condvar.wait_until(&mut guard, deadline).timed_out());
    assert!(condvar.wait_for(&mut guard, Duration::ZERO).timed_out());
    let status = condvar.wait_flags(&mut guard, Deadline::NOW, DETACH);
    assert_eq!(status, WaitStatus::TimedOut);

    let deadline = Instant::now() + SOON;
    assert!(condvar.wait_while_until(&mut guard, |number| *number == 0, deadline).timed_out());
    assert!(Instant::now() >= deadline);
    let start = Instant::now();
    assert!(condvar.wait_while_for(&mut guard, |number| *number == 0, SOON).timed_out());
    assert!(start.elapsed() >= SOON);
    // The guard is one, and the mutex is its own.
    *guard += 1;
    assert!(number.try_lock().is_none());
    drop(guard);
    assert_eq!(number.into_inner(), 1);
}

#[test]
fn a_condition_is_looked_at_first_and_once_more_when_the_time_is_up() {
    let (condvar, number) = (Condvar::new(), Mutex::new(0));
    let mut guard = number.lock();
    let past = Instant::now();
    // How often it holds, whether the wait times out, and how often it is looked at.
    for (holds, timed_out, calls) in [(0, false, 1), (1, false, 2), (u32::MAX, true, 2)] {
        let count = |calls: &mut u32| {
            *calls += 1;
            *calls <= holds
        };
        *guard = 0;
        let result = condvar.wait_while_until(&mut guard, count, past);
        assert_eq!((result.timed_out(), *guard), (timed_out, calls));
        *guard = 0;
        let result = condvar.wait_while_for(&mut guard, count, Duration::ZERO);
        assert_eq!((result.timed_out(), *guard), (timed_out, calls));
    }
    *guard = 0;
    condvar.wait_while(&mut guard, |number| {
        *number += 1;
        false
    });
    assert_eq!(*guard, 1);
}

#[test]
fn a_wait_can_be_cancelled() {
    let _watchdog = watchdog();
    let (condvar, number, cancel) = (Condvar::new(), Mutex::new(0), Cancel::new());
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let mut guard = number.lock();
            let (condition, never) = (|number: &mut i32| *number == 0, Deadline::NEVER);
            condvar.wait_while_flags(&mut guard, condition, never, DETACH, Some(&cancel))
        });
        wait_for_waiters(&condvar, 1);
        assert_eq!(condvar.cancel(&cancel), 1);
        assert_eq!(waiter.join().unwrap(), WaitStatus::Cancelled);
    });
}

#[test]
fn a_panic_in_the_condition_unwinds_through_the_guard() {
    let _watchdog = watchdog();
    let (condvar, number) = (Condvar::new(), Mutex::new(0));
    for good_calls in [0, 1] {
        let wait = || {
            let mut calls = 0;
            let mut guard = number.lock();
            let condition = |number: &mut i32| {
                *number += 1;
                calls += 1;
                if calls > good_calls {
                    resume_unwind(Box::new("in the condition"));
                }
                true
            };
            condvar.wait_while_for(&mut guard, condition, SOON)
        };
        catch_unwind(AssertUnwindSafe(wait)).unwrap_err();
        // Not poisoned, and free.
        assert!(number.try_lock().is_some());
    }
    assert_eq!(number.into_inner(), 3);
    assert_eq!(waiters(&condvar), 0);
}

#[test]
fn guards_of_different_mutexes_wait_at_the_same_time() {
    let _watchdog = watchdog();
    let (condvar, numbers) = (Condvar::new(), [Mutex::new(0), Mutex::new(0)]);
    for held in &numbers {
        thread::scope(|scope| {
            for (index, number) in numbers.iter().enumerate() {
                scope.spawn(|| {
                    let mut guard = number.lock();
                    condvar.wait(&mut guard);
                    *guard += 1;
                });
                wait_for_waiters(&condvar, index + 1);
            }
            let guard = held.lock();
            let before = *guard;
            assert_eq!(condvar.notify_all(), 2);
            let other = &numbers[usize::from(std::ptr::eq(held, &numbers[0]))];
            wait_until(|| *other.lock() == before + 1);
            assert_eq!(*guard, before);
        });
    }
    assert_eq!(numbers.map(Mutex::into_inner), [2, 2]);
}

#[test]
fn a_guard_of_another_runtime_waits_in_that() {
    let _watchdog = watchdog();
    let (condvar, ready) = (Condvar::new(), MutexIn::<Counting, bool>::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut guard = ready.lock();
            take_counts();
            condvar.wait_while(&mut guard, |ready| !*ready);
            let counts = take_counts();
            assert!(counts.detached >= 1, "{counts:?}");
            assert!(condvar.wait_for(&mut guard, SOON).timed_out());
            assert_eq!(take_counts().detached, 1);
            let status = condvar.wait_flags(&mut guard, Deadline::NOW, LockFlags::empty());
            assert_eq!((status, take_counts().detached), (WaitStatus::TimedOut, 0));
        });
        wait_for_waiters(&condvar, 1);
        *ready.lock() = true;
        assert!(condvar.notify_one());
        take_counts();
    });
}

/// What the mutex guards may be unsized, and lent in part while nobody waits.
#[test]
fn a_guard_of_a_slice_waits_too() {
    let (condvar, numbers) = (Condvar::new(), Mutex::new([1, 2, 3]));
    let numbers: &Mutex<[i32]> = &numbers;
    let mut guard = numbers.lock();
    let result = condvar.wait_while_for(&mut guard, |numbers| numbers.len() == 3, SOON);
    assert!(result.timed_out());
    guard[0] += 1;
    assert_eq!(*guard, [2, 2, 3]);
}

#[test]
fn it_prints_as_that_of_parking_lot() {
    assert_eq!(format!("{:?}", Condvar::new()), "Condvar { .. }");
    let (condvar, number) = (Condvar::new(), Mutex::new(0));
    let result = condvar.wait_for(&mut number.lock(), Duration::ZERO);
    assert_eq!(format!("{result:?}"), "WaitTimeoutResult(true)");
    assert_eq!(result, result.clone());
}
