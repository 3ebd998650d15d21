//! A condition variable with each kind of lock: what is given up and taken back, who is chosen, and
//! how a wait ends.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex as StdMutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::thread;
use std::time::{Duration, Instant};

use common::*;
use pysync_cond::{AsReader, AsWriter, Cancel, Cond, Deadline, LockFlags, WaitStatus};
use pysync_lock::{Mutex, NotOwner, RawMutex, RecursiveMutex, RwMutex};
use pysync_testing::{Sleeper, wait_until, watchdog};

const DETACH: LockFlags = LockFlags::DETACH;
const SOON: Duration = Duration::from_millis(2);

/// Has so many threads wait with `lock` until they are notified, each queued before the next, and
/// runs `body` then. They add their number to the list that `body` gets when they have the lock again.
fn with_waiters<L: Kind>(
    cond: &Cond,
    lock: &L,
    count: usize,
    body: impl FnOnce(&StdMutex<Vec<usize>>),
) {
    let _watchdog = watchdog();
    let ended = StdMutex::new(Vec::new());
    thread::scope(|scope| {
        for number in 0..count {
            let ended = &ended;
            scope.spawn(move || {
                lock.take();
                let status = cond.wait_timed(lock, None, DETACH);
                assert_eq!(status, WaitStatus::Notified);
                assert!(lock.is_held());
                ended.lock().unwrap().push(number);
                lock.give();
            });
            wait_for_waiters(cond, number + 1);
        }
        body(&ended);
    });
    assert_eq!(ended.lock().unwrap().len(), count);
    assert_eq!((waiters(cond), cond_bits(cond)), (0, 0));
    assert!(!lock.is_held());
}

/// One test for each kind of lock.
macro_rules! with_each_kind {
    ($($test:ident)*) => {
        mod mutex {
            $(#[test] fn $test() { super::$test(&super::Mutex::new()); })*
        }
        mod raw_mutex {
            $(#[test] fn $test() { super::$test(&super::RawMutex::new()); })*
        }
        mod recursive_mutex {
            $(#[test] fn $test() { super::$test(&super::RecursiveMutex::new()); })*
        }
        mod as_reader {
            $(#[test] fn $test() { super::$test(&super::AsReader(&super::RwMutex::new())); })*
        }
        mod as_writer {
            $(#[test] fn $test() { super::$test(&super::AsWriter(&super::RwMutex::new())); })*
        }
    };
}

with_each_kind! {
    a_waiter_gives_the_lock_up_and_has_it_again_when_it_is_notified
    each_notification_ends_the_wait_of_the_thread_that_has_waited_longest
    all_are_notified_at_once_and_counted
    a_wait_ends_at_its_deadline_and_not_before_with_the_lock_held
    a_wait_of_no_time_lets_others_have_the_lock
    no_timeout_is_too_long
    every_way_to_wait_is_notified
    wait_while_ends_when_the_condition_does_not_hold_any_more
    a_panic_in_the_condition_leaves_the_lock_held
    a_cancelled_wait_has_the_lock_again
}

fn a_waiter_gives_the_lock_up_and_has_it_again_when_it_is_notified<L: Kind>(lock: &L) {
    let cond = Cond::new();
    for inside in [true, false] {
        with_waiters(&cond, lock, 1, |ended| {
            assert_eq!(cond_bits(&cond), 1);
            // It would not come free, if the waiter had not given it up.
            lock.take();
            assert!(ended.lock().unwrap().is_empty());
            if inside {
                assert!(cond.notify_one());
                lock.give();
            } else {
                lock.give();
                assert!(cond.notify_one());
            }
        });
    }
}

fn each_notification_ends_the_wait_of_the_thread_that_has_waited_longest<L: Kind>(lock: &L) {
    const WAITERS: usize = 4;

    let cond = Cond::new();
    with_waiters(&cond, lock, WAITERS, |ended| {
        for before in 0..WAITERS {
            assert_eq!(ended.lock().unwrap().len(), before);
            assert_eq!(waiters(&cond), WAITERS - before);
            assert!(cond.notify_one());
            wait_until(|| ended.lock().unwrap().len() == before + 1);
        }
        assert_eq!(*ended.lock().unwrap(), [0, 1, 2, 3]);
        assert!(!cond.notify_one());
        assert_eq!(cond.notify_all(), 0);
    });
}

fn all_are_notified_at_once_and_counted<L: Kind>(lock: &L) {
    const WAITERS: usize = 5;

    let cond = Cond::new();
    assert_eq!(cond.notify_all(), 0);
    for inside in [true, false] {
        with_waiters(&cond, lock, WAITERS, |_| {
            if inside {
                lock.take();
            }
            assert_eq!(cond.notify_all(), WAITERS);
            assert_eq!((cond.notify_all(), cond.notify_one()), (0, false));
            assert_eq!((waiters(&cond), cond_bits(&cond)), (0, 0));
            if inside {
                lock.give();
            }
        });
    }
}

fn a_wait_ends_at_its_deadline_and_not_before_with_the_lock_held<L: Kind>(lock: &L) {
    let _watchdog = watchdog();
    let cond = Cond::new();
    lock.take();
    for flags in [DETACH, LockFlags::empty()] {
        let start = Instant::now();
        assert_eq!(cond.wait_timed(lock, Some(SOON), flags), WaitStatus::TimedOut);
        assert!(start.elapsed() >= SOON);
        let deadline = Deadline::after(Some(SOON));
        assert_eq!(cond.wait_until(lock, deadline, flags), WaitStatus::TimedOut);
        assert!(deadline.has_passed());
        // It passes no second time.
        assert_eq!(cond.wait_until(lock, deadline, flags), WaitStatus::TimedOut);
        assert!(lock.is_held());
        assert_eq!(waiters(&cond), 0);
    }
    // The notifier that finds nobody says so, and the one after it need not look.
    assert_eq!(cond_bits(&cond), 1);
    assert!(!cond.notify_one());
    assert_eq!(cond_bits(&cond), 0);
    lock.give();
    assert!(!lock.is_held());
}

fn a_wait_of_no_time_lets_others_have_the_lock<L: Kind>(lock: &L) {
    let _watchdog = watchdog();
    let (cond, had_it) = (Cond::new(), AtomicBool::new(false));
    lock.take();
    thread::scope(|scope| {
        scope.spawn(|| {
            lock.take();
            had_it.store(true, Relaxed);
            lock.give();
        });
        while !had_it.load(Relaxed) {
            let status = cond.wait_timed(lock, Some(Duration::ZERO), DETACH);
            assert_eq!(status, WaitStatus::TimedOut);
        }
    });
    lock.give();
}

fn no_timeout_is_too_long<L: Kind>(lock: &L) {
    let _watchdog = watchdog();
    let cond = Cond::new();
    for timeout in [Duration::MAX, Duration::from_secs(u64::MAX), Duration::from_secs(1 << 40)] {
        thread::scope(|scope| {
            scope.spawn(|| {
                lock.take();
                let status = cond.wait_timed(lock, Some(timeout), DETACH);
                assert_eq!(status, WaitStatus::Notified, "{timeout:?}");
                lock.give();
            });
            wait_for_waiters(&cond, 1);
            assert!(cond.notify_one());
        });
    }
}

fn every_way_to_wait_is_notified<L: Kind>(lock: &L) {
    let _watchdog = watchdog();
    let (cond, cancel) = (Cond::new(), Cancel::new());
    let notified = WaitStatus::Notified;
    let hour = Some(Duration::from_secs(3600));
    let ways: [&(dyn Fn() + Sync); 6] = [
        &|| cond.wait(lock),
        &|| assert_eq!(cond.wait_timed(lock, hour, DETACH), notified),
        &|| assert_eq!(cond.wait_until(lock, Deadline::after(hour), DETACH), notified),
        &|| {
            let status = cond.wait_cancellable(lock, Deadline::NEVER, DETACH, &cancel);
            assert_eq!(status, notified);
        },
        &|| {
            let status = cond.wait_in::<Counting, _>(lock, Deadline::NEVER, DETACH, Some(&cancel));
            assert_eq!(status, notified);
            let counts = take_counts();
            assert!(counts.detached >= 1 && counts.detached == counts.attached, "{counts:?}");
        },
        &|| {
            let flags = LockFlags::empty();
            let status = cond.wait_in::<Counting, _>(lock, Deadline::NEVER, flags, None);
            assert_eq!((status, cancel.is_set()), (notified, false));
        },
    ];
    for wait in ways {
        thread::scope(|scope| {
            scope.spawn(|| {
                lock.take();
                wait();
                assert!(lock.is_held());
                lock.give();
            });
            wait_for_waiters(&cond, 1);
            assert!(cond.notify_one());
        });
    }
}

fn wait_while_ends_when_the_condition_does_not_hold_any_more<L: Kind>(lock: &L) {
    let _watchdog = watchdog();
    let (cond, left, calls) = (Cond::new(), AtomicUsize::new(3), AtomicUsize::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            lock.take();
            let condition = || {
                calls.fetch_add(1, Relaxed);
                assert!(lock.is_held());
                left.load(Relaxed) > 0
            };
            let status = cond.wait_while(lock, condition, Deadline::NEVER, DETACH, None);
            assert_eq!(status, WaitStatus::Notified);
            assert!(lock.is_held());
            lock.give();
        });
        for before in (1..=3).rev() {
            wait_for_waiters(&cond, 1);
            lock.take();
            assert_eq!(left.fetch_sub(1, Relaxed), before);
            lock.give();
            assert!(cond.notify_one());
        }
    });
    // Once before the first wait, and once after each.
    assert_eq!(calls.into_inner(), 4);
}

fn a_panic_in_the_condition_leaves_the_lock_held<L: Kind>(lock: &L) {
    let _watchdog = watchdog();
    let cond = Cond::new();
    for good_calls in [0, 1] {
        let mut calls = 0;
        lock.take();
        let wait = || {
            let condition = || {
                calls += 1;
                if calls > good_calls {
                    resume_unwind(Box::new("in the condition"));
                }
                true
            };
            cond.wait_while(lock, condition, Deadline::NOW, DETACH, None)
        };
        let payload = catch_unwind(AssertUnwindSafe(wait)).unwrap_err();
        assert_eq!(payload.downcast_ref(), Some(&"in the condition"));
        assert!(lock.is_held());
        assert_eq!(waiters(&cond), 0);
        lock.give();
        assert!(!lock.is_held());
    }
}

fn a_cancelled_wait_has_the_lock_again<L: Kind>(lock: &L) {
    let _watchdog = watchdog();
    let cond = Cond::new();
    for inside in [true, false] {
        let cancel = Cancel::new();
        thread::scope(|scope| {
            scope.spawn(|| {
                lock.take();
                let status = cond.wait_cancellable(lock, Deadline::NEVER, DETACH, &cancel);
                assert_eq!(status, WaitStatus::Cancelled);
                assert!(lock.is_held());
                // Those that begin later too.
                let hour = Deadline::after(Some(Duration::from_secs(3600)));
                let status = cond.wait_cancellable(lock, hour, DETACH, &cancel);
                assert_eq!(status, WaitStatus::Cancelled);
                let status = cond.wait_while(lock, || true, hour, DETACH, Some(&cancel));
                assert_eq!(status, WaitStatus::Cancelled);
                assert!(lock.is_held());
                lock.give();
            });
            wait_for_waiters(&cond, 1);
            if inside {
                lock.take();
            }
            assert_eq!(cond.cancel(&cancel), 1);
            assert!(cancel.is_set());
            assert_eq!(cond.cancel(&cancel), 0);
            if inside {
                lock.give();
            }
        });
        assert_eq!((waiters(&cond), cond_bits(&cond)), (0, 0));
    }
}

#[test]
fn a_wait_of_no_time_gives_the_lock_up_once_and_takes_it_back() {
    let (cond, lock) = (Cond::new(), Recorded::default());
    let (zero, past) = (Some(Duration::ZERO), Deadline::NOW);
    assert_eq!(cond.wait_timed(&lock, zero, DETACH), WaitStatus::TimedOut);
    assert_eq!(lock.take_events(), [Did::GiveUp, Did::TakeBack]);
    assert_eq!(cond.wait_until(&lock, past, DETACH), WaitStatus::TimedOut);
    assert_eq!(lock.take_events(), [Did::GiveUp, Did::TakeBack]);
    assert_eq!(cond.wait_while(&lock, || true, past, DETACH, None), WaitStatus::TimedOut);
    assert_eq!(lock.take_events(), [Did::GiveUp, Did::TakeBack]);
}

#[test]
fn wait_while_looks_first_and_once_more_when_the_time_is_up() {
    let (cond, lock, cancel) = (Cond::new(), Recorded::default(), Cancel::new());
    // How often the condition holds, and what comes of it.
    for (holds, status, calls) in [
        (0, WaitStatus::Notified, 1),
        (1, WaitStatus::Notified, 2),
        (usize::MAX, WaitStatus::TimedOut, 2),
    ] {
        let mut called = 0;
        let condition = || {
            called += 1;
            called <= holds
        };
        let ended = cond.wait_while(&lock, condition, Deadline::NOW, DETACH, None);
        assert_eq!((ended, called), (status, calls));
        assert_eq!(lock.take_events().len(), 2 * (calls - 1));
    }
    // And when it is cancelled.
    cond.cancel(&cancel);
    for (holds, status, calls) in [
        (0, WaitStatus::Notified, 1),
        (1, WaitStatus::Notified, 2),
        (usize::MAX, WaitStatus::Cancelled, 2),
    ] {
        let mut called = 0;
        let condition = || {
            called += 1;
            called <= holds
        };
        let ended = cond.wait_while(&lock, condition, Deadline::NEVER, DETACH, Some(&cancel));
        assert_eq!((ended, called), (status, calls));
        assert_eq!(lock.take_events(), [], "a cancelled wait does not give the lock up");
    }
}

#[test]
fn wait_while_runs_in_a_runtime_of_the_callers_choice() {
    let _watchdog = watchdog();
    let (cond, mutex, go_on) = (Cond::new(), Mutex::new(), AtomicBool::new(true));
    thread::scope(|scope| {
        scope.spawn(|| {
            mutex.lock();
            let condition = || go_on.load(Relaxed);
            let status =
                cond.wait_while_in::<Counting, _>(&mutex, condition, Deadline::NEVER, DETACH, None);
            assert_eq!(status, WaitStatus::Notified);
            mutex.unlock();
            let counts = take_counts();
            assert!(counts.detached >= 2 && counts.detached == counts.attached, "{counts:?}");
        });
        // In vain.
        wait_for_waiters(&cond, 1);
        assert!(cond.notify_one());
        wait_for_waiters(&cond, 1);
        go_on.store(false, Relaxed);
        assert!(cond.notify_one());
    });
}

#[test]
fn a_recursive_mutex_gives_up_all_its_levels_and_has_them_again() {
    const LEVELS: usize = 3;

    let _watchdog = watchdog();
    let (cond, mutex) = (Cond::new(), RecursiveMutex::new());
    for timeout in [None, Some(SOON)] {
        thread::scope(|scope| {
            scope.spawn(|| {
                (0..LEVELS).for_each(|_| mutex.lock());
                let status = cond.wait_timed(&mutex, timeout, DETACH);
                assert_eq!(status == WaitStatus::Notified, timeout.is_none());
                for _ in 0..LEVELS {
                    assert!(mutex.is_locked_by_current_thread());
                    mutex.unlock();
                }
                assert!(!mutex.is_locked_by_current_thread());
                assert_eq!(mutex.try_unlock(), Err(NotOwner));
            });
            if timeout.is_none() {
                wait_for_waiters(&cond, 1);
                mutex.lock();
                // The next owner finds a mutex that is its own, once.
                assert!(mutex.is_locked_by_current_thread());
                mutex.unlock();
                assert!(!mutex.is_locked());
                // Notified under the next owner's levels.
                mutex.lock();
                mutex.lock();
                assert!(cond.notify_one());
                assert_eq!(parked_at(mutex.inner()), 1);
                mutex.unlock();
                assert_eq!(parked_at(mutex.inner()), 1);
                mutex.unlock();
            }
        });
        assert!(!mutex.is_locked());
    }
}

#[test]
fn readers_wait_together_and_a_writer_notifies_them() {
    let rw = RwMutex::new();
    let cond = Cond::new();
    with_waiters(&cond, &AsReader(&rw), 3, |ended| {
        rw.write_lock();
        assert_eq!(cond.notify_all(), 3);
        assert!(ended.lock().unwrap().is_empty());
        rw.write_unlock();
    });
}

#[test]
fn readers_and_writers_wait_on_one_condition_variable() {
    let _watchdog = watchdog();
    let (rw, cond) = (RwMutex::new(), Cond::new());
    thread::scope(|scope| {
        for number in 0..4 {
            let (rw, cond) = (&rw, &cond);
            scope.spawn(move || {
                if number % 2 == 0 {
                    rw.read_lock();
                    cond.wait(&AsReader(rw));
                    assert!(rw.is_locked() && !rw.is_write_locked());
                    rw.read_unlock();
                } else {
                    rw.write_lock();
                    cond.wait(&AsWriter(rw));
                    assert!(rw.is_write_locked());
                    rw.write_unlock();
                }
            });
            wait_for_waiters(cond, number + 1);
        }
        rw.read_lock();
        assert_eq!(cond.notify_all(), 4);
        rw.read_unlock();
    });
    assert!(!rw.is_locked());
}

/// With those of other kinds that cannot be moved in between.
#[test]
fn waiters_with_different_locks_wait_at_the_same_time() {
    let _watchdog = watchdog();
    let cond = Cond::new();
    let (mutexes, raw, recursive) =
        ([Mutex::new(), Mutex::new()], RawMutex::new(), RecursiveMutex::new());
    let ended = AtomicUsize::new(0);
    for round in 0..3 {
        let wait_with: [&(dyn Fn() + Sync); 4] = [
            &|| {
                mutexes[0].lock();
                cond.wait(&mutexes[0]);
                mutexes[0].unlock();
            },
            &|| {
                mutexes[1].lock();
                cond.wait(&mutexes[1]);
                mutexes[1].unlock();
            },
            &|| {
                raw.lock();
                cond.wait(&raw);
                raw.unlock();
            },
            &|| {
                recursive.lock();
                cond.wait(&recursive);
                recursive.unlock();
            },
        ];
        thread::scope(|scope| {
            for (number, wait) in wait_with.iter().enumerate() {
                let ended = &ended;
                scope.spawn(move || {
                    wait();
                    ended.fetch_add(1, SeqCst);
                });
                wait_for_waiters(&cond, number + 1);
            }
            let held = &mutexes[round % 2];
            held.lock();
            assert_eq!(cond.notify_all(), 4);
            // Only the waiter of the mutex that is held, and if it is the first, is moved. The
            // others have the locks that they want.
            wait_until(|| ended.load(SeqCst) == 4 * round + 3);
            assert!(parked_at(held) <= 1);
            held.unlock();
        });
        assert_eq!(ended.load(SeqCst), 4 * (round + 1));
    }
    assert!(mutexes.iter().all(|mutex| mutex_bits(mutex) == 0));
}

#[test]
fn notified_under_the_mutex_waiters_are_moved_asleep_and_its_unlocks_wake_them_in_order() {
    const WAITERS: usize = 4;

    let _watchdog = watchdog();
    let (cond, mutex) = (Cond::new(), Mutex::new());
    let sleepers: [Sleeper; WAITERS] = Default::default();
    let ended = StdMutex::new(Vec::new());
    thread::scope(|scope| {
        for (number, sleeper) in sleepers.iter().enumerate() {
            let (cond, mutex, ended) = (&cond, &mutex, &ended);
            scope.spawn(move || {
                sleeper.enter();
                mutex.lock();
                cond.wait(mutex);
                ended.lock().unwrap().push(number);
                mutex.unlock();
            });
            wait_for_waiters(cond, number + 1);
        }
        pysync_testing::sleeping(&sleepers);
        mutex.lock();
        assert_eq!(cond.notify_all(), WAITERS);
        assert_eq!((waiters(&cond), parked_at(&mutex)), (0, WAITERS));
        assert_eq!((cond_bits(&cond), mutex_bits(&mutex)), (0, 3));
        assert!(ended.lock().unwrap().is_empty());
        assert!(sleepers.iter().all(Sleeper::is_asleep));
        mutex.unlock();
    });
    assert_eq!(ended.into_inner().unwrap(), [0, 1, 2, 3]);
    assert_eq!(mutex_bits(&mutex), 0);
}

/// The waiter's deadline passes while it is queued at the mutex. It has been notified, and it stays
/// before the thread that came later.
#[test]
fn a_moved_waiter_whose_deadline_passes_is_notified_and_keeps_its_place() {
    let _watchdog = watchdog();
    let (cond, mutex, ended) = (Cond::new(), Mutex::new(), StdMutex::new(Vec::new()));
    // On a machine that is too busy, the deadline passes before the notification.
    let attempt = || {
        let deadline = Deadline::after(Some(Duration::from_millis(30)));
        ended.lock().unwrap().clear();
        thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                mutex.lock();
                let status = cond.wait_until(&mutex, deadline, DETACH);
                ended.lock().unwrap().push("waiter");
                mutex.unlock();
                status
            });
            wait_until(|| waiters(&cond) == 1 || deadline.has_passed());
            mutex.lock();
            let was_notified = cond.notify_one();
            if was_notified {
                assert_eq!(parked_at(&mutex), 1);
                scope.spawn(|| {
                    mutex.lock();
                    ended.lock().unwrap().push("locker");
                    mutex.unlock();
                });
                wait_until(|| parked_at(&mutex) == 2);
                let later = Deadline::after(Some(Duration::from_millis(40)));
                wait_until(|| {
                    assert_eq!(parked_at(&mutex), 2, "a moved waiter does not leave");
                    later.has_passed()
                });
                assert!(deadline.has_passed());
            }
            mutex.unlock();
            let status = waiter.join().unwrap();
            assert_eq!(status == WaitStatus::Notified, was_notified);
            was_notified
        })
    };
    assert!((0..100).any(|_| attempt()), "never in time");
    assert_eq!(*ended.lock().unwrap(), ["waiter", "locker"]);
}

#[test]
fn a_moved_waiter_is_handed_the_mutex_a_millisecond_after_its_notification() {
    let (cond, mutex) = (Cond::new(), Mutex::new());
    with_waiters(&cond, &mutex, 1, |ended| {
        mutex.lock();
        assert!(cond.notify_one());
        // For the waiter to become due.
        thread::sleep(Duration::from_millis(3));
        mutex.unlock();
        // The waiter has the mutex now, or has had it.
        if mutex.try_lock() {
            assert_eq!(*ended.lock().unwrap(), [0], "it was unlocked, and not handed off");
            mutex.unlock();
        }
    });
}

#[test]
fn a_waiter_that_has_only_waited_long_is_not_handed_the_mutex() {
    let (cond, mutex) = (Cond::new(), Mutex::new());
    let barged = (0..100).any(|_| {
        let mut barged = false;
        with_waiters(&cond, &mutex, 1, |ended| {
            // For longer than a waiter of the mutex would have to.
            thread::sleep(Duration::from_millis(2));
            mutex.lock();
            assert!(cond.notify_one());
            mutex.unlock();
            // Not if a millisecond has passed since, or if the waiter was faster.
            if mutex.try_lock() {
                barged = ended.lock().unwrap().is_empty();
                mutex.unlock();
            }
        });
        barged
    });
    assert!(barged, "it was handed the mutex each time");
}

#[test]
fn cancelling_ends_the_waits_that_it_names_and_the_others_keep_their_order() {
    let _watchdog = watchdog();
    let (cond, mutex) = (Cond::new(), Mutex::new());
    let (cancel, other) = (Cancel::new(), Cancel::new());
    let named = [None, Some(&cancel), Some(&other), Some(&cancel), None];
    let ended = StdMutex::new(Vec::new());
    thread::scope(|scope| {
        for (number, cancel) in named.into_iter().enumerate() {
            let (cond, mutex, ended) = (&cond, &mutex, &ended);
            scope.spawn(move || {
                mutex.lock();
                let status = cond.wait_in::<Counting, _>(mutex, Deadline::NEVER, DETACH, cancel);
                ended.lock().unwrap().push((number, status));
                mutex.unlock();
            });
            wait_for_waiters(cond, number + 1);
        }
        assert_eq!(cond.cancel(&cancel), 2);
        assert_eq!((waiters(&cond), cond_bits(&cond)), (3, 1));
        assert!(cancel.is_set() && !other.is_set());
        wait_until(|| ended.lock().unwrap().len() == 2);
        for more in 1..=3 {
            assert!(cond.notify_one());
            wait_until(|| ended.lock().unwrap().len() == 2 + more);
        }
        assert_eq!(cond.cancel(&other), 0);
    });
    let mut ended = ended.into_inner().unwrap();
    ended[..2].sort_by_key(|(number, _)| *number);
    let (cancelled, notified) = (WaitStatus::Cancelled, WaitStatus::Notified);
    assert_eq!(ended, [1, 3, 0, 2, 4].map(|i| (i, if i % 2 == 1 { cancelled } else { notified })));
}

#[test]
fn a_wait_that_has_been_notified_is_not_cancelled_any_more() {
    let _watchdog = watchdog();
    let (cond, mutex, cancel) = (Cond::new(), Mutex::new(), Cancel::new());
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            mutex.lock();
            let status = cond.wait_cancellable(&mutex, Deadline::NEVER, DETACH, &cancel);
            mutex.unlock();
            status
        });
        wait_for_waiters(&cond, 1);
        mutex.lock();
        assert!(cond.notify_one());
        // The waiter is at the mutex now.
        assert_eq!(cond.cancel(&cancel), 0);
        mutex.unlock();
        assert_eq!(waiter.join().unwrap(), WaitStatus::Notified);
    });
}

#[test]
fn a_wait_that_has_been_cancelled_takes_no_notification_from_others() {
    let _watchdog = watchdog();
    let (cond, mutex, cancel) = (Cond::new(), Mutex::new(), Cancel::new());
    thread::scope(|scope| {
        let cancelled = scope.spawn(|| {
            mutex.lock();
            let status = cond.wait_cancellable(&mutex, Deadline::NEVER, DETACH, &cancel);
            mutex.unlock();
            status
        });
        wait_for_waiters(&cond, 1);
        let notified = scope.spawn(|| {
            mutex.lock();
            let status = cond.wait_timed(&mutex, None, DETACH);
            mutex.unlock();
            status
        });
        wait_for_waiters(&cond, 2);
        mutex.lock();
        assert_eq!(cond.cancel(&cancel), 1);
        // The first is at the mutex, asleep.
        assert_eq!((waiters(&cond), parked_at(&mutex)), (1, 1));
        assert!(cond.notify_one());
        assert!(!cond.notify_one());
        mutex.unlock();
        assert_eq!(cancelled.join().unwrap(), WaitStatus::Cancelled);
        assert_eq!(notified.join().unwrap(), WaitStatus::Notified);
    });
}

#[test]
fn one_cancel_ends_waits_on_several_condition_variables() {
    let _watchdog = watchdog();
    let (conds, mutex, cancel) = ([Cond::new(), Cond::new()], Mutex::new(), Cancel::new());
    thread::scope(|scope| {
        let waiters_on = conds.each_ref().map(|cond| {
            let (mutex, cancel) = (&mutex, &cancel);
            scope.spawn(move || {
                mutex.lock();
                let status = cond.wait_cancellable(mutex, Deadline::NEVER, DETACH, cancel);
                mutex.unlock();
                status
            })
        });
        conds.iter().for_each(|cond| wait_for_waiters(cond, 1));
        assert_eq!(conds[0].cancel(&cancel), 1);
        assert_eq!(waiters(&conds[1]), 1);
        assert_eq!(conds[1].cancel(&cancel), 1);
        for waiter in waiters_on {
            assert_eq!(waiter.join().unwrap(), WaitStatus::Cancelled);
        }
    });
}

#[test]
fn cancelling_where_nobody_waits_is_remembered() {
    let (cond, mutex, cancel) = (Cond::new(), Mutex::new(), Cancel::new());
    assert_eq!(format!("{cancel:?}"), "Cancel(false)");
    assert_eq!(cond.cancel(&cancel), 0);
    assert_eq!(format!("{cancel:?}"), "Cancel(true)");
    mutex.lock();
    let status = cond.wait_cancellable(&mutex, Deadline::NEVER, DETACH, &cancel);
    assert_eq!(status, WaitStatus::Cancelled);
    assert!(mutex.is_locked());
    mutex.unlock();
}

#[test]
fn it_says_whether_threads_wait() {
    let cond = Cond::default();
    assert_eq!(format!("{cond:?}"), "Cond { waited_for: false }");
    with_waiters(&cond, &Mutex::new(), 1, |_| {
        assert_eq!(format!("{cond:?}"), "Cond { waited_for: true }");
        assert!(cond.notify_one());
    });
}
