//! Children of a process whose threads are parked on these locks: a child inherits the memory and
//! one thread, and must get on with both.
#![cfg(all(unix, not(any(pysync_loom, pysync_shuttle))))]

mod common;

use std::thread;
use std::time::Duration;

use common::*;
use pysync_lock::{Event, LockFlags, LockStatus, Mutex, RecursiveMutex, RwMutex};
use pysync_parking_lot::register_fork_handler;
use pysync_testing::{fork, watchdog, watchdog_for};

#[test]
fn a_thousand_children_use_the_locks_that_others_are_parked_on() {
    const CHILDREN: usize = 1_000;

    let _watchdog = watchdog_for(Duration::from_secs(240));
    register_fork_handler();
    let (mutex, event, recursive) = (Mutex::new(), Event::new(), RecursiveMutex::new());
    let (written, read) = (RwMutex::new(), RwMutex::new());
    let lock_mutex = || {
        mutex.lock();
        mutex.unlock();
    };
    let read_written = || {
        written.read_lock();
        written.read_unlock();
    };
    let write_written = || {
        written.write_lock();
        written.write_unlock();
    };
    let write_read = || {
        read.write_lock();
        read.write_unlock();
    };
    let read_read = || {
        read.read_lock();
        read.read_unlock();
    };
    let lock_recursive = || {
        recursive.lock();
        recursive.unlock();
    };
    let waits = [
        waited(lock_mutex),
        waited(lock_mutex),
        waited(|| {
            let status = mutex.lock_timed(Some(Duration::MAX), LockFlags::empty());
            assert_eq!(status, LockStatus::Acquired);
            mutex.unlock();
        }),
        waited(|| event.wait()),
        waited(|| event.wait()),
        waited(read_written),
        waited(write_written),
        waited(read_written),
        // The writer first, or the reader would not wait.
        waited(write_read),
        waited(read_read),
        waited(write_read),
        waited(lock_recursive),
    ];
    mutex.lock();
    written.write_lock();
    read.read_lock();
    recursive.lock();
    recursive.lock();
    thread::scope(|scope| {
        park_all(scope, &waits);
        assert_eq!((mutex_bits(&mutex), event_bits(&event)), (3, 2));
        assert_eq!((rw_bits(&written), rw_bits(&read)), (3, 6));

        for _ in 0..CHILDREN {
            fork(|| {
                // What the forking thread holds it still holds.
                mutex.unlock();
                assert_eq!(mutex_bits(&mutex), 0);
                exercise_mutex(&mutex);

                written.write_unlock();
                assert_eq!(rw_bits(&written), 0);
                exercise_rw(&written);

                read.read_unlock();
                assert_eq!(rw_bits(&read), 0);
                exercise_rw(&read);

                assert!(recursive.is_locked_by_current_thread());
                recursive.unlock();
                recursive.unlock();
                exercise_recursive(&recursive);

                assert!(!event.wait_timed(Some(Duration::from_micros(10)), true));
                park_and_wake(|| event.wait(), || event.notify());
                event.is_set()
            });
        }

        // The parent's waiters are none the wiser.
        waits.iter().for_each(|waited| assert!(waited.sleeper.is_asleep()));
        mutex.unlock();
        written.write_unlock();
        read.read_unlock();
        recursive.unlock();
        recursive.unlock();
        event.notify();
    });
    assert_eq!((mutex_bits(&mutex), rw_bits(&written), rw_bits(&read)), (0, 0, 0));
}

/// The writer that waits when the process forks is not there in the child. Readers that come
/// there before the last one leaves wait behind it, as the word tells them to, and must not wait
/// for it for good.
#[test]
fn d06_readers_of_a_child_get_past_a_writer_that_is_gone() {
    let _watchdog = watchdog();
    register_fork_handler();
    let lock = RwMutex::new();
    let waits = [waited(|| {
        lock.write_lock();
        lock.write_unlock();
    })];
    lock.read_lock();
    thread::scope(|scope| {
        park_all(scope, &waits);
        assert_eq!(rw_bits(&lock), 6);
        for _ in 0..20 {
            fork(|| {
                assert!(!lock.try_read_lock());
                park_and_wake(
                    || {
                        lock.read_lock();
                        lock.read_unlock();
                    },
                    || lock.read_unlock(),
                );
                exercise_rw(&lock);
                true
            });
        }
        lock.read_unlock();
    });
}
