//! The once flag: one success, and any number of failures before it.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::*};
use std::thread;

use common::{Sleeper, once_bits, set_once_bits, sleeping};
use pysync_lock::{Event, OnceFlag};
use pysync_testing::{panics_with, watchdog};

const DONE: Result<(), &str> = Ok(());

#[test]
fn it_is_done_once() {
    let once = OnceFlag::new();
    let calls = AtomicUsize::new(0);
    for _ in 0..3 {
        let result = once.call_once(|| {
            assert_eq!(once_bits(&once), 1);
            assert!(!once.is_initialized());
            calls.fetch_add(1, Relaxed);
            DONE
        });
        assert_eq!(result, DONE);
        assert!(once.is_initialized());
        assert_eq!(once_bits(&once), 4);
    }
    assert_eq!(calls.into_inner(), 1);
}

#[test]
fn an_error_is_returned_and_resets_the_flag() {
    let once = OnceFlag::new();
    for i in 0..5 {
        assert_eq!(once.call_once(|| Err(i)), Err(i));
        assert_eq!(once_bits(&once), 0);
    }
    assert_eq!(once.call_once(|| DONE), DONE);
    assert_eq!(once.call_once(|| Err("too late")), DONE);
}

#[test]
fn a_panic_resets_the_flag() {
    let once = OnceFlag::new();
    panics_with("no luck", || once.call_once::<()>(|| panic!("no luck")));
    assert_eq!(once_bits(&once), 0);
    assert_eq!(once.call_once(|| DONE), DONE);
}

#[test]
fn waiters_sleep_until_it_is_done_and_see_it() {
    const WAITERS: usize = 4;

    let _watchdog = watchdog();
    let (once, data) = (OnceFlag::new(), AtomicUsize::new(0));
    let sleepers: [Sleeper; WAITERS] = Default::default();
    let begun = Event::new();
    thread::scope(|scope| {
        for sleeper in &sleepers {
            let (once, data, begun) = (&once, &data, &begun);
            scope.spawn(move || {
                begun.wait();
                sleeper.enter();
                let result = once.call_once(|| -> Result<(), ()> { panic!("called twice") });
                assert_eq!(result, Ok(()));
                assert_eq!(data.load(Relaxed), 7);
            });
        }
        let result = once.call_once(|| {
            begun.notify();
            sleeping(&sleepers);
            assert_eq!(once_bits(&once), 3);
            data.store(7, Relaxed);
            DONE
        });
        assert_eq!(result, DONE);
    });
    assert_eq!(once_bits(&once), 4);
}

/// How the first attempt fails.
#[derive(Clone, Copy, PartialEq)]
enum Failure {
    Error,
    Panic,
}

#[test]
fn a_failure_wakes_the_waiters_and_one_of_them_tries_its_own() {
    const WAITERS: usize = 4;

    let _watchdog = watchdog();
    for failure in [Failure::Error, Failure::Panic] {
        let once = OnceFlag::new();
        let sleepers: [Sleeper; WAITERS] = Default::default();
        let (begun, calls) = (Event::new(), AtomicUsize::new(0));
        thread::scope(|scope| {
            for sleeper in &sleepers {
                let (once, begun, calls) = (&once, &begun, &calls);
                scope.spawn(move || {
                    begun.wait();
                    sleeper.enter();
                    let result = once.call_once(|| {
                        calls.fetch_add(1, Relaxed);
                        DONE
                    });
                    assert_eq!(result, DONE);
                });
            }
            let result = catch_unwind(AssertUnwindSafe(|| {
                once.call_once(|| {
                    begun.notify();
                    sleeping(&sleepers);
                    match failure {
                        Failure::Error => Err("no luck"),
                        Failure::Panic => panic!("no luck"),
                    }
                })
            }));
            match failure {
                Failure::Error => assert_eq!(result.unwrap(), Err("no luck")),
                Failure::Panic => assert!(result.is_err()),
            }
        });
        assert_eq!(calls.into_inner(), 1);
        assert!(once.is_initialized());
    }
}

/// Every thread keeps failing until it has failed often enough; errors and panics mixed.
#[test]
fn racing_failures_let_exactly_one_success_through() {
    const THREADS: usize = 6;

    let _watchdog = watchdog();
    for round in 0..200 {
        let (once, inside) = (OnceFlag::new(), AtomicUsize::new(0));
        let (attempts, successes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    let attempt = || {
                        once.call_once(|| {
                            assert_eq!(inside.fetch_add(1, Relaxed), 0, "two at a time");
                            let attempt = attempts.fetch_add(1, Relaxed);
                            if attempt % 3 == 0 {
                                thread::yield_now();
                            }
                            inside.fetch_sub(1, Relaxed);
                            match attempt {
                                10 => {
                                    successes.fetch_add(1, Relaxed);
                                    Ok(())
                                }
                                // A payload, and no message on the terminal.
                                _ if attempt % 2 == 1 => std::panic::resume_unwind(Box::new(())),
                                _ => Err(()),
                            }
                        })
                    };
                    while !matches!(catch_unwind(AssertUnwindSafe(attempt)), Ok(Ok(()))) {}
                    assert!(once.is_initialized());
                });
            }
        });
        assert_eq!(attempts.into_inner(), 11, "round {round}");
        assert_eq!(successes.into_inner(), 1, "round {round}");
    }
}

#[test]
fn after_fork_resets_what_is_under_way_and_not_what_is_done() {
    let once = OnceFlag::new();
    // What a child sees whose parent was in the middle of a call, with threads waiting for it.
    set_once_bits(&once, 3);
    // SAFETY: no other thread knows the flag.
    unsafe { once.after_fork() };
    assert_eq!(once_bits(&once), 0);
    assert_eq!(once.call_once(|| DONE), DONE);
    // SAFETY: as above.
    unsafe { once.after_fork() };
    assert!(once.is_initialized());
}
