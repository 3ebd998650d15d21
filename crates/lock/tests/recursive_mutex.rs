//! The recursive mutex: levels, owners, timeouts.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering::*};
use std::thread;
use std::time::{Duration, Instant};

use common::*;
use pysync_lock::{LockFlags, LockStatus, MutexWaiter, NotOwner, RecursiveMutex};
use pysync_parking_lot::{Deadline, Native, PendingCallError, Runtime};
use pysync_testing::{panics_with, together, watchdog};

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

/// A runtime that says the same of every thread.
struct Always<const IDENT: u64>;

impl<const IDENT: u64> Runtime for Always<IDENT> {
    type Detached = ();

    fn detach() -> Option<()> {
        None
    }

    fn attach((): ()) {}

    fn make_pending_calls() -> Result<(), PendingCallError> {
        Ok(())
    }

    fn thread_ident() -> u64 {
        IDENT
    }

    fn fatal_error(_: &'static str, message: &str) -> ! {
        panic!("{message}")
    }
}

/// A2: 0 is how the word says that no thread owns the mutex.
#[test]
fn a_runtime_without_idents_is_told_so() {
    let mutex = RecursiveMutex::new();
    let message = "the runtime's thread ident is 0";
    panics_with(message, || mutex.lock_in::<Always<0>>(Deadline::NOW, LockFlags::empty()));
    panics_with(message, || mutex.try_unlock_in::<Always<0>>());
    panics_with(message, || mutex.is_locked_by_current_thread_in::<Always<0>>());
    assert_eq!(recursive_parts(&mutex), (0, 0, 0));
}

/// A2: idents of two runtimes, each as its trait asks for, may be the same. Both threads then own
/// the mutex. That is their error, but counting is no data race: see `tests/miri.rs`.
#[test]
fn threads_with_one_ident_lose_counts_and_nothing_else() {
    let _watchdog = watchdog();
    let mutex = RecursiveMutex::new();
    lock_recursive_in::<Always<1>>(&mutex);
    together(2, |_| {
        for _ in 0..10_000 {
            lock_recursive_in::<Always<1>>(&mutex);
        }
    });
    let (_, owner, level) = recursive_parts(&mutex);
    assert!(owner == 1 && (10_000..=20_000).contains(&level), "{owner}, {level}");
}

#[test]
fn a_wait_gives_all_levels_up_and_brings_them_back() {
    let _watchdog = watchdog();
    let mutex = RecursiveMutex::new();
    (0..3).for_each(|_| mutex.lock());
    let levels = mutex.unlock_all_in::<Native>().unwrap();
    assert_eq!(recursive_parts(&mutex), (0, 0, 0));
    // The next owner's count begins anew.
    thread::scope(|scope| {
        scope.spawn(|| {
            mutex.lock();
            mutex.unlock();
            assert_eq!(mutex.unlock_all_in::<Native>(), Err(NotOwner));
        });
    });
    mutex.relock_in::<Native>(levels, &MutexWaiter::new(), LockFlags::DETACH);
    (0..3).for_each(|_| mutex.unlock());
    assert!(!mutex.is_locked());
    assert_eq!(mutex.unlock_all_in::<Native>(), Err(NotOwner));
}

#[test]
fn the_count_does_not_wrap() {
    let mutex = RecursiveMutex::new();
    mutex.lock();
    // SAFETY: C's layout has the level at 16, and no other thread uses the mutex.
    let level = unsafe { &*(&raw const mutex).cast::<AtomicUsize>().add(16 / size_of::<usize>()) };
    level.store(usize::MAX - 1, Relaxed);
    mutex.lock();
    panics_with("too many recursive locks", || mutex.lock());
    assert_eq!(level.load(Relaxed), usize::MAX);
    mutex.unlock();
    assert!(mutex.is_locked_by_current_thread());
}
