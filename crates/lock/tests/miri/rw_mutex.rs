use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use pysync_lock::RwMutex;
use pysync_testing::{together, wait_until, watchdog};

use super::{Queued, Unprotected, rounds};

#[test]
fn readers_see_whole_writes() {
    const THREADS: usize = 3;
    let _watchdog = watchdog();
    let (lock, pair) = (RwMutex::new(), Unprotected::new((0, 0)));
    let writes = AtomicUsize::new(0);
    together(THREADS, |id| {
        for round in 0..rounds(5, 1_000) {
            if (id + round) % 2 == 0 {
                lock.write_lock();
                // SAFETY: locked for writing.
                unsafe {
                    let (a, b) = pair.get();
                    pair.set((a + 1, b + 1));
                }
                writes.fetch_add(1, Relaxed);
                thread::yield_now();
                lock.write_unlock();
            } else if round % 3 != 0 || !lock.try_read_lock() {
                lock.read_lock();
                // SAFETY: locked for reading.
                let (a, b) = unsafe { pair.get() };
                assert_eq!(a, b);
                thread::yield_now();
                lock.read_unlock();
            } else {
                lock.read_unlock();
            }
        }
    });
    // SAFETY: the threads have ended.
    assert_eq!(unsafe { pair.get().0 }, writes.into_inner());
    assert!(!lock.is_locked());
}

#[test]
fn a_writer_wakes_all_who_wait_for_it() {
    static QUEUED: Queued = Queued::new();
    const WAITERS: usize = 3;
    let _watchdog = watchdog();
    let (lock, value) = (RwMutex::new(), Unprotected::new(0));
    lock.write_lock();
    thread::scope(|s| {
        for _ in 0..WAITERS {
            s.spawn(|| {
                QUEUED.count_this_thread();
                lock.read_lock();
                // SAFETY: locked for reading, and nobody writes any more.
                assert_eq!(unsafe { value.get() }, 7);
                lock.read_unlock();
            });
        }
        QUEUED.wait_for(WAITERS);
        // SAFETY: locked for writing.
        unsafe { value.set(7) };
        lock.write_unlock();
    });
}

#[test]
fn the_last_reader_wakes_writers_and_readers() {
    static QUEUED: Queued = Queued::new();
    let _watchdog = watchdog();
    let (lock, value) = (RwMutex::new(), Unprotected::new(1));
    lock.read_lock();
    thread::scope(|s| {
        for _ in 0..2 {
            s.spawn(|| {
                QUEUED.count_this_thread();
                lock.write_lock();
                // SAFETY: locked for writing.
                unsafe { value.set(value.get() + 1) };
                lock.write_unlock();
            });
        }
        QUEUED.wait_for(2);
        s.spawn(|| {
            QUEUED.count_this_thread();
            lock.read_lock();
            // SAFETY: locked for reading.
            assert!(unsafe { value.get() } >= 1);
            lock.read_unlock();
        });
        QUEUED.wait_for(3);
        // One that no wake orders after us, and that may be quicker than those who are woken.
        s.spawn(|| {
            wait_until(|| lock.try_write_lock());
            // SAFETY: locked for writing.
            unsafe { value.set(value.get() + 1) };
            lock.write_unlock();
        });
        // SAFETY: locked for reading.
        assert_eq!(unsafe { value.get() }, 1);
        thread::yield_now();
        lock.read_unlock();
    });
    // SAFETY: the threads have ended.
    assert_eq!(unsafe { value.get() }, 4);
}
