//! Signals on threads that wait for a condition: which flags make them heard, what runs meanwhile, and
//! that no notification is lost.
// The portable parker sleeps through signals, so there is nothing to see.
#![cfg(all(target_os = "linux", not(any(pysync_loom, pysync_shuttle, pysync_portable))))]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::thread;
use std::time::Duration;

use common::*;
use pysync_cond::guarded::Condvar;
use pysync_cond::{AsReader, AsWriter, Cond, Deadline, LockFlags, NotifyList, WaitStatus};
use pysync_lock::guarded::MutexIn;
use pysync_lock::{Mutex, RawMutex, RecursiveMutex, RwMutex};
use pysync_parking_lot::PendingCallError;
use pysync_testing::{
    Sleeper, rain, rain_until, signals_handled, wait_until, watchdog, watchdog_for,
};

const DETACH: LockFlags = LockFlags::DETACH;
const HANDLE: LockFlags = LockFlags::HANDLE_SIGNALS;
const FAIL: LockFlags = LockFlags::FAIL_IF_INTERRUPTED;
const NONE: LockFlags = LockFlags::empty();

fn succeed() -> Result<(), PendingCallError> {
    Ok(())
}

fn fail() -> Result<(), PendingCallError> {
    Err(PendingCallError)
}

/// How one wait of a thread ended, and what it asked for.
type Ended = (WaitStatus, Counts);

/// A thread waits by `wait` under fire until it ends by itself, or, if it `sleeps`, for many signals,
/// and is notified then. Others wait before and behind it, and keep their places.
fn under_fire(
    cond: &Cond,
    wait: impl Fn() -> WaitStatus + Sync,
    calls: fn() -> Result<(), PendingCallError>,
    sleeps: bool,
) -> Ended {
    let _watchdog = watchdog();
    let (target, mutex) = (Target::default(), Mutex::new());
    let others: [Sleeper; 2] = Default::default();
    thread::scope(|scope| {
        let wait_before = waiters(cond);
        let spawn_other = |sleeper| {
            let mutex = &mutex;
            scope.spawn(move || {
                mutex.lock();
                Sleeper::enter(sleeper);
                assert_eq!(cond.wait_timed(mutex, None, DETACH), WaitStatus::Notified);
                mutex.unlock();
            });
        };
        spawn_other(&others[0]);
        wait_for_waiters(cond, wait_before + 1);
        let waiter = scope.spawn(|| {
            set_pending_calls(calls);
            target.enter();
            let status = wait();
            (status, take_counts())
        });
        let threads = [target.thread()];
        wait_for_waiters(cond, wait_before + 2);
        spawn_other(&others[1]);
        wait_for_waiters(cond, wait_before + 3);
        pysync_testing::sleeping(&others);
        if sleeps {
            // SAFETY: joined later.
            unsafe { rain(&threads, 200) };
            assert!(!waiter.is_finished());
            assert!(cond.notify_one());
            // It has kept its place behind the first, and before the last.
            assert!(cond.notify_one());
            wait_until(|| waiter.is_finished());
            assert_eq!(waiters(cond), wait_before + 1);
        } else {
            // SAFETY: joined later.
            unsafe { rain_until(&threads, || waiter.is_finished()) };
            assert_eq!(waiters(cond), wait_before + 2);
            assert!(others.iter().all(Sleeper::is_asleep));
        }
        let ended = waiter.join().unwrap();
        cond.notify_all();
        ended
    })
}

/// Each of the flags with each lock, with and without a deadline.
fn every_flag_with<L: Kind>(lock: &L) {
    let cond = Cond::new();
    let hour = Some(Duration::from_secs(3600));
    for timeout in [None, hour] {
        for detach in [NONE, DETACH] {
            for (flags, calls, status, pending) in [
                (NONE, succeed as fn() -> _, WaitStatus::Notified, 0),
                (HANDLE, succeed, WaitStatus::Interrupted, 1),
                (HANDLE, fail, WaitStatus::Interrupted, 1),
                (FAIL, succeed, WaitStatus::Interrupted, 0),
                // The stronger of the two.
                (FAIL | HANDLE, fail, WaitStatus::Interrupted, 0),
            ] {
                let wait = || {
                    lock.take();
                    let deadline = Deadline::after(timeout);
                    let status = cond.wait_in::<Counting, _>(lock, deadline, flags | detach, None);
                    assert!(lock.is_held());
                    lock.give();
                    status
                };
                let ended = under_fire(&cond, wait, calls, status == WaitStatus::Notified);
                let context = format!("{:?} {timeout:?}", flags | detach);
                assert_eq!((ended.0, ended.1.pending), (status, pending), "{context}");
                assert_eq!(ended.1.detached, ended.1.attached);
                assert_eq!(ended.1.detached > 0, detach == DETACH, "{context}");
            }
        }
    }
}

#[test]
fn a_signal_ends_a_wait_only_if_its_flags_ask_for_it() {
    let _alone = alone();
    every_flag_with(&Mutex::new());
    every_flag_with(&RawMutex::new());
    every_flag_with(&RecursiveMutex::new());
    every_flag_with(&AsReader(&RwMutex::new()));
    every_flag_with(&AsWriter(&RwMutex::new()));
}

#[test]
fn wait_while_goes_on_for_as_long_as_the_pending_calls_succeed() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);

    fn fail_the_fourth_time() -> Result<(), PendingCallError> {
        match CALLS.fetch_add(1, SeqCst) {
            0..3 => Ok(()),
            _ => Err(PendingCallError),
        }
    }

    let _alone = alone();
    for (flags, calls, looks) in [(HANDLE, 4, 4), (HANDLE | DETACH, 4, 4), (FAIL, 0, 1)] {
        CALLS.store(0, SeqCst);
        let (cond, mutex, looked) = (Cond::new(), Mutex::new(), AtomicUsize::new(0));
        let wait = || {
            mutex.lock();
            let condition = || {
                looked.fetch_add(1, SeqCst);
                true
            };
            let never = Deadline::NEVER;
            let status = cond.wait_while_in::<Counting, _>(&mutex, condition, never, flags, None);
            assert!(mutex.is_locked());
            mutex.unlock();
            status
        };
        let (status, counts) = under_fire(&cond, wait, fail_the_fourth_time, false);
        assert_eq!((status, counts.pending), (WaitStatus::Interrupted, calls));
        assert_eq!(looked.into_inner(), looks);
    }
}

/// They may take the very lock, as a signal handler of an interpreter would.
#[test]
fn pending_calls_run_while_the_lock_is_free() {
    static MUTEX: Mutex = Mutex::new();
    static COND: Cond = Cond::new();
    static CALLS: AtomicUsize = AtomicUsize::new(0);

    fn take_the_lock() -> Result<(), PendingCallError> {
        MUTEX.lock();
        CALLS.fetch_add(1, SeqCst);
        // The thread is on no queue, so that its own notification does not come to it.
        assert_eq!(waiters(&COND), 2);
        MUTEX.unlock();
        Err(PendingCallError)
    }

    let _alone = alone();
    let wait = || {
        MUTEX.lock();
        let status = COND.wait_in::<Counting, _>(&MUTEX, Deadline::NEVER, HANDLE | DETACH, None);
        assert!(MUTEX.is_locked());
        MUTEX.unlock();
        status
    };
    let (status, counts) = under_fire(&COND, wait, take_the_lock, false);
    assert_eq!((status, counts.pending), (WaitStatus::Interrupted, 1));
    assert_eq!(CALLS.load(SeqCst), 1);
}

#[test]
fn a_pending_call_that_panics_leaves_the_lock_held_and_unwinds() {
    fn panic() -> Result<(), PendingCallError> {
        resume_unwind(Box::new("in a pending call"))
    }

    let _alone = alone();
    let (cond, mutex) = (Cond::new(), Mutex::new());
    let wait = || {
        mutex.lock();
        let wait = || cond.wait_in::<Counting, _>(&mutex, Deadline::NEVER, HANDLE | DETACH, None);
        let payload = catch_unwind(AssertUnwindSafe(wait)).unwrap_err();
        assert_eq!(payload.downcast_ref(), Some(&"in a pending call"));
        assert!(mutex.is_locked());
        mutex.unlock();
        WaitStatus::Interrupted
    };
    _ = under_fire(&cond, wait, panic, false);
    assert_eq!(mutex_bits(&mutex), 0);

    // With a guard, which unlocks as it unwinds.
    let (condvar, number) = (Condvar::new(), MutexIn::<Counting, i32>::new(0));
    let wait = || {
        let wait = || {
            let mut guard = number.lock();
            condvar.wait_flags(&mut guard, Deadline::NEVER, HANDLE)
        };
        catch_unwind(AssertUnwindSafe(wait)).unwrap_err();
        assert!(number.try_lock().is_some());
        WaitStatus::Interrupted
    };
    _ = under_fire(condvar.get(), wait, panic, false);

    // In a list.
    let _watchdog = watchdog();
    let (list, target) = (NotifyList::new(), Target::default());
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            set_pending_calls(panic);
            target.enter();
            let wait =
                || list.register(|ticket| ticket.wait_in::<Counting>(Deadline::NEVER, HANDLE));
            catch_unwind(AssertUnwindSafe(wait)).unwrap_err();
        });
        let threads = [target.thread()];
        // SAFETY: joined later.
        unsafe { rain_until(&threads, || waiter.is_finished()) };
    });
    assert_eq!(waiters(&list), 0);
}

/// A signal that comes when the waiter has been moved to the mutex is too late for any flags.
#[test]
fn a_waiter_that_has_been_moved_is_not_interrupted() {
    let _alone = alone();
    let _watchdog = watchdog();
    for flags in [NONE, HANDLE, FAIL, DETACH | HANDLE] {
        let (cond, mutex, target) = (Cond::new(), Mutex::new(), Target::default());
        thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                set_pending_calls(fail);
                target.enter();
                mutex.lock();
                let status = cond.wait_in::<Counting, _>(&mutex, Deadline::NEVER, flags, None);
                mutex.unlock();
                (status, take_counts().pending)
            });
            let threads = [target.thread()];
            wait_for_waiters(&cond, 1);
            mutex.lock();
            assert!(cond.notify_one());
            // SAFETY: joined later.
            unsafe { rain(&threads, 200) };
            assert_eq!(parked_at(&mutex), 1);
            assert!(!waiter.is_finished());
            mutex.unlock();
            assert_eq!(waiter.join().unwrap(), (WaitStatus::Notified, 0));
        });
    }
}

#[test]
fn a_ticket_hears_signals_by_its_flags() {
    let _alone = alone();
    let _watchdog = watchdog();
    for (flags, calls, status, pending) in [
        (NONE, fail as fn() -> _, WaitStatus::Notified, 0),
        (DETACH, fail, WaitStatus::Notified, 0),
        (HANDLE, succeed, WaitStatus::Interrupted, 1),
        (HANDLE | DETACH, fail, WaitStatus::Interrupted, 1),
        (FAIL, succeed, WaitStatus::Interrupted, 0),
    ] {
        let (list, target) = (NotifyList::new(), Target::default());
        thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                set_pending_calls(calls);
                target.enter();
                let wait =
                    |deadline| list.register(|ticket| ticket.wait_in::<Counting>(deadline, flags));
                (wait(Deadline::NEVER), take_counts().pending)
            });
            let threads = [target.thread()];
            wait_for_waiters(&list, 1);
            // SAFETY: joined later.
            unsafe {
                if status == WaitStatus::Notified {
                    rain(&threads, 200);
                    assert_eq!(list.notify_all(), 1);
                } else {
                    rain_until(&threads, || waiter.is_finished());
                    assert!(!list.notify_one());
                }
            }
            assert_eq!(waiter.join().unwrap(), (status, pending));
        });
    }
}

/// Eight threads wait again and again, with all flags and deadlines, on one condition variable with two
/// mutexes, under fire. As many waits end as notified as notifiers have counted.
#[test]
fn a_hundred_thousand_signals_lose_no_notification() {
    const WAITERS: usize = 8;
    const SIGNALS: usize = 100_000;

    let _alone = alone();
    let _watchdog = watchdog_for(Duration::from_secs(240));
    let (cond, mutexes, stop) = (Cond::new(), [Mutex::new(), Mutex::new()], AtomicBool::new(false));
    let (ends, left): ([AtomicUsize; 3], _) = (Default::default(), AtomicUsize::new(WAITERS));
    let targets: [Target; WAITERS] = Default::default();
    let before = signals_handled();
    let counted = thread::scope(|scope| {
        for (id, target) in targets.iter().enumerate() {
            let (cond, mutexes, stop, ends, left) = (&cond, &mutexes, &stop, &ends, &left);
            scope.spawn(move || {
                target.enter();
                set_pending_calls(if id % 2 == 0 { succeed } else { fail });
                let flags = [NONE, DETACH, HANDLE, DETACH | HANDLE, FAIL, NONE];
                for turn in 0.. {
                    let mutex = &mutexes[(id + turn) % 2];
                    mutex.lock();
                    if stop.load(SeqCst) {
                        mutex.unlock();
                        left.fetch_sub(1, SeqCst);
                        break;
                    }
                    let soon = Some(Duration::from_micros(turn as u64 % 100));
                    let deadline = Deadline::after(if turn % 3 == 0 { soon } else { None });
                    let flags = flags[(id + turn / 2) % flags.len()];
                    let status = cond.wait_in::<Counting, _>(mutex, deadline, flags, None);
                    assert!(mutex.is_locked());
                    mutex.unlock();
                    let end = match status {
                        WaitStatus::Notified => &ends[0],
                        WaitStatus::TimedOut => &ends[1],
                        WaitStatus::Interrupted => &ends[2],
                        WaitStatus::Cancelled => panic!("there is no cancel"),
                    };
                    end.fetch_add(1, Relaxed);
                    let counts = take_counts();
                    assert_eq!(counts.detached, counts.attached);
                }
            });
        }
        let notifier = scope.spawn(|| {
            let mut counted = 0;
            for turn in 0_usize.. {
                let held = (turn % 3 < 2).then(|| &mutexes[turn % 3]);
                if let Some(mutex) = held {
                    mutex.lock();
                }
                counted += match turn % 5 {
                    0 => cond.notify_all(),
                    _ => usize::from(cond.notify_one()),
                };
                if let Some(mutex) = held {
                    mutex.unlock();
                }
                if left.load(SeqCst) == 0 {
                    break;
                }
                thread::yield_now();
            }
            counted
        });
        let ids = targets.each_ref().map(Target::thread);
        // SAFETY: here and below: joined at the end of the scope.
        unsafe { rain_until(&ids, || signals_handled() - before >= SIGNALS) };
        stop.store(true, SeqCst);
        notifier.join().unwrap()
    });
    let [notified, timed_out, interrupted] = ends.map(AtomicUsize::into_inner);
    println!(
        "{} signals, {notified} notified of {counted}, {timed_out} timed out, {interrupted} interrupted",
        signals_handled() - before
    );
    assert_eq!(notified, counted);
    assert!(notified > 0 && timed_out > 0 && interrupted > 0);
    assert_eq!(mutexes.each_ref().map(mutex_bits), [0, 0]);
    assert_eq!(waiters(&cond), 0);
}
