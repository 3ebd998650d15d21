//! To acquire, to wait and to release allocates nothing, however it ends.
#![cfg(all(
    target_os = "linux",
    target_pointer_width = "64",
    not(miri),
    not(any(pysync_loom, pysync_shuttle))
))]

mod common;

use std::time::Duration;

use common::*;
use pysync_platform::{LockFlags, Native, PendingCallError};
use pysync_robust::{Error, Kind, Ownership, Timeout};
use pysync_testing::{CountingAllocator, allocations, watchdog};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const SOON: Timeout = Timeout::After(Duration::from_millis(3));

#[test]
fn the_count_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(7)))), 2);
    assert_eq!(allocations(|| {}), 0);
}

/// Panics if `body` allocates, and returns what it does.
fn frugal<T>(body: impl FnOnce() -> T) -> T {
    let mut result = None;
    assert_eq!(allocations(|| result = Some(body())), 0, "it allocates");
    result.unwrap()
}

#[test]
fn who_need_not_wait_does_not_allocate() {
    for kind in [Kind::Plain, Kind::Recursive] {
        let mutex = made(kind);
        // On a thread that has never locked anything too.
        in_a_short_life(move || {
            for timeout in [Timeout::Never, Timeout::Try, SOON] {
                assert_eq!(frugal(|| mutex.acquire(timeout)), Ok(Ownership::Clean));
                let again = frugal(|| mutex.acquire(timeout));
                assert_eq!(again.is_ok(), kind == Kind::Recursive);
                while frugal(|| mutex.release()).is_ok() {}
            }
        });
    }
}

#[test]
fn who_waits_does_not_allocate() {
    let _watchdog = watchdog();
    let mutex = made(Kind::Plain);
    take(mutex);
    in_a_short_life(move || {
        assert_eq!(frugal(|| mutex.acquire(SOON)), Err(Error::TimedOut));
        Native::set_pending_calls(Some(|| Err(PendingCallError)));
        let flags = LockFlags::HANDLE_SIGNALS | LockFlags::DETACH;
        let acquired = frugal(|| mutex.acquire_in::<Native>(Timeout::Never, flags));
        assert_eq!(acquired, Err(Error::Interrupted));
    });
    let waiters = [(); 3].map(|()| Actor::new());
    let waits = waiters.each_ref().map(|waiter| {
        waiter.start_to_sleep(move || {
            let acquired = frugal(|| mutex.acquire(Timeout::Never));
            frugal(|| mutex.release()).unwrap();
            acquired
        })
    });
    frugal(|| mutex.release()).unwrap();
    for wait in waits {
        assert_eq!(wait.recv().unwrap(), Ok(Ownership::Clean));
    }
}

#[test]
fn who_meets_a_death_does_not_allocate() {
    let _watchdog = watchdog();
    let mutex = made(Kind::Recursive);
    in_a_short_life(move || take(mutex));
    assert_eq!(frugal(|| mutex.acquire(Timeout::Never)), Ok(Ownership::OwnerDied));
    frugal(|| mutex.make_consistent()).unwrap();
    let waiter = Actor::new();
    let wait = waiter.start_to_sleep(move || frugal(|| mutex.acquire(Timeout::Never)));
    frugal(|| mutex.give_up()).unwrap();
    assert_eq!(wait.recv().unwrap(), Err(Error::NotRecoverable));
    frugal(|| mutex.destroy()).unwrap();
    assert_eq!(frugal(|| mutex.acquire(Timeout::Never)), Err(Error::Destroyed));
}
