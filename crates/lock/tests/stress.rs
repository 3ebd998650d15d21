//! More threads than processors on every lock, with plain data behind it, for ThreadSanitizer:
//! what the locks do not order is a race that it reports. Only spawn, join and these locks, since
//! it cannot see into those of std.
//!
//! ```text
//! RUSTFLAGS="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer" \
//!     TSAN_OPTIONS="suppressions=$PWD/ci/tsan.supp" \
//!     cargo +nightly test -p pysync-lock --target x86_64-unknown-linux-gnu --test stress
//! ```
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::cell::UnsafeCell;
use std::thread;
use std::time::Duration;

use pysync_lock::{
    Event, LockFlags, LockStatus, Mutex, OnceFlag, RawMutex, RecursiveMutex, RwMutex, guarded,
};
use pysync_testing::watchdog;

const THREADS: usize = 8;
const TURNS: usize = 2_000;

/// Data that only a lock protects, and that is no atomic on purpose.
#[derive(Default)]
struct Plain<T>(UnsafeCell<T>);

// SAFETY: whether the lock that goes with it keeps the accesses apart is what is tested.
unsafe impl<T: Send> Sync for Plain<T> {}

impl<T: Copy> Plain<T> {
    const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    fn get(&self) -> T {
        // SAFETY: as above.
        unsafe { *self.0.get() }
    }

    fn set(&self, value: T) {
        // SAFETY: as above.
        unsafe { *self.0.get() = value }
    }
}

/// Runs `body` on many threads at once, with their number. The end of a scope is not enough for
/// the sanitizer, a join is.
fn on_all(body: impl Fn(usize) + Sync) {
    let body = &body;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|i| scope.spawn(move || body(i))).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// Seldom, long enough for others to park, and sometimes for a hand-off.
fn linger(turn: usize) {
    match turn {
        turn if turn % 400 == 399 => thread::sleep(Duration::from_micros(1_500)),
        turn if turn % 50 == 49 => thread::sleep(Duration::from_micros(50)),
        turn if turn % 8 == 7 => thread::yield_now(),
        _ => {}
    }
}

#[test]
fn mutex() {
    let _watchdog = watchdog();
    let (mutex, count) = (Mutex::new(), Plain::new(0));
    on_all(|i| {
        for turn in 0..TURNS {
            let flags = if turn % 2 == 0 { LockFlags::DETACH } else { LockFlags::empty() };
            match (i + turn) % 4 {
                0 => mutex.lock(),
                1 => assert_eq!(mutex.lock_flags(flags), LockStatus::Acquired),
                2 => {
                    let soon = Some(Duration::from_micros(turn as u64 % 64));
                    while mutex.lock_timed(soon, flags) != LockStatus::Acquired {
                        thread::yield_now();
                    }
                }
                _ => {
                    if !mutex.try_lock() {
                        mutex.lock();
                    }
                }
            }
            count.set(count.get() + 1);
            linger(turn);
            mutex.unlock();
        }
    });
    assert_eq!(count.get(), THREADS * TURNS);
}

#[test]
fn raw_mutex() {
    let _watchdog = watchdog();
    let (mutex, count) = (RawMutex::new(), Plain::new(0));
    on_all(|_| {
        for turn in 0..TURNS {
            mutex.lock();
            count.set(count.get() + 1);
            linger(turn);
            mutex.unlock();
        }
    });
    assert_eq!(count.get(), THREADS * TURNS);
}

#[test]
fn recursive_mutex() {
    let _watchdog = watchdog();
    let (mutex, count) = (RecursiveMutex::new(), Plain::new(0));
    on_all(|_| {
        for turn in 0..TURNS {
            mutex.lock();
            let value = count.get();
            mutex.lock();
            count.set(value + 1);
            mutex.unlock();
            linger(turn);
            mutex.unlock();
        }
    });
    assert_eq!(count.get(), THREADS * TURNS);
}

#[test]
fn rw_mutex() {
    let _watchdog = watchdog();
    let (lock, pair) = (RwMutex::new(), Plain::new((0, 0)));
    on_all(|i| {
        for turn in 0..TURNS {
            if (i + turn) % 4 == 0 {
                if !lock.try_write_lock() {
                    lock.write_lock();
                }
                let (a, b) = pair.get();
                pair.set((a + 1, b + 1));
                linger(turn);
                lock.write_unlock();
            } else {
                if !lock.try_read_lock() {
                    lock.read_lock();
                }
                let (a, b) = pair.get();
                assert_eq!(a, b);
                linger(turn);
                lock.read_unlock();
            }
        }
    });
    assert_eq!(pair.get(), (THREADS * TURNS / 4, THREADS * TURNS / 4));
}

#[test]
fn event() {
    let _watchdog = watchdog();
    for round in 0..100 {
        let (event, data) = (Event::new(), Plain::new(0));
        on_all(|i| match i {
            0 => {
                data.set(round);
                linger(7 + 8 * round);
                event.notify();
            }
            _ => {
                if i % 2 == 0 {
                    event.wait();
                } else {
                    while !event.wait_timed(Some(Duration::from_micros(20)), true) {}
                }
                assert_eq!(data.get(), round);
            }
        });
    }
}

#[test]
fn once_flag() {
    let _watchdog = watchdog();
    for round in 0..100 {
        let (once, attempts) = (OnceFlag::new(), Plain::new(0));
        on_all(|_| {
            let attempt = || {
                once.call_once(|| {
                    attempts.set(attempts.get() + 1);
                    linger(round);
                    if attempts.get() < 5 { Err(()) } else { Ok(()) }
                })
            };
            while attempt().is_err() {}
            assert_eq!(attempts.get(), 5);
        });
    }
}

#[test]
fn guarded_locks() {
    let _watchdog = watchdog();
    let (mutex, lock) = (guarded::Mutex::new(0), guarded::RwLock::new((0, 0)));
    let reentrant = guarded::ReentrantMutex::new(Plain::new(0));
    on_all(|i| {
        for turn in 0..TURNS / 2 {
            *mutex.lock() += 1;
            if (i + turn) % 4 == 0 {
                let mut pair = lock.write();
                *pair = (pair.0 + 1, pair.1 + 1);
                linger(turn);
            } else {
                let pair = lock.read();
                assert_eq!(pair.0, pair.1);
            }
            let outer = reentrant.lock();
            let inner = reentrant.lock();
            inner.set(outer.get() + 1);
        }
    });
    assert_eq!(mutex.into_inner(), THREADS * TURNS / 2);
    assert_eq!(lock.into_inner().0, THREADS * TURNS / 8);
    assert_eq!(reentrant.into_inner().get(), THREADS * TURNS / 2);
}

#[test]
fn guarded_seq_lock() {
    let _watchdog = watchdog();
    let lock = guarded::SeqLock::new([0_usize; 6]);
    on_all(|i| {
        for turn in 0..TURNS {
            match i % 4 {
                0 => lock.write([turn; 6]),
                _ => {
                    let copy = lock.read();
                    assert_eq!(copy, [copy[0]; 6]);
                }
            }
            linger(turn);
        }
    });
}

#[test]
fn guarded_once_cell() {
    let _watchdog = watchdog();
    for round in 0..100 {
        let cell = guarded::OnceCell::new();
        on_all(|i| {
            if i % 2 == 0 {
                _ = cell.get_or_try_init(|| if i < 4 { Err(()) } else { Ok(vec![round; 9]) });
            }
            let value = cell.get_or_init(|| {
                linger(round);
                vec![round; 9]
            });
            assert_eq!(*value, [round; 9]);
            assert_eq!(cell.get(), Some(value));
        });
    }
}
