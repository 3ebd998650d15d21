//! The sequence lock: the sequence itself, torn reads, abandoned writes.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::*};
use std::thread;

use common::{seq_bits, set_seq_bits};
use pysync_lock::SeqLock;
use pysync_testing::{wait_until, watchdog};

#[test]
fn a_write_makes_the_sequence_grow_by_two_and_an_abandoned_one_does_not() {
    let lock = SeqLock::new();
    assert_eq!(seq_bits(&lock), 0);
    lock.lock_write();
    assert_eq!(seq_bits(&lock), 1);
    lock.unlock_write();
    assert_eq!(seq_bits(&lock), 2);
    lock.lock_write();
    assert_eq!(seq_bits(&lock), 3);
    lock.abandon_write();
    assert_eq!(seq_bits(&lock), 2);
}

#[test]
fn a_read_holds_if_nobody_wrote_meanwhile() {
    let lock = SeqLock::new();
    let sequence = lock.begin_read();
    assert!(lock.end_read(sequence));
    // Again is as good.
    assert!(lock.end_read(sequence));
    lock.lock_write();
    assert!(!lock.end_read(sequence), "a write has begun");
    lock.unlock_write();
    assert!(!lock.end_read(sequence), "a write is over");
    assert!(lock.end_read(lock.begin_read()));
}

#[test]
fn an_abandoned_write_does_not_disturb_readers_that_began_before_it() {
    let lock = SeqLock::new();
    let sequence = lock.begin_read();
    lock.lock_write();
    lock.abandon_write();
    assert!(lock.end_read(sequence));
}

#[test]
fn the_sequence_wraps_around() {
    let lock = SeqLock::new();
    set_seq_bits(&lock, u32::MAX - 1);
    let sequence = lock.begin_read();
    assert_eq!(sequence, u32::MAX - 1);
    lock.lock_write();
    lock.unlock_write();
    assert_eq!(seq_bits(&lock), 0);
    assert!(!lock.end_read(sequence));
    assert_eq!(lock.begin_read(), 0);
}

#[test]
fn readers_and_writers_wait_for_a_writer() {
    let _watchdog = watchdog();
    let lock = SeqLock::new();
    let waiting = AtomicUsize::new(0);
    let released = AtomicBool::new(false);
    lock.lock_write();
    thread::scope(|scope| {
        scope.spawn(|| {
            waiting.fetch_add(1, SeqCst);
            let sequence = lock.begin_read();
            assert!(released.load(Relaxed));
            assert_eq!(sequence % 2, 0);
        });
        scope.spawn(|| {
            waiting.fetch_add(1, SeqCst);
            lock.lock_write();
            assert!(released.load(Relaxed));
            lock.unlock_write();
        });
        wait_until(|| waiting.load(SeqCst) == 2);
        (0..100).for_each(|_| thread::yield_now());
        assert_eq!(seq_bits(&lock), 1);
        released.store(true, Relaxed);
        lock.unlock_write();
    });
    assert_eq!(seq_bits(&lock), 4);
}

/// What the lock guards: two words that are always equal, copied as its rules demand.
#[derive(Default)]
struct Pair {
    lock: SeqLock,
    words: [AtomicU64; 2],
}

impl Pair {
    fn write(&self) {
        self.lock.lock_write();
        let value = self.words[0].load(Relaxed) + 1;
        self.words[0].store(value, Relaxed);
        self.words[1].store(value, Relaxed);
        self.lock.unlock_write();
    }

    fn read(&self) -> [u64; 2] {
        loop {
            let sequence = self.lock.begin_read();
            let copy = [self.words[1].load(Relaxed), self.words[0].load(Relaxed)];
            if self.lock.end_read(sequence) {
                return copy;
            }
        }
    }
}

#[test]
fn gh_121368_readers_never_accept_a_torn_copy() {
    const WRITES: u64 = 20_000;

    let _watchdog = watchdog();
    let pair = Pair::default();
    let running = AtomicUsize::new(2);
    let reads = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                (0..WRITES).for_each(|_| pair.write());
                running.fetch_sub(1, Relaxed);
            });
            scope.spawn(|| {
                let mut last = 0;
                while running.load(Relaxed) > 0 {
                    let [a, b] = pair.read();
                    assert_eq!(a, b, "torn");
                    assert!(a >= last, "back in time");
                    last = a;
                    reads.fetch_add(1, Relaxed);
                }
            });
        }
    });
    println!("{} reads during {} writes", reads.into_inner(), 2 * WRITES);
    assert_eq!(pair.read(), [2 * WRITES; 2]);
    assert_eq!(u64::from(seq_bits(&pair.lock)), 2 * 2 * WRITES);
}

#[test]
fn after_fork_ends_a_write_that_was_cut_off_and_only_that() {
    let lock = SeqLock::new();
    lock.lock_write();
    lock.unlock_write();
    assert!(!lock.after_fork());
    assert_eq!(seq_bits(&lock), 2);
    lock.lock_write();
    assert!(lock.after_fork());
    assert_eq!(seq_bits(&lock), 0);
    lock.lock_write();
    lock.unlock_write();
}
