//! The types that own what they guard.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::*};
use std::thread;
use std::time::{Duration, Instant};

use common::{Counting, Counts, Sleeper, take_counts};
use pysync_lock::guarded::{
    MappedMutexGuard, Mutex, MutexGuard, MutexIn, OnceCell, ReentrantMutex, ReentrantMutexGuardIn,
    ReentrantMutexIn, RwLock, RwLockIn, RwLockReadGuard, RwLockWriteGuard, SeqLock, raw,
};
use pysync_parking_lot::{Native, PendingCallError, Runtime};
use pysync_testing::watchdog;

const MS: Duration = Duration::from_millis(1);

/// Runs `body`, which panics; without a message on the terminal.
fn panic_in(body: impl FnOnce()) {
    catch_unwind(AssertUnwindSafe(|| {
        body();
        resume_unwind(Box::new(()));
    }))
    .unwrap_err();
}

#[test]
fn a_mutex_guards_its_data() {
    let _watchdog = watchdog();
    static TOTAL: Mutex<u64> = Mutex::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..5_000).for_each(|_| *TOTAL.lock() += 1));
        }
    });
    assert_eq!(*TOTAL.lock(), 20_000);

    let mut mutex = Mutex::new(String::from("a"));
    mutex.get_mut().push('b');
    assert_eq!(mutex.into_inner(), "ab");
}

#[test]
fn a_mutex_may_guard_what_has_no_size() {
    let mutex: Box<Mutex<[u8]>> = Box::new(Mutex::new([1, 2, 3]));
    mutex.lock()[1] = 9;
    assert_eq!(*mutex.lock(), [1, 9, 3]);
}

#[test]
fn guards_unlock_when_they_go_and_only_then() {
    let (mutex, lock) = (Mutex::new(1), RwLock::new(2));
    {
        let _guard = mutex.lock();
        assert!(mutex.is_locked());
        assert!(mutex.try_lock().is_none());
        let (_one, _two) = (lock.read(), lock.read());
        assert!(lock.is_locked() && !lock.is_locked_exclusive());
        assert!(lock.try_write().is_none());
    }
    assert!(!mutex.is_locked() && !lock.is_locked());
    {
        let _guard = lock.write();
        assert!(lock.is_locked_exclusive());
        assert!(lock.try_read().is_none() && lock.try_write().is_none());
    }
    assert!(lock.try_write().is_some());
}

#[test]
fn a_panic_unlocks_and_poisons_nothing() {
    let (mutex, lock, reentrant) = (Mutex::new(1), RwLock::new(1), ReentrantMutex::new(1));
    panic_in(|| *mutex.lock() = 2);
    assert_eq!(*mutex.try_lock().expect("unlocked"), 2);
    panic_in(|| {
        let mut guard = lock.write();
        *guard = 2;
        resume_unwind(Box::new(()));
    });
    panic_in(|| {
        let _guard = lock.read();
        resume_unwind(Box::new(()));
    });
    assert_eq!(*lock.try_write().expect("unlocked"), 2);
    panic_in(|| {
        let _guards = (reentrant.lock(), reentrant.lock());
        resume_unwind(Box::new(()));
    });
    assert!(!reentrant.is_locked());

    // Also with a guard alive as the thread ends.
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let _guard = mutex.lock();
            resume_unwind(Box::new(()));
        });
        assert!(thread.join().is_err());
    });
    assert!(mutex.try_lock().is_some());
}

#[test]
fn timed_guards_give_up_no_sooner_than_their_deadline() {
    let _watchdog = watchdog();
    let (mutex, reentrant) = (Mutex::new(1), ReentrantMutex::new(1));
    let _guards = (mutex.lock(), reentrant.lock());
    thread::scope(|scope| {
        scope.spawn(|| {
            let start = Instant::now();
            assert!(mutex.try_lock_for(3 * MS).is_none());
            assert!(start.elapsed() >= 3 * MS);
            let until = Instant::now() + 3 * MS;
            assert!(mutex.try_lock_until(until).is_none());
            assert!(Instant::now() >= until);
            // A deadline that is over is an attempt.
            assert!(mutex.try_lock_until(start).is_none());
            assert!(mutex.try_lock_for(Duration::ZERO).is_none());

            let start = Instant::now();
            assert!(reentrant.try_lock_for(3 * MS).is_none());
            assert!(start.elapsed() >= 3 * MS);
            assert!(reentrant.try_lock_until(start).is_none());
        });
    });
    assert!(reentrant.try_lock_for(Duration::ZERO).is_some());
}

#[test]
fn timed_guards_get_a_lock_that_is_freed_in_time() {
    let _watchdog = watchdog();
    let (mutex, sleeper) = (Mutex::new(1), Sleeper::new());
    let guard = mutex.lock();
    thread::scope(|scope| {
        scope.spawn(|| {
            sleeper.enter();
            *mutex.try_lock_for(Duration::MAX).expect("it is a long time") += 1;
        });
        sleeper.wait_until_asleep();
        drop(guard);
    });
    assert_eq!(*mutex.lock(), 2);
    let far = Instant::now() + Duration::from_secs(1 << 30);
    assert!(mutex.try_lock_until(far).is_some());
}

#[test]
fn guards_may_be_sent_to_another_thread_and_dropped_there() {
    fn sendable<T: Send>(_: &T) {}

    let (mutex, lock) = (Mutex::new(1), RwLock::new(2));
    let guards: (MutexGuard<'_, _>, RwLockReadGuard<'_, _>) = (mutex.lock(), lock.read());
    sendable(&guards);
    thread::scope(|scope| {
        scope.spawn(move || assert_eq!(*guards.0 + *guards.1, 3));
    });
    assert!(!mutex.is_locked() && !lock.is_locked());
    let guard: RwLockWriteGuard<'_, _> = lock.write();
    sendable(&guard);
    thread::scope(|scope| {
        scope.spawn(move || drop(guard));
    });
    assert!(!lock.is_locked());
}

#[test]
fn mapped_guards_hold_the_lock_they_came_from() {
    let (mutex, lock) = (Mutex::new((1, [2, 3])), RwLock::new((1, 2)));
    {
        let second: MappedMutexGuard<'_, [i32; 2]> =
            MutexGuard::map(mutex.lock(), |data| &mut data.1);
        assert!(mutex.is_locked());
        let mut last = MappedMutexGuard::map(second, |pair| &mut pair[1]);
        *last = 9;
        assert!(mutex.is_locked());
        let refused = MappedMutexGuard::try_map(last, |_| None::<&mut i32>);
        assert!(refused.is_err());
        assert!(mutex.is_locked());
    }
    assert!(!mutex.is_locked());
    assert_eq!(*mutex.lock(), (1, [2, 9]));

    *RwLockWriteGuard::map(lock.write(), |data| &mut data.0) = 7;
    {
        let first = RwLockReadGuard::map(lock.read(), |data| &data.0);
        assert_eq!(*first, 7);
        assert!(lock.try_write().is_none());
        assert!(lock.try_read().is_some());
    }
    assert!(!lock.is_locked());
}

#[test]
fn a_guard_can_let_go_for_a_while() {
    let mutex = Mutex::new(1);
    let mut guard = mutex.lock();
    let seen = MutexGuard::unlocked(&mut guard, || {
        *mutex.lock() += 1;
        *mutex.lock()
    });
    assert_eq!((*guard, seen), (2, 2));
}

#[test]
fn an_rw_lock_lets_readers_share_and_shows_them_whole_writes() {
    let _watchdog = watchdog();
    static PAIR: RwLock<(u64, u64)> = RwLock::new((0, 0));
    thread::scope(|scope| {
        for i in 0..4 {
            scope.spawn(move || {
                for j in 0..2_000 {
                    if (i + j) % 4 == 0 {
                        let mut pair = PAIR.write();
                        pair.0 += 1;
                        pair.1 += 1;
                    } else {
                        let pair = PAIR.read();
                        assert_eq!(pair.0, pair.1);
                    }
                }
            });
        }
    });
    assert_eq!(*PAIR.read(), (2_000, 2_000));
}

#[test]
fn a_reentrant_mutex_may_be_locked_again_by_its_owner_only() {
    let _watchdog = watchdog();
    static REENTRANT: ReentrantMutex<AtomicUsize> = ReentrantMutex::new(AtomicUsize::new(0));
    let (one, two) = (REENTRANT.lock(), REENTRANT.try_lock().expect("ours"));
    assert!(REENTRANT.is_owned_by_current_thread());
    thread::scope(|scope| {
        scope.spawn(|| {
            assert!(!REENTRANT.is_owned_by_current_thread());
            assert!(REENTRANT.try_lock().is_none());
        });
    });
    drop(one);
    assert!(REENTRANT.is_locked());
    drop(two);
    assert!(!REENTRANT.is_locked());

    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..2_000 {
                    let outer = REENTRANT.lock();
                    let value = outer.load(Relaxed);
                    let inner = REENTRANT.lock();
                    inner.store(value + 1, Relaxed);
                }
            });
        }
    });
    assert_eq!(REENTRANT.lock().load(Relaxed), 8_000);
}

#[test]
fn debug_shows_the_data_or_that_it_is_locked() {
    let (mutex, lock, reentrant) = (Mutex::new(1), RwLock::new(2), ReentrantMutex::new(3));
    assert_eq!(format!("{mutex:?}"), "Mutex { data: 1 }");
    assert_eq!(format!("{lock:?}"), "RwLock { data: 2 }");
    assert_eq!(format!("{reentrant:?}"), "ReentrantMutex { data: 3 }");
    let guard = mutex.lock();
    assert_eq!(format!("{guard:?}"), "1");
    assert_eq!(format!("{mutex:?}"), "Mutex { data: <locked> }");
    let _guard = lock.write();
    assert_eq!(format!("{lock:?}"), "RwLock { data: <locked> }");
    thread::scope(|scope| {
        let _guard = reentrant.lock();
        let elsewhere = scope.spawn(|| format!("{reentrant:?}")).join().unwrap();
        assert_eq!(elsewhere, "ReentrantMutex { data: <locked> }");
    });
}

#[test]
fn defaults_and_conversions_are_unlocked() {
    assert_eq!(*Mutex::<u8>::default().lock(), 0);
    assert_eq!(*RwLock::from("text").read(), "text");
    assert_eq!(*ReentrantMutex::from(5).lock(), 5);
    assert_eq!(OnceCell::from(6).get(), Some(&6));
    assert_eq!(SeqLock::from([7; 3]).read(), [7; 3]);
    assert_eq!(*Mutex::from_raw(raw::Mutex::default(), 8).lock(), 8);
    assert_eq!(*RwLock::from_raw(raw::RwLock::default(), 9).read(), 9);
}

/// What a thread asks of its runtime that waits in `wait` until `let_go`.
fn counts_of_a_wait(wait: impl FnOnce() + Send, let_go: impl FnOnce()) -> Counts {
    let sleeper = Sleeper::new();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            sleeper.enter();
            wait();
            take_counts()
        });
        sleeper.wait_until_asleep();
        let_go();
        waiter.join().unwrap()
    })
}

/// It has detached, and attached as often, and run no pending call: a guard cannot be interrupted.
#[track_caller]
fn assert_detached(counts: Counts) {
    assert!(counts.detached > 0, "{counts:?}");
    assert_eq!((counts.attached, counts.pending), (counts.detached, 0));
}

#[test]
fn guards_of_a_runtime_detach_around_their_sleep_and_only_there() {
    let _watchdog = watchdog();
    static MUTEX: MutexIn<Counting, i32> = MutexIn::new(0);
    static LOCK: RwLockIn<Counting, i32> = RwLockIn::new(0);
    static REENTRANT: ReentrantMutexIn<Counting, i32> = ReentrantMutexIn::new(0);
    static CELL: OnceCell<i32> = OnceCell::new();

    let guard = MUTEX.lock();
    assert_detached(counts_of_a_wait(|| *MUTEX.lock() += 1, || drop(guard)));
    let guard = MUTEX.lock();
    let late = || assert!(MUTEX.try_lock_for(Duration::from_secs(3600)).is_some());
    assert_detached(counts_of_a_wait(late, || drop(guard)));
    let guard = LOCK.read();
    assert_detached(counts_of_a_wait(|| *LOCK.write() += 1, || drop(guard)));
    let guard = LOCK.write();
    assert_detached(counts_of_a_wait(|| assert_eq!(*LOCK.read(), 1), || drop(guard)));
    let guard = REENTRANT.lock();
    assert_detached(counts_of_a_wait(|| drop(REENTRANT.lock()), || drop(guard)));
    let mut guard = MUTEX.lock();
    let sleeper = Sleeper::new();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let mut guard = REENTRANT.lock();
            ReentrantMutexGuardIn::unlocked(&mut guard, || {
                sleeper.enter();
                *MUTEX.lock() += 1;
            });
            take_counts()
        });
        sleeper.wait_until_asleep();
        *guard += 1;
        drop(guard);
        assert_detached(waiter.join().unwrap());
    });

    let sleeper = Sleeper::new();
    thread::scope(|scope| {
        let mut waiter = None;
        CELL.get_or_init_in::<Counting>(|| {
            waiter = Some(scope.spawn(|| {
                sleeper.enter();
                assert_eq!(CELL.get_or_try_init_in::<Counting, ()>(|| Ok(8)), Ok(&7));
                take_counts()
            }));
            sleeper.wait_until_asleep();
            7
        });
        assert_detached(waiter.unwrap().join().unwrap());
    });

    // This thread has never waited. An attempt does not sleep.
    let _guard = MUTEX.lock();
    assert!(MUTEX.try_lock().is_none());
    assert!(MUTEX.try_lock_for(Duration::ZERO).is_none());
    assert_eq!(take_counts(), Counts::default());
}

/// A runtime to which all threads are one.
enum AllOne {}

impl Runtime for AllOne {
    type Detached = ();

    fn detach() -> Option<()> {
        None
    }

    fn attach((): ()) {}

    fn make_pending_calls() -> Result<(), PendingCallError> {
        Ok(())
    }

    fn thread_ident() -> u64 {
        1
    }

    fn fatal_error(function: &'static str, message: &str) -> ! {
        Native::fatal_error(function, message)
    }
}

#[test]
fn no_runtime_can_let_two_threads_at_the_value_of_a_reentrant_mutex() {
    let mutex = ReentrantMutexIn::<AllOne, _>::new(0);
    let _guards = (mutex.lock(), mutex.lock());
    thread::scope(|scope| {
        scope.spawn(|| {
            assert!(!mutex.is_owned_by_current_thread());
            assert!(mutex.try_lock().is_none());
        });
    });
}

#[cfg(feature = "lock_api_05")]
mod over_lock_api_05 {
    use super::*;
    use pysync_lock::guarded::lock_api_05::{
        MappedMutexGuard, Mutex, MutexGuard, MutexIn, RwLock, RwLockIn, RwLockReadGuard,
        RwLockWriteGuard,
    };

    #[test]
    fn guards_unlock_when_they_go_and_only_then() {
        static MUTEX: Mutex<(u8, u8)> = Mutex::new((0, 1));
        static LOCK: RwLock<u8> = RwLock::new(2);
        {
            let guard: MutexGuard<'_, _> = MUTEX.lock();
            let mut second: MappedMutexGuard<'_, u8> = MutexGuard::map(guard, |pair| &mut pair.1);
            *second += 1;
            assert!(MUTEX.is_locked() && MUTEX.try_lock().is_none());
            let (one, _two): (RwLockReadGuard<'_, _>, _) = (LOCK.read(), LOCK.try_read().unwrap());
            assert!(LOCK.try_write().is_none() && !LOCK.is_locked_exclusive());
            assert_eq!(*one, 2);
        }
        assert!(!MUTEX.is_locked() && !LOCK.is_locked());
        let mut guard: RwLockWriteGuard<'_, _> = LOCK.write();
        *guard += 1;
        assert!(LOCK.is_locked_exclusive());
        assert!(LOCK.try_read().is_none() && LOCK.try_write().is_none());
        drop(guard);
        assert_eq!((*MUTEX.lock(), *LOCK.read()), ((0, 2), 3));
        assert!(LOCK.try_write().is_some());
    }

    #[test]
    fn timed_guards_give_up_no_sooner_than_their_deadline() {
        let _watchdog = watchdog();
        let mutex = Mutex::new(1);
        let guard = mutex.lock();
        let start = Instant::now();
        assert!(mutex.try_lock_for(3 * MS).is_none());
        assert!(start.elapsed() >= 3 * MS);
        assert!(mutex.try_lock_until(start).is_none());
        let until = Instant::now() + 3 * MS;
        assert!(mutex.try_lock_until(until).is_none());
        assert!(Instant::now() >= until);
        drop(guard);
        assert!(mutex.try_lock_for(Duration::MAX).is_some());
    }

    #[test]
    fn guards_may_be_sent_and_dropped_elsewhere() {
        let (mutex, lock) = (Mutex::new(1), RwLock::new(2));
        let guards = (mutex.lock(), lock.read());
        thread::scope(|scope| {
            scope.spawn(move || assert_eq!(*guards.0 + *guards.1, 3));
        });
        let guard = lock.write();
        thread::scope(|scope| {
            scope.spawn(move || drop(guard));
        });
        assert!(!mutex.is_locked() && !lock.is_locked());
    }

    #[test]
    fn guards_of_a_runtime_detach_around_their_sleep() {
        let _watchdog = watchdog();
        static MUTEX: MutexIn<Counting, i32> = MutexIn::new(0);
        static LOCK: RwLockIn<Counting, i32> = RwLockIn::new(0);
        let guard = MUTEX.lock();
        assert_detached(counts_of_a_wait(|| *MUTEX.lock() += 1, || drop(guard)));
        let guard = LOCK.read();
        assert_detached(counts_of_a_wait(|| *LOCK.write() += 1, || drop(guard)));
        let guard = LOCK.write();
        assert_detached(counts_of_a_wait(|| assert_eq!(*LOCK.read(), 1), || drop(guard)));
        assert_eq!(take_counts(), Counts::default());
    }
}
