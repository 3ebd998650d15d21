//! The one-byte mutex: exclusion, timeouts, fairness, and its exact states.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering::*};
use std::thread;
use std::time::{Duration, Instant};

use common::{Sleeper, mutex_bits, sleeping};
use pysync_lock::{LockFlags, LockStatus, Mutex, NotLocked};
use pysync_testing::{wait_until, watchdog};

const MS: Duration = Duration::from_millis(1);

#[test]
fn try_lock_succeeds_only_on_an_unlocked_mutex() {
    let mutex = Mutex::new();
    assert!(mutex.try_lock());
    assert!(mutex.is_locked());
    assert!(!mutex.try_lock());
    assert_eq!(mutex.try_unlock(), Ok(()));
    assert!(!mutex.is_locked());
    assert_eq!(mutex.try_unlock(), Err(NotLocked));
}

#[test]
fn any_thread_may_unlock() {
    let mutex = Mutex::new();
    mutex.lock();
    thread::scope(|scope| {
        scope.spawn(|| mutex.unlock());
    });
    assert!(mutex.try_lock());
    mutex.unlock();
}

#[test]
fn gh_135871_a_zero_timeout_neither_yields_nor_sleeps() {
    let mutex = Mutex::new();
    mutex.lock();
    // Should take well under 50 ms; spinning would cost 400,000 yields. The best of some rounds,
    // since the machine may have better things to do.
    let round = || {
        let (switches, start) = (voluntary_switches(), Instant::now());
        for _ in 0..10_000 {
            let status = mutex.lock_timed(Some(Duration::ZERO), LockFlags::DETACH);
            assert_eq!(status, LockStatus::Failure);
        }
        assert_eq!(voluntary_switches(), switches, "a failing attempt slept");
        start.elapsed()
    };
    let best = (0..10).map(|_| round()).min().unwrap();
    println!("10,000 failing attempts: {best:?}");
    assert!(best < 50 * MS, "10,000 failing attempts took {best:?}");
    // Nor has anybody been announced.
    assert_eq!(mutex_bits(&mutex), 1);
    mutex.unlock();
}

#[test]
fn a_zero_timeout_takes_a_free_mutex() {
    let mutex = Mutex::new();
    let status = mutex.lock_timed(Some(Duration::ZERO), LockFlags::empty());
    assert_eq!(status, LockStatus::Acquired);
    mutex.unlock();
}

#[cfg(unix)]
fn voluntary_switches() -> libc::c_long {
    #[cfg(target_os = "linux")]
    let who = libc::RUSAGE_THREAD;
    #[cfg(not(target_os = "linux"))]
    let who = libc::RUSAGE_SELF;
    // SAFETY: a zeroed rusage is one, and the call fills it in.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::getrusage(who, &mut usage), 0);
        usage
    };
    // Elsewhere the other tests count too.
    if cfg!(target_os = "linux") { usage.ru_nvcsw } else { 0 }
}

#[cfg(not(unix))]
fn voluntary_switches() -> i64 {
    0
}

#[test]
fn timed_waits_never_end_before_their_deadline_and_soon_after_it() {
    let _watchdog = watchdog();
    let mutex = Mutex::new();
    mutex.lock();
    for micros in [1, 50, 1_000, 1_001, 5_000, 20_000] {
        let timeout = Duration::from_micros(micros);
        let wait = || {
            let start = Instant::now();
            let status = mutex.lock_timed(Some(timeout), LockFlags::DETACH);
            let elapsed = start.elapsed();
            assert_eq!(status, LockStatus::Failure);
            assert!(elapsed >= timeout, "{elapsed:?} is less than {timeout:?}");
            elapsed
        };
        let best = (0..20).map(|_| wait()).min().unwrap();
        // A few milliseconds, and slack for a machine that is busy all the time.
        assert!(best < timeout + 50 * MS, "{timeout:?} took {best:?} at best");
    }
    mutex.unlock();
    // The waiters that gave up have left a bit behind, and the unlock has cleared it.
    assert_eq!(mutex_bits(&mutex), 0);
}

#[test]
fn gh_112804_the_longest_timeouts_do_not_overflow() {
    let _watchdog = watchdog();
    let mutex = Mutex::new();
    for timeout in [Duration::MAX, Duration::from_secs(u64::MAX), Duration::from_nanos(u64::MAX)] {
        let sleeper = Sleeper::new();
        mutex.lock();
        thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                sleeper.enter();
                mutex.lock_timed(Some(timeout), LockFlags::DETACH)
            });
            wait_until(|| mutex_bits(&mutex) == 3);
            sleeper.wait_until_asleep();
            assert!(!waiter.is_finished());
            mutex.unlock();
            assert_eq!(waiter.join().unwrap(), LockStatus::Acquired);
        });
        mutex.unlock();
    }
}

#[test]
fn a_timed_wait_gets_a_mutex_that_is_freed_in_time() {
    let _watchdog = watchdog();
    let mutex = Mutex::new();
    mutex.lock();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let status = mutex.lock_timed(Some(Duration::from_secs(3600)), LockFlags::empty());
            assert!(mutex.is_locked());
            mutex.unlock();
            status
        });
        wait_until(|| mutex_bits(&mutex) == 3);
        mutex.unlock();
        assert_eq!(waiter.join().unwrap(), LockStatus::Acquired);
    });
    assert_eq!(mutex_bits(&mutex), 0);
}

/// Waiters that give up at the very moment at which the mutex is handed over must either hold it
/// or not have taken it from anybody.
#[test]
fn timeouts_racing_with_unlocks_lose_no_wake() {
    let _watchdog = watchdog();
    let mutex = Mutex::new();
    let (acquired, gave_up) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for i in 0..4 {
            let (mutex, acquired, gave_up) = (&mutex, &acquired, &gave_up);
            scope.spawn(move || {
                for j in 0..300 {
                    let timeout = Duration::from_micros(300 * (1 + (i + j) % 8));
                    match mutex.lock_timed(Some(timeout), LockFlags::DETACH) {
                        LockStatus::Acquired => {
                            let count = acquired.load(Relaxed);
                            // About as long as the others are ready to wait.
                            let until = Instant::now() + Duration::from_micros(500);
                            wait_until(|| Instant::now() >= until);
                            acquired.store(count + 1, Relaxed);
                            mutex.unlock();
                        }
                        LockStatus::Failure => _ = gave_up.fetch_add(1, Relaxed),
                        LockStatus::Interrupted => panic!("nobody asked for signals"),
                    }
                }
            });
        }
    });
    let (acquired, gave_up) = (acquired.into_inner(), gave_up.into_inner());
    println!("{acquired} acquired, {gave_up} gave up");
    assert_eq!(acquired + gave_up, 1200);
    assert!(acquired > 0 && gave_up > 0);
    assert!(mutex.try_lock());
    mutex.unlock();
    assert_eq!(mutex_bits(&mutex), 0);
}

#[test]
fn gh_135641_a_neighbour_in_the_bucket_does_not_confuse_the_parked_bit() {
    const BUCKETS: usize = 257;

    let _watchdog = watchdog();
    // Two mutexes in one bucket.
    let mutexes: [Mutex; BUCKETS + 1] = std::array::from_fn(|_| Mutex::new());
    let (near, far) = (&mutexes[0], &mutexes[BUCKETS]);
    near.lock();
    far.lock();
    let sleepers: [Sleeper; 3] = Default::default();
    thread::scope(|scope| {
        let [a, b, c] = &sleepers;
        for (mutex, sleeper) in [(near, a), (far, b), (near, c)] {
            scope.spawn(move || {
                sleeper.enter();
                mutex.lock();
                mutex.unlock();
            });
            sleeper.wait_until_asleep();
        }
        thread::sleep(2 * MS);
        // Hands `far` to its only waiter while `near`'s are in the bucket.
        far.unlock();
        wait_until(|| !far.is_locked());
        assert_eq!(mutex_bits(near), 3);
        near.unlock();
    });
    for mutex in [near, far] {
        assert!(mutex.try_lock());
        mutex.unlock();
        assert_eq!(mutex_bits(mutex), 0);
    }
}

#[test]
fn two_thousand_waiters_at_a_time_all_wake() {
    const WAITERS: usize = 2_000;

    let _watchdog = watchdog();
    let mutex = Mutex::new();
    let sleepers: Vec<Sleeper> = (0..WAITERS).map(|_| Sleeper::new()).collect();
    let woken = AtomicUsize::new(0);
    mutex.lock();
    thread::scope(|scope| {
        for sleeper in &sleepers {
            let (mutex, woken) = (&mutex, &woken);
            let waiter = move || {
                sleeper.enter();
                mutex.lock();
                woken.store(woken.load(Relaxed) + 1, Relaxed);
                mutex.unlock();
            };
            thread::Builder::new().stack_size(64 << 10).spawn_scoped(scope, waiter).unwrap();
        }
        sleeping(&sleepers);
        mutex.unlock();
    });
    assert_eq!(woken.into_inner(), WAITERS);
    assert_eq!(mutex_bits(&mutex), 0);
}

/// Every kind of waiter at once, on one mutex, more threads than processors.
#[test]
fn mixed_waiters_exclude_each_other() {
    let _watchdog = watchdog();
    let mutex = Mutex::new();
    let (inside, total) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for i in 0..8 {
            let (mutex, inside, total) = (&mutex, &inside, &total);
            scope.spawn(move || {
                for j in 0..2_000 {
                    let held = match (i + j) % 4 {
                        0 => mutex.try_lock(),
                        1 => {
                            let soon = Some(Duration::from_micros(j % 200));
                            mutex.lock_timed(soon, LockFlags::DETACH) == LockStatus::Acquired
                        }
                        2 => mutex.lock_flags(LockFlags::empty()) == LockStatus::Acquired,
                        _ => {
                            mutex.lock();
                            true
                        }
                    };
                    if held {
                        assert_eq!(inside.fetch_add(1, Relaxed), 0, "not alone");
                        if j % 16 == 0 {
                            thread::yield_now();
                        }
                        total.store(total.load(Relaxed) + 1, Relaxed);
                        inside.fetch_sub(1, Relaxed);
                        mutex.unlock();
                    }
                }
            });
        }
    });
    println!("{} of 16,000 got it", total.load(Relaxed));
    assert!(total.into_inner() >= 8_000);
    assert_eq!(mutex_bits(&mutex), 0);
}
