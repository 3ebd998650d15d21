//! The semaphore: counting, order, hand-offs, what those who give up leave behind, misuse, guards.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::mem::{MaybeUninit, align_of, size_of};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::*};
use std::thread;
use std::time::{Duration, Instant};

use pysync_cond::{Deadline, LockFlags, LockStatus, Permit, Semaphore};
use pysync_parking_lot::{Key, Native, inspect};
use pysync_platform::TIME_TO_BE_FAIR;
use pysync_testing::{Sleeper, panics_with, together, wait_until, watchdog, watchdog_for};

const TOO_MANY: &str = "too many permits";
const DETACH: LockFlags = LockFlags::DETACH;

fn soon() -> Option<Duration> {
    Some(Duration::from_millis(2))
}

/// How many threads are queued.
fn queued(semaphore: &Semaphore) -> usize {
    inspect(Key::of(semaphore), |waiters| waiters.count())
}

/// Returns once so many threads are queued.
fn until_queued(semaphore: &Semaphore, count: usize) {
    wait_until(|| queued(semaphore) == count);
}

/// Returns once threads that are queued by now are due.
fn until_due() {
    let due = Deadline::after(Some(TIME_TO_BE_FAIR));
    wait_until(|| due.has_passed());
}

#[test]
fn it_has_four_bytes_and_zeroed_memory_has_no_permits() {
    assert_eq!((size_of::<Semaphore>(), align_of::<Semaphore>()), (4, 4));
    // SAFETY: zeroes are valid, as is promised.
    let zeroed: Semaphore = unsafe { MaybeUninit::zeroed().assume_init() };
    assert!(!zeroed.try_acquire());
    zeroed.release(1);
    assert!(zeroed.try_acquire());
    assert_eq!(Semaphore::default().available(), 0);
    assert_eq!(format!("{:?}", Semaphore::new(3)), "Semaphore { available: 3 }");
}

#[test]
fn permits_are_counted() {
    static SEMAPHORE: Semaphore = Semaphore::new(3);
    SEMAPHORE.acquire();
    assert!(SEMAPHORE.try_acquire());
    assert!(!SEMAPHORE.try_acquire_many(2));
    assert_eq!(SEMAPHORE.available(), 1);
    assert!(SEMAPHORE.try_acquire());
    assert!(!SEMAPHORE.try_acquire());
    SEMAPHORE.release(5);
    SEMAPHORE.acquire_many(4);
    assert_eq!(SEMAPHORE.available(), 1);
    SEMAPHORE.release(0);
    SEMAPHORE.release_handoff();
    assert_eq!(SEMAPHORE.available(), 2);
}

#[test]
fn none_are_there_at_once() {
    let semaphore = Semaphore::new(0);
    semaphore.acquire_many(0);
    assert!(semaphore.try_acquire_many(0));
    assert_eq!(semaphore.acquire_in::<Native>(0, Deadline::NEVER, DETACH), LockStatus::Acquired);
}

#[test]
fn a_wait_ends_with_its_time_and_not_before() {
    let semaphore = Semaphore::new(1);
    assert_eq!(semaphore.acquire_timed(soon(), DETACH), LockStatus::Acquired);
    for lifo in [false, true] {
        let acquire = |timeout| match lifo {
            false => semaphore.acquire_timed(timeout, DETACH),
            true => semaphore.acquire_lifo(timeout, DETACH),
        };
        let begin = Instant::now();
        assert_eq!(acquire(soon()), LockStatus::Failure);
        assert!(Some(begin.elapsed()) >= soon());
        assert_eq!(acquire(Some(Duration::ZERO)), LockStatus::Failure);
    }
    let now = Deadline::NOW;
    assert_eq!(semaphore.acquire_lifo_in::<Native>(now, DETACH), LockStatus::Failure);
    semaphore.release(1);
    // Although the time is up.
    assert_eq!(semaphore.acquire_in::<Native>(1, now, DETACH), LockStatus::Acquired);
    assert_eq!(semaphore.available(), 0);
}

#[test]
fn a_word_of_the_callers_is_a_semaphore() {
    static WORD: AtomicU32 = AtomicU32::new(2);
    let _watchdog = watchdog();
    // SAFETY: the word is used in no other way.
    let semaphore = || unsafe { Semaphore::from_word(&WORD) };
    assert!(semaphore().try_acquire());
    let waiter = thread::spawn(move || semaphore().acquire());
    until_queued(semaphore(), 1);
    semaphore().release(2);
    waiter.join().unwrap();
    assert_eq!(WORD.load(Relaxed), 2, "one permit, nobody parked");
}

#[test]
fn waiters_are_served_in_the_order_in_which_they_came() {
    const THREADS: usize = 8;
    let _watchdog = watchdog();
    let (semaphore, order) = (Semaphore::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for i in 0..THREADS {
            let (semaphore, order) = (&semaphore, &order);
            scope.spawn(move || {
                semaphore.acquire();
                order.lock().unwrap().push(i);
            });
            until_queued(semaphore, i + 1);
        }
        for served in 1..=THREADS {
            semaphore.release(1);
            wait_until(|| order.lock().unwrap().len() == served);
            assert_eq!(queued(&semaphore), THREADS - served);
        }
    });
    assert_eq!(order.into_inner().unwrap(), (0..THREADS).collect::<Vec<_>>());
    assert_eq!(semaphore.available(), 0);
}

#[test]
fn a_lifo_waiter_is_served_before_those_who_came_first() {
    let _watchdog = watchdog();
    let (semaphore, order) = (Semaphore::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for i in 0..4 {
            let (semaphore, order) = (&semaphore, &order);
            scope.spawn(move || {
                let status = match i % 2 {
                    0 => semaphore.acquire_timed(None, DETACH),
                    _ => semaphore.acquire_lifo(None, DETACH),
                };
                assert_eq!(status, LockStatus::Acquired);
                order.lock().unwrap().push(i);
            });
            until_queued(semaphore, i + 1);
        }
        for served in 1..=4 {
            semaphore.release(1);
            wait_until(|| order.lock().unwrap().len() == served);
        }
    });
    assert_eq!(order.into_inner().unwrap(), [3, 1, 0, 2]);
}

#[test]
fn a_release_of_many_wakes_as_many() {
    let _watchdog = watchdog();
    let (semaphore, served) = (Semaphore::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for i in 0..5 {
            scope.spawn(|| {
                semaphore.acquire();
                served.fetch_add(1, SeqCst);
            });
            until_queued(&semaphore, i + 1);
        }
        semaphore.release(3);
        wait_until(|| served.load(SeqCst) == 3);
        assert_eq!((queued(&semaphore), semaphore.available()), (2, 0));
        semaphore.release(4);
    });
    assert_eq!(semaphore.available(), 2);
}

/// What Go's TestSemaHandoff is for: on threads of the system the waiter need not run first, but no
/// other thread gets its permit.
#[test]
fn a_permit_that_is_handed_off_cannot_be_taken_by_another() {
    const ROUNDS: usize = 10_000;
    let _watchdog = watchdog();
    let semaphore = Semaphore::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..ROUNDS {
                semaphore.acquire();
            }
        });
        for round in 0..ROUNDS {
            until_queued(&semaphore, 1);
            semaphore.release_handoff();
            assert!(!semaphore.try_acquire(), "stolen in round {round}");
        }
    });
    assert_eq!(semaphore.available(), 0);
}

#[test]
fn a_permit_for_a_waiter_that_is_due_cannot_be_taken_by_another() {
    const ROUNDS: usize = 500;
    let _watchdog = watchdog();
    let semaphore = Semaphore::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..ROUNDS {
                semaphore.acquire();
            }
        });
        for round in 0..ROUNDS {
            until_queued(&semaphore, 1);
            until_due();
            semaphore.release(1);
            assert!(!semaphore.try_acquire(), "stolen in round {round}");
        }
    });
}

#[test]
fn a_hand_off_without_a_waiter_is_a_release() {
    let semaphore = Semaphore::new(0);
    // The bit of a waiter that gave up is still set.
    assert_eq!(semaphore.acquire_timed(soon(), DETACH), LockStatus::Failure);
    semaphore.release_handoff();
    semaphore.release_handoff();
    assert_eq!(semaphore.available(), 2);
}

#[test]
fn those_behind_a_big_request_wait_for_it() {
    let _watchdog = watchdog();
    let semaphore = Semaphore::new(0);
    let (big, small) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            semaphore.acquire_many(3);
            big.store(true, SeqCst);
        });
        until_queued(&semaphore, 1);
        scope.spawn(|| {
            semaphore.acquire();
            small.store(true, SeqCst);
        });
        until_queued(&semaphore, 2);
        for _ in 0..2 {
            semaphore.release(1);
            assert_eq!((queued(&semaphore), semaphore.available()), (2, 0));
            assert!(!semaphore.try_acquire(), "taken from the waiter");
        }
        semaphore.release(1);
        wait_until(|| big.load(SeqCst));
        assert_eq!((queued(&semaphore), small.load(SeqCst)), (1, false));
        semaphore.release(1);
    });
    assert!(small.load(SeqCst));
    assert_eq!(semaphore.available(), 0);
}

#[test]
fn what_a_waiter_has_been_assigned_comes_back_when_its_time_is_up() {
    let _watchdog = watchdog();
    let semaphore = Semaphore::new(0);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let deadline = Deadline::after(Some(Duration::from_millis(50)));
            semaphore.acquire_in::<Native>(2, deadline, DETACH)
        });
        wait_until(|| queued(&semaphore) == 1 || waiter.is_finished());
        semaphore.release_handoff();
        assert_eq!(waiter.join().unwrap(), LockStatus::Failure);
    });
    assert_eq!(semaphore.available(), 1);
    assert!(semaphore.try_acquire());
}

#[test]
fn too_many_permits_panic_before_anything_has_changed() {
    let _watchdog = watchdog();
    panics_with(TOO_MANY, || Semaphore::new(Semaphore::MAX + 1));
    let semaphore = Semaphore::new(Semaphore::MAX);
    panics_with(TOO_MANY, || semaphore.release(1));
    panics_with(TOO_MANY, || semaphore.release(u32::MAX));
    panics_with(TOO_MANY, || semaphore.release_handoff());
    assert_eq!(semaphore.available(), Semaphore::MAX);

    // With a waiter that could be served.
    semaphore.acquire();
    let sleeper = Sleeper::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            sleeper.enter();
            semaphore.acquire_many(Semaphore::MAX);
        });
        until_queued(&semaphore, 1);
        until_due();
        panics_with(TOO_MANY, || semaphore.release(2));
        panics_with(TOO_MANY, || semaphore.release(u32::MAX));
        assert_eq!((queued(&semaphore), semaphore.available()), (1, Semaphore::MAX - 1));
        sleeper.wait_until_asleep();
        semaphore.release(1);
    });
    assert_eq!(semaphore.available(), 0);
}

/// A waiter has given up, and its bit is left.
#[test]
fn too_many_permits_panic_where_the_bit_is_left() {
    let semaphore = Semaphore::new(Semaphore::MAX - 1);
    let deadline = Deadline::after(soon());
    let status = semaphore.acquire_in::<Native>(Semaphore::MAX, deadline, DETACH);
    assert_eq!(status, LockStatus::Failure);
    panics_with(TOO_MANY, || semaphore.release(2));
    assert_eq!(semaphore.available(), Semaphore::MAX - 1);
    semaphore.release(1);
    assert_eq!(semaphore.available(), Semaphore::MAX);
}

#[test]
fn a_guard_releases_its_permits() {
    let semaphore = Semaphore::new(3);
    let one = semaphore.permit();
    let two = semaphore.permits(2);
    assert_eq!((one.count(), two.count(), semaphore.available()), (1, 2, 0));
    assert!(semaphore.try_permit().is_none());
    assert_eq!(semaphore.available(), 0, "an attempt in vain has released something");
    assert_eq!(semaphore.permit_timed(soon(), DETACH).err(), Some(LockStatus::Failure));
    assert_eq!(format!("{two:?}"), "Permit { count: 2, .. }");
    drop(two);
    assert_eq!(semaphore.available(), 2);
    assert_eq!(semaphore.try_permit().map(|permit| permit.count()), Some(1));
    assert_eq!(semaphore.permit_timed(soon(), DETACH).map(|permit| permit.count()), Ok(1));
    thread::scope(|scope| drop(scope.spawn(|| drop(one))));
    assert_eq!(semaphore.available(), 3);
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _permit = semaphore.permits(3);
        panic!("with permits");
    }));
    assert!(unwound.is_err());
    assert_eq!(semaphore.available(), 3);
}

#[test]
fn a_guard_can_be_forgotten_split_and_merged() {
    let semaphore = Semaphore::new(7);
    semaphore.permits(2).forget();
    assert_eq!(semaphore.available(), 5);
    let mut all = semaphore.permits(5);
    assert!(all.split(6).is_none());
    let mut two = all.split(2).unwrap();
    let none = all.split(0).unwrap();
    assert_eq!((all.count(), two.count(), none.count(), semaphore.available()), (3, 2, 0, 0));
    two.merge(none);
    two.merge(all.split(3).unwrap());
    assert_eq!((all.count(), two.count()), (0, 5));
    drop(all);
    assert_eq!(semaphore.available(), 0);
    drop(two);
    assert_eq!(semaphore.available(), 5);
}

#[test]
fn guards_of_two_semaphores_do_not_merge() {
    let (semaphore, other) = (Semaphore::new(2), Semaphore::new(2));
    let mut permits = semaphore.permits(2);
    let others: Permit<'_> = other.permits(2);
    panics_with("permits of another semaphore", || permits.merge(others));
    assert_eq!((permits.count(), semaphore.available()), (2, 0));
    assert_eq!(other.available(), 2, "the panic has kept the permits");
    drop(permits);
    assert_eq!(semaphore.available(), 2);
}

/// Go's TestSemaphore.
#[test]
fn hammered_with_one_permit_it_excludes() {
    const THREADS: usize = 10;
    const ROUNDS: usize = 1_000;
    let _watchdog = watchdog_for(Duration::from_secs(300));
    let (semaphore, count) = (Semaphore::new(1), AtomicUsize::new(0));
    together(THREADS, |_| {
        for _ in 0..ROUNDS {
            semaphore.acquire();
            // In two steps, which another thread would tear.
            let seen = count.load(Relaxed);
            count.store(seen + 1, Relaxed);
            semaphore.release(1);
        }
    });
    assert_eq!(count.into_inner(), THREADS * ROUNDS);
    assert_eq!(semaphore.available(), 1);
}

#[test]
fn no_more_threads_are_inside_than_there_are_permits() {
    let _watchdog = watchdog_for(Duration::from_secs(300));
    let (semaphore, inside) = (Semaphore::new(3), AtomicU32::new(0));
    together(8, |id| {
        let need = 1 + id as u32 % 3;
        for round in 0..1_000 {
            let permits = semaphore.permits(need);
            let others = inside.fetch_add(need, SeqCst);
            assert!(others + need <= 3);
            if round % 8 == 0 {
                thread::yield_now();
            }
            inside.fetch_sub(need, SeqCst);
            drop(permits);
        }
    });
    assert_eq!(semaphore.available(), 3);
}

/// Deadlines that race with every kind of release: none loses a permit, and none makes one. What
/// tokio's #3652, #4618 and #5404 were about.
#[test]
fn a_storm_of_deadlines_keeps_every_permit() {
    const PERMITS: u32 = 4;
    let _watchdog = watchdog_for(Duration::from_secs(300));
    let semaphore = Semaphore::new(PERMITS);
    let acquired = AtomicUsize::new(0);
    together(8, |id| {
        for round in 0..1_500_usize {
            let need = 1 + ((id + round) % PERMITS as usize) as u32;
            // From nothing to a little more than what makes a waiter due.
            let micros = (id * 7919 + round * 104_729) % 1_300;
            let deadline = Deadline::after(Some(Duration::from_micros(micros as u64)));
            let lifo = need == 1 && round % 3 == 0;
            let status = match lifo {
                true => semaphore.acquire_lifo_in::<Native>(deadline, DETACH),
                false => semaphore.acquire_in::<Native>(need, deadline, DETACH),
            };
            if status != LockStatus::Acquired {
                continue;
            }
            acquired.fetch_add(1, Relaxed);
            if round % 3 == 0 {
                thread::yield_now();
            }
            match round % 4 {
                0 => (0..need).for_each(|_| semaphore.release_handoff()),
                1 => (0..need).for_each(|_| semaphore.release(1)),
                _ => semaphore.release(need),
            }
        }
    });
    assert_eq!(semaphore.available(), PERMITS);
    assert!(acquired.into_inner() > 0);
    // Nothing is left behind that would stop it.
    semaphore.acquire_many(PERMITS);
}

/// Without the hand-off after a millisecond, a thread that takes each permit back at once would keep
/// it.
#[test]
fn a_waiter_gets_its_permit_from_a_thread_that_keeps_taking_it() {
    let _watchdog = watchdog();
    let (semaphore, stop) = (Semaphore::new(1), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                semaphore.acquire();
                let until = Deadline::after(Some(Duration::from_micros(100)));
                wait_until(|| until.has_passed());
                semaphore.release(1);
            }
        });
        for _ in 0..10 {
            semaphore.acquire();
            semaphore.release(1);
        }
        stop.store(true, Relaxed);
    });
}

#[cfg(all(target_os = "linux", not(pysync_portable)))]
mod signals {
    use super::*;
    use pysync_platform::PendingCallError;
    use pysync_testing::{ThreadId, rain, rain_until, watch_signals};
    use std::sync::OnceLock;

    const FAIL: LockFlags = LockFlags::FAIL_IF_INTERRUPTED;

    /// Runs `wait` on a thread that is known, and `then` once it is queued; what `wait` returns.
    fn waiting(
        semaphore: &Semaphore,
        wait: impl FnOnce() -> LockStatus + Send,
        then: impl FnOnce(ThreadId),
    ) -> LockStatus {
        watch_signals();
        let id = OnceLock::new();
        thread::scope(|scope| {
            let before = queued(semaphore);
            let waiter = scope.spawn(|| {
                id.set(ThreadId::current()).unwrap();
                wait()
            });
            until_queued(semaphore, before + 1);
            then(*id.get().unwrap());
            waiter.join().unwrap()
        })
    }

    #[test]
    fn a_waiter_that_is_interrupted_returns_what_it_has_been_assigned() {
        let _watchdog = watchdog();
        let semaphore = Semaphore::new(0);
        let wait = || semaphore.acquire_in::<Native>(3, Deadline::NEVER, FAIL);
        let status = waiting(&semaphore, wait, |id| {
            semaphore.release_handoff();
            semaphore.release(1);
            assert_eq!((queued(&semaphore), semaphore.available()), (1, 0));
            // SAFETY: not joined yet.
            unsafe { rain_until(&[id], || semaphore.available() > 0) };
        });
        assert_eq!(status, LockStatus::Interrupted);
        assert_eq!(semaphore.available(), 2);
    }

    #[test]
    fn a_waiter_that_gives_up_lets_those_behind_it_be_served() {
        let _watchdog = watchdog();
        let (semaphore, served) = (Semaphore::new(0), AtomicBool::new(false));
        thread::scope(|scope| {
            let wait = || semaphore.acquire_in::<Native>(2, Deadline::NEVER, FAIL);
            let status = waiting(&semaphore, wait, |id| {
                scope.spawn(|| {
                    semaphore.acquire();
                    served.store(true, SeqCst);
                });
                until_queued(&semaphore, 2);
                semaphore.release(1);
                assert_eq!(queued(&semaphore), 2);
                // SAFETY: not joined yet.
                unsafe { rain_until(&[id], || served.load(SeqCst)) };
            });
            assert_eq!(status, LockStatus::Interrupted);
        });
        assert_eq!(semaphore.available(), 0);
    }

    #[test]
    fn signals_that_end_no_wait_keep_the_place_of_a_waiter() {
        let _watchdog = watchdog();
        let (semaphore, order) = (Semaphore::new(0), Mutex::new(Vec::new()));
        thread::scope(|scope| {
            let wait = || {
                let status = semaphore.acquire_timed(None, DETACH);
                order.lock().unwrap().push(1);
                status
            };
            let status = waiting(&semaphore, wait, |id| {
                scope.spawn(|| {
                    semaphore.acquire();
                    order.lock().unwrap().push(2);
                });
                until_queued(&semaphore, 2);
                // SAFETY: not joined yet.
                unsafe { rain(&[id], 100) };
                for served in 1..=2 {
                    semaphore.release(1);
                    wait_until(|| order.lock().unwrap().len() == served);
                }
            });
            assert_eq!(status, LockStatus::Acquired);
        });
        assert_eq!(order.into_inner().unwrap(), [1, 2]);
    }

    #[test]
    fn pending_calls_decide_whether_the_wait_goes_on() {
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        let _watchdog = watchdog();
        let semaphore = Semaphore::new(0);
        let wait = || {
            Native::set_pending_calls(Some(|| match CALLS.fetch_add(1, SeqCst) {
                0..3 => Ok(()),
                _ => Err(PendingCallError),
            }));
            semaphore.acquire_timed(None, LockFlags::HANDLE_SIGNALS)
        };
        let status = waiting(&semaphore, wait, |id| {
            // SAFETY: not joined yet.
            unsafe { rain_until(&[id], || CALLS.load(SeqCst) == 4) };
        });
        assert_eq!(status, LockStatus::Interrupted);
        assert_eq!((queued(&semaphore), semaphore.available()), (0, 0));
    }
}

#[cfg(unix)]
#[test]
fn a_child_inherits_the_permits_and_no_waiter() {
    use pysync_parking_lot::register_fork_handler;

    let _watchdog = watchdog();
    register_fork_handler();
    let semaphore = Semaphore::new(0);
    thread::scope(|scope| {
        scope.spawn(|| semaphore.acquire_many(3));
        until_queued(&semaphore, 1);
        semaphore.release_handoff();
        pysync_testing::fork(|| {
            assert_eq!((queued(&semaphore), semaphore.available()), (0, 0));
            // One has gone with the waiter.
            semaphore.release(1);
            assert_eq!(semaphore.acquire_timed(None, DETACH), LockStatus::Acquired);
            semaphore.acquire_timed(Some(Duration::from_millis(1)), DETACH) == LockStatus::Failure
        });
        semaphore.release(2);
    });
    assert_eq!(semaphore.available(), 0);
}
