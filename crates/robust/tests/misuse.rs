//! What no user should do: write to the bytes, release what another holds, count on a fork.
#![cfg(all(
    target_os = "linux",
    target_pointer_width = "64",
    not(miri),
    not(any(pysync_loom, pysync_shuttle))
))]

mod common;

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use common::*;
use pysync_robust::{Error, Kind, Ownership, RawMutex, SIZE, State, Timeout};
use pysync_testing::watchdog;

const KINDS: [Kind; 2] = [Kind::Plain, Kind::Recursive];
const SOON: Timeout = Timeout::After(Duration::from_millis(1));

/// Each call but those that initialise ends with `error`.
fn all_fail(mutex: RawMutex, error: Error) {
    for timeout in [Timeout::Never, Timeout::Try, SOON] {
        assert_eq!(mutex.acquire(timeout), Err(error));
    }
    assert_eq!(mutex.attach(), Err(error));
    assert_eq!(mutex.release(), Err(error));
    assert_eq!(mutex.make_consistent(), Err(error));
    assert_eq!(mutex.give_up(), Err(error));
    assert_eq!(mutex.destroy(), Err(error));
}

#[test]
fn bytes_that_are_wiped_are_no_mutex() {
    for kind in KINDS {
        for end in [SIZE, INNER, 8] {
            let bytes = Bytes::zeroed();
            let mutex = bytes.mutex();
            mutex.initialize(kind).unwrap();
            mutex.attach().unwrap();
            take(mutex);
            mutex.release().unwrap();
            let mut wiped = bytes.read();
            wiped[..end].fill(0);
            bytes.write(wiped);
            all_fail(mutex, Error::Uninitialized);
            assert_eq!(mutex.state(), Ok(State::Uninitialized));
            assert_eq!(mutex.initialize(kind), Ok(()));
            take(mutex);
            mutex.release().unwrap();
        }
    }
}

/// The inner mutex is left alone, since the kernel and the C library have pointers to it.
#[test]
fn a_header_that_is_wiped_under_the_owner_ends_all_waits() {
    let _watchdog = watchdog();
    let (bytes, waiters) = (Bytes::zeroed(), [(); 2].map(|()| Actor::new()));
    let mutex = bytes.mutex();
    mutex.initialize(Kind::Plain).unwrap();
    take(mutex);
    let state = bytes.u64(STATE).load(SeqCst);
    let waits = waiters
        .each_ref()
        .map(|waiter| waiter.start_to_sleep(move || mutex.acquire(Timeout::Never)));
    bytes.u64(STATE).store(0, SeqCst);
    for wait in waits {
        assert_eq!(wait.recv().unwrap(), Err(Error::Uninitialized));
    }
    all_fail(mutex, Error::Uninitialized);
    bytes.u64(STATE).store(state, SeqCst);
    assert_eq!(mutex.release(), Ok(()));
}

/// What a thread that does not hold the mutex gets of the owner's calls.
fn owners_calls_fail(mutex: RawMutex, error: Error) {
    assert_eq!(mutex.release(), Err(error));
    assert_eq!(mutex.make_consistent(), Err(error));
    assert_eq!(mutex.give_up(), Err(error));
}

#[test]
fn only_the_owner_releases() {
    for kind in KINDS {
        let (bytes, owner) = (Bytes::zeroed(), Actor::new());
        let mutex = bytes.mutex();
        let fail = |error| {
            let before = bytes.read();
            owners_calls_fail(mutex, error);
            in_a_short_life(move || owners_calls_fail(mutex, error));
            assert_eq!(bytes.read(), before, "a call that fails has changed something");
        };
        fail(Error::Uninitialized);
        mutex.initialize(kind).unwrap();
        fail(Error::NotOwner);
        owner.run(move || take(mutex));
        fail(Error::NotOwner);
        if kind == Kind::Recursive {
            owner.run(move || take(mutex));
            fail(Error::NotOwner);
            owner.run(move || mutex.release()).unwrap();
        }
        owner.die();
        fail(Error::NotOwner);
        let owner = Actor::new();
        let acquired = owner.run(move || mutex.acquire(Timeout::Try));
        assert_eq!(acquired, Ok(Ownership::OwnerDied));
        fail(Error::NotOwner);
        owner.run(move || mutex.give_up()).unwrap();
        fail(Error::NotOwner);
        mutex.destroy().unwrap();
        fail(Error::Destroyed);
    }
}

/// What a process may not do with a mutex that a thread of another holds.
fn holds_nothing(mutex: RawMutex, state: State) {
    owners_calls_fail(mutex, Error::NotOwner);
    assert_eq!(mutex.acquire(Timeout::Try), Err(Error::Busy));
    assert_eq!(mutex.acquire(SOON), Err(Error::TimedOut));
    assert_eq!(mutex.destroy(), Err(Error::Busy));
    assert_eq!(mutex.initialize(Kind::Plain), Err(Error::AlreadyInitialized));
    assert_eq!(mutex.open(Kind::Plain, Timeout::Try), Ok(false));
    assert_eq!(mutex.attach(), Ok(()));
    assert_eq!(mutex.state(), Ok(state));
}

fn shared(kind: Kind) -> RawMutex {
    // SAFETY: the mapping stays.
    let mutex = unsafe { Bytes::mapped(map_shared(SIZE)) }.mutex();
    mutex.initialize(kind).unwrap();
    mutex
}

#[test]
fn a_child_of_a_fork_holds_nothing() {
    let _watchdog = watchdog();
    // SAFETY: only asks.
    let owner = unsafe { libc::gettid() } as u32;
    for kind in KINDS {
        for levels in 1..=if kind == Kind::Plain { 1 } else { 3 } {
            for inconsistent in [false, true] {
                // One that the child shares, and one of which it has a copy.
                for mutex in [shared(kind), made(kind)] {
                    let how = if inconsistent {
                        in_a_short_life(move || take(mutex));
                        Ownership::OwnerDied
                    } else {
                        Ownership::Clean
                    };
                    for _ in 0..levels {
                        assert_eq!(mutex.acquire(Timeout::Try), Ok(how));
                    }
                    let held = State::Held { owner, inconsistent };
                    Child::start(|| {
                        holds_nothing(mutex, held);
                        in_a_short_life(move || holds_nothing(mutex, held));
                        // It can hold others.
                        let own = made(kind);
                        take(own);
                        own.release().unwrap();
                        true
                    })
                    .succeeds();
                    assert_eq!(mutex.state(), Ok(held));
                    if inconsistent {
                        mutex.make_consistent().unwrap();
                    }
                    for _ in 0..levels {
                        assert_eq!(mutex.release(), Ok(()));
                    }
                    assert_eq!(mutex.state(), Ok(State::Free));
                }
            }
        }
    }
}

#[test]
fn a_child_takes_over_from_its_parent_and_the_parent_from_its_child() {
    let _watchdog = watchdog();
    for kind in KINDS {
        let mutex = shared(kind);
        take(mutex);
        let child = Child::start(|| {
            // The parent releases it.
            take(mutex);
            // And it dies with it.
            true
        });
        mutex.release().unwrap();
        child.succeeds();
        assert_eq!(mutex.state(), Ok(State::OwnerDied));
        assert_eq!(mutex.acquire(Timeout::Never), Ok(Ownership::OwnerDied));
        mutex.make_consistent().unwrap();
        mutex.release().unwrap();
    }
}

#[test]
fn a_copy_that_goes_away_releases_nothing() {
    let (mutex, owner) = (made(Kind::Plain), Actor::new());
    owner.run(move || {
        let copy = mutex;
        take(copy);
    });
    assert_eq!(mutex.acquire(Timeout::Try), Err(Error::Busy));
    // SAFETY: the same bytes.
    let again = unsafe { RawMutex::at(mutex.as_ptr()) }.unwrap();
    assert_eq!(again, mutex);
    assert_eq!(again.acquire(Timeout::Try), Err(Error::Busy));
    assert_eq!(owner.run(move || again.release()), Ok(()));
}

#[test]
fn any_timeout_will_do() {
    let _watchdog = watchdog();
    let (mutex, owner) = (made(Kind::Plain), Actor::new());
    owner.run(move || take(mutex));
    for nanos in [0, 1, 999, 1_000_000] {
        let timeout = Timeout::After(Duration::from_nanos(nanos));
        assert_eq!(mutex.acquire(timeout), Err(Error::TimedOut));
    }
    // Longer than the clock goes: for ever.
    let waiter = Actor::new();
    let wait = waiter.start_to_sleep(move || mutex.acquire(Timeout::After(Duration::MAX)));
    assert!(wait.try_recv().is_err());
    owner.run(move || mutex.release()).unwrap();
    assert_eq!(wait.recv().unwrap(), Ok(Ownership::Clean));
}
