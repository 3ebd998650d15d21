//! The memory of a condition variable may be freed as soon as a waiter that was notified has returned:
//! the notifier must not touch it again, nor the mutex. Under AddressSanitizer a late access fails;
//! without it the tests still show that nobody hangs.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::sync::atomic::{AtomicPtr, Ordering::*};
use std::thread;

use common::*;
use pysync_cond::{Cancel, Cond, Deadline, LockFlags, NotifyList, WaitStatus};
use pysync_lock::Mutex;
use pysync_testing::watchdog;

const ROUNDS: usize = 1_000;

/// A thread waits and frees what it has waited on, as another notifies.
fn freed_after<T: Default>(wait: impl Fn(&T) + Sync, notify: impl Fn(&T, usize)) {
    let _watchdog = watchdog();
    for round in 0..ROUNDS {
        let address = AtomicPtr::new(Box::into_raw(Box::<T>::default()));
        thread::scope(|scope| {
            scope.spawn(|| {
                let shared = address.load(Relaxed);
                // SAFETY: ours until we free it.
                wait(unsafe { &*shared });
                // SAFETY: from the box above. That nobody uses it any more is what is tested.
                drop(unsafe { Box::from_raw(shared) });
            });
            // SAFETY: the waiter frees it only when it has been notified, which `notify` does last.
            notify(unsafe { &*address.load(Relaxed) }, round);
        });
    }
}

/// Without the mutex: it would have to be unlocked afterwards.
#[test]
fn a_condition_variable_may_go_once_its_waiter_has_returned() {
    type Shared = (Cond, Mutex);
    freed_after(
        |(cond, mutex): &Shared| {
            mutex.lock();
            cond.wait(mutex);
            mutex.unlock();
        },
        |(cond, mutex), round| {
            wait_for_waiters(cond, 1);
            // Until the waiter has given it up: it wakes with a mutex that nobody unlocks any more.
            mutex.lock();
            mutex.unlock();
            match round % 2 {
                0 => assert!(cond.notify_one()),
                _ => assert_eq!(cond.notify_all(), 1),
            }
        },
    );
}

#[test]
fn a_condition_variable_may_go_while_its_mutex_stays() {
    let mutex = Mutex::new();
    freed_after(
        |cond: &Cond| {
            mutex.lock();
            cond.wait(&mutex);
            mutex.unlock();
        },
        |cond, round| {
            wait_for_waiters(cond, 1);
            mutex.lock();
            match round % 2 {
                0 => assert!(cond.notify_one()),
                _ => assert_eq!(cond.notify_all(), 1),
            }
            mutex.unlock();
        },
    );
}

#[test]
fn both_may_go_once_a_waiter_has_been_cancelled() {
    let cancels: Vec<_> = (0..ROUNDS).map(|_| Cancel::new()).collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    freed_after(
        |(cond, mutex): &(Cond, Mutex)| {
            let cancel = &cancels[next.load(SeqCst)];
            mutex.lock();
            let status = cond.wait_cancellable(mutex, Deadline::NEVER, LockFlags::DETACH, cancel);
            assert_eq!(status, WaitStatus::Cancelled);
            mutex.unlock();
        },
        |(cond, mutex), round| {
            wait_for_waiters(cond, 1);
            mutex.lock();
            mutex.unlock();
            next.store(round + 1, SeqCst);
            assert_eq!(cond.cancel(&cancels[round]), 1);
        },
    );
}

#[test]
fn a_list_may_go_once_its_waiter_has_returned() {
    freed_after(
        |list: &NotifyList| list.register(|ticket| ticket.wait()),
        |list, round| {
            wait_for_waiters(list, 1);
            match round % 3 {
                0 => assert!(list.notify_one()),
                1 => assert_eq!(list.notify(2), 1),
                _ => assert_eq!(list.notify_all(), 1),
            }
        },
    );
}
