//! The word-sized mutex.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::cell::UnsafeCell;
use std::mem::{MaybeUninit, size_of};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;

use pysync_parking_lot::RawMutex;
use pysync_testing::{hush_panics, panics_with, wait_until, watchdog};

const NOT_LOCKED: &str = "unlocking mutex that is not locked";

/// What the mutex keeps in its word: the waiter that came last, and tags.
fn word(mutex: &RawMutex) -> usize {
    // SAFETY: `RawMutex` is transparent over an atomic of a pointer's size.
    unsafe { (*(&raw const *mutex).cast::<AtomicUsize>()).load(SeqCst) }
}

/// Data that only a mutex protects, so that a second thread inside shows.
#[derive(Default)]
struct Guarded(UnsafeCell<usize>);

// SAFETY: every access is made with a mutex held.
unsafe impl Sync for Guarded {}

impl Guarded {
    fn increment(&self) {
        // SAFETY: by the caller's mutex.
        unsafe { *self.0.get() += 1 };
    }

    fn get(&self) -> usize {
        // SAFETY: as above.
        unsafe { *self.0.get() }
    }
}

#[test]
fn it_locks_and_unlocks() {
    let mutex = RawMutex::new();
    for _ in 0..3 {
        assert!(!mutex.is_locked());
        mutex.lock();
        assert!(mutex.is_locked());
        assert!(!mutex.try_lock());
        mutex.unlock();
        assert!(mutex.try_lock());
        assert!(mutex.is_locked() && !mutex.try_lock());
        mutex.unlock();
    }
    assert_eq!(word(&mutex), 0);
}

#[test]
fn it_is_one_word_and_zeroed_memory_is_an_unlocked_one() {
    static IN_A_STATIC: RawMutex = RawMutex::new();
    const { assert!(size_of::<RawMutex>() == size_of::<usize>()) };
    IN_A_STATIC.lock();
    IN_A_STATIC.unlock();

    // SAFETY: this is what is tested.
    let mutex: RawMutex = unsafe { MaybeUninit::zeroed().assume_init() };
    assert!(!mutex.is_locked());
    mutex.lock();
    assert!(mutex.is_locked());
    mutex.unlock();
    assert!(!RawMutex::default().is_locked());
}

#[test]
fn only_one_thread_is_inside() {
    const THREADS: usize = 4;
    const TURNS: usize = 20_000;
    let _watchdog = watchdog();
    let mutex = RawMutex::new();
    let count = Guarded::default();
    thread::scope(|s| {
        for _ in 0..THREADS {
            s.spawn(|| {
                for _ in 0..TURNS {
                    mutex.lock();
                    count.increment();
                    mutex.unlock();
                }
            });
        }
    });
    assert_eq!(count.get(), THREADS * TURNS);
    assert_eq!(word(&mutex), 0, "nobody is left in the list");
}

#[test]
fn only_one_thread_is_inside_when_the_holder_is_preempted() {
    const THREADS: usize = 4;
    const TURNS: usize = 300;
    let _watchdog = watchdog();
    let mutex = RawMutex::new();
    let count = Guarded::default();
    thread::scope(|s| {
        for _ in 0..THREADS {
            s.spawn(|| {
                for _ in 0..TURNS {
                    mutex.lock();
                    let before = count.get();
                    // Others run into the lock, and sleep.
                    for _ in 0..3 {
                        thread::yield_now();
                    }
                    assert_eq!(count.get(), before);
                    count.increment();
                    mutex.unlock();
                }
            });
        }
    });
    assert_eq!(count.get(), THREADS * TURNS);
    assert_eq!(word(&mutex), 0);
}

#[test]
fn try_lock_competes_with_lock() {
    const TURNS: usize = 5_000;
    let _watchdog = watchdog();
    let mutex = RawMutex::new();
    let count = Guarded::default();
    thread::scope(|s| {
        for blocking in [true, false, true, false] {
            let (mutex, count) = (&mutex, &count);
            s.spawn(move || {
                for _ in 0..TURNS {
                    if blocking {
                        mutex.lock();
                    } else {
                        wait_until(|| mutex.try_lock());
                    }
                    count.increment();
                    mutex.unlock();
                }
            });
        }
    });
    assert_eq!(count.get(), 4 * TURNS);
}

/// Queues threads one after another behind a locked mutex; each adds its number to the result
/// when it has locked.
fn queue_up<'s>(
    s: &'s thread::Scope<'s, '_>,
    mutex: &'s RawMutex,
    order: &'s Mutex<Vec<usize>>,
    waiters: usize,
) {
    assert!(mutex.is_locked());
    for id in 0..waiters {
        let before = word(mutex);
        s.spawn(move || {
            mutex.lock();
            order.lock().unwrap().push(id);
            mutex.unlock();
        });
        wait_until(|| word(mutex) != before);
    }
}

#[test]
fn who_came_last_is_woken_first() {
    const WAITERS: usize = 10;
    let _watchdog = watchdog();
    let mutex = RawMutex::new();
    let order = Mutex::new(Vec::new());
    mutex.lock();
    thread::scope(|s| {
        queue_up(s, &mutex, &order, WAITERS);
        mutex.unlock();
    });
    assert_eq!(order.into_inner().unwrap(), (0..WAITERS).rev().collect::<Vec<_>>());
    assert_eq!(word(&mutex), 0);
}

#[test]
fn a_free_mutex_may_be_taken_past_its_waiters() {
    let _watchdog = watchdog();
    let mutex = RawMutex::new();
    let order = Mutex::new(Vec::new());
    let barged = AtomicBool::new(false);
    mutex.lock();
    thread::scope(|s| {
        queue_up(s, &mutex, &order, 3);
        // As long as it works, which it does unless the one that is woken is very quick. What
        // matters is that nobody is forgotten.
        mutex.unlock();
        if mutex.try_lock() {
            barged.store(word(&mutex) & !3 != 0, SeqCst);
            mutex.unlock();
        }
        mutex.lock();
        mutex.unlock();
    });
    assert_eq!(order.into_inner().unwrap().len(), 3);
    assert_eq!(word(&mutex), 0);
    println!("past waiters: {}", barged.load(SeqCst));
}

#[test]
fn unlocking_an_unlocked_one_panics_and_leaves_it_usable() {
    let _watchdog = watchdog();
    let mutex = RawMutex::new();
    for _ in 0..2 {
        panics_with(NOT_LOCKED, || mutex.unlock());
        assert!(!mutex.is_locked());
        mutex.lock();
        mutex.unlock();
    }
    assert_eq!(word(&mutex), 0);
}

#[test]
fn unlocking_an_unlocked_one_that_has_waiters_panics_and_wakes_nobody() {
    // Unlocked with waiters is a state of a moment: the one that was woken is on its way. Here
    // it is held there by making the word say so.
    let _watchdog = watchdog();
    let mutex = RawMutex::new();
    let order = Mutex::new(Vec::new());
    mutex.lock();
    thread::scope(|s| {
        queue_up(s, &mutex, &order, 2);
        // SAFETY: as in `word`. Only the holder clears this bit, and we are it.
        let bits = unsafe { &*(&raw const mutex).cast::<AtomicUsize>() };
        bits.fetch_and(!1, SeqCst);
        panics_with(NOT_LOCKED, || mutex.unlock());
        assert_eq!(order.lock().unwrap().len(), 0);
        bits.fetch_or(1, SeqCst);
        mutex.unlock();
    });
    assert_eq!(order.into_inner().unwrap(), [1, 0]);
}

#[test]
fn racing_double_unlocks_never_touch_a_waiter_that_has_gone() {
    const THREADS: usize = 3;
    const TURNS: usize = 20_000;
    hush_panics(NOT_LOCKED);
    let _watchdog = watchdog();
    let mutex = RawMutex::new();
    let misused = AtomicUsize::new(0);
    let done = AtomicUsize::new(0);
    let unlock = || {
        if std::panic::catch_unwind(|| mutex.unlock()).is_err() {
            misused.fetch_add(1, SeqCst);
        }
    };
    thread::scope(|s| {
        for _ in 0..THREADS {
            s.spawn(|| {
                for turn in 0..TURNS {
                    mutex.lock();
                    if turn % 8 == 0 {
                        thread::yield_now();
                    }
                    unlock();
                }
                done.fetch_add(1, SeqCst);
            });
        }
        // Two that unlock what they have not locked, so that no lock excludes anybody. That is
        // their fault; that every thread still comes through is ours.
        for _ in 0..2 {
            s.spawn(|| {
                while done.load(SeqCst) < THREADS {
                    if mutex.is_locked() {
                        unlock();
                    } else {
                        thread::yield_now();
                    }
                }
            });
        }
    });
    // Whatever unlocked last, the list is empty and the mutex works.
    assert_eq!(word(&mutex), 0);
    mutex.lock();
    mutex.unlock();
    println!("{} locks, {} unlocks refused", THREADS * TURNS, misused.into_inner());
}
