//! Load without an outside hand, made for ThreadSanitizer: these tests synchronise through the
//! code under test, atomics, and the start and end of threads, nothing else of std, which is not
//! instrumented and would be reported.
//!
//! `ci/sanitize.sh` runs this file under it and under AddressSanitizer.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::cell::UnsafeCell;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicUsize, Ordering};
use std::thread::yield_now;
use std::time::Duration;

use pysync_parking_lot::{
    Choice, Deadline, Key, Native, ParkStatus, Parker, Position, RawMutex, Wait, park, park_with,
    unpark, unpark_all, unpark_requeue,
};
use pysync_testing::{together, watchdog};

/// Data with no protection of its own: a race on it is what the sanitizer looks for.
struct Unprotected<T>(UnsafeCell<T>);

// SAFETY: each test shows why its accesses are ordered.
unsafe impl<T: Send> Sync for Unprotected<T> {}

impl<T> Unprotected<T> {
    const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// # Safety
    /// No other access at the same time.
    #[allow(clippy::mut_from_ref)]
    unsafe fn get(&self) -> &mut T {
        // SAFETY: by contract.
        unsafe { &mut *self.0.get() }
    }
}

fn raw_mutex(threads: usize, turns: usize, yields: usize) {
    let _watchdog = watchdog();
    let mutex = RawMutex::new();
    let count = Unprotected::new(0usize);
    together(threads, |_| {
        for _ in 0..turns {
            mutex.lock();
            // SAFETY: the mutex is held.
            unsafe { *count.get() += 1 };
            for _ in 0..yields {
                yield_now();
            }
            mutex.unlock();
        }
    });
    // SAFETY: the threads have ended.
    assert_eq!(unsafe { *count.get() }, threads * turns);
}

/// One test for each way to load a lock: threads, turns each, and yields with the lock held.
macro_rules! raw_mutex {
    ($($name:ident: $threads:literal threads, $turns:literal turns, $yields:literal yields;)*) => {$(
        #[test]
        fn $name() {
            raw_mutex($threads, $turns, $yields);
        }
    )*};
}

raw_mutex! {
    raw_mutex_short_and_often: 2 threads, 20_000 turns, 0 yields;
    raw_mutex_among_many: 8 threads, 2_000 turns, 0 yields;
    raw_mutex_held_long: 4 threads, 500 turns, 2 yields;
    raw_mutex_held_long_among_many: 16 threads, 50 turns, 4 yields;
}

/// A lock of one byte on the parking lot: 0 free, 1 held, 2 held and somebody may be parked.
/// The least that exercises compare, callback and wake together.
struct ByteLock(AtomicU8);

impl ByteLock {
    fn lock(&self, timeout: Option<Duration>) {
        if self.0.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            return;
        }
        while self.0.swap(2, Ordering::Acquire) != 0 {
            park(&self.0, 2, timeout, null_mut(), false);
        }
    }

    fn unlock(&self) {
        if self.0.compare_exchange(1, 0, Ordering::Release, Ordering::Relaxed).is_err() {
            // Under the bucket lock, so that nobody parks on the old value meanwhile.
            unpark(&self.0, |_| self.0.store(0, Ordering::Release));
        }
    }
}

fn byte_lock(threads: usize, turns: usize, timeout: Option<Duration>) {
    let _watchdog = watchdog();
    let lock = ByteLock(AtomicU8::new(0));
    let count = Unprotected::new(0usize);
    together(threads, |_| {
        for turn in 0..turns {
            lock.lock(timeout);
            // SAFETY: the lock is held.
            unsafe { *count.get() += 1 };
            if turn % 4 == 0 {
                yield_now();
            }
            lock.unlock();
        }
    });
    // SAFETY: the threads have ended.
    assert_eq!(unsafe { *count.get() }, threads * turns);
}

#[test]
fn a_lock_on_the_parking_lot() {
    byte_lock(2, 10_000, None);
    byte_lock(8, 1_000, None);
}

#[test]
fn a_lock_on_the_parking_lot_with_timeouts() {
    byte_lock(4, 2_000, Some(Duration::ZERO));
    byte_lock(4, 2_000, Some(Duration::from_micros(20)));
}

/// A message on its reader's stack, with a note of who has written to it.
struct Letter {
    question: usize,
    answer: usize,
}

#[test]
fn letters_cross_unparks_and_timeouts() {
    // The waiter writes, parks, and reads; the other reads and writes in between. A wait that
    // ends by a wake has its answer and one that ends otherwise has none, and never gets one
    // later, when its letter is gone.
    const WAITERS: usize = 4;
    const TURNS: usize = 2_000;
    let _watchdog = watchdog();
    let word = AtomicU32::new(0);
    let done = AtomicUsize::new(0);
    let (answered, unanswered) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let sent = AtomicUsize::new(0);
    let wait = |waiter: usize| {
        for turn in 0..TURNS {
            let mut letter = Letter { question: waiter * turn, answer: 0 };
            let timeout = Some(Duration::from_nanos((turn * waiter) as u64 % 64 * 1_000));
            match park(&word, 0, timeout, (&raw mut letter).cast(), false) {
                ParkStatus::Ok => {
                    assert_eq!(letter.answer, letter.question + 1);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                ParkStatus::Timeout => {
                    assert_eq!(letter.answer, 0);
                    unanswered.fetch_add(1, Ordering::Relaxed);
                }
                other => panic!("{other:?}"),
            }
        }
        done.fetch_add(1, Ordering::Relaxed);
    };
    let answer = || {
        while done.load(Ordering::Relaxed) < WAITERS {
            unpark(&word, |unparked| {
                let Some(unparked) = unparked else { return };
                // SAFETY: the waiter's, until it is woken.
                let letter = unsafe { &mut *unparked.park_arg.cast::<Letter>() };
                assert_eq!(letter.answer, 0, "answered twice");
                letter.answer = letter.question + 1;
                sent.fetch_add(1, Ordering::Relaxed);
            });
            yield_now();
        }
    };
    together(WAITERS + 1, |id| if id == 0 { answer() } else { wait(id) });
    let (answered, unanswered) = (answered.into_inner(), unanswered.into_inner());
    assert_eq!(answered, sent.into_inner());
    assert_eq!(answered + unanswered, WAITERS * TURNS);
}

#[test]
fn all_are_woken_and_timed_out_at_once() {
    const WAITERS: usize = 6;
    const TURNS: usize = 1_000;
    let _watchdog = watchdog();
    let words = [const { AtomicU8::new(0) }; 2];
    let done = AtomicUsize::new(0);
    let wait = |waiter: usize| {
        for turn in 0..TURNS {
            let word = &words[(waiter + turn) % 2];
            // Some of them only end by a wake.
            let timeout =
                (!waiter.is_multiple_of(3)).then(|| Duration::from_micros(turn as u64 % 40));
            let status = park(word, 0, timeout, null_mut(), false);
            assert!(timeout.is_some() || status == ParkStatus::Ok);
        }
        done.fetch_add(1, Ordering::Relaxed);
    };
    let wake = || {
        while done.load(Ordering::Relaxed) < WAITERS {
            for word in &words {
                unpark_all(word);
            }
            yield_now();
        }
    };
    together(WAITERS + 1, |id| if id == 0 { wake() } else { wait(id - 1) });
}

#[test]
fn an_event_publishes_what_came_before_it() {
    let _watchdog = watchdog();
    for _ in 0..300 {
        let event = AtomicU8::new(0);
        let data = Unprotected::new(0);
        together(4, |id| {
            if id == 0 {
                // SAFETY: nobody reads before the event.
                unsafe { *data.get() = 7 };
                event.store(1, Ordering::Release);
                unpark_all(&event);
                return;
            }
            while event.load(Ordering::Acquire) == 0 {
                park(&event, 0, None, null_mut(), false);
            }
            // SAFETY: written before the event only.
            assert_eq!(unsafe { *data.get() }, 7);
        });
    }
}

#[test]
fn a_wake_alone_publishes_what_came_before_it() {
    // The word never changes; the semaphore is the only edge, as in a hand-off.
    const TURNS: usize = 2_000;
    let _watchdog = watchdog();
    let word = AtomicU8::new(0);
    let data = Unprotected::new(0);
    let wait = || {
        for turn in 1..=TURNS {
            let status = park(&word, 0, None, null_mut(), false);
            assert_eq!(status, ParkStatus::Ok);
            // SAFETY: the other writes again only when this thread is parked.
            assert_eq!(unsafe { *data.get() }, turn);
        }
    };
    let wake = || {
        for turn in 1..=TURNS {
            let mut sent = false;
            while !sent {
                unpark(&word, |unparked| {
                    sent = unparked.is_some();
                    if sent {
                        // SAFETY: the reader is parked.
                        unsafe { *data.get() = turn };
                    }
                });
            }
        }
    };
    together(2, |id| if id == 0 { wake() } else { wait() });
}

#[test]
fn a_semaphore_hands_data_back_and_forth() {
    const TURNS: usize = 3_000;
    let _watchdog = watchdog();
    let [ping, pong] = [Parker::new(), Parker::new()];
    let data = Unprotected::new(0usize);
    let answer = || {
        for _ in 0..TURNS {
            assert_eq!(ping.wait(None, false), ParkStatus::Ok);
            // SAFETY: between ping and pong it is this thread's.
            unsafe { *data.get() += 1 };
            pong.wakeup();
        }
    };
    let ask = || {
        for turn in 1..=TURNS {
            ping.wakeup();
            while pong.wait(Some(Duration::from_micros(50)), false) != ParkStatus::Ok {}
            // SAFETY: after pong it is this thread's again.
            assert_eq!(unsafe { *data.get() }, turn);
        }
    };
    together(2, |id| if id == 0 { ask() } else { answer() });
}

#[test]
fn stacks_come_and_go_under_late_wakes() {
    // Each waiter is a thread that ends as soon as it is woken, so that a wake that touches it
    // for a moment too long touches a stack that is gone, or another's.
    let _watchdog = watchdog();
    let word = AtomicU8::new(0);
    let mutex = RawMutex::new();
    const WAITERS: usize = 4;
    for _ in 0..300 {
        let ended = AtomicUsize::new(0);
        together(WAITERS + 1, |id| {
            if id > 0 {
                mutex.lock();
                mutex.unlock();
                park(&word, 0, None, null_mut(), false);
                ended.fetch_add(1, Ordering::Relaxed);
                return;
            }
            while ended.load(Ordering::Relaxed) < WAITERS {
                mutex.lock();
                yield_now();
                mutex.unlock();
                unpark_all(&word);
            }
        });
    }
}

/// A lock of one byte whose waiters queue on a condition first, and are moved to the lock when they
/// are notified: what a condition variable does. 0 free, 1 held, 2 held and threads may be parked.
#[test]
fn waiters_that_are_moved_to_a_lock_get_it() {
    const THREADS: usize = 4;
    const TURNS: usize = 5_000;
    let _watchdog = watchdog();
    let (lock, condition) = (AtomicU8::new(0), AtomicU8::new(0));
    let (tokens, taken) = (Unprotected::new(0_usize), Unprotected::new(0_usize));
    let acquire = || {
        if lock.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
            while lock.swap(2, Ordering::Acquire) != 0 {
                park(&lock, 2, None, null_mut(), false);
            }
        }
    };
    let release = || {
        if lock.compare_exchange(1, 0, Ordering::Release, Ordering::Relaxed).is_err() {
            unpark(&lock, |_| lock.store(0, Ordering::Release));
        }
    };
    let take = |timed: bool| {
        acquire();
        // SAFETY: the lock is held.
        while unsafe { *tokens.get() } == 0 {
            let deadline = Deadline::after(timed.then_some(Duration::from_micros(30)));
            let wait =
                Wait { deadline, park_arg: null_mut(), detach: false, position: Position::Back };
            // SAFETY: no code reads the park arguments of either key.
            unsafe { park_with::<Native>(Key::of(&condition), wait, || true, release) };
            acquire();
            // Others may be parked on the lock, and the word does not say so any more.
            lock.store(2, Ordering::Relaxed);
        }
        // SAFETY: the lock is held.
        unsafe {
            *tokens.get() -= 1;
            *taken.get() += 1;
        }
        release();
    };
    let give = || {
        acquire();
        // SAFETY: the lock is held.
        unsafe { *tokens.get() += 1 };
        // The lock is held, by us: all are moved, and it is marked.
        let mark = |_| lock.store(2, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe {
            unpark_requeue(Key::of(&condition), |_| Some(Key::of(&lock)), |_| Choice::Requeue, mark)
        };
        release();
    };
    together(2 * THREADS, |index| {
        for turn in 0..TURNS {
            if index < THREADS { take((index + turn) % 3 == 0) } else { give() }
        }
    });
    // SAFETY: the threads have ended.
    assert_eq!(unsafe { (*tokens.get(), *taken.get()) }, (0, THREADS * TURNS));
}
