//! The Go port's surface, name by name: each function and type of it has a counterpart here, and
//! does what the port only describes. (`CSThread` and `CriticalSection` are those of
//! `pysync-critical-section`.)
//!
//! | Go | here |
//! |---|---|
//! | `AfterFork`, `Park`, `Unpark`, `UnparkAll`, `UnparkFn`, `ParkStatus` | `pysync_parking_lot` |
//! | `Mutex`: `Lock`, `LockTimed`, `TryLock`, `Unlock`, `TryUnlock`, `IsLocked` | [`Mutex`] |
//! | `LockFlags`, `LockStatus` | [`LockFlags`], [`LockStatus`] |
//! | `Event`: `IsSet`, `Notify`, `Wait`, `WaitTimed` | [`Event`] |
//! | `OnceFlag`, `OnceFn` | [`OnceFlag`] and any closure that returns a `Result` |
//! | `RawMutex` | [`RawMutex`], with its waiters in its word |
//! | `RecursiveMutex`: `Lock(id)`, `Unlock(id)`, `IsLockedBy(id)` | [`RecursiveMutex`], the ident is the thread's own |
//! | `RWMutex`: `Lock`, `Unlock`, `RLock`, `RUnlock` | [`RwMutex`]: `write_*`, `read_*` |
//! | `SeqLock`: `LockWrite`, `UnlockWrite`, `AbandonWrite`, `BeginRead`, `EndRead`, `AfterFork` | [`SeqLock`] |
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::*};
use std::thread;
use std::time::{Duration, Instant};

use common::{Sleeper, event_bits, mutex_bits, rw_bits, seq_bits};
use pysync_lock::{
    Event, LockFlags, LockStatus, Mutex, NotLocked, OnceFlag, RawMutex, RecursiveMutex, RwMutex,
    SeqLock,
};
use pysync_parking_lot::{ParkStatus, Unparked, park, unpark, unpark_all};
use pysync_testing::{panics_with, wait_until, watchdog};

const SOON: Option<Duration> = Some(Duration::from_millis(2));

#[test]
fn mutex_zero_value_is_unlocked_and_locks() {
    let mutex = Mutex::default();
    assert!(!mutex.is_locked());
    mutex.lock();
    assert!(mutex.is_locked());
    mutex.unlock();
    assert!(!mutex.is_locked());
}

#[test]
fn mutex_lock_blocks_until_unlock() {
    let _watchdog = watchdog();
    let (mutex, unlocked) = (Mutex::new(), AtomicBool::new(false));
    mutex.lock();
    thread::scope(|scope| {
        scope.spawn(|| {
            mutex.lock();
            assert!(unlocked.load(Relaxed));
            mutex.unlock();
        });
        wait_until(|| mutex_bits(&mutex) == 3);
        unlocked.store(true, Relaxed);
        mutex.unlock();
    });
}

/// A timeout below 0 is `None` here.
#[test]
fn mutex_lock_timed_fails_tries_and_waits() {
    let _watchdog = watchdog();
    let (mutex, flags) = (Mutex::new(), LockFlags::DETACH | LockFlags::HANDLE_SIGNALS);
    assert_eq!(mutex.lock_timed(Some(Duration::ZERO), flags), LockStatus::Acquired);
    assert_eq!(mutex.lock_timed(Some(Duration::ZERO), flags), LockStatus::Failure);
    let start = Instant::now();
    assert_eq!(mutex.lock_timed(SOON, flags), LockStatus::Failure);
    assert!(start.elapsed() >= SOON.unwrap());
    thread::scope(|scope| {
        let waiter = scope.spawn(|| mutex.lock_timed(None, flags));
        wait_until(|| mutex_bits(&mutex) == 3);
        mutex.unlock();
        assert_eq!(waiter.join().unwrap(), LockStatus::Acquired);
    });
    mutex.unlock();
}

#[test]
fn mutex_unlock_of_an_unlocked_one_is_an_error() {
    let mutex = Mutex::new();
    assert_eq!(mutex.try_unlock(), Err(NotLocked));
    panics_with("unlocking mutex that is not locked", || mutex.unlock());
    assert!(mutex.try_lock());
    assert_eq!(mutex.try_unlock(), Ok(()));
}

/// Placeholders there: no thread state to detach, no signals to handle. `runtime.rs` and
/// `signals.rs` have the rest.
#[test]
fn lock_flags_and_lock_status_have_the_ports_values() {
    assert_eq!((LockFlags::DETACH.bits(), LockFlags::HANDLE_SIGNALS.bits()), (1, 2));
    let statuses = [LockStatus::Failure, LockStatus::Acquired, LockStatus::Interrupted];
    assert_eq!(statuses.map(|status| status as i32), [0, 1, 2]);
}

#[test]
fn event_state_machine() {
    let _watchdog = watchdog();
    let event = Event::new();
    assert_eq!(event_bits(&event), 0);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| event.wait());
        }
        wait_until(|| event_bits(&event) == 2);
        assert!(!event.is_set());
        assert!(!event.wait_timed(SOON, true));
        event.notify();
        assert_eq!(event_bits(&event), 1);
    });
    event.notify();
    event.wait();
    assert!(event.is_set() && event.wait_timed(SOON, false));
}

#[test]
fn once_flag_retries_after_an_error() {
    let (once, mut calls) = (OnceFlag::new(), 0);
    let mut attempt = |result: Result<(), &'static str>| {
        once.call_once(|| {
            calls += 1;
            result
        })
    };
    assert_eq!(attempt(Err("first")), Err("first"));
    assert_eq!(attempt(Err("second")), Err("second"));
    assert_eq!(attempt(Ok(())), Ok(()));
    assert_eq!(attempt(Err("never called")), Ok(()));
    assert_eq!(calls, 3);
}

#[test]
fn once_flag_runs_once_for_many_threads() {
    let _watchdog = watchdog();
    let (once, calls) = (OnceFlag::new(), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let result = once.call_once(|| {
                    thread::yield_now();
                    calls.fetch_add(1, Relaxed);
                    Ok::<(), ()>(())
                });
                assert_eq!(result, Ok(()));
                assert_eq!(calls.load(Relaxed), 1);
            });
        }
    });
}

/// A thin wrapper there; the tagged word here.
#[test]
fn raw_mutex_excludes_and_keeps_its_waiters_in_its_word() {
    let _watchdog = watchdog();
    let (mutex, total) = (RawMutex::new(), AtomicUsize::new(0));
    assert_eq!(size_of::<RawMutex>(), size_of::<usize>());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5_000 {
                    mutex.lock();
                    total.store(total.load(Relaxed) + 1, Relaxed);
                    mutex.unlock();
                }
            });
        }
    });
    assert_eq!(total.into_inner(), 20_000);
    assert!(mutex.try_lock());
    assert!(!mutex.try_lock());
    mutex.unlock();
}

#[test]
fn recursive_mutex_belongs_to_an_ident() {
    let _watchdog = watchdog();
    let mutex = RecursiveMutex::new();
    mutex.lock();
    mutex.lock();
    assert!(mutex.is_locked_by_current_thread());
    thread::scope(|scope| {
        scope.spawn(|| {
            assert!(!mutex.is_locked_by_current_thread());
            panics_with(
                "unlocking a recursive mutex that is not owned by the current thread",
                || mutex.unlock(),
            );
            assert_eq!(mutex.lock_timed(SOON, LockFlags::empty()), LockStatus::Failure);
        });
    });
    mutex.unlock();
    assert!(mutex.is_locked_by_current_thread());
    mutex.unlock();
    assert!(!mutex.is_locked_by_current_thread());
}

/// Bit 0 the writer, bit 1 the waiters, the readers above.
#[test]
fn rw_mutex_packs_its_state_as_the_port_says() {
    let lock = RwMutex::new();
    for readers in 1..=3 {
        lock.read_lock();
        assert_eq!(rw_bits(&lock), readers << 2);
    }
    (0..3).for_each(|_| lock.read_unlock());
    lock.write_lock();
    assert_eq!(rw_bits(&lock), 1);
    lock.write_unlock();
    assert_eq!(rw_bits(&lock), 0);
}

#[test]
fn rw_mutex_prefers_writers() {
    let _watchdog = watchdog();
    let lock = RwMutex::new();
    let (writer, reader, order) = (Sleeper::new(), Sleeper::new(), AtomicUsize::new(0));
    lock.read_lock();
    thread::scope(|scope| {
        scope.spawn(|| {
            writer.enter();
            lock.write_lock();
            assert_eq!(order.fetch_add(1, Relaxed), 0, "the writer came first");
            lock.write_unlock();
        });
        writer.wait_until_asleep();
        // Others read, but the writer waits.
        assert!(!lock.try_read_lock());
        scope.spawn(|| {
            reader.enter();
            lock.read_lock();
            assert_eq!(order.fetch_add(1, Relaxed), 1);
            lock.read_unlock();
        });
        reader.wait_until_asleep();
        lock.read_unlock();
    });
}

#[test]
fn seq_lock_counts_writes_and_forgets_abandoned_ones() {
    let lock = SeqLock::new();
    let sequence = lock.begin_read();
    lock.lock_write();
    assert_eq!(seq_bits(&lock), 1);
    lock.abandon_write();
    assert!(lock.end_read(sequence), "rolled back");
    lock.lock_write();
    lock.unlock_write();
    assert!(!lock.end_read(sequence), "published");
    assert_eq!(lock.begin_read(), 2);
}

#[test]
fn seq_lock_after_fork_resets_a_write_in_progress() {
    let lock = SeqLock::new();
    assert!(!lock.after_fork());
    lock.lock_write();
    assert!(lock.after_fork());
    assert!(!lock.after_fork());
    assert_eq!(lock.begin_read(), 0);
}

/// The comparison is the caller's `check` there, and `park`'s own here, for four sizes of word.
#[test]
fn park_says_how_it_ended() {
    let _watchdog = watchdog();
    let word = AtomicU32::new(5);
    assert_eq!(park(&word, 6, None, ptr::null_mut(), true), ParkStatus::Again);
    assert_eq!(park(&word, 5, SOON, ptr::null_mut(), true), ParkStatus::Timeout);
    // As in C, and unlike a mutex's, a timeout of zero parks.
    assert_eq!(park(&word, 5, Some(Duration::ZERO), ptr::null_mut(), true), ParkStatus::Timeout);
    let sleeper = Sleeper::new();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            sleeper.enter();
            park(&word, 5, None, ptr::null_mut(), false)
        });
        sleeper.wait_until_asleep();
        unpark_all(&word);
        assert_eq!(waiter.join().unwrap(), ParkStatus::Ok);
    });
}

#[test]
fn unpark_hands_the_park_argument_to_its_callback() {
    let _watchdog = watchdog();
    let (word, sleeper, called) = (AtomicU32::new(0), Sleeper::new(), AtomicBool::new(false));
    unpark(&word, |unparked| assert!(unparked.is_none()));
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut message = 0_u32;
            sleeper.enter();
            let status = park(&word, 0, None, (&raw mut message).cast(), false);
            assert_eq!((status, message), (ParkStatus::Ok, 7));
        });
        sleeper.wait_until_asleep();
        unpark(&word, |unparked: Option<Unparked>| {
            let unparked = unparked.expect("somebody is parked");
            called.store(true, Relaxed);
            // SAFETY: the waiter's own, and it is asleep until the callback is over.
            unsafe { *unparked.park_arg.cast::<u32>() = 7 };
        });
    });
    assert!(called.into_inner());
}

/// A no-op there; here the child of a real fork. Nothing in this file registers the handler, so
/// that it is this call that does it.
#[cfg(unix)]
#[test]
fn after_fork_forgets_the_threads_that_were_parked() {
    let _watchdog = watchdog();
    let (mutex, event) = (Mutex::new(), Event::new());
    let sleepers: [Sleeper; 2] = Default::default();
    mutex.lock();
    thread::scope(|scope| {
        scope.spawn(|| {
            sleepers[0].enter();
            mutex.lock();
            mutex.unlock();
        });
        scope.spawn(|| {
            sleepers[1].enter();
            event.wait();
        });
        common::sleeping(&sleepers);
        pysync_testing::fork(|| {
            // SAFETY: the only thread of the child, which is not in a callback.
            unsafe { pysync_parking_lot::after_fork() };
            mutex.unlock();
            event.notify();
            mutex_bits(&mutex) == 0 && event.is_set()
        });
        mutex.unlock();
        event.notify();
    });
}
