//! What the locks ask of a runtime, through the generic methods and the counting runtime: every
//! detach has its attach, and neither happens where nothing blocks.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::*};
use std::thread;
use std::time::Duration;

use common::*;
use pysync_lock::{Event, LockFlags, LockStatus, Mutex, OnceFlag, RecursiveMutex, RwMutex};
use pysync_parking_lot::{
    Deadline, Native, PendingCallError, Runtime, ThreadHooks, bucket_locks_held,
};
use pysync_platform::monotonic_now;
use pysync_testing::{wait_until, watchdog};

const NOTHING: Counts = Counts { detached: 0, attached: 0, pending: 0 };
const ONE_WAIT: Counts = Counts { detached: 1, attached: 1, pending: 0 };
const SOON: Option<Duration> = Some(Duration::from_millis(2));

/// What `wait` counts on a thread of its own, where it blocks until `wake`.
fn counts_of(wait: impl FnOnce() + Send, wake: impl FnOnce()) -> Counts {
    let _watchdog = watchdog();
    let sleeper = Sleeper::new();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            sleeper.enter();
            wait();
            take_counts()
        });
        sleeper.wait_until_asleep();
        wake();
        waiter.join().unwrap()
    })
}

#[test]
fn what_does_not_wait_asks_for_nothing() {
    let (mutex, recursive, rw) = (Mutex::new(), RecursiveMutex::new(), RwMutex::new());
    let (event, once) = (Event::new(), OnceFlag::new());
    let all = LockFlags::all();
    for deadline in [Deadline::NOW, Deadline::NEVER] {
        assert_eq!(mutex.lock_in::<Counting>(deadline, all), LockStatus::Acquired);
        mutex.unlock();
        assert_eq!(recursive.lock_in::<Counting>(deadline, all), LockStatus::Acquired);
        assert_eq!(recursive.lock_in::<Counting>(deadline, all), LockStatus::Acquired);
        assert_eq!(recursive.try_unlock_in::<Counting>(), Ok(()));
        assert_eq!(recursive.try_unlock_in::<Counting>(), Ok(()));
    }
    rw.read_lock_in::<Counting>();
    rw.read_unlock();
    rw.write_lock_in::<Counting>();
    rw.write_unlock();
    event.notify();
    for deadline in [Deadline::NOW, Deadline::NEVER] {
        assert_eq!(event.wait_in::<Counting>(deadline, all), LockStatus::Acquired);
    }
    assert_eq!(once.call_once_in::<Counting, ()>(|| Err(())), Err(()));
    assert_eq!(once.call_once_in::<Counting, ()>(|| Ok(())), Ok(()));
    assert_eq!(take_counts(), NOTHING);
}

#[test]
fn attempts_without_time_ask_for_nothing() {
    let (mutex, recursive, event) = (Mutex::new(), RecursiveMutex::new(), Event::new());
    mutex.lock();
    recursive.lock();
    thread::scope(|scope| {
        scope.spawn(|| {
            let a_moment_ago = Deadline::at(monotonic_now() - 1, Some(Duration::ZERO));
            for deadline in [Deadline::NOW, a_moment_ago].repeat(50) {
                let flags = LockFlags::all();
                assert_eq!(mutex.lock_in::<Counting>(deadline, flags), LockStatus::Failure);
                assert_eq!(recursive.lock_in::<Counting>(deadline, flags), LockStatus::Failure);
                assert_eq!(event.wait_in::<Counting>(deadline, flags), LockStatus::Failure);
            }
            assert_eq!(take_counts(), NOTHING);
        });
    });
}

#[test]
fn a_wait_that_blocks_detaches_once() {
    let mutex = Mutex::new();
    mutex.lock();
    let counts = counts_of(|| lock_in::<Counting>(&mutex), || mutex.unlock());
    assert_eq!(counts, ONE_WAIT);

    let recursive = RecursiveMutex::new();
    recursive.lock();
    let counts = counts_of(|| lock_recursive_in::<Counting>(&recursive), || recursive.unlock());
    assert_eq!(counts, ONE_WAIT);

    let rw = RwMutex::new();
    rw.write_lock();
    assert_eq!(counts_of(|| rw.read_lock_in::<Counting>(), || rw.write_unlock()), ONE_WAIT);
    assert_eq!(counts_of(|| rw.write_lock_in::<Counting>(), || rw.read_unlock()), ONE_WAIT);

    let event = Event::new();
    assert_eq!(counts_of(|| wait_in::<Counting>(&event), || event.notify()), ONE_WAIT);

    let (once, begun, sleeper) = (OnceFlag::new(), Event::new(), Sleeper::new());
    let counts = thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            begun.wait();
            sleeper.enter();
            assert_eq!(once.call_once_in::<Counting, ()>(|| panic!("called twice")), Ok(()));
            take_counts()
        });
        let result = once.call_once(|| {
            begun.notify();
            sleeper.wait_until_asleep();
            Ok::<(), ()>(())
        });
        assert_eq!(result, Ok(()));
        waiter.join().unwrap()
    });
    assert_eq!(counts, ONE_WAIT);
}

#[test]
fn a_wait_that_times_out_attaches_again() {
    let _watchdog = watchdog();
    let (mutex, recursive, event) = (Mutex::new(), RecursiveMutex::new(), Event::new());
    mutex.lock();
    recursive.lock();
    thread::scope(|scope| {
        scope.spawn(|| {
            let flags = LockFlags::DETACH;
            assert_eq!(
                mutex.lock_in::<Counting>(Deadline::after(SOON), flags),
                LockStatus::Failure
            );
            assert_eq!(take_counts(), ONE_WAIT);
            assert_eq!(
                recursive.lock_in::<Counting>(Deadline::after(SOON), flags),
                LockStatus::Failure
            );
            assert_eq!(take_counts(), ONE_WAIT);
            assert_eq!(
                event.wait_in::<Counting>(Deadline::after(SOON), flags),
                LockStatus::Failure
            );
            assert_eq!(take_counts(), ONE_WAIT);
        });
    });
}

/// gh-118332: a wait inside of a stopped world must not detach.
#[test]
fn gh_118332_a_wait_without_the_flag_stays_attached() {
    let mutex = Mutex::new();
    mutex.lock();
    let counts = counts_of(
        || {
            assert_eq!(
                mutex.lock_in::<Counting>(Deadline::NEVER, LockFlags::empty()),
                LockStatus::Acquired
            )
        },
        || mutex.unlock(),
    );
    assert_eq!(counts, NOTHING);
    let counts = counts_of(
        || {
            let status =
                mutex.lock_in::<Counting>(Deadline::after(SOON), LockFlags::HANDLE_SIGNALS);
            assert_eq!(status, LockStatus::Failure);
        },
        || {},
    );
    assert_eq!(counts, NOTHING);

    let recursive = RecursiveMutex::new();
    recursive.lock();
    let counts = counts_of(
        || _ = recursive.lock_in::<Counting>(Deadline::after(None), LockFlags::empty()),
        || recursive.unlock(),
    );
    assert_eq!(counts, NOTHING);

    let event = Event::new();
    let counts = counts_of(
        || _ = event.wait_in::<Counting>(Deadline::after(None), LockFlags::empty()),
        || event.notify(),
    );
    assert_eq!(counts, NOTHING);
}

static ANNOUNCED: Mutex = Mutex::new();

thread_local! {
    static DETACHES: Cell<usize> = const { Cell::new(0) };
}

/// Checks that it detaches from a thread that is about to sleep, not from one that yields.
enum DetachesLate {}

impl Runtime for DetachesLate {
    type Detached = ();

    fn detach() -> Option<()> {
        assert_eq!(mutex_bits(&ANNOUNCED), 3, "detached before the waiter was announced");
        assert_eq!(bucket_locks_held(), 0);
        DETACHES.set(DETACHES.get() + 1);
        Some(())
    }

    fn attach((): ()) {
        assert_eq!(bucket_locks_held(), 0);
    }

    fn make_pending_calls() -> Result<(), PendingCallError> {
        Ok(())
    }

    fn thread_ident() -> u64 {
        Native::thread_ident()
    }

    fn fatal_error(_: &'static str, message: &str) -> ! {
        panic!("{message}")
    }
}

#[test]
fn a_thread_that_only_yields_stays_attached() {
    let _watchdog = watchdog();
    ANNOUNCED.lock();
    let sleeper = Sleeper::new();
    let detaches = thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            sleeper.enter();
            lock_in::<DetachesLate>(&ANNOUNCED);
            ANNOUNCED.unlock();
            DETACHES.get()
        });
        wait_until(|| mutex_bits(&ANNOUNCED) == 3);
        sleeper.wait_until_asleep();
        ANNOUNCED.unlock();
        waiter.join().unwrap()
    });
    assert_eq!(detaches, 1);
}

/// A mutex that is freed within 40 yields is had without a wait, mostly.
#[test]
fn a_thread_yields_for_a_while_before_it_waits() {
    const ROUNDS: usize = 300;

    let _watchdog = watchdog();
    let mutex = Mutex::new();
    let without_a_wait = (0..ROUNDS).filter(|_| {
        let tried = Event::new();
        mutex.lock();
        thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                assert!(!mutex.try_lock());
                tried.notify();
                lock_in::<Counting>(&mutex);
                mutex.unlock();
                take_counts() == NOTHING
            });
            // Not by waiting: to be woken takes longer than 40 yields.
            while !tried.is_set() {
                std::hint::spin_loop();
            }
            mutex.unlock();
            waiter.join().unwrap()
        })
    });
    let without_a_wait = without_a_wait.count();
    println!("{without_a_wait} of {ROUNDS} locks without a wait");
    // Nearly all on an idle machine, and hardly any if it parked at once.
    assert!(without_a_wait > ROUNDS / 10, "{without_a_wait} of {ROUNDS}");
}

/// Under contention some locks are had by yielding, some by waiting.
#[test]
fn contended_locks_detach_as_often_as_they_attach() {
    let _watchdog = watchdog();
    let mutex = Mutex::new();
    let (quick, detached) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let inside = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for i in 0..2_000 {
                    lock_in::<Counting>(&mutex);
                    assert_eq!(inside.fetch_add(1, Relaxed), 0);
                    if i % 50 == 0 {
                        thread::sleep(Duration::from_micros(100));
                    }
                    inside.fetch_sub(1, Relaxed);
                    mutex.unlock();
                    let counts = take_counts();
                    assert_eq!(counts.detached, counts.attached);
                    assert_eq!(counts.pending, 0);
                    detached.fetch_add(counts.detached, Relaxed);
                    quick.fetch_add(usize::from(counts.detached == 0), Relaxed);
                }
            });
        }
    });
    println!("{quick:?} of 8,000 locks without a wait, {detached:?} waits");
    assert!(quick.into_inner() > 0 && detached.into_inner() > 0);
}

thread_local! {
    static ATTACHED: Cell<bool> = const { Cell::new(false) };
    static HOOKED: Cell<[usize; 2]> = const { Cell::new([0; 2]) };
}

static HOOKS: ThreadHooks = ThreadHooks {
    detach: || {
        let [detached, attached] = HOOKED.get();
        HOOKED.set([detached + 1, attached]);
        ATTACHED.replace(false)
    },
    attach: || {
        let [detached, attached] = HOOKED.get();
        HOOKED.set([detached, attached + 1]);
        assert!(!ATTACHED.replace(true));
    },
};

#[test]
fn the_native_runtime_calls_the_hooks_of_the_thread() {
    let _watchdog = watchdog();
    let mutex = Mutex::new();
    mutex.lock();
    thread::scope(|scope| {
        scope.spawn(|| {
            let wait = || {
                let status = mutex.lock_timed(SOON, LockFlags::DETACH);
                assert_eq!(status, LockStatus::Failure);
                HOOKED.take()
            };
            // A thread without hooks.
            assert_eq!(wait(), [0, 0]);
            assert!(Native::set_thread_hooks(Some(&HOOKS)).is_none());
            // PR 116483: not attached, so there is nothing to undo.
            assert_eq!(wait(), [1, 0]);
            ATTACHED.set(true);
            assert_eq!(wait(), [1, 1]);
            assert!(ATTACHED.get());
            assert!(Native::set_thread_hooks(None).is_some());
            assert_eq!(wait(), [0, 0]);
        });
    });
}
