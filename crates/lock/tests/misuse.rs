//! Misuse: the documented panic or error, and a lock that is none the worse for it.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering::*};
use std::thread;

use common::{
    Counting, Sleeper, event_bits, mutex_bits, recursive_parts, rw_bits, seq_bits, set_rw_bits,
    sleeping,
};
use pysync_lock::{Event, Mutex, NotLocked, NotOwner, RawMutex, RecursiveMutex, RwMutex, SeqLock};
use pysync_testing::{panics_with, watchdog};

const NOT_LOCKED: &str = "unlocking mutex that is not locked";
const NOT_OWNED: &str = "unlocking a recursive mutex that is not owned by the current thread";
const NOT_READ: &str = "lock was not read-locked";
const NOT_WRITTEN: &str = "lock was not write-locked";
const NOT_WRITING: &str = "unlocking a sequence lock that is not write-locked";

/// Keeps two threads waiting for `lock` while `misuse` runs; both get it after `unlock`.
fn with_waiters(lock: impl Fn(usize) + Sync, misuse: impl FnOnce(), unlock: impl FnOnce()) {
    let _watchdog = watchdog();
    let sleepers: [Sleeper; 2] = Default::default();
    thread::scope(|scope| {
        for (i, sleeper) in sleepers.iter().enumerate() {
            let lock = &lock;
            scope.spawn(move || {
                sleeper.enter();
                lock(i);
            });
            sleeper.wait_until_asleep();
        }
        misuse();
        sleeping(&sleepers);
        unlock();
    });
}

#[test]
fn unlocking_an_unlocked_mutex_panics() {
    let mutex = Mutex::new();
    panics_with(NOT_LOCKED, || mutex.unlock());
    assert_eq!(mutex.try_unlock(), Err(NotLocked));
    assert_eq!(mutex_bits(&mutex), 0);
    mutex.lock();
    mutex.unlock();
    panics_with(NOT_LOCKED, || mutex.unlock());
    assert!(mutex.try_lock());
    mutex.unlock();
}

/// Threads raced for it and have not taken it yet: unlocked, but the byte is not 0.
#[test]
fn unlocking_an_unlocked_mutex_with_parked_threads_panics() {
    let _watchdog = watchdog();
    let mutex = Mutex::new();
    let mut caught = 0;
    // Two waiters, one woken; whether we look before it has locked is luck.
    for _ in 0..500 {
        mutex.lock();
        let sleepers: [Sleeper; 2] = Default::default();
        thread::scope(|scope| {
            for sleeper in &sleepers {
                let mutex = &mutex;
                scope.spawn(move || {
                    sleeper.enter();
                    // Cares not by whom it is unlocked.
                    mutex.lock();
                    _ = mutex.try_unlock();
                });
            }
            sleeping(&sleepers);
            mutex.unlock();
            if mutex_bits(&mutex) == 2 && mutex.try_unlock() == Err(NotLocked) {
                caught += 1;
            }
        });
    }
    println!("caught {caught} times");
    assert!(mutex.try_lock());
    mutex.unlock();
    assert_eq!(mutex_bits(&mutex), 0);
}

#[test]
fn of_many_unlocks_of_one_lock_one_succeeds() {
    let _watchdog = watchdog();
    let mutex = Mutex::new();
    for _ in 0..200 {
        let succeeded = AtomicUsize::new(0);
        mutex.lock();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    if mutex.try_unlock().is_ok() {
                        succeeded.fetch_add(1, Relaxed);
                    }
                });
            }
        });
        assert_eq!(succeeded.into_inner(), 1);
        assert_eq!(mutex_bits(&mutex), 0);
    }
}

#[test]
fn unlocking_an_unlocked_raw_mutex_panics() {
    let mutex = RawMutex::new();
    panics_with(NOT_LOCKED, || mutex.unlock());
    mutex.lock();
    mutex.unlock();
    panics_with(NOT_LOCKED, || mutex.unlock());
    assert!(mutex.try_lock());
    mutex.unlock();
}

#[test]
fn unlocking_a_recursive_mutex_of_another_panics_and_changes_nothing() {
    let mutex = RecursiveMutex::new();
    panics_with(NOT_OWNED, || mutex.unlock());
    assert_eq!(mutex.try_unlock(), Err(NotOwner));
    mutex.lock();
    mutex.lock();
    let before = recursive_parts(&mutex);
    with_waiters(
        |_| {
            panics_with(NOT_OWNED, || mutex.unlock());
            mutex.lock();
            mutex.unlock();
            panics_with(NOT_OWNED, || mutex.unlock());
        },
        || {
            thread::scope(|scope| {
                scope.spawn(|| {
                    panics_with(NOT_OWNED, || mutex.unlock());
                    assert_eq!(mutex.try_unlock(), Err(NotOwner));
                });
            });
            let (bits, ident, level) = recursive_parts(&mutex);
            assert_eq!((bits & 1, ident, level), (1, before.1, before.2));
        },
        || {
            mutex.unlock();
            mutex.unlock();
        },
    );
    panics_with(NOT_OWNED, || mutex.unlock());
    assert_eq!(recursive_parts(&mutex), (0, 0, 0));
}

#[test]
fn unlocking_an_rw_mutex_that_is_free_panics() {
    let lock = RwMutex::new();
    panics_with(NOT_READ, || lock.read_unlock());
    panics_with(NOT_WRITTEN, || lock.write_unlock());
    assert_eq!(rw_bits(&lock), 0);
    lock.read_lock();
    lock.read_unlock();
    panics_with(NOT_READ, || lock.read_unlock());
    assert!(lock.try_write_lock());
    lock.write_unlock();
}

/// Also where a woken writer is on its way to take it.
#[test]
fn unlocking_an_rw_mutex_that_a_writer_is_about_to_take_panics() {
    let lock = RwMutex::new();
    set_rw_bits(&lock, 2);
    panics_with(NOT_READ, || lock.read_unlock());
    panics_with(NOT_WRITTEN, || lock.write_unlock());
    assert_eq!(rw_bits(&lock), 2);
    lock.write_lock();
    lock.write_unlock();
    assert_eq!(rw_bits(&lock), 0);
}

#[test]
fn unlocking_a_read_lock_for_writing_panics_and_waiters_still_wake() {
    let lock = RwMutex::new();
    lock.read_lock();
    panics_with(NOT_WRITTEN, || lock.write_unlock());
    assert_eq!(rw_bits(&lock), 4);
    with_waiters(
        |i| match i {
            // The first to come must be the writer, or the reader would not wait.
            0 => {
                lock.write_lock();
                lock.write_unlock();
            }
            _ => {
                lock.read_lock();
                lock.read_unlock();
            }
        },
        || {
            panics_with(NOT_WRITTEN, || lock.write_unlock());
            assert_eq!(rw_bits(&lock), 6);
        },
        || lock.read_unlock(),
    );
    assert_eq!(rw_bits(&lock), 0);
}

#[test]
fn unlocking_a_write_lock_for_reading_panics_and_waiters_still_wake() {
    let lock = RwMutex::new();
    lock.write_lock();
    panics_with(NOT_READ, || lock.read_unlock());
    assert_eq!(rw_bits(&lock), 1);
    with_waiters(
        |i| match i {
            0 => {
                lock.write_lock();
                lock.write_unlock();
            }
            _ => {
                lock.read_lock();
                lock.read_unlock();
            }
        },
        || {
            panics_with(NOT_READ, || lock.read_unlock());
            assert_eq!(rw_bits(&lock), 3);
        },
        || lock.write_unlock(),
    );
    assert_eq!(rw_bits(&lock), 0);
}

/// One lock, two unlocks, and a writer that waits: the last reader's way out is under the bucket
/// lock, where a second one must not get through either.
#[test]
fn a_reader_too_many_panics_also_when_it_races_with_the_last() {
    let _watchdog = watchdog();
    for _ in 0..200 {
        let lock = RwMutex::new();
        let (sleeper, go, panicked) = (Sleeper::new(), Event::new(), AtomicUsize::new(0));
        lock.read_lock();
        thread::scope(|scope| {
            scope.spawn(|| {
                sleeper.enter();
                lock.write_lock();
                lock.write_unlock();
            });
            sleeper.wait_until_asleep();
            for _ in 0..2 {
                scope.spawn(|| {
                    go.wait();
                    silently(|| {
                        if catch_unwind(AssertUnwindSafe(|| lock.read_unlock())).is_err() {
                            panicked.fetch_add(1, Relaxed);
                        }
                    });
                });
            }
            go.notify();
        });
        assert_eq!(panicked.into_inner(), 1);
        assert_eq!(rw_bits(&lock), 0);
    }
}

#[test]
fn a_reader_more_than_fits_panics_and_changes_nothing() {
    const FULL: usize = usize::MAX & !3;

    let lock = RwMutex::new();
    set_rw_bits(&lock, FULL);
    panics_with("too many readers", || lock.read_lock());
    panics_with("too many readers", || lock.try_read_lock());
    assert_eq!(rw_bits(&lock), FULL);
    lock.read_unlock();
    assert!(lock.try_read_lock());
    assert_eq!(rw_bits(&lock), FULL);
}

#[test]
fn ending_a_write_that_nobody_began_panics() {
    let lock = SeqLock::new();
    panics_with(NOT_WRITING, || lock.unlock_write());
    panics_with(NOT_WRITING, || lock.abandon_write());
    let sequence = lock.begin_read();
    lock.lock_write();
    lock.unlock_write();
    panics_with(NOT_WRITING, || lock.unlock_write());
    panics_with(NOT_WRITING, || lock.abandon_write());
    assert_eq!(seq_bits(&lock), 2);
    assert!(!lock.end_read(sequence));
    assert!(lock.end_read(lock.begin_read()));
}

#[test]
fn notifying_twice_is_no_misuse() {
    let event = Event::new();
    with_waiters(
        |_| event.wait(),
        || assert_eq!(event_bits(&event), 2),
        || {
            event.notify();
            event.notify();
        },
    );
    event.notify();
    assert!(event.is_set());
    assert_eq!(event_bits(&event), 1);
}

#[test]
fn a_caller_may_decide_what_misuse_leads_to() {
    let (mutex, recursive, rw, seq) =
        (Mutex::new(), RecursiveMutex::new(), RwMutex::new(), SeqLock::new());
    assert_eq!(mutex.try_unlock(), Err(NotLocked));
    assert_eq!(recursive.try_unlock_in::<Counting>(), Err(NotOwner));
    rw.write_lock();
    assert_eq!(rw.try_read_unlock(), Err(NotLocked));
    assert_eq!(rw.try_write_unlock(), Ok(()));
    rw.read_lock();
    assert_eq!(rw.try_write_unlock(), Err(NotLocked));
    assert_eq!(rw.try_read_unlock(), Ok(()));
    assert_eq!(rw.try_read_unlock(), Err(NotLocked));
    assert_eq!(rw_bits(&rw), 0);
    assert_eq!(seq.try_unlock_write(), Err(NotLocked));
    assert_eq!(seq.try_abandon_write(), Err(NotLocked));
    seq.lock_write();
    assert_eq!(seq.try_abandon_write(), Ok(()));
    seq.lock_write();
    assert_eq!(seq.try_unlock_write(), Ok(()));
    assert_eq!(seq_bits(&seq), 2);
}

#[test]
fn a_runtime_is_told_of_misuse_and_of_where() {
    let rw = RwMutex::new();
    set_rw_bits(&rw, !0b11);
    panics_with("RwMutex::read_lock: too many readers", || rw.read_lock_in::<Counting>());
    assert_eq!(rw_bits(&rw), !0b11);
}

#[test]
fn panics_name_the_line_of_the_caller() {
    let (mutex, recursive, rw, seq) =
        (Mutex::new(), RecursiveMutex::new(), RwMutex::new(), SeqLock::new());
    let misuses: [&dyn Fn(); 6] = [
        &|| mutex.unlock(),
        &|| recursive.unlock(),
        &|| rw.read_unlock(),
        &|| rw.write_unlock(),
        &|| seq.unlock_write(),
        &|| seq.abandon_write(),
    ];
    for (i, misuse) in misuses.iter().enumerate() {
        silently(|| catch_unwind(AssertUnwindSafe(misuse)).unwrap_err());
        let file = PANICKED_IN.take().expect("it panicked");
        assert_eq!(file, file!(), "misuse {i}");
    }
}

thread_local! {
    static SILENT: RefCell<bool> = const { RefCell::new(false) };
    static PANICKED_IN: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `body` without messages of the panics in it, and remembers the file of the last.
fn silently<T>(body: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let loud = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if SILENT.with_borrow(|silent| *silent) {
                PANICKED_IN.set(info.location().map(|location| location.file().to_owned()));
            } else {
                loud(info);
            }
        }));
    });
    SILENT.set(true);
    let result = body();
    SILENT.set(false);
    result
}
