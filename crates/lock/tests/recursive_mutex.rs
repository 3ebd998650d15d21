//! The recursive mutex: levels, owners, timeouts.
#![cfg(not(any(loom, shuttle)))]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering::*};
use std::thread;
use std::time::{Duration, Instant};

use common::{Sleeper, recursive_parts};
use pysync_lock::{LockFlags, LockStatus, NotOwner, RecursiveMutex};
use pysync_parking_lot::{Native, Runtime};
use pysync_testing::watchdog;

#[test]
fn it_is_free_after_as_many_unlocks_as_locks() {
    let _watchdog = watchdog();
    let mutex = RecursiveMutex::new();
    for depth in [1, 2, 17] {
        (0..depth).for_each(|_| mutex.lock());
        assert_eq!(recursive_parts(&mutex).2, depth - 1);
        for _ in 0..depth {
            assert!(mutex.is_locked_by_current_thread());
            mutex.unlock();
        }
        assert_eq!(recursive_parts(&mutex), (0, 0, 0));
    }
}

#[test]
fn only_the_owner_sees_itself_as_the_owner() {
    let _watchdog = watchdog();
    let mutex = RecursiveMutex::new();
    mutex.lock();
    thread::scope(|scope| {
        scope.spawn(|| {
            assert!(!mutex.is_locked_by_current_thread());
            assert_eq!(mutex.try_unlock(), Err(NotOwner));
            let status = mutex.lock_timed(Some(Duration::ZERO), LockFlags::DETACH);
            assert_eq!(status, LockStatus::Failure);
        });
    });
    assert!(mutex.is_locked_by_current_thread());
    assert_eq!(mutex.try_unlock(), Ok(()));
    assert_eq!(mutex.try_unlock(), Err(NotOwner));
}

#[test]
fn the_owner_relocks_at_once_whatever_the_timeout() {
    let mutex = RecursiveMutex::new();
    mutex.lock();
    let status = mutex.lock_timed(Some(Duration::ZERO), LockFlags::empty());
    assert_eq!(status, LockStatus::Acquired);
    assert_eq!(mutex.lock_timed(None, LockFlags::FAIL_IF_INTERRUPTED), LockStatus::Acquired);
    assert_eq!(recursive_parts(&mutex).2, 2);
    (0..3).for_each(|_| mutex.unlock());
}

#[test]
fn a_timed_wait_for_another_thread_ends_no_sooner_than_its_deadline() {
    let _watchdog = watchdog();
    let mutex = RecursiveMutex::new();
    mutex.lock();
    thread::scope(|scope| {
        scope.spawn(|| {
            let (start, timeout) = (Instant::now(), Duration::from_millis(5));
            let status = mutex.lock_timed(Some(timeout), LockFlags::DETACH);
            assert_eq!(status, LockStatus::Failure);
            assert!(start.elapsed() >= timeout);
            // A wait that failed has not made it the owner.
            assert!(!mutex.is_locked_by_current_thread());
        });
    });
    assert_eq!(recursive_parts(&mutex).1, Native::thread_ident());
    mutex.unlock();
}

#[test]
fn a_waiter_gets_it_only_when_the_last_level_is_undone() {
    let _watchdog = watchdog();
    let mutex = RecursiveMutex::new();
    let (sleeper, level) = (Sleeper::new(), AtomicUsize::new(3));
    (0..3).for_each(|_| mutex.lock());
    thread::scope(|scope| {
        scope.spawn(|| {
            sleeper.enter();
            mutex.lock();
            assert_eq!(level.load(Relaxed), 0);
            assert_eq!(recursive_parts(&mutex).1, Native::thread_ident());
            mutex.unlock();
        });
        for _ in 0..3 {
            sleeper.wait_until_asleep();
            level.fetch_sub(1, Relaxed);
            mutex.unlock();
        }
    });
    assert_eq!(recursive_parts(&mutex), (0, 0, 0));
}

#[test]
fn nested_sections_exclude_other_threads() {
    let _watchdog = watchdog();
    let mutex = RecursiveMutex::new();
    let total = AtomicUsize::new(0);
    let add_one = || {
        mutex.lock();
        total.store(total.load(Relaxed) + 1, Relaxed);
        mutex.unlock();
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5_000 {
                    mutex.lock();
                    let before = total.load(Relaxed);
                    add_one();
                    add_one();
                    assert_eq!(total.load(Relaxed), before + 2, "somebody got in between");
                    mutex.unlock();
                }
            });
        }
    });
    assert_eq!(total.into_inner(), 40_000);
    assert_eq!(recursive_parts(&mutex), (0, 0, 0));
}

#[test]
fn idents_are_not_zero_and_differ_between_living_threads() {
    let mine = Native::thread_ident();
    assert_eq!(mine, Native::thread_ident());
    thread::scope(|scope| {
        let other = scope.spawn(Native::thread_ident).join().unwrap();
        assert_ne!(other, mine);
        assert_ne!(other, 0);
    });
    assert_ne!(mine, 0);
}
