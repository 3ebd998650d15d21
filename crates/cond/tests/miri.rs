//! Undefined behaviour by the letter: small tests for Miri, which `ci/miri.sh` runs with several
//! seeds. They run natively too, with more rounds.
//!
//! What the threads pass to each other is neither atomic nor locked but by the code under test, so that
//! Miri reports a race where that does not order their accesses.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::*};
use std::thread;
use std::time::Duration;

use common::*;
use pysync_cond::guarded::Condvar;
use pysync_cond::{AsReader, AsWriter, Cancel, Cond, Deadline, LockFlags, NotifyList, WaitStatus};
use pysync_lock::{Mutex, RawMutex, RecursiveMutex, RwMutex, guarded};
use pysync_testing::{together, watchdog};

const DETACH: LockFlags = LockFlags::DETACH;

/// `native` rounds of a test, or `miri` ones, which take a thousand times as long each.
const fn rounds(miri: usize, native: usize) -> usize {
    if cfg!(miri) { miri } else { native }
}

/// A deadline about as far as the other threads take for a step.
fn soon(step: usize) -> Deadline {
    let unit = if cfg!(miri) { 300_000 } else { 500 };
    Deadline::after(Some(Duration::from_nanos(step as u64 % 4 * unit)))
}

/// Two threads take turns with a value on the heap that `lock` guards.
fn take_turns<L: Kind>(lock: &L) {
    let _watchdog = watchdog();
    let (cond, turn) = (Cond::new(), Plain::new(0));
    let turns = rounds(6, 2_000);
    together(2, |id| {
        for mine in (id..turns).step_by(2) {
            lock.take();
            while turn.get() != mine {
                cond.wait(lock);
            }
            turn.set(mine + 1);
            if mine % 4 < 2 {
                cond.notify_one();
                lock.give();
            } else {
                lock.give();
                cond.notify_all();
            }
        }
    });
    assert_eq!(turn.get(), turns);
    assert_eq!(waiters(&cond), 0);
}

#[test]
fn threads_take_turns_with_each_kind_of_lock() {
    take_turns(&Mutex::new());
    take_turns(&RawMutex::new());
    take_turns(&RecursiveMutex::new());
    take_turns(&AsWriter(&RwMutex::new()));
}

#[test]
fn a_writer_notifies_readers() {
    let _watchdog = watchdog();
    let (rw, cond, value) = (RwMutex::new(), Cond::new(), Plain::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                rw.read_lock();
                while value.get() == 0 {
                    cond.wait(&AsReader(&rw));
                }
                rw.read_unlock();
            });
        }
        rw.write_lock();
        value.set(1);
        cond.notify_all();
        rw.write_unlock();
    });
}

#[test]
fn waiters_are_moved_to_the_mutex_and_take_it_one_by_one() {
    const WAITERS: usize = 3;
    let _watchdog = watchdog();
    for round in 0..rounds(2, 200) {
        let (cond, mutex, count) = (Cond::new(), Mutex::new(), Plain::new(0));
        thread::scope(|scope| {
            for _ in 0..WAITERS {
                scope.spawn(|| {
                    mutex.lock();
                    count.set(count.get() + 1);
                    cond.wait(&mutex);
                    count.set(count.get() + 1);
                    mutex.unlock();
                });
            }
            wait_for_waiters(&cond, WAITERS);
            mutex.lock();
            assert_eq!(count.get(), WAITERS);
            if round % 2 == 0 {
                assert_eq!(cond.notify_all(), WAITERS);
                mutex.unlock();
            } else {
                mutex.unlock();
                (0..WAITERS).for_each(|_| assert!(cond.notify_one()));
            }
        });
        assert_eq!(count.get(), 2 * WAITERS);
    }
}

#[test]
fn deadlines_race_moves_to_two_mutexes_and_the_counts_are_exact() {
    const WAITERS: usize = 3;
    let _watchdog = watchdog();
    let (cond, mutexes) = (Cond::new(), [Mutex::new(), Mutex::new()]);
    let counts = [Plain::new(0), Plain::new(0)];
    let (left, notified) = (AtomicUsize::new(WAITERS), AtomicUsize::new(0));
    let mut counted = 0;
    let each = rounds(4, 1_000);
    thread::scope(|scope| {
        for id in 0..WAITERS {
            let (cond, mutexes, counts, left, notified) =
                (&cond, &mutexes, &counts, &left, &notified);
            scope.spawn(move || {
                for round in 0..each {
                    let which = (id + round) % 2;
                    mutexes[which].lock();
                    let status = cond.wait_until(&mutexes[which], soon(id + round), DETACH);
                    counts[which].set(counts[which].get() + 1);
                    mutexes[which].unlock();
                    notified.fetch_add(usize::from(status == WaitStatus::Notified), Relaxed);
                }
                left.fetch_sub(1, Release);
            });
        }
        for turn in 0.. {
            if left.load(Acquire) == 0 {
                break;
            }
            let held = mutexes.get(turn % 3);
            if let Some(mutex) = held {
                mutex.lock();
            }
            counted += cond.notify_all() + usize::from(cond.notify_one());
            if let Some(mutex) = held {
                mutex.unlock();
            }
            thread::yield_now();
        }
    });
    assert_eq!(notified.into_inner(), counted);
    assert_eq!(counts[0].get() + counts[1].get(), WAITERS * each);
}

#[test]
fn a_cancel_takes_out_those_that_it_names() {
    let _watchdog = watchdog();
    for _ in 0..rounds(2, 200) {
        let (cond, mutex, cancel) = (Cond::new(), Mutex::new(), Cancel::new());
        thread::scope(|scope| {
            for named in [true, false, true] {
                let (cond, mutex, cancel) = (&cond, &mutex, &cancel);
                scope.spawn(move || {
                    mutex.lock();
                    let cancel = named.then_some(cancel);
                    let status =
                        cond.wait_in::<Counting, _>(mutex, Deadline::NEVER, DETACH, cancel);
                    assert_eq!(status == WaitStatus::Cancelled, named);
                    mutex.unlock();
                });
            }
            // Two at most: those that come later find it set.
            assert!(cond.cancel(&cancel) <= 2);
            while !cond.notify_one() {
                thread::yield_now();
            }
        });
    }
}

#[test]
fn all_levels_of_a_recursive_mutex_come_back() {
    let _watchdog = watchdog();
    let (cond, mutex, value) = (Cond::new(), RecursiveMutex::new(), Plain::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            mutex.lock();
            mutex.lock();
            while value.get() == 0 {
                cond.wait(&mutex);
            }
            mutex.unlock();
            value.set(2);
            mutex.unlock();
        });
        mutex.lock();
        mutex.lock();
        value.set(1);
        cond.notify_one();
        mutex.unlock();
        mutex.unlock();
    });
    assert_eq!(value.get(), 2);
    assert!(!mutex.is_locked());
}

#[test]
fn a_guard_is_lent_to_the_condition_and_comes_back() {
    let _watchdog = watchdog();
    let (queue, condvar) = (guarded::Mutex::new(Vec::new()), Condvar::new());
    let messages = rounds(4, 1_000);
    thread::scope(|scope| {
        scope.spawn(|| {
            for message in 0..messages {
                queue.lock().push(Box::new(message));
                condvar.notify_one();
            }
        });
        let mut guard = queue.lock();
        for message in 0..messages {
            condvar.wait_while(&mut guard, |queue| queue.is_empty());
            assert_eq!(*guard.remove(0), message);
        }
        let panic = || condvar.wait_while(&mut guard, |_| resume_unwind(Box::new("here")));
        catch_unwind(AssertUnwindSafe(panic)).unwrap_err();
        guard.clear();
    });
}

#[test]
fn what_came_before_a_notification_is_seen_after_the_wait() {
    let _watchdog = watchdog();
    // The notifications alone order the accesses: the list has no lock.
    let (there, back, ball) = (NotifyList::new(), NotifyList::new(), Plain::new(0));
    let turns = rounds(6, 1_000);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..turns {
                there.register(|ticket| {
                    while !back.notify_one() {
                        thread::yield_now();
                    }
                    ticket.wait();
                });
                ball.set(ball.get() + 1);
            }
            while !back.notify_one() {
                thread::yield_now();
            }
        });
        for _ in 0..turns {
            back.register(|ticket| ticket.wait());
            ball.set(ball.get() + 1);
            while !there.notify_one() {
                thread::yield_now();
            }
        }
        back.register(|ticket| ticket.wait());
    });
    assert_eq!(ball.get(), 2 * turns);
}

#[test]
fn tickets_are_dropped_forgotten_and_left_by_panics() {
    let _watchdog = watchdog();
    for round in 0..rounds(4, 400) {
        let list = NotifyList::new();
        thread::scope(|scope| {
            scope.spawn(|| list.register(|ticket| ticket.wait()));
            wait_for_waiters(&list, 1);
            let body = || {
                list.register_first(|ticket| {
                    assert!(list.notify_one());
                    match round % 4 {
                        0 => drop(ticket),
                        1 => std::mem::forget(ticket),
                        2 => resume_unwind(Box::new("in the body")),
                        _ => {}
                    }
                });
            };
            // Passed on to the other thread, which has no other notification.
            assert_eq!(catch_unwind(AssertUnwindSafe(body)).is_err(), round % 4 == 2);
        });
    }
}

#[test]
fn tickets_time_out_as_they_are_notified() {
    let _watchdog = watchdog();
    let (list, notified) = (NotifyList::new(), AtomicUsize::new(0));
    let (left, mut counted) = (AtomicUsize::new(2), 0);
    thread::scope(|scope| {
        for id in 0..2 {
            let (list, notified, left) = (&list, &notified, &left);
            scope.spawn(move || {
                for round in 0..rounds(5, 1_000) {
                    let was_notified = list.register(|ticket| match round % 3 {
                        0 => ticket.cancel(),
                        _ => ticket.wait_flags(soon(id + round), DETACH) == WaitStatus::Notified,
                    });
                    notified.fetch_add(usize::from(was_notified), Relaxed);
                }
                left.fetch_sub(1, Release);
            });
        }
        while left.load(Acquire) > 0 {
            counted += usize::from(list.notify_one()) + list.notify_all();
            thread::yield_now();
        }
    });
    assert_eq!(notified.into_inner(), counted);
}

#[test]
fn what_a_waiter_has_waited_on_may_go_when_it_wakes() {
    let _watchdog = watchdog();
    for round in 0..rounds(4, 500) {
        let shared = Box::into_raw(Box::new((Cond::new(), NotifyList::new(), Mutex::new())));
        let address = AtomicPtr::new(shared);
        thread::scope(|scope| {
            scope.spawn(|| {
                let shared = address.load(Relaxed);
                {
                    // SAFETY: ours until we free it.
                    let (cond, list, mutex) = unsafe { &*shared };
                    if round % 2 == 0 {
                        mutex.lock();
                        cond.wait(mutex);
                        mutex.unlock();
                    } else {
                        list.register(|ticket| ticket.wait());
                    }
                }
                // SAFETY: from the box above. That the notifier is done with it is what is tested.
                drop(unsafe { Box::from_raw(shared) });
            });
            // SAFETY: there until the waiter has been notified, and no reference to it outlasts that.
            unsafe {
                while waiters(&(*shared).0) + waiters(&(*shared).1) == 0 {
                    thread::yield_now();
                }
                if round % 2 == 0 {
                    // Until the waiter has given it up.
                    (*shared).2.lock();
                    (*shared).2.unlock();
                    assert_eq!((*shared).0.notify_all(), 1);
                } else {
                    assert!((*shared).1.notify_one());
                }
            }
        });
    }
}
