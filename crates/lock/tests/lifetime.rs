//! The memory of a lock may be freed as soon as its last user has it: who unlocked or notified
//! before must not touch it again. Under AddressSanitizer a late access fails; without it the
//! tests still show that nobody hangs.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::sync::atomic::{AtomicPtr, Ordering::*};
use std::thread;
use std::time::Duration;

use pysync_lock::{Event, Mutex, OnceFlag, RecursiveMutex, RwMutex};
use pysync_testing::watchdog;

const ROUNDS: usize = 400;

/// Runs `first` on one thread and then `last` on another, and frees the lock the moment `last`
/// is done. `first` calls its second argument when it may be overtaken.
fn freed_after<L: Default>(first: impl Fn(&L, &dyn Fn()) + Sync, last: impl Fn(&L)) {
    let _watchdog = watchdog();
    for round in 0..ROUNDS {
        let lock = AtomicPtr::new(Box::into_raw(Box::new(L::default())));
        let begun = Event::new();
        thread::scope(|scope| {
            scope.spawn(|| {
                let overtake = || {
                    begun.notify();
                    // Every other time for long enough to hand the lock over.
                    match round % 2 {
                        0 => thread::yield_now(),
                        _ => thread::sleep(Duration::from_micros(1_200)),
                    }
                };
                // SAFETY: the other thread frees it only when `last` has had it after us.
                first(unsafe { &*lock.load(Relaxed) }, &overtake);
            });
            begun.wait();
            let lock = lock.load(Relaxed);
            // SAFETY: ours to free, and we have not done so.
            last(unsafe { &*lock });
            // SAFETY: from the box above. That nobody uses it any more is what is tested.
            drop(unsafe { Box::from_raw(lock) });
        });
    }
}

#[test]
fn a_mutex_may_go_once_its_last_user_has_locked_it() {
    freed_after(
        |mutex: &Mutex, overtake| {
            mutex.lock();
            overtake();
            mutex.unlock();
        },
        Mutex::lock,
    );
}

#[test]
fn a_recursive_mutex_may_go_once_its_last_user_has_locked_it() {
    freed_after(
        |mutex: &RecursiveMutex, overtake| {
            mutex.lock();
            mutex.lock();
            overtake();
            mutex.unlock();
            mutex.unlock();
        },
        RecursiveMutex::lock,
    );
}

#[test]
fn an_rw_mutex_may_go_once_its_last_user_has_locked_it() {
    freed_after(
        |lock: &RwMutex, overtake| {
            lock.write_lock();
            overtake();
            lock.write_unlock();
        },
        RwMutex::read_lock,
    );
    freed_after(
        |lock: &RwMutex, overtake| {
            lock.read_lock();
            lock.read_lock();
            overtake();
            lock.read_unlock();
            lock.read_unlock();
        },
        RwMutex::write_lock,
    );
}

#[test]
fn an_event_may_go_once_its_waiter_has_returned() {
    freed_after(
        |event: &Event, overtake| {
            overtake();
            event.notify();
        },
        Event::wait,
    );
}

#[test]
fn a_once_flag_may_go_once_it_is_seen_done() {
    freed_after(
        |once: &OnceFlag, overtake| {
            let result = once.call_once(|| {
                overtake();
                Ok::<(), ()>(())
            });
            assert_eq!(result, Ok(()));
        },
        |once| assert_eq!(once.call_once(|| Ok::<(), ()>(())), Ok(())),
    );
}
