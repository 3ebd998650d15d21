//! Misuse: the documented panic or abort, before anything is queued, and a condition variable that is
//! none the worse for it.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Mutex as StdMutex;
use std::thread;
use std::time::Duration;

use common::*;
use pysync_cond::{
    AsReader, AsWriter, Cancel, Cond, Deadline, Lock, LockFlags, NotHeld, WaitStatus,
};
use pysync_lock::{Mutex, MutexWaiter, RawMutex, RecursiveMutex, RwMutex};
use pysync_parking_lot::{Native, Runtime};
use pysync_testing::{panics_with, watchdog};

const NOT_HELD: &str = "waiting with a lock that is not held";
const DETACH: LockFlags = LockFlags::DETACH;

/// Each way to wait with `lock`, which the calling thread does not hold.
fn each_way_panics<L: Lock>(lock: &L) {
    let (cond, cancel) = (Cond::new(), Cancel::new());
    let (soon, never) = (Some(Duration::from_millis(1)), Deadline::NEVER);
    panics_with(NOT_HELD, || cond.wait(lock));
    panics_with(NOT_HELD, || cond.wait_timed(lock, soon, DETACH));
    panics_with(NOT_HELD, || cond.wait_timed(lock, Some(Duration::ZERO), DETACH));
    panics_with(NOT_HELD, || cond.wait_until(lock, never, DETACH));
    panics_with(NOT_HELD, || cond.wait_cancellable(lock, never, DETACH, &cancel));
    panics_with(NOT_HELD, || cond.wait_in::<Native, _>(lock, never, DETACH, None));
    panics_with(NOT_HELD, || cond.wait_while(lock, || true, never, DETACH, None));
    panics_with(NOT_HELD, || {
        cond.wait_while_in::<Native, _>(lock, || true, never, DETACH, Some(&cancel))
    });
    let function = "Cond::wait: waiting with a lock that is not held";
    panics_with(function, || cond.wait_in::<Counting, _>(lock, never, DETACH, None));
    assert_eq!(take_counts(), Counts::default());
    // Also where the wait would not block.
    cond.cancel(&cancel);
    panics_with(NOT_HELD, || cond.wait_cancellable(lock, never, DETACH, &cancel));
    // A condition that does not hold needs no wait.
    let status = cond.wait_while(lock, || false, never, DETACH, None);
    assert_eq!(status, WaitStatus::Notified);
    assert_eq!((waiters(&cond), cond_bits(&cond)), (0, 0));
}

#[test]
fn waiting_with_a_lock_that_is_not_held_panics_before_anything_is_queued() {
    let _watchdog = watchdog();
    let (mutex, raw, recursive, rw) =
        (Mutex::new(), RawMutex::new(), RecursiveMutex::new(), RwMutex::new());
    each_way_panics(&mutex);
    each_way_panics(&raw);
    each_way_panics(&recursive);
    each_way_panics(&AsReader(&rw));
    each_way_panics(&AsWriter(&rw));
    // None of them has been locked by it.
    assert!(mutex.try_lock() && raw.try_lock() && rw.try_write_lock() && !recursive.is_locked());
    // Held, but not in that way.
    each_way_panics(&AsReader(&rw));
    rw.write_unlock();
    rw.read_lock();
    each_way_panics(&AsWriter(&rw));
    rw.read_unlock();
}

#[test]
fn waiting_with_a_recursive_mutex_of_another_panics_and_changes_nothing() {
    let _watchdog = watchdog();
    let mutex = RecursiveMutex::new();
    mutex.lock();
    mutex.lock();
    thread::scope(|scope| {
        scope.spawn(|| each_way_panics(&mutex));
    });
    mutex.unlock();
    assert!(mutex.is_locked_by_current_thread());
    mutex.unlock();
    assert!(!mutex.is_locked());
}

/// Another thread's misuse between the look and the unlock.
#[test]
fn a_lock_that_is_lost_meanwhile_panics_and_passes_the_notification_on() {
    struct Lost<F>(F);

    // SAFETY: it is never given up.
    unsafe impl<F: Fn()> Lock for Lost<F> {
        type Held = ();

        fn is_held_in<R: Runtime>(&self) -> bool {
            true
        }

        fn release_in<R: Runtime>(&self) -> Result<(), NotHeld> {
            (self.0)();
            Err(NotHeld)
        }

        fn acquire_in<R: Runtime>(&self, (): (), _: &MutexWaiter, _: LockFlags) {
            unreachable!("it was not given up");
        }
    }

    let _watchdog = watchdog();
    let (cond, mutex) = (Cond::new(), Mutex::new());
    panics_with(NOT_HELD, || cond.wait(&Lost(|| assert_eq!(waiters(&cond), 1))));
    assert_eq!(waiters(&cond), 0);
    panics_with(NOT_HELD, || cond.wait(&Lost(|| assert!(cond.notify_one()))));
    assert_eq!(waiters(&cond), 0);
    thread::scope(|scope| {
        let meanwhile = || {
            scope.spawn(|| {
                mutex.lock();
                cond.wait(&mutex);
                mutex.unlock();
            });
            wait_for_waiters(&cond, 2);
            // Comes to the first of the two.
            assert!(cond.notify_one());
            assert_eq!(waiters(&cond), 1);
        };
        // And goes on to the other, whose wait ends by it.
        panics_with(NOT_HELD, || cond.wait(&Lost(meanwhile)));
    });
    assert_eq!((waiters(&cond), mutex_bits(&mutex)), (0, 0));
}

#[test]
fn panics_name_the_line_of_the_caller() {
    static PANICKED_IN: StdMutex<Option<String>> = StdMutex::new(None);

    let (cond, cancel, mutex) = (Cond::new(), Cancel::new(), Mutex::new());
    let never = Deadline::NEVER;
    let misuses: [&dyn Fn(); 6] = [
        &|| cond.wait(&mutex),
        &|| _ = cond.wait_timed(&mutex, None, DETACH),
        &|| _ = cond.wait_until(&mutex, never, DETACH),
        &|| _ = cond.wait_cancellable(&mutex, never, DETACH, &cancel),
        &|| _ = cond.wait_in::<Native, _>(&mutex, never, DETACH, None),
        &|| _ = cond.wait_while(&mutex, || true, never, DETACH, None),
    ];
    let this_test = thread::current().id();
    let loud = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if thread::current().id() == this_test {
            let file = info.location().map(|location| location.file().to_owned());
            *PANICKED_IN.lock().unwrap() = file;
        } else {
            loud(info);
        }
    }));
    for (i, misuse) in misuses.iter().enumerate() {
        catch_unwind(AssertUnwindSafe(misuse)).unwrap_err();
        let file = PANICKED_IN.lock().unwrap().take().expect("it panicked");
        assert_eq!(file, file!(), "misuse {i}");
    }
}

/// A callback runs under the lock of a bucket, which a notification would wait for: for ever, if it is
/// the same.
mod under_a_bucket_lock {
    use std::ptr;
    use std::sync::atomic::AtomicU8;

    use super::*;
    use pysync_cond::NotifyList;
    use pysync_parking_lot::unpark;
    use pysync_testing::aborts_with;

    const MESSAGE: &str = "park, unpark or notify was called by a callback under a bucket lock";

    /// Calls `misuse` in the callback of an unpark.
    fn in_a_callback(misuse: impl FnOnce()) {
        static WORD: AtomicU8 = AtomicU8::new(0);
        unpark(ptr::from_ref(&WORD), |_| misuse());
    }

    #[test]
    fn notifying_a_list_aborts() {
        let test = "under_a_bucket_lock::notifying_a_list_aborts";
        aborts_with(test, MESSAGE, || {
            let list = NotifyList::new();
            list.register(|_ticket| in_a_callback(|| _ = list.notify_one()));
        });
    }

    #[test]
    fn registering_aborts() {
        let test = "under_a_bucket_lock::registering_aborts";
        aborts_with(test, MESSAGE, || {
            let list = NotifyList::new();
            in_a_callback(|| list.register(|_ticket| ()));
        });
    }

    #[test]
    fn notifying_a_condition_aborts() {
        let test = "under_a_bucket_lock::notifying_a_condition_aborts";
        aborts_with(test, MESSAGE, || {
            let (cond, mutex) = (Cond::new(), Mutex::new());
            mutex.lock();
            let between = || in_a_callback(|| _ = cond.notify_one());
            cond.wait(&Between { mutex: &mutex, between });
        });
    }

    #[test]
    fn cancelling_aborts() {
        let test = "under_a_bucket_lock::cancelling_aborts";
        aborts_with(test, MESSAGE, || {
            let cond = Cond::new();
            in_a_callback(|| _ = cond.cancel(&Cancel::new()));
        });
    }

    #[test]
    fn waiting_aborts() {
        let test = "under_a_bucket_lock::waiting_aborts";
        aborts_with(test, MESSAGE, || {
            let (cond, mutex) = (Cond::new(), Mutex::new());
            mutex.lock();
            in_a_callback(|| cond.wait(&mutex));
        });
    }

    /// The look whether threads wait takes no lock.
    #[test]
    fn notifying_nobody_is_fine() {
        let (cond, list) = (Cond::new(), NotifyList::new());
        in_a_callback(|| {
            assert!(!cond.notify_one() && !list.notify_one());
            assert_eq!((cond.notify_all(), list.notify_all()), (0, 0));
        });
    }
}
