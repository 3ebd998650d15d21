//! Who gets the mutex next: a waiter of more than a millisecond is handed it, in turn.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::thread;
use std::time::Duration;

use common::{Sleeper, mutex_bits};
use pysync_lock::{Event, Mutex};
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

/// Nobody can barge in: the mutex is not unlocked at all, but the other's from that moment on.
#[test]
fn a_waiter_of_more_than_a_millisecond_is_handed_the_mutex() {
    let _watchdog = watchdog();
    let mutex = Mutex::new();
    for _ in 0..50 {
        let (sleeper, attempted) = (Sleeper::new(), Event::new());
        mutex.lock();
        thread::scope(|scope| {
            scope.spawn(|| {
                sleeper.enter();
                mutex.lock();
                attempted.wait();
                mutex.unlock();
            });
            wait_until(|| mutex_bits(&mutex) == 3);
            sleeper.wait_until_asleep();
            thread::sleep(2 * MS);
            mutex.unlock();
            assert!(!mutex.try_lock(), "not handed over");
            attempted.notify();
        });
    }
}

/// Before that it is a race, which whoever is awake may win, past the one that has been woken.
#[test]
fn a_waiter_of_less_than_a_millisecond_may_be_overtaken() {
    let _watchdog = watchdog();
    let mutex = Mutex::new();
    // Whether a millisecond is over is up to the machine, and so is who wins.
    for round in 0..1000 {
        let attempted = Event::new();
        mutex.lock();
        let overtaken = thread::scope(|scope| {
            scope.spawn(|| {
                mutex.lock();
                attempted.wait();
                mutex.unlock();
            });
            wait_until(|| mutex_bits(&mutex) == 3);
            mutex.unlock();
            let overtaken = mutex.try_lock();
            if overtaken {
                // Parked or about to be, the other is still found.
                mutex.unlock();
            }
            attempted.notify();
            overtaken
        });
        assert_eq!(mutex_bits(&mutex), 0);
        if overtaken {
            println!("overtaken in round {round}");
            return;
        }
    }
    panic!("handed over 1,000 times out of 1,000");
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
