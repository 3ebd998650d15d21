//! The readers-writer lock: sharing, exclusion, and writers first.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::thread;

use common::{Sleeper, rw_bits, set_rw_bits, sleeping};
use pysync_lock::RwMutex;
use pysync_testing::{wait_until, watchdog};

#[test]
fn readers_share_and_writers_do_not() {
    let lock = RwMutex::new();
    lock.read_lock();
    assert!(lock.try_read_lock());
    assert_eq!(rw_bits(&lock), 8);
    assert!(lock.is_locked() && !lock.is_write_locked());
    assert!(!lock.try_write_lock());
    lock.read_unlock();
    assert!(!lock.try_write_lock());
    lock.read_unlock();
    assert!(!lock.is_locked());

    lock.write_lock();
    assert!(lock.is_locked() && lock.is_write_locked());
    assert!(!lock.try_write_lock());
    assert!(!lock.try_read_lock());
    lock.write_unlock();
    assert!(lock.try_write_lock());
    lock.write_unlock();
    assert_eq!(rw_bits(&lock), 0);
}

#[test]
fn the_last_reader_wakes_the_writer() {
    let _watchdog = watchdog();
    let lock = RwMutex::new();
    let sleeper = Sleeper::new();
    lock.read_lock();
    lock.read_lock();
    thread::scope(|scope| {
        scope.spawn(|| {
            sleeper.enter();
            lock.write_lock();
            assert_eq!(rw_bits(&lock) & !2, 1);
            lock.write_unlock();
        });
        wait_until(|| rw_bits(&lock) == 0b1010);
        lock.read_unlock();
        assert_eq!(rw_bits(&lock), 0b110);
        sleeper.wait_until_asleep();
        lock.read_unlock();
    });
    assert_eq!(rw_bits(&lock), 0);
}

#[test]
fn a_waiting_writer_keeps_new_readers_out_until_it_has_had_its_turn() {
    const READERS: usize = 4;

    let _watchdog = watchdog();
    let lock = RwMutex::new();
    let (written, read) = (AtomicBool::new(false), AtomicUsize::new(0));
    let sleepers: [Sleeper; READERS + 1] = Default::default();
    lock.read_lock();
    thread::scope(|scope| {
        scope.spawn(|| {
            sleepers[0].enter();
            lock.write_lock();
            assert_eq!(read.load(Relaxed), 0, "a reader was let in first");
            written.store(true, Relaxed);
            lock.write_unlock();
        });
        wait_until(|| rw_bits(&lock) == 0b110);
        sleepers[0].wait_until_asleep();
        for sleeper in &sleepers[1..] {
            let (lock, written, read) = (&lock, &written, &read);
            scope.spawn(move || {
                sleeper.enter();
                lock.read_lock();
                assert!(written.load(Relaxed), "read before the writer's turn");
                read.fetch_add(1, Relaxed);
                lock.read_unlock();
            });
        }
        sleeping(&sleepers);
        assert!(!lock.try_read_lock());
        assert_eq!(read.load(Relaxed), 0);
        lock.read_unlock();
    });
    assert_eq!(read.into_inner(), READERS);
    assert_eq!(rw_bits(&lock), 0);
}

#[test]
fn an_unlocking_writer_wakes_readers_and_writers_alike() {
    const EACH: usize = 6;

    let _watchdog = watchdog();
    let lock = RwMutex::new();
    let (readers_done, writers_done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    for _ in 0..20 {
        let sleepers: [Sleeper; 2 * EACH] = Default::default();
        lock.write_lock();
        thread::scope(|scope| {
            for (i, sleeper) in sleepers.iter().enumerate() {
                let (lock, readers_done, writers_done) = (&lock, &readers_done, &writers_done);
                scope.spawn(move || {
                    sleeper.enter();
                    if i % 2 == 0 {
                        lock.read_lock();
                        readers_done.fetch_add(1, Relaxed);
                        lock.read_unlock();
                    } else {
                        lock.write_lock();
                        writers_done.fetch_add(1, Relaxed);
                        lock.write_unlock();
                    }
                });
            }
            sleeping(&sleepers);
            assert_eq!(rw_bits(&lock), 3);
            lock.write_unlock();
        });
        assert_eq!(rw_bits(&lock), 0);
    }
    assert_eq!(readers_done.into_inner(), 20 * EACH);
    assert_eq!(writers_done.into_inner(), 20 * EACH);
}

/// Readers that always overlap would keep the lock read-locked for good, were it not for the
/// preference.
#[test]
fn readers_without_end_do_not_starve_a_writer() {
    let _watchdog = watchdog();
    let lock = RwMutex::new();
    let stop = AtomicBool::new(false);
    let reads = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    lock.read_lock();
                    reads.fetch_add(1, Relaxed);
                    thread::yield_now();
                    lock.read_unlock();
                }
            });
        }
        for _ in 0..50 {
            lock.write_lock();
            assert_eq!(rw_bits(&lock) & !2, 1);
            lock.write_unlock();
        }
        stop.store(true, Relaxed);
    });
    assert_eq!(rw_bits(&lock), 0);
    println!("50 writes among {} reads", reads.into_inner());
}

#[test]
fn readers_see_what_writers_wrote_and_never_half_of_it() {
    let _watchdog = watchdog();
    let lock = RwMutex::new();
    let (a, b) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for i in 0..6 {
            let (lock, a, b) = (&lock, &a, &b);
            scope.spawn(move || {
                for j in 0..3_000 {
                    if (i + j) % 4 == 0 {
                        // Try too, and wait if that fails.
                        if !lock.try_write_lock() {
                            lock.write_lock();
                        }
                        let value = a.load(Relaxed) + 1;
                        a.store(value, Relaxed);
                        b.store(value, Relaxed);
                        lock.write_unlock();
                    } else {
                        if !lock.try_read_lock() {
                            lock.read_lock();
                        }
                        assert_eq!(a.load(Relaxed), b.load(Relaxed), "torn");
                        lock.read_unlock();
                    }
                }
            });
        }
    });
    assert_eq!(a.into_inner(), 6 * 750);
    assert_eq!(rw_bits(&lock), 0);
}

/// A child of `fork` has the bit, but not the thread that set it. Here a word that says so is
/// made by hand; `fork.rs` makes one for real.
#[test]
fn d06_a_last_reader_that_wakes_nobody_leaves_an_unlocked_word() {
    let lock = RwMutex::new();
    set_rw_bits(&lock, 0b110);
    assert!(!lock.try_read_lock());
    lock.read_unlock();
    assert_eq!(rw_bits(&lock), 0);
    assert!(lock.try_read_lock());
    lock.read_unlock();
}

#[test]
fn two_thousand_waiters_of_both_kinds_all_wake() {
    const WAITERS: usize = 2_000;

    let _watchdog = watchdog();
    let lock = RwMutex::new();
    let sleepers: Vec<Sleeper> = (0..WAITERS).map(|_| Sleeper::new()).collect();
    let done = AtomicUsize::new(0);
    lock.write_lock();
    thread::scope(|scope| {
        for (i, sleeper) in sleepers.iter().enumerate() {
            let (lock, done) = (&lock, &done);
            let waiter = move || {
                sleeper.enter();
                // Each wake of all puts all writers but one back to sleep, so not too many.
                if i % 100 != 0 {
                    lock.read_lock();
                    done.fetch_add(1, Relaxed);
                    lock.read_unlock();
                } else {
                    lock.write_lock();
                    done.fetch_add(1, Relaxed);
                    lock.write_unlock();
                }
            };
            thread::Builder::new().stack_size(64 << 10).spawn_scoped(scope, waiter).unwrap();
        }
        sleeping(&sleepers);
        lock.write_unlock();
    });
    assert_eq!(done.into_inner(), WAITERS);
    assert_eq!(rw_bits(&lock), 0);
}
