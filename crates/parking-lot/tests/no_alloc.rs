//! Waiting and waking allocate nothing, so that an allocator may be built on this.
#![cfg(all(
    any(target_os = "linux", target_os = "android"),
    not(any(pysync_loom, pysync_shuttle, pysync_portable))
))]

mod common;

use std::pin::pin;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use common::{park_announced, unpark_one};
use pysync_parking_lot::{
    Choice, Deadline, Key, LockFlags, Native, ParkStatus, Parker, Position, RawMutex, Waiter,
    after_fork, inspect, park, unpark, unpark_all, unpark_all_with, unpark_filter, unpark_requeue,
};
use pysync_testing::{CountingAllocator, allocations, fork, wait_until, watchdog};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Runs `f` and panics if the calling thread allocates in it.
#[track_caller]
fn without_allocating<T>(f: impl FnOnce() -> T) -> T {
    let mut result = None;
    assert_eq!(allocations(|| result = Some(f())), 0, "allocations");
    result.unwrap()
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(7)))), 2);
}

#[test]
fn park_and_unpark() {
    const TURNS: usize = 200;
    let _watchdog = watchdog();
    let word = AtomicU8::new(0);
    let queued = AtomicUsize::new(0);
    thread::scope(|s| {
        for _ in 0..2 {
            s.spawn(|| {
                // From the first use on this thread.
                without_allocating(|| {
                    for _ in 0..TURNS {
                        let status = park_announced(&word, 0, None, null_mut(), &queued);
                        assert_eq!(status, ParkStatus::Ok);
                    }
                    let zero = Some(Duration::ZERO);
                    park(&word, 1, None, null_mut(), true);
                    park(&word, 0, zero, null_mut(), true);
                });
            });
        }
        without_allocating(|| {
            for turn in 1..=TURNS {
                wait_until(|| queued.load(SeqCst) == 2 * turn);
                match turn % 4 {
                    0 => unpark_all(&word),
                    1 => unpark_all_with(&word, |_| {}),
                    2 => {
                        unpark_one(&word);
                        unpark_one(&word);
                    }
                    _ => {
                        unpark(&word, |_| {});
                        unpark(&word, |_| {});
                    }
                }
            }
        });
    });
}

#[test]
fn timeouts() {
    let word = AtomicU8::new(0);
    without_allocating(|| {
        for micros in [0, 1, 100, 2_000] {
            let timeout = Some(Duration::from_micros(micros));
            let status = park(&word, 0, timeout, null_mut(), false);
            assert_eq!(status, ParkStatus::Timeout);
        }
    });
}

#[test]
fn a_contended_raw_mutex() {
    let _watchdog = watchdog();
    let mutex = RawMutex::new();
    let word = || {
        // SAFETY: `RawMutex` is transparent over an atomic of a pointer's size.
        unsafe { (*(&raw const mutex).cast::<AtomicUsize>()).load(SeqCst) }
    };
    let slept = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    thread::scope(|s| {
        for _ in 0..3 {
            s.spawn(|| {
                without_allocating(|| {
                    while !stop.load(SeqCst) {
                        mutex.lock();
                        // Until somebody else sleeps on it.
                        wait_until(|| word() > 3 || stop.load(SeqCst));
                        slept.fetch_add(usize::from(word() > 3), SeqCst);
                        mutex.unlock();
                    }
                });
            });
        }
        wait_until(|| slept.load(SeqCst) >= 500);
        stop.store(true, SeqCst);
    });
}

#[test]
fn a_semaphore() {
    let _watchdog = watchdog();
    let [ping, pong] = [Parker::new(), Parker::new()];
    thread::scope(|s| {
        s.spawn(|| {
            without_allocating(|| {
                for _ in 0..200 {
                    assert_eq!(ping.wait(None, true), ParkStatus::Ok);
                    pong.wakeup();
                }
            });
        });
        without_allocating(|| {
            for _ in 0..200 {
                ping.wakeup();
                let hour = Some(Duration::from_secs(3600));
                assert_eq!(pong.wait(hour, false), ParkStatus::Ok);
            }
            pong.wait(Some(Duration::ZERO), false);
        });
    });
}

#[test]
fn the_child_of_a_fork() {
    let word = AtomicU8::new(0);
    fork(|| {
        without_allocating(|| {
            // SAFETY: the child has one thread.
            unsafe { after_fork() };
            let zero = Some(Duration::ZERO);
            park(&word, 0, zero, null_mut(), false) == ParkStatus::Timeout
        })
    });
}

#[test]
fn a_move_to_another_key() {
    let _watchdog = watchdog();
    let (from, to, queued) = (AtomicU8::new(0), AtomicU8::new(0), AtomicUsize::new(0));
    thread::scope(|s| {
        for _ in 0..2 {
            s.spawn(|| {
                without_allocating(|| {
                    let waiter = pin!(Waiter::new(null_mut()));
                    let waiter = waiter.as_ref();
                    for _ in 0..50 {
                        let announce = || {
                            queued.fetch_add(1, SeqCst);
                            true
                        };
                        // SAFETY: nothing reads the park arguments of a test's own word.
                        unsafe { waiter.queue(Key::of(&from), Position::Front, announce) };
                        waiter.sleep::<Native>(Deadline::NEVER, LockFlags::DETACH);
                    }
                });
            });
        }
        without_allocating(|| {
            let (from, to) = (Key::of(&from), Key::of(&to));
            for turn in 1..=50 {
                wait_until(|| queued.load(SeqCst) == 2 * turn);
                assert_eq!(inspect(from, |args| args.count()), 2);
                // SAFETY: as above.
                unsafe { unpark_requeue(from, |_| Some(to), |_| Choice::Requeue, |_| ()) };
                assert_eq!(unpark_filter(to, |_| Choice::Unpark, |_| ()).unparked, 2);
            }
        });
    });
}
