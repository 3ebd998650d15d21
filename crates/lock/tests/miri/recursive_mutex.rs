use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;
use std::time::Duration;

use pysync_lock::{LockFlags, LockStatus, RecursiveMutex};
use pysync_parking_lot::{Deadline, PendingCallError, Runtime};
use pysync_testing::{together, watchdog};

use super::{Unprotected, rounds};

#[test]
fn the_owner_counts_and_others_wait() {
    const THREADS: usize = 3;
    let _watchdog = watchdog();
    let rounds = rounds(4, 1_000);
    let (mutex, count) = (RecursiveMutex::new(), Unprotected::new(0));
    together(THREADS, |_| {
        for _ in 0..rounds {
            mutex.lock();
            mutex.lock();
            // SAFETY: the mutex is held.
            unsafe { count.set(count.get() + 1) };
            mutex.unlock();
            thread::yield_now();
            assert!(mutex.is_locked_by_current_thread());
            // SAFETY: the mutex is held.
            unsafe { count.set(count.get() + 1) };
            mutex.unlock();
            assert_eq!(mutex.try_unlock().is_ok(), mutex.is_locked_by_current_thread());
        }
    });
    // SAFETY: the threads have ended.
    assert_eq!(unsafe { count.get() }, 2 * THREADS * rounds);
}

/// Runtimes that keep the contract, each for itself: every one calls its only thread 1.
macro_rules! runtime {
    ($name:ident) => {
        struct $name;

        impl Runtime for $name {
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

            fn fatal_error(_: &'static str, message: &str) -> ! {
                resume_unwind(Box::new(message.to_owned()))
            }
        }
    };
}

runtime!(A);
runtime!(B);

/// Locks and unlocks as if it were the mutex's one user. An unlock that finds that the other has
/// unlocked already is fatal, which here unwinds. The waits have a limit, since each may also leave
/// the mutex locked while the other waits for it.
fn use_alone<R: Runtime>(mutex: &RecursiveMutex) {
    let lock = || {
        let soon = Deadline::after(Some(Duration::from_micros(100)));
        mutex.lock_in::<R>(soon, LockFlags::DETACH)
    };
    let unlock = || mutex.try_unlock_in::<R>().expect("the caller is the owner");
    for _ in 0..rounds(10, 1_000) {
        let _ = catch_unwind(AssertUnwindSafe(|| {
            if lock() == LockStatus::Acquired {
                let again = lock();
                // For the other to come in meanwhile.
                (0..3).for_each(|_| thread::yield_now());
                if again == LockStatus::Acquired {
                    unlock();
                }
                unlock();
            }
        }));
    }
}

/// They fail to exclude each other, but a safe trait cannot make that a data race.
#[test]
fn two_runtimes_whose_idents_collide_do_not_race() {
    let _watchdog = watchdog();
    let mutex = RecursiveMutex::new();
    together(2, |id| match id {
        0 => use_alone::<A>(&mutex),
        _ => use_alone::<B>(&mutex),
    });
}
