//! Who gets the mutex next: a waiter of more than a millisecond is handed it, in turn.
#![cfg(not(any(loom, shuttle)))]

mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::thread;
use std::time::Duration;

use common::{Sleeper, mutex_bits};
use pysync_lock::Mutex;
use pysync_testing::{wait_until, watchdog};

const MS: Duration = Duration::from_millis(1);

/// Without hand-off the greedy thread would win about every race: it is awake, the other is not.
#[test]
fn a_thread_that_relocks_without_pause_cannot_keep_another_out() {
    const ROUNDS: usize = 20;
    const FEW: usize = 10;

    let _watchdog = watchdog();
    let mutex = Mutex::new();
    let (locked, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            // The limit is for the case that the other never gets it.
            while !done.load(Relaxed) && locked.load(Relaxed) < 50 * ROUNDS * FEW {
                mutex.lock();
                locked.fetch_add(1, Relaxed);
                thread::sleep(2 * MS);
                mutex.unlock();
            }
        });
        wait_until(|| mutex.is_locked());
        let mut waited_for = Vec::new();
        for _ in 0..ROUNDS {
            let before = locked.load(Relaxed);
            mutex.lock();
            waited_for.push(locked.load(Relaxed) - before);
            mutex.unlock();
            // The greedy one has it again before we come back.
            let now = locked.load(Relaxed);
            wait_until(|| locked.load(Relaxed) > now);
        }
        done.store(true, Relaxed);
        println!("acquisitions waited for: {waited_for:?}");
        waited_for.sort_unstable();
        assert!(waited_for[ROUNDS / 2] <= 3, "kept out: {waited_for:?}");
        assert!(waited_for.iter().sum::<usize>() <= ROUNDS * FEW, "kept out: {waited_for:?}");
    });
}

/// A waiter of more than a millisecond finds the mutex locked for it: nobody can barge in.
#[test]
fn a_mutex_that_is_handed_off_is_never_seen_unlocked() {
    let _watchdog = watchdog();
    let mutex = Mutex::new();
    for _ in 0..20 {
        let sleeper = Sleeper::new();
        mutex.lock();
        thread::scope(|scope| {
            scope.spawn(|| {
                sleeper.enter();
                mutex.lock();
                // Still locked, whatever the others have tried.
                assert!(mutex.is_locked());
                mutex.unlock();
            });
            wait_until(|| mutex_bits(&mutex) == 3);
            sleeper.wait_until_asleep();
            thread::sleep(2 * MS);
            mutex.unlock();
            // Handed over, or handed over and unlocked again: then this attempt is a fair one.
            if mutex.try_lock() {
                mutex.unlock();
            }
        });
    }
}

#[test]
fn waiters_are_served_in_the_order_in_which_they_parked() {
    const WAITERS: usize = 8;

    let _watchdog = watchdog();
    let mutex = Mutex::new();
    let next = AtomicUsize::new(0);
    let sleepers: [Sleeper; WAITERS] = Default::default();
    mutex.lock();
    thread::scope(|scope| {
        for (i, sleeper) in sleepers.iter().enumerate() {
            let (mutex, next) = (&mutex, &next);
            scope.spawn(move || {
                sleeper.enter();
                mutex.lock();
                assert_eq!(next.fetch_add(1, Relaxed), i, "out of turn");
                mutex.unlock();
            });
            wait_until(|| mutex_bits(mutex) == 3);
            sleeper.wait_until_asleep();
        }
        // By now each is due a hand-off; races would come in any order.
        thread::sleep(2 * MS);
        mutex.unlock();
    });
    assert_eq!(next.into_inner(), WAITERS);
    assert_eq!(mutex_bits(&mutex), 0);
}
