//! A thread dies before any of its steps, whatever it is about to do.

use super::*;

/// One of all the things that can be done.
fn do_something(s: &Shared) {
    match below(10) {
        0 => match s.block.destroy() {
            Ok(()) => {}
            Err(error) => assert!(matches!(error, Error::Busy | Error::Destroyed), "{error:?}"),
        },
        1 | 2 => match s.initialize(any_kind()) {
            Ok(()) => {}
            Err(error) => assert!(
                matches!(error, Error::Busy | Error::AlreadyInitialized | Error::Initializing),
                "{error:?}"
            ),
        },
        3 => match s.open(any_kind(), any_timeout()) {
            Ok(_) => {}
            Err(error) => assert!(
                matches!(
                    error,
                    Error::NotRecoverable | Error::Busy | Error::TimedOut | Error::Initializing
                ),
                "{error:?}"
            ),
        },
        4 => {
            let error = s.block.release().unwrap_err();
            assert!(matches!(error, Error::NotOwner | Error::Destroyed), "{error:?}");
        }
        _ => enter(s),
    }
}

fn enter(s: &Shared) {
    let timeout = any_timeout();
    let ownership = match s.acquire(timeout) {
        Ok(ownership) => ownership,
        Err(Error::NotRecoverable | Error::Destroyed) => return,
        Err(Error::Busy) => return assert_eq!(timeout, Timeout::Try),
        Err(error) => {
            assert_eq!(error, Error::TimedOut);
            return assert!(matches!(timeout, Timeout::After(_)));
        }
    };
    let mut depth = 1;
    while once_in(3) {
        match s.block.acquire(any_timeout()) {
            Ok(again) => {
                assert_eq!(again, ownership);
                depth += 1;
            }
            // Of a plain mutex.
            Err(error) => {
                assert_eq!(error, Error::Deadlock);
                break;
            }
        }
    }
    if ownership == Ownership::OwnerDied && once_in(2) {
        assert_eq!(s.block.make_consistent(), Ok(()));
    } else if ownership == Ownership::OwnerDied && once_in(2) {
        assert_eq!(s.block.give_up(), Ok(()));
        depth -= 1;
    }
    for _ in 0..depth {
        s.section.enter();
        assert_eq!(s.block.release(), Ok(()));
    }
}

fn live_and_die(s: &Shared) {
    s.may_die(80, || (0..4).for_each(|_| do_something(s)));
}

fn enter_and_die(s: &Shared) {
    s.may_die(60, || (0..3).for_each(|_| enter(s)));
}

#[test]
fn deaths_anywhere() {
    TryOut::new("deaths, 4 threads do anything", 24_000).run(
        || Shared::with(any_kind(), true),
        [live_and_die; 4],
        Shared::is_usable,
    );
}

#[test]
fn deaths_among_those_that_enter() {
    TryOut::new("deaths, 5 enter", 20_000).run(
        || Shared::with(any_kind(), true),
        [enter_and_die; 5],
        Shared::is_usable,
    );
}

/// Why a sleep ends by itself: a waiter that dies takes its wake with it.
#[test]
#[should_panic(expected = "deadlock")]
fn deaths_of_waiters_lose_wakes() {
    TryOut::new("deaths, 5 enter, sleeps without a bound", 30_000).run(
        || Shared::with(any_kind(), false),
        [enter_and_die; 5],
        Shared::is_usable,
    );
}
