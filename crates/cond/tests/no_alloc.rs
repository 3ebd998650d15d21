//! Nothing here allocates, least of all a thread that has to wait.
// std's own mutex may allocate in the portable parker, on platforms where it is a boxed one.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::thread;
use std::time::Duration;

use common::*;
use pysync_cond::guarded::Condvar;
use pysync_cond::{AsReader, AsWriter, Cancel, Cond, Deadline, LockFlags, NotifyList};
use pysync_lock::{Mutex, RawMutex, RecursiveMutex, RwMutex, guarded};
use pysync_testing::{CountingAllocator, Sleeper, allocations, sleeping, watchdog};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

#[test]
fn the_count_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(7)))), 2);
    assert_eq!(allocations(|| {}), 0);
}

/// Three threads sleep in `wait` until `notify`; none of the four allocates.
fn nobody_allocates(wait: impl Fn() + Sync, notify: impl FnOnce()) {
    let _watchdog = watchdog();
    let sleepers: [Sleeper; 3] = Default::default();
    thread::scope(|scope| {
        let waiters = sleepers.each_ref().map(|sleeper| {
            let wait = &wait;
            scope.spawn(move || {
                sleeper.enter();
                allocations(wait)
            })
        });
        sleeping(&sleepers);
        assert_eq!(allocations(notify), 0, "notifying allocates");
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), 0, "waiting allocates");
        }
    });
}

/// Waits for all are notified one by one, and all at once, with the lock held and free.
fn with_a_lock<L: Kind>(lock: &L) {
    let cond = Cond::new();
    let wait = || {
        lock.take();
        cond.wait(lock);
        lock.give();
    };
    for inside in [true, false] {
        for all in [true, false] {
            let notify = || {
                if inside {
                    lock.take();
                }
                if all {
                    cond.notify_all();
                } else {
                    while cond.notify_one() {}
                }
                if inside {
                    lock.give();
                }
            };
            // A thread may sleep for its lock and not for its notification yet.
            let notify = || {
                wait_for_waiters(&cond, 3);
                notify();
            };
            nobody_allocates(wait, notify);
        }
    }
}

#[test]
fn a_condition_variable_does_not_allocate() {
    with_a_lock(&Mutex::new());
    with_a_lock(&RawMutex::new());
    with_a_lock(&RecursiveMutex::new());
    with_a_lock(&AsReader(&RwMutex::new()));
    with_a_lock(&AsWriter(&RwMutex::new()));
}

#[test]
fn waits_that_end_otherwise_do_not_allocate() {
    let (cond, mutex, cancel) = (Cond::new(), Mutex::new(), Cancel::new());
    let soon = || Deadline::after(Some(Duration::from_millis(1)));
    let timed = || {
        mutex.lock();
        _ = cond.wait_until(&mutex, soon(), LockFlags::DETACH);
        _ = cond.wait_while(&mutex, || true, soon(), LockFlags::DETACH, None);
        mutex.unlock();
    };
    nobody_allocates(timed, || {});
    let cancelled = || {
        mutex.lock();
        _ = cond.wait_cancellable(&mutex, Deadline::NEVER, LockFlags::DETACH, &cancel);
        mutex.unlock();
    };
    nobody_allocates(cancelled, || {
        wait_for_waiters(&cond, 3);
        cond.cancel(&cancel);
    });
}

#[test]
fn a_condvar_for_guards_does_not_allocate() {
    let (condvar, ready) = (Condvar::new(), guarded::Mutex::new(false));
    nobody_allocates(
        || condvar.wait_while(&mut ready.lock(), |ready| !*ready),
        || {
            *ready.lock() = true;
            condvar.notify_all();
        },
    );
}

#[test]
fn a_notify_list_does_not_allocate() {
    let list = NotifyList::new();
    nobody_allocates(|| list.register(|ticket| ticket.wait()), || _ = list.notify_all());
    nobody_allocates(|| list.register_first(|ticket| ticket.wait()), || _ = list.notify(3));
    let soon = Some(Duration::from_millis(1));
    let timed = || {
        list.register(|ticket| _ = ticket.wait_flags(Deadline::after(soon), LockFlags::DETACH));
        list.register(|ticket| drop(ticket));
    };
    nobody_allocates(timed, || {});
}
