use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use pysync_lock::{LockFlags, LockStatus, Mutex};
use pysync_testing::{together, watchdog};

use super::{Queued, Unprotected, rounds};

#[test]
fn threads_exclude_each_other_however_they_lock() {
    const THREADS: usize = 3;
    let _watchdog = watchdog();
    let rounds = rounds(5, 2_000);
    let mutex = Mutex::new();
    let (count, locked) = (Unprotected::new(0), AtomicUsize::new(0));
    together(THREADS, |id| {
        for round in 0..rounds {
            let locks = match (id + round) % 4 {
                0 => mutex.try_lock(),
                // As long as a few steps of another thread.
                1 => {
                    let timeout = Duration::from_micros(if cfg!(miri) { 500 } else { 5 });
                    mutex.lock_timed(Some(timeout), LockFlags::DETACH) == LockStatus::Acquired
                }
                _ => {
                    mutex.lock();
                    true
                }
            };
            if locks {
                // SAFETY: the mutex is held.
                unsafe { count.set(count.get() + 1) };
                locked.fetch_add(1, Relaxed);
                thread::yield_now();
                mutex.unlock();
            }
        }
    });
    // SAFETY: the threads have ended.
    assert_eq!(unsafe { count.get() }, locked.into_inner());
    assert!(!mutex.is_locked());
}

#[test]
fn a_mutex_is_handed_over_to_those_who_sleep() {
    static QUEUED: Queued = Queued::new();
    let _watchdog = watchdog();
    let (mutex, value) = (Mutex::new(), Unprotected::new(1));
    mutex.lock();
    thread::scope(|s| {
        for _ in 0..2 {
            s.spawn(|| {
                QUEUED.count_this_thread();
                mutex.lock();
                // SAFETY: the mutex is held.
                unsafe { value.set(2 * value.get()) };
                mutex.unlock();
            });
        }
        QUEUED.wait_for(2);
        // SAFETY: the mutex is held.
        unsafe { value.set(5) };
        mutex.unlock();
    });
    // SAFETY: the threads have ended.
    assert_eq!(unsafe { value.get() }, 20);
}

#[test]
fn timed_waits_race_with_unlocks() {
    let _watchdog = watchdog();
    let mutex = Mutex::new();
    let value = Unprotected::new(0);
    let unit = Duration::from_micros(if cfg!(miri) { 400 } else { 4 });
    for round in 0..rounds(5, 500) {
        mutex.lock();
        thread::scope(|s| {
            for id in 1..3 {
                let (mutex, value) = (&mutex, &value);
                s.spawn(move || {
                    let timeout = (round * id % 5) as u32 * unit;
                    if mutex.lock_timed(Some(timeout), LockFlags::DETACH) == LockStatus::Acquired {
                        // SAFETY: the mutex is held.
                        unsafe { value.set(value.get() + 1) };
                        mutex.unlock();
                    }
                });
            }
            thread::yield_now();
            // SAFETY: the mutex is held.
            unsafe { value.set(0) };
            mutex.unlock();
        });
        assert!(!mutex.is_locked());
    }
}

#[test]
fn a_mutex_may_go_once_its_last_user_has_locked_it() {
    static QUEUED: Queued = Queued::new();
    let _watchdog = watchdog();
    for round in 1..=rounds(4, 200) {
        let address = AtomicPtr::new(Box::into_raw(Box::new(Mutex::new())));
        let mutex = address.load(Relaxed);
        // SAFETY: the other thread frees it once it has locked it after us.
        unsafe { (*mutex).lock() };
        thread::scope(|s| {
            s.spawn(|| {
                QUEUED.count_this_thread();
                let mutex = address.load(Relaxed);
                // SAFETY: ours to free, and we have not done so.
                unsafe { (*mutex).lock() };
                // SAFETY: from the box above. That nobody uses it any more is what is tested.
                drop(unsafe { Box::from_raw(mutex) });
            });
            QUEUED.wait_for(round);
            // SAFETY: locked above.
            unsafe { (*mutex).unlock() };
        });
    }
}
