//! No waiter is forgotten while none dies: sleeps have no bound here.

use pysync_platform::{LockFlags, Native, PendingCallError};

use super::*;

fn pending_calls() -> Result<(), PendingCallError> {
    if once_in(2) { Err(PendingCallError) } else { Ok(()) }
}

/// What a signal does: nothing, end the wait, or have pending calls run.
fn any_flags() -> LockFlags {
    match below(3) {
        0 => LockFlags::empty(),
        1 => LockFlags::FAIL_IF_INTERRUPTED,
        _ => LockFlags::HANDLE_SIGNALS,
    }
}

fn enter_three_times(s: &Shared) {
    Native::set_pending_calls(Some(pending_calls));
    for _ in 0..3 {
        let (timeout, flags) = (any_timeout(), any_flags());
        match s.block.acquire_with(timeout, flags) {
            Ok(ownership) => {
                assert_eq!(ownership, Ownership::Clean);
                s.section.enter();
                assert_eq!(s.block.release(), Ok(()));
            }
            Err(Error::Busy) => assert_eq!(timeout, Timeout::Try),
            Err(Error::TimedOut) => assert!(matches!(timeout, Timeout::After(_))),
            Err(error) => {
                assert_eq!(error, Error::Interrupted);
                assert_ne!(flags, LockFlags::empty());
            }
        }
    }
}

fn enter(s: &Shared) {
    (0..2).for_each(|_| {
        assert_eq!(s.acquire(Timeout::Never), Ok(Ownership::Clean));
        assert_eq!(s.block.release(), Ok(()));
    });
}

#[test]
fn wakes_reach_all_that_wait() {
    TryOut::new("4 enter, with deadlines and signals", 12_000).run(
        || Shared::with(Kind::Plain, false),
        [enter_three_times, enter, enter_three_times, enter],
        Shared::is_usable,
    );
}

#[test]
fn wakes_of_a_recursive_mutex() {
    fn enter_deeply(s: &Shared) {
        for _ in 0..2 {
            let levels = 1 + below(3);
            for _ in 0..levels {
                while let Err(error) = s.block.acquire(any_timeout()) {
                    assert!(matches!(error, Error::Busy | Error::TimedOut), "{error:?}");
                }
                s.section.enter();
            }
            (0..levels).for_each(|_| assert_eq!(s.block.release(), Ok(())));
        }
    }
    fn stranger(s: &Shared) {
        for _ in 0..4 {
            assert_eq!(s.block.release(), Err(Error::NotOwner));
            assert_eq!(s.block.give_up(), Err(Error::NotOwner));
            assert_eq!(s.block.make_consistent(), Err(Error::NotOwner));
        }
    }
    TryOut::new("recursive, 3 enter, a stranger", 10_000).run(
        || Shared::with(Kind::Recursive, false),
        [enter_deeply, enter_deeply, stranger, enter],
        Shared::is_usable,
    );
}

/// A mutex is destroyed and made again, again and again. Who waits gets one of them, or learns that one
/// is no more.
#[test]
fn wakes_of_a_mutex_that_is_destroyed_and_made_again() {
    fn enter(s: &Shared) {
        for _ in 0..3 {
            match s.acquire(Timeout::Never) {
                Ok(_) => assert_eq!(s.block.release(), Ok(())),
                Err(error) => assert_eq!(error, Error::Destroyed),
            }
        }
    }
    fn destroy_and_revive(s: &Shared) {
        for _ in 0..2 {
            match s.block.destroy() {
                Ok(()) => {}
                Err(error) => assert!(matches!(error, Error::Busy | Error::Destroyed)),
            }
            match s.initialize(any_kind()) {
                Ok(()) => {}
                Err(error) => assert!(matches!(error, Error::Busy | Error::AlreadyInitialized)),
            }
        }
    }
    fn open(s: &Shared) {
        _ = s.open(Kind::Plain, Timeout::Never).unwrap();
        enter(s);
    }
    TryOut::new("destroy and revive, 3 enter", 12_000).run(
        || Shared::with(Kind::Plain, false),
        [destroy_and_revive, enter, enter, open],
        Shared::is_usable,
    );
}

/// The kernel wakes one of those that wait when an owner dies.
#[test]
fn wakes_by_the_kernel() {
    fn enter_and_die(s: &Shared) {
        match s.acquire(Timeout::Never) {
            Ok(Ownership::OwnerDied) if once_in(2) => {
                assert_eq!(s.block.make_consistent(), Ok(()));
                assert_eq!(s.block.release(), Ok(()));
            }
            Ok(Ownership::OwnerDied) if once_in(4) => assert_eq!(s.block.give_up(), Ok(())),
            Ok(_) => s.dies(),
            Err(error) => assert_eq!(error, Error::NotRecoverable),
        }
    }
    TryOut::new("5 owners that die", 10_000).run(
        || Shared::with(any_kind(), false),
        [enter_and_die; 5],
        Shared::is_usable,
    );
}
