//! The tests that Go has for its condition variable and for what it is made of, one by one. Goroutines
//! are threads here, and so are fewer where Go starts hundreds; the assertions are the same.
//!
//! | Go | here |
//! |---|---|
//! | `TestCondSignal`, `TestCondSignalGenerations`, `TestCondBroadcast`, `TestRace`, `TestCondSignalStealing`, `TestCondCopy`, `BenchmarkCond` | the tests of these names |
//! | the rules of `notifyList` | `notify_list_*` |
//! | those of semaphores and wait groups | with the types |
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::sync::mpsc::{TryRecvError, channel};
use std::thread;

use common::*;
use pysync_cond::{Cond, NotifyList};
use pysync_lock::Mutex;
use pysync_testing::{Sleeper, wait_until, watchdog};

#[test]
fn cond_signal() {
    const WAITERS: usize = 2;

    let _watchdog = watchdog();
    let (cond, mutex) = (Cond::new(), Mutex::new());
    let (running, is_running) = channel();
    let (awake, is_awake) = channel();
    thread::scope(|scope| {
        for _ in 0..WAITERS {
            let (cond, mutex, running, awake) = (&cond, &mutex, running.clone(), awake.clone());
            scope.spawn(move || {
                mutex.lock();
                running.send(()).unwrap();
                cond.wait(mutex);
                awake.send(()).unwrap();
                mutex.unlock();
            });
        }
        // Once the mutex is ours, those that run wait.
        (0..WAITERS).for_each(|_| is_running.recv().unwrap());
        for left in (1..=WAITERS).rev() {
            assert_eq!(is_awake.try_recv(), Err(TryRecvError::Empty), "a thread is not asleep");
            mutex.lock();
            assert!(cond.notify_one());
            mutex.unlock();
            is_awake.recv().unwrap();
            assert_eq!(is_awake.try_recv(), Err(TryRecvError::Empty), "too many are awake");
            assert_eq!(waiters(&cond), left - 1);
        }
    });
    assert!(!cond.notify_one());
}

#[test]
fn cond_signal_generations() {
    const WAITERS: usize = 100;

    let _watchdog = watchdog();
    let (cond, mutex) = (Cond::new(), Mutex::new());
    let (running, is_running) = channel();
    let (awake, is_awake) = channel();
    thread::scope(|scope| {
        for number in 0..WAITERS {
            let (cond, mutex, running, awake) = (&cond, &mutex, running.clone(), awake.clone());
            scope.spawn(move || {
                mutex.lock();
                running.send(()).unwrap();
                cond.wait(mutex);
                awake.send(number).unwrap();
                mutex.unlock();
            });
            if number > 0 {
                assert_eq!(is_awake.recv(), Ok(number - 1), "the wrong thread is awake");
            }
            is_running.recv().unwrap();
            mutex.lock();
            assert!(cond.notify_one());
            mutex.unlock();
        }
        assert_eq!(is_awake.recv(), Ok(WAITERS - 1));
    });
}

#[test]
fn cond_broadcast() {
    const WAITERS: usize = 64;
    const ROUNDS: usize = 50;

    let _watchdog = watchdog();
    let (cond, mutex, exit) = (Cond::new(), Mutex::new(), AtomicBool::new(false));
    let (running, is_running) = channel();
    let (awake, is_awake) = channel();
    thread::scope(|scope| {
        for number in 0..WAITERS {
            let (cond, mutex, exit) = (&cond, &mutex, &exit);
            let (running, awake) = (running.clone(), awake.clone());
            scope.spawn(move || {
                mutex.lock();
                while !exit.load(Relaxed) {
                    running.send(number).unwrap();
                    cond.wait(mutex);
                    awake.send(number).unwrap();
                }
                mutex.unlock();
            });
        }
        for round in 0..ROUNDS {
            (0..WAITERS).for_each(|_| _ = is_running.recv().unwrap());
            if round == ROUNDS - 1 {
                mutex.lock();
                exit.store(true, Relaxed);
                mutex.unlock();
            }
            assert_eq!(is_awake.try_recv(), Err(TryRecvError::Empty), "a thread is not asleep");
            mutex.lock();
            assert_eq!(cond.notify_all(), WAITERS);
            mutex.unlock();
            let mut seen = [false; WAITERS];
            for _ in 0..WAITERS {
                let number = is_awake.recv().unwrap();
                assert!(!std::mem::replace(&mut seen[number], true), "woke up twice: {number}");
            }
        }
        assert_eq!(is_running.try_recv(), Err(TryRecvError::Empty), "a thread did not exit");
    });
    assert!(!cond.notify_one());
}

/// No wait returns before its notification.
#[test]
fn race() {
    let _watchdog = watchdog();
    for _ in 0..50 {
        let (cond, mutex, x) = (Cond::new(), Mutex::new(), AtomicUsize::new(0));
        thread::scope(|scope| {
            scope.spawn(|| {
                mutex.lock();
                x.store(1, Relaxed);
                cond.wait(&mutex);
                assert_eq!(x.load(Relaxed), 2);
                x.store(3, Relaxed);
                // Nobody, if the third thread has not come to its wait.
                cond.notify_one();
                mutex.unlock();
            });
            scope.spawn(|| {
                mutex.lock();
                loop {
                    if x.load(Relaxed) == 1 {
                        x.store(2, Relaxed);
                        assert!(cond.notify_one());
                        break;
                    }
                    mutex.unlock();
                    thread::yield_now();
                    mutex.lock();
                }
                mutex.unlock();
            });
            scope.spawn(|| {
                mutex.lock();
                loop {
                    if x.load(Relaxed) == 2 {
                        cond.wait(&mutex);
                        assert_eq!(x.load(Relaxed), 3);
                        break;
                    }
                    if x.load(Relaxed) == 3 {
                        break;
                    }
                    mutex.unlock();
                    thread::yield_now();
                    mutex.lock();
                }
                mutex.unlock();
            });
        });
    }
}

/// A newcomer does not steal the broadcast of a thread that waits already.
#[test]
fn cond_signal_stealing() {
    let _watchdog = watchdog();
    for _ in 0..1_000 {
        let (cond, mutex) = (Cond::new(), Mutex::new());
        let (settled, is_settled) = channel();
        let (ended, has_ended) = channel();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                mutex.lock();
                settled.send(()).unwrap();
                cond.wait(&mutex);
                mutex.unlock();
                ended.send(()).unwrap();
            });
            is_settled.recv().unwrap();
            mutex.lock();
            mutex.unlock();
            // The newcomer races the broadcast.
            scope.spawn(|| {
                mutex.lock();
                while !done.load(Relaxed) {
                    cond.wait(&mutex);
                }
                mutex.unlock();
            });
            assert!(cond.notify_all() >= 1);
            has_ended.recv().unwrap();
            mutex.lock();
            done.store(true, Relaxed);
            mutex.unlock();
            cond.notify_all();
        });
    }
}

/// Go panics with `sync.Cond is copied`. A `Cond` cannot be copied, and cannot be moved while threads
/// wait, as they borrow it. To move one that nobody waits on is fine, also after it has been used.
#[test]
fn cond_copy() {
    let _watchdog = watchdog();
    let (mut cond, mutex) = (Cond::new(), Mutex::new());
    for _ in 0..3 {
        thread::scope(|scope| {
            scope.spawn(|| {
                mutex.lock();
                cond.wait(&mutex);
                mutex.unlock();
            });
            wait_for_waiters(&cond, 1);
            assert!(cond.notify_one());
        });
        cond = *Box::new(cond);
    }
    // With the byte at 1, too.
    mutex.lock();
    _ = cond.wait_timed(&mutex, Some(std::time::Duration::ZERO), pysync_cond::LockFlags::empty());
    mutex.unlock();
    let moved = [cond];
    assert_eq!(cond_bits(&moved[0]), 1);
    assert!(!moved[0].notify_one());
    assert_eq!(cond_bits(&moved[0]), 0);
}

/// What `BenchmarkCond` measures: a barrier of one condition variable, round after round.
#[test]
fn cond_cyclic_barrier() {
    const ROUNDS: usize = 100;

    let _watchdog = watchdog();
    for waiters in [1, 2, 4, 8, 16, 32] {
        let (cond, mutex) = (Cond::new(), Mutex::new());
        let (arrived, last) = (AtomicUsize::new(0), AtomicUsize::new(0));
        pysync_testing::together(waiters + 1, |_| {
            for round in 0..ROUNDS {
                mutex.lock();
                assert_eq!(last.load(Relaxed), round, "a thread is ahead of the others");
                if arrived.fetch_add(1, Relaxed) == waiters {
                    arrived.store(0, Relaxed);
                    last.fetch_add(1, Relaxed);
                    assert_eq!(cond.notify_all(), waiters);
                } else {
                    cond.wait(&mutex);
                    assert_eq!(last.load(Relaxed), round + 1);
                }
                mutex.unlock();
            }
        });
    }
}

/// The order is that of registering, whatever that of falling asleep.
#[test]
fn notify_list_notifies_in_the_order_of_registering() {
    const WAITERS: usize = 6;

    let _watchdog = watchdog();
    let list = NotifyList::new();
    let sleepers: [Sleeper; WAITERS] = Default::default();
    let (awake, is_awake) = channel();
    thread::scope(|scope| {
        for number in 0..WAITERS {
            let (list, sleepers, awake) = (&list, &sleepers, awake.clone());
            scope.spawn(move || {
                list.register(|ticket| {
                    // The last to register is the first to sleep.
                    wait_until(|| waiters(list) == WAITERS);
                    pysync_testing::sleeping(&sleepers[number + 1..]);
                    sleepers[number].enter();
                    ticket.wait();
                });
                awake.send(number).unwrap();
            });
            wait_for_waiters(list, number + 1);
        }
        pysync_testing::sleeping(&sleepers);
        for number in 0..WAITERS {
            assert!(list.notify_one());
            assert_eq!(is_awake.recv(), Ok(number));
        }
        assert_eq!(is_awake.try_recv(), Err(TryRecvError::Empty));
    });
}

/// A notification is for the ticket whose turn it is, though its thread does not sleep yet and a later
/// one does.
#[test]
fn notify_list_notifies_a_ticket_whose_thread_does_not_sleep_yet() {
    let _watchdog = watchdog();
    let list = NotifyList::new();
    let sleeper = Sleeper::new();
    list.register(|first| {
        thread::scope(|scope| {
            scope.spawn(|| {
                list.register(|second| {
                    sleeper.enter();
                    second.wait();
                });
            });
            wait_for_waiters(&list, 2);
            sleeper.wait_until_asleep();
            assert!(list.notify_one());
            assert!(first.is_notified());
            assert_eq!(waiters(&list), 1);
            // Returns at once.
            first.wait();
            assert!(list.notify_one());
        });
    });
}

#[test]
fn notify_list_notifies_nobody_who_registers_later() {
    let _watchdog = watchdog();
    let list = NotifyList::new();
    list.register(|first| {
        assert_eq!(list.notify_all(), 1);
        list.register(|later| {
            assert!(first.is_notified() && !later.is_notified());
            first.wait();
            assert!(!later.cancel());
        });
    });
}

#[test]
fn notify_list_a_dropped_ticket_is_passed_over() {
    let list = NotifyList::new();
    list.register(|first| {
        list.register(|second| {
            list.register(|third| {
                drop(second);
                assert!(list.notify_one());
                assert!(first.is_notified() && !third.is_notified());
                assert!(list.notify_one());
                assert!(third.is_notified());
                assert!(!list.notify_one());
                assert!(first.cancel() && third.cancel());
            });
        });
    });
}

/// Go's counters wrap after 2^32 tickets, which its test starts just below. Nothing counts here: the
/// byte is 1 or 0, however many have come and gone.
#[test]
fn notify_list_has_nothing_that_wraps() {
    let _watchdog = watchdog();
    let list = NotifyList::new();
    for _ in 0..1_000 {
        list.register(|first| {
            list.register(|second| {
                assert_eq!(list_bits(&list), 1);
                assert!(list.notify_one());
                assert_eq!(list_bits(&list), 1);
                first.wait();
                assert!(list.notify_one());
                assert_eq!(list_bits(&list), 0);
                second.wait();
            });
        });
    }
    // With one that stays through all of them.
    list.register(|settled| {
        for _ in 0..1_000 {
            assert!(!list.register(|ticket| ticket.cancel()));
            list.register_first(|ticket| {
                assert!(list.notify_one());
                ticket.wait();
            });
        }
        assert!(!settled.is_notified());
        assert!(list.notify_one());
        settled.wait();
    });
}
