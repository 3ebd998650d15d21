//! Undefined behaviour by the letter: small tests for Miri, which `ci/miri.sh` runs with several
//! seeds. They run natively too, with more rounds.
//!
//! What the threads pass to each other is neither atomic nor locked, so that only the code under
//! test orders their accesses, and Miri reports a race where it does not.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::cell::UnsafeCell;
use std::thread;
use std::time::Duration;

use pysync_platform::{Deadline, ParkStatus, Parker};
use pysync_testing::watchdog;

/// `native` rounds of a test, or `miri` ones, which take a thousand times as long each.
const fn rounds(miri: usize, native: usize) -> usize {
    if cfg!(miri) { miri } else { native }
}

/// A value with no protection of its own.
struct Unprotected(UnsafeCell<usize>);

// SAFETY: each test says why its accesses are ordered.
unsafe impl Sync for Unprotected {}

impl Unprotected {
    const fn new() -> Self {
        Self(UnsafeCell::new(0))
    }

    /// # Safety
    /// There is no other access at the same time.
    unsafe fn add_one(&self) -> usize {
        // SAFETY: by contract.
        unsafe {
            *self.0.get() += 1;
            *self.0.get()
        }
    }
}

fn wait(parker: &Parker) {
    while parker.wait_until(Deadline::NEVER) != ParkStatus::Ok {}
}

#[test]
fn a_wakeup_passes_on_what_its_thread_has_done() {
    let _watchdog = watchdog();
    let (there, back, value) = (Parker::new(), Parker::new(), Unprotected::new());
    let rounds = rounds(4, 2_000);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..rounds {
                wait(&there);
                // SAFETY: the other thread is waiting for `back`.
                unsafe { value.add_one() };
                back.wakeup();
            }
        });
        for round in 1..=rounds {
            // SAFETY: the other thread is waiting for `there`.
            assert_eq!(unsafe { value.add_one() }, 2 * round - 1);
            there.wakeup();
            wait(&back);
        }
    });
    assert_eq!(value.0.into_inner(), 2 * rounds);
}

/// A parker in a box that is taken apart: a box in scope says that nothing else uses what is in it.
#[derive(Clone, Copy)]
struct Shared(*mut Parker);

// SAFETY: a parker may be shared.
unsafe impl Send for Shared {}

impl Shared {
    fn new() -> Self {
        Self(Box::into_raw(Box::new(Parker::new())))
    }

    /// Waits, and takes the parker away.
    ///
    /// # Safety
    /// Its one waiter calls this, and it gets one wakeup.
    unsafe fn wait_and_free(self) {
        // SAFETY: here until it is freed below.
        wait(unsafe { &*self.0 });
        // SAFETY: from a box, and woken, so that no other thread looks at it again.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

#[test]
fn a_waiter_may_take_its_parker_away_once_it_is_woken() {
    let _watchdog = watchdog();
    for _ in 0..rounds(4, 2_000) {
        let parker = Shared::new();
        let waker = thread::spawn(move || {
            let Shared(parker) = { parker };
            // SAFETY: the waiter keeps it until this wakeup.
            unsafe { Parker::wakeup_raw(parker) };
        });
        // SAFETY: as asked for.
        unsafe { parker.wait_and_free() };
        waker.join().unwrap();
    }
}

#[test]
fn each_of_a_batch_may_be_gone_once_it_is_woken() {
    let _watchdog = watchdog();
    for _ in 0..rounds(2, 500) {
        let parkers: Vec<_> = (0..3).map(|_| Shared::new()).collect();
        thread::scope(|scope| {
            for &parker in &parkers {
                // SAFETY: as asked for.
                scope.spawn(move || unsafe { { parker }.wait_and_free() });
            }
            let (last, others) = parkers.split_last().unwrap();
            let others = others.iter().map(|other| other.0.cast_const());
            // SAFETY: each waiter keeps its own until this wakeup.
            unsafe { Parker::wakeup_all(others, last.0) };
        });
    }
}

#[test]
fn a_wait_that_times_out_leaves_the_parker_as_it_was() {
    let _watchdog = watchdog();
    let parker = Parker::new();
    for timeout in [Duration::ZERO, Duration::from_micros(50)] {
        assert_eq!(parker.wait(Some(timeout), false), ParkStatus::Timeout);
    }
    parker.wakeup();
    assert_eq!(parker.wait(Some(Duration::ZERO), false), ParkStatus::Ok);
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod futex {
    use super::*;

    use std::sync::atomic::{AtomicU32, Ordering::*};

    use pysync_platform::futex::{Outcome, Scope, wait, wake};

    #[test]
    fn a_wait_ends_by_a_change_a_wake_or_its_deadline() {
        let _watchdog = watchdog();
        // Miri knows the private ones alone.
        let scopes =
            if cfg!(miri) { &[Scope::Private][..] } else { &[Scope::Private, Scope::Shared] };
        for &scope in scopes {
            let word = AtomicU32::new(0);
            assert_eq!(wait(&word, 1, Deadline::NEVER, scope), Outcome::Changed);
            let soon = Deadline::after(Some(Duration::from_micros(50)));
            assert_eq!(wait(&word, 0, soon, scope), Outcome::TimedOut);
            assert!(soon.has_passed());
            assert_eq!(wake(&word, u32::MAX, scope), 0);

            let value = Unprotected::new();
            for round in 0..rounds(3, 1_000) {
                thread::scope(|threads| {
                    threads.spawn(|| {
                        while word.load(Acquire) == 0 {
                            wait(&word, 0, Deadline::NEVER, scope);
                        }
                        // SAFETY: the other thread is done with it.
                        unsafe { value.add_one() };
                    });
                    // SAFETY: the other thread waits for the store below.
                    assert_eq!(unsafe { value.add_one() }, 2 * round + 1);
                    word.store(1, Release);
                    assert!(wake(&word, 1, scope) <= 1);
                });
                word.store(0, Relaxed);
            }
        }
    }

    #[test]
    fn a_wake_needs_no_word() {
        let word = Box::new(AtomicU32::new(0));
        let gone = &raw const *word;
        drop(word);
        assert_eq!(wake(gone, 1, Scope::Private), 0);
    }
}
