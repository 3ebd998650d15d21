//! Undefined behaviour by the letter: small tests for Miri, which `ci/miri.sh` runs with several
//! seeds. They run natively too, with more rounds.
//!
//! What the threads pass to each other is neither atomic nor locked, so that only the code under
//! test orders their accesses, and Miri reports a race where it does not. The tests take turns,
//! since one of them empties the table.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::cell::{Cell, UnsafeCell};
use std::ptr::{self, null_mut};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicUsize, Ordering::*};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use common::{NUM_BUCKETS, park_announced, unpark_one};
use pysync_parking_lot::{
    Choice, Deadline, Key, Native, ParkStatus, Parker, Position, RawMutex, ThreadHooks, Wait,
    after_fork, park, park_with, unpark, unpark_all, unpark_all_with_args, unpark_filter,
    unpark_requeue,
};
use pysync_testing::{Watchdog, together, wait_until, watchdog};

/// `native` rounds of a test, or `miri` ones, which take a thousand times as long each.
const fn rounds(miri: usize, native: usize) -> usize {
    if cfg!(miri) { miri } else { native }
}

fn my_turn() -> (MutexGuard<'static, ()>, Watchdog) {
    static TURN: Mutex<()> = Mutex::new(());
    (TURN.lock().unwrap_or_else(PoisonError::into_inner), watchdog())
}

/// A value with no protection of its own.
#[derive(Default)]
struct Unprotected<T>(UnsafeCell<T>);

// SAFETY: each test says why its accesses are ordered.
unsafe impl<T: Send> Sync for Unprotected<T> {}

impl<T> Unprotected<T> {
    const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// # Safety
    /// There is no other access at the same time.
    #[allow(clippy::mut_from_ref)]
    unsafe fn get(&self) -> &mut T {
        // SAFETY: by contract.
        unsafe { &mut *self.0.get() }
    }

    /// # Safety
    /// No other thread writes at the same time.
    unsafe fn look(&self) -> &T {
        // SAFETY: by contract.
        unsafe { &*self.0.get() }
    }

    fn as_park_arg(&self) -> *mut () {
        self.0.get().cast()
    }
}

/// What a waiter is handed: a value on the heap, so that a stale pointer to it shows.
type Letter = Unprotected<Option<Box<usize>>>;

/// Puts `value` into the letter of a waiter that has not been woken yet.
///
/// # Safety
/// `park_arg` is a [`Letter`] of a parked thread, and the caller is in the callback of its unpark.
unsafe fn deliver(park_arg: *mut (), value: usize) {
    // SAFETY: the waiter keeps it valid and away from others until `park` returns.
    unsafe { *park_arg.cast::<Option<Box<usize>>>() = Some(Box::new(value)) };
}

#[test]
fn a_value_is_handed_over_through_a_park_arg() {
    const WAITERS: usize = 2;
    let _turn = my_turn();
    let rounds = rounds(4, 500);
    let word = AtomicU8::new(0);
    let received = AtomicUsize::new(0);
    thread::scope(|s| {
        for _ in 0..WAITERS {
            s.spawn(|| {
                for _ in 0..rounds {
                    let letter = Letter::default();
                    assert_eq!(park(&word, 0, None, letter.as_park_arg(), false), ParkStatus::Ok);
                    // SAFETY: woken, so the unparker is done with it.
                    let value = unsafe { letter.get() }.take().expect("delivered");
                    received.fetch_add(*value, Relaxed);
                }
            });
        }
        let mut sent = 0;
        while sent < WAITERS * rounds {
            unpark(&word, |unparked| {
                if let Some(unparked) = unparked {
                    sent += 1;
                    // SAFETY: all who park here pass a letter.
                    unsafe { deliver(unparked.park_arg, sent) };
                }
            });
            thread::yield_now();
        }
    });
    let all = WAITERS * rounds;
    assert_eq!(received.into_inner(), all * (all + 1) / 2);
}

#[test]
fn unpark_all_wakes_every_waiter_once_it_is_done_with_its_park_arg() {
    const WAITERS: usize = 3;
    let _turn = my_turn();
    for _ in 0..rounds(2, 100) {
        let (word, queued) = (AtomicU32::new(0), AtomicUsize::new(0));
        let shared = Unprotected::new(0);
        thread::scope(|s| {
            for _ in 0..WAITERS {
                s.spawn(|| {
                    let letter = Letter::default();
                    let arg = letter.as_park_arg();
                    assert_eq!(park_announced(&word, 0, None, arg, &queued), ParkStatus::Ok);
                    // SAFETY: woken, so the unparker is done with it.
                    assert_eq!(unsafe { letter.get() }.take().as_deref(), Some(&7));
                    // SAFETY: written before the wake, and only read from then on.
                    assert_eq!(unsafe { *shared.look() }, 9);
                });
            }
            wait_until(|| queued.load(SeqCst) == WAITERS);
            // SAFETY: the others look at it once they are woken.
            unsafe { *shared.get() = 9 };
            unpark_all_with_args(&word, |park_args| {
                // SAFETY: all who park here pass a letter.
                park_args.for_each(|park_arg| unsafe { deliver(park_arg, 7) });
            });
        });
    }
}

#[test]
fn timeouts_race_with_unparks_and_each_wait_has_one_end() {
    const WAITERS: usize = 2;
    let _turn = my_turn();
    let (word, left) = (AtomicU8::new(0), AtomicUsize::new(0));
    let (woken, mut unparked) = (AtomicUsize::new(0), 0);
    thread::scope(|s| {
        for id in 0..WAITERS {
            let (word, left, woken) = (&word, &left, &woken);
            s.spawn(move || {
                for round in 0..rounds(6, 2_000) {
                    let letter = Letter::default();
                    // About as long as the other thread takes from one unpark to the next.
                    let unit = if cfg!(miri) { 500_000 } else { 1_000 };
                    let timeout = Duration::from_nanos(((id + round) % 4) as u64 * unit);
                    let status = park(word, 0, Some(timeout), letter.as_park_arg(), false);
                    // SAFETY: off the queue, so nobody else has it.
                    let delivered = unsafe { letter.get() }.take().is_some();
                    assert_eq!(delivered, status == ParkStatus::Ok, "{status:?}");
                    woken.fetch_add(usize::from(delivered), Relaxed);
                }
                left.fetch_add(1, Release);
            });
        }
        while left.load(Acquire) < WAITERS {
            unpark(&word, |waiter| {
                if let Some(waiter) = waiter {
                    unparked += 1;
                    // SAFETY: all who park here pass a letter.
                    unsafe { deliver(waiter.park_arg, unparked) };
                }
            });
            thread::yield_now();
        }
    });
    assert_eq!(woken.into_inner(), unparked);
}

/// Five words of one bucket, whose queues make a tree.
static MATES: [AtomicU8; 5 * NUM_BUCKETS] = [const { AtomicU8::new(0) }; 5 * NUM_BUCKETS];

#[test]
fn the_queues_of_one_bucket_are_a_tree_of_waiters_stacks() {
    let _turn = my_turn();
    let mate = |index: usize| &MATES[index * NUM_BUCKETS];
    for round in 0..rounds(1, 50) {
        let queued = AtomicUsize::new(0);
        thread::scope(|s| {
            let queued = &queued;
            // Two for some words, so that a second waiter takes over the place in the tree.
            for (before, index) in [0, 1, 2, 3, 4, 0, 3].into_iter().enumerate() {
                s.spawn(move || {
                    let status = park_announced(mate(index), 0, None, null_mut(), queued);
                    assert_eq!(status, ParkStatus::Ok);
                });
                wait_until(|| queued.load(SeqCst) > before);
            }
            // One leaves by its deadline: a leaf or not, by the round.
            let times_out = mate(round % 5);
            let soon = Some(Duration::from_micros(10));
            assert_eq!(park(times_out, 0, soon, null_mut(), false), ParkStatus::Timeout);
            assert!(unpark_one(mate(3)).unwrap().has_more_waiters);
            unpark_all(mate(0));
            assert!(!unpark_one(mate(2)).unwrap().has_more_waiters);
            for index in [1, 3, 4] {
                assert!(unpark_one(mate(index)).is_some());
            }
            assert!((0..5).all(|index| unpark_one(mate(index)).is_none()));
        });
    }
}

#[test]
fn three_threads_exclude_each_other_with_a_raw_mutex() {
    const THREADS: usize = 3;
    let _turn = my_turn();
    let rounds = rounds(6, 5_000);
    let mutex = RawMutex::new();
    let count = Unprotected::new(Box::new(0));
    together(THREADS, |id| {
        for round in 0..rounds {
            if (id + round) % 4 != 0 || !mutex.try_lock() {
                mutex.lock();
            }
            // SAFETY: the mutex is held.
            let count = unsafe { count.get() };
            **count += 1;
            // For the others to queue.
            thread::yield_now();
            mutex.unlock();
        }
    });
    // SAFETY: the threads have ended.
    assert_eq!(**unsafe { count.get() }, THREADS * rounds);
}

#[test]
fn a_wakeup_of_a_semaphore_carries_what_came_before_it() {
    let _turn = my_turn();
    let (there, back) = (Parker::new(), Parker::new());
    let ball = Unprotected::new(0);
    let rounds = rounds(8, 2_000);
    together(2, |id| {
        let (mine, others) = if id == 0 { (&there, &back) } else { (&back, &there) };
        for _ in 0..rounds {
            if id == 1 {
                others.wakeup();
            }
            while mine.wait(None, false) != ParkStatus::Ok {}
            // SAFETY: the ball is ours from the wakeup that we got to the one that we give.
            unsafe { *ball.get() += 1 };
            if id == 0 {
                others.wakeup();
            }
        }
    });
    // SAFETY: the threads have ended.
    assert_eq!(unsafe { *ball.get() }, 2 * rounds);
}

#[test]
fn a_semaphore_may_go_as_soon_as_its_waiter_wakes() {
    let _turn = my_turn();
    for round in 0..rounds(6, 500) {
        let semaphore = Box::into_raw(Box::new(Parker::new()));
        let address = AtomicPtr::new(semaphore);
        thread::scope(|s| {
            s.spawn(|| {
                let semaphore = address.load(Relaxed);
                let timeout = (round % 2 == 0).then_some(Duration::from_secs(10));
                // SAFETY: ours until we free it.
                while unsafe { &*semaphore }.wait(timeout, false) != ParkStatus::Ok {}
                // SAFETY: from the box above. That the waker is done with it is what is tested.
                drop(unsafe { Box::from_raw(semaphore) });
            });
            // SAFETY: valid until its waiter has seen the wakeup.
            unsafe { Parker::wakeup_raw(semaphore) };
        });
    }
}

#[test]
fn an_idle_table_may_be_reset() {
    let _turn = my_turn();
    let word = AtomicU8::new(0);
    for _ in 0..2 {
        let queued = AtomicUsize::new(0);
        thread::scope(|s| {
            s.spawn(|| {
                let status = park_announced(&word, 0, None, null_mut(), &queued);
                assert_eq!(status, ParkStatus::Ok);
            });
            wait_until(|| queued.load(SeqCst) == 1);
            assert!(unpark_one(&word).is_some());
        });
        // SAFETY: no other thread uses the table: it is our turn, and our own thread has ended.
        unsafe { after_fork() };
        let zero = Some(Duration::ZERO);
        assert_eq!(park(&word, 0, zero, null_mut(), false), ParkStatus::Timeout);
        assert!(unpark_one(&word).is_none());
    }
}

thread_local! {
    /// What the calling thread's detach unparks.
    static BEFORE_SLEEP: Cell<*const AtomicU8> = const { Cell::new(ptr::null()) };
    static ATTACHED_AGAIN: Cell<usize> = const { Cell::new(0) };
}

static HOOKS: ThreadHooks = ThreadHooks {
    detach: || {
        unpark_all(BEFORE_SLEEP.get());
        true
    },
    attach: || ATTACHED_AGAIN.set(ATTACHED_AGAIN.get() + 1),
};

#[test]
fn a_detach_may_unpark_others_and_even_the_thread_that_detaches() {
    let _turn = my_turn();
    let words = [const { AtomicU8::new(0) }; 2];
    let queued = AtomicUsize::new(0);
    for _ in 0..rounds(2, 200) {
        thread::scope(|s| {
            queued.store(0, SeqCst);
            s.spawn(|| {
                let status = park_announced(&words[0], 0, None, null_mut(), &queued);
                assert_eq!(status, ParkStatus::Ok);
            });
            s.spawn(|| {
                wait_until(|| queued.load(SeqCst) == 1);
                assert!(Native::set_thread_hooks(Some(&HOOKS)).is_none());
                // Another thread: then a wait that only its deadline ends.
                BEFORE_SLEEP.set(&words[0]);
                let soon = Some(Duration::from_micros(10));
                assert_eq!(park(&words[1], 0, soon, null_mut(), true), ParkStatus::Timeout);
                // And itself.
                BEFORE_SLEEP.set(&words[1]);
                assert_eq!(park(&words[1], 0, None, null_mut(), true), ParkStatus::Ok);
                assert_eq!(ATTACHED_AGAIN.get(), 2);
            });
        });
    }
}

#[test]
fn destructors_of_thread_locals_may_park_and_unpark() {
    /// Wakes one thread and sleeps itself, as a thread ends.
    struct AtExit(Cell<Option<(&'static AtomicU8, &'static AtomicBool)>>);

    impl Drop for AtExit {
        fn drop(&mut self) {
            let (word, ended) = self.0.get().expect("set by the test");
            unpark_all(word);
            let soon = Some(Duration::from_micros(10));
            assert_eq!(park(word, 0, soon, null_mut(), true), ParkStatus::Timeout);
            let mutex = RawMutex::new();
            mutex.lock();
            mutex.unlock();
            ended.store(true, SeqCst);
        }
    }

    thread_local! {
        static AT_EXIT: AtExit = const { AtExit(Cell::new(None)) };
    }
    static WORD: AtomicU8 = AtomicU8::new(0);
    static ENDED: AtomicBool = AtomicBool::new(false);

    let _turn = my_turn();
    // The local comes first, or what the parking lot keeps for a thread does.
    for is_first in [true, false] {
        ENDED.store(false, SeqCst);
        let thread = thread::spawn(move || {
            if is_first {
                AT_EXIT.with(|at_exit| at_exit.0.set(Some((&WORD, &ENDED))));
            }
            assert_eq!(park(&WORD, 1, None, null_mut(), true), ParkStatus::Again);
            AT_EXIT.with(|at_exit| at_exit.0.set(Some((&WORD, &ENDED))));
        });
        thread.join().unwrap();
        assert!(ENDED.load(SeqCst));
    }
}

#[test]
fn waiters_are_moved_and_give_up_between_two_buckets() {
    // Each waiter writes to its own value until it is queued, and the mover and the waker after
    // that, until the wait is over. A waiter that gives up before it is moved takes its value back.
    let _turn = my_turn();
    let (words, queued) = ([AtomicU8::new(0), AtomicU8::new(0)], AtomicUsize::new(0));
    let [from, to] = [Key::of(&words[0]), Key::of(&words[1])];
    for _ in 0..rounds(1, 200) {
        queued.store(0, SeqCst);
        thread::scope(|s| {
            for number in 0..3 {
                let queued = &queued;
                s.spawn(move || {
                    let value = Unprotected::new(1);
                    let deadline =
                        Deadline::after((number > 0).then_some(Duration::from_micros(5)));
                    let wait = Wait {
                        deadline,
                        park_arg: (&raw const value).cast_mut().cast(),
                        detach: false,
                        position: if number == 2 { Position::Front } else { Position::Back },
                    };
                    let announce = || {
                        queued.fetch_add(1, Relaxed);
                        true
                    };
                    // SAFETY: the threads below expect such a value.
                    let status = unsafe { park_with::<Native>(from, wait, announce, || ()) };
                    // SAFETY: no other thread knows of it any more.
                    let value = unsafe { *value.get() };
                    assert_eq!(value, if status == ParkStatus::Ok { 3 } else { 1 });
                });
            }
            let add_one = |park_arg: *mut ()| {
                // SAFETY: the value of a thread that is queued, and the bucket lock is held.
                unsafe { *(*park_arg.cast::<Unprotected<i32>>()).get() += 1 };
            };
            wait_until(|| queued.load(Relaxed) == 3);
            // SAFETY: the park arguments are such values on both keys.
            let moved = unsafe {
                unpark_requeue(
                    from,
                    |_| Some(to),
                    |candidate| {
                        add_one(candidate.park_arg);
                        Choice::Requeue
                    },
                    |_| (),
                )
            };
            let woken = unpark_filter(
                to,
                |park_arg| {
                    add_one(park_arg);
                    Choice::Unpark
                },
                |_| (),
            );
            assert_eq!(moved.requeued, woken.unparked);
            assert!(moved.requeued >= 1, "one has no deadline");
        });
    }
}
