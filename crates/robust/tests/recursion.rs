//! A recursive mutex, level by level.
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
use pysync_robust::{Error, Kind, Ownership, RawMutex, State, Timeout};
use pysync_testing::watchdog;

const HOUR: Timeout = Timeout::After(Duration::from_secs(3600));

#[test]
fn it_is_held_until_it_is_released_as_often_as_it_was_acquired() {
    let _watchdog = watchdog();
    let (mutex, owner) = (made(Kind::Recursive), Actor::new());
    for depth in [1, 2, 3, 100, 10_000] {
        owner.run(move || {
            for level in 0..depth {
                let timeout = [Timeout::Never, Timeout::Try, HOUR][level % 3];
                assert_eq!(mutex.acquire(timeout), Ok(Ownership::Clean));
            }
        });
        let held = State::Held { owner: owner.id(), inconsistent: false };
        for _ in 1..depth {
            assert_eq!(owner.run(move || mutex.release()), Ok(()));
            assert_eq!(mutex.state(), Ok(held));
            assert_eq!(mutex.acquire(Timeout::Try), Err(Error::Busy));
            assert_eq!(mutex.release(), Err(Error::NotOwner));
        }
        assert_eq!(owner.run(move || mutex.release()), Ok(()));
        assert_eq!(mutex.state(), Ok(State::Free));
        assert_eq!(owner.run(move || mutex.release()), Err(Error::NotOwner));
        // Another thread begins at the first level.
        take(mutex);
        assert_eq!(mutex.release(), Ok(()));
        assert_eq!(mutex.state(), Ok(State::Free));
    }
}

#[test]
fn the_depth_does_not_overflow() {
    let (bytes, mutex) = {
        let bytes = Bytes::zeroed();
        (bytes, bytes.mutex())
    };
    mutex.initialize(Kind::Recursive).unwrap();
    take(mutex);
    // As if it had been acquired so often.
    bytes.u32(DEPTH).store(u32::MAX - 1, SeqCst);
    take(mutex);
    for timeout in [Timeout::Never, Timeout::Try, HOUR] {
        let error = mutex.acquire(timeout).unwrap_err();
        assert_eq!((error, error.errno()), (Error::DepthOverflow, libc::EAGAIN));
    }
    assert_eq!(mutex.release(), Ok(()));
    take(mutex);
    assert_eq!(mutex.acquire(Timeout::Try), Err(Error::DepthOverflow));
    assert_eq!(bytes.u32(DEPTH).load(SeqCst), u32::MAX);
    bytes.u32(DEPTH).store(1, SeqCst);
    assert_eq!((mutex.release(), mutex.release()), (Ok(()), Ok(())));
    assert_eq!(mutex.state(), Ok(State::Free));
}

#[test]
fn a_death_at_any_depth_leaves_the_heir_at_the_first_level() {
    let mutex = made(Kind::Recursive);
    for depth in [1, 2, 3, 1_000] {
        in_a_short_life(move || (0..depth).for_each(|_| take(mutex)));
        assert_eq!(mutex.state(), Ok(State::OwnerDied));
        assert_eq!(mutex.acquire(Timeout::Try), Ok(Ownership::OwnerDied));
        // Each level is told, until it is repaired.
        assert_eq!(mutex.acquire(Timeout::Try), Ok(Ownership::OwnerDied));
        mutex.make_consistent().unwrap();
        take(mutex);
        for _ in 0..3 {
            assert_ne!(mutex.state(), Ok(State::Free));
            mutex.release().unwrap();
        }
        assert_eq!(mutex.state(), Ok(State::Free));
    }
}

#[test]
fn what_is_given_up_at_one_level_is_held_until_the_last() {
    let _watchdog = watchdog();
    for given_up_at in 0..3 {
        let (mutex, waiter) = (made(Kind::Recursive), Actor::new());
        (0..3).for_each(|_| take(mutex));
        let waits = waiter.start_to_sleep(move || mutex.acquire(Timeout::Never));
        for level in 0..3 {
            assert_eq!(mutex.initialize(Kind::Plain).unwrap_err().errno(), libc::EBUSY);
            if level == given_up_at {
                mutex.give_up().unwrap();
            } else {
                mutex.release().unwrap();
            }
            if level >= given_up_at {
                assert_eq!(mutex.acquire(Timeout::Try), Err(Error::NotRecoverable));
                assert_eq!(mutex.state(), Ok(State::NotRecoverable));
            }
        }
        assert_eq!(waits.recv().unwrap(), Err(Error::NotRecoverable));
        assert_eq!(mutex.release(), Err(Error::NotOwner));
        assert_eq!(mutex.give_up(), Err(Error::NotOwner));
        assert_eq!(mutex.initialize(Kind::Plain), Ok(()));
    }
}

#[test]
fn the_kind_is_that_of_the_last_initialisation() {
    let mutex = made(Kind::Recursive);
    for kind in [Kind::Plain, Kind::Recursive, Kind::Recursive, Kind::Plain] {
        mutex.destroy().unwrap();
        mutex.initialize(kind).unwrap();
        take(mutex);
        let again = if kind == Kind::Plain { Err(Error::Deadlock) } else { Ok(Ownership::Clean) };
        assert_eq!(mutex.acquire(Timeout::Try), again);
        mutex.release().unwrap();
        assert_eq!(mutex.release().is_ok(), kind == Kind::Recursive);
    }
}

/// Whatever was written to the depth meanwhile.
#[test]
fn an_initialised_mutex_is_at_the_first_level() {
    let bytes = Bytes::zeroed();
    let mutex = bytes.mutex();
    mutex.initialize(Kind::Recursive).unwrap();
    let ends: [fn(RawMutex); 2] = [
        |mutex| mutex.destroy().unwrap(),
        |mutex| {
            take(mutex);
            mutex.give_up().unwrap();
        },
    ];
    for end in ends {
        end(mutex);
        bytes.u32(DEPTH).store(7, SeqCst);
        mutex.initialize(Kind::Recursive).unwrap();
        take(mutex);
        mutex.release().unwrap();
        assert_eq!(mutex.state(), Ok(State::Free));
    }
}
