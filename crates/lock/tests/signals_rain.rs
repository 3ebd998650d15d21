//! Signals in great number on threads that wait: no wake is lost, and nothing is corrupted.
// The portable parker sleeps through signals, so there is nothing to see.
#![cfg(all(target_os = "linux", not(any(pysync_loom, pysync_shuttle, pysync_portable))))]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering::*};
use std::thread;
use std::time::Duration;

use common::*;
use pysync_lock::{Event, LockFlags, LockStatus, Mutex};
use pysync_parking_lot::Deadline;
use pysync_testing::{rain, rain_until, signals_handled, wait_until, watchdog, watchdog_for};

const DETACH: LockFlags = LockFlags::DETACH;
const HANDLE: LockFlags = LockFlags::HANDLE_SIGNALS;
const FAIL: LockFlags = LockFlags::FAIL_IF_INTERRUPTED;
const NONE: LockFlags = LockFlags::empty();

/// In each round eight threads wait for the mutex, and all must get it while signals pour on
/// them before, during and after the unlocks that wake them.
#[test]
fn a_hundred_thousand_signals_on_eight_waiters_lose_no_wake() {
    const WAITERS: usize = 8;
    const SIGNALS: usize = 100_000;

    let _alone = alone();
    let _watchdog = watchdog_for(Duration::from_secs(240));
    let (mutex, acquired) = (Mutex::new(), AtomicUsize::new(0));
    // The round that may begin; odd when it is time to go.
    let round = AtomicUsize::new(0);
    let targets: [Target; WAITERS] = Default::default();
    let flags = [NONE, DETACH, HANDLE, DETACH | HANDLE];
    let before = signals_handled();
    let pending = thread::scope(|scope| {
        let waiters: Vec<_> = targets
            .iter()
            .enumerate()
            .map(|(i, target)| {
                let (mutex, acquired, round) = (&mutex, &acquired, &round);
                scope.spawn(move || {
                    target.enter();
                    let mut total = Counts::default();
                    for mine in 1.. {
                        wait_until(|| round.load(SeqCst) >= mine);
                        if round.load(SeqCst) == usize::MAX {
                            return total;
                        }
                        let flags = flags[(i + mine) % flags.len()];
                        let hour = Some(Duration::from_secs(3600));
                        let timeout = if mine % 2 == 0 { hour } else { None };
                        let status = mutex.lock_in::<Counting>(Deadline::after(timeout), flags);
                        assert_eq!(status, LockStatus::Acquired);
                        // In two steps, so that two at a time would show.
                        let count = acquired.load(Relaxed);
                        if i % 2 == 0 {
                            thread::yield_now();
                        }
                        acquired.store(count + 1, Relaxed);
                        mutex.unlock();
                        let counts = take_counts();
                        assert_eq!(counts.detached, counts.attached);
                        total.pending += counts.pending;
                    }
                    unreachable!()
                })
            })
            .collect();
        let threads = targets.each_ref().map(Target::thread);
        let mut rounds = 0;
        while signals_handled() - before < SIGNALS {
            mutex.lock();
            rounds += 1;
            acquired.store(0, Relaxed);
            round.store(rounds, SeqCst);
            // SAFETY: here and below: joined at the end.
            unsafe {
                rain(&threads, 20);
                mutex.unlock();
                rain_until(&threads, || acquired.load(Relaxed) == WAITERS);
            }
        }
        println!("{} signals in {rounds} rounds", signals_handled() - before);
        round.store(usize::MAX, SeqCst);
        waiters.into_iter().map(|waiter| waiter.join().unwrap().pending).sum::<usize>()
    });
    println!("{pending} pending calls");
    assert!(pending > 0);
    assert_eq!(mutex_bits(&mutex), 0);
}

/// Waits that end by a signal, as others are woken for good.
#[test]
fn waits_that_end_by_a_signal_take_no_wake_from_others() {
    const ROUNDS: usize = 300;

    let _alone = alone();
    let _watchdog = watchdog();
    let mutex = Mutex::new();
    let targets: [Target; 4] = Default::default();
    let (stop, held) = (Event::new(), AtomicUsize::new(0));
    let interrupted = AtomicUsize::new(0);
    thread::scope(|scope| {
        // Each of these gives up at the first signal, and tries again.
        let fickle: Vec<_> = targets
            .iter()
            .map(|target| {
                let (mutex, stop, interrupted) = (&mutex, &stop, &interrupted);
                scope.spawn(move || {
                    target.enter();
                    while !stop.is_set() {
                        match mutex.lock_flags(DETACH | FAIL) {
                            LockStatus::Acquired => {
                                thread::yield_now();
                                mutex.unlock();
                            }
                            LockStatus::Interrupted => _ = interrupted.fetch_add(1, Relaxed),
                            LockStatus::Failure => panic!("there is no timeout"),
                        }
                    }
                })
            })
            .collect();
        // These wait for as long as it takes, and get it as often as they want.
        let steady: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..ROUNDS {
                        mutex.lock();
                        held.fetch_add(1, Relaxed);
                        thread::sleep(Duration::from_micros(100));
                        mutex.unlock();
                    }
                })
            })
            .collect();
        let threads = targets.each_ref().map(Target::thread);
        let finished = || steady.iter().all(|thread| thread.is_finished());
        // SAFETY: joined later.
        let signals = unsafe { rain_until(&threads, finished) };
        stop.notify();
        fickle.into_iter().for_each(|thread| thread.join().unwrap());
        println!("{signals} signals, {} waits interrupted", interrupted.load(Relaxed));
    });
    assert_eq!(held.into_inner(), 2 * ROUNDS);
    assert_eq!(mutex_bits(&mutex), 0);
}
