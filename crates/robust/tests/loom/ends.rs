//! What ends a mutex for all: to destroy it, and to give up data that its dead owner has left. No
//! waiter is forgotten, and no thread gets in any more.

use super::*;

/// How a call may end on a mutex that another thread destroys.
fn destroyed_or(s: &Shared, result: Result<Ownership, Error>) {
    match result {
        Ok(ownership) => assert_eq!(ownership, Ownership::Clean),
        Err(error) => {
            assert_eq!(error, Error::Destroyed);
            // What the destroyer did before is seen.
            assert_eq!(s.data.get(), 1);
        }
    }
}

fn enter(s: &Shared) {
    destroyed_or(s, s.enter(Timeout::Never));
}

fn enter_soon(s: &Shared) {
    match s.enter(SOON) {
        Err(Error::TimedOut) => {}
        result => destroyed_or(s, result),
    }
}

fn attach(s: &Shared) {
    destroyed_or(s, s.block.attach().map(|()| Ownership::Clean));
}

/// Destroys it, at the second attempt perhaps.
fn destroy(s: &Shared) {
    s.data.set(1);
    while let Err(error) = s.block.destroy() {
        assert_eq!(error, Error::Busy);
        loom::thread::yield_now();
    }
    s.made.fetch_add(1, Relaxed);
    assert_eq!(s.block.release(), Err(Error::Destroyed));
}

/// Two of these: one succeeds.
fn destroy_too(s: &Shared) {
    match s.block.destroy() {
        Ok(()) => _ = s.made.fetch_add(1, Relaxed),
        Err(error) => assert!(matches!(error, Error::Busy | Error::Destroyed)),
    }
}

fn is_destroyed(s: &Shared) {
    assert_eq!(s.made.load(Relaxed), 1);
    assert_eq!(s.block.attach(), Err(Error::Destroyed));
    assert_eq!(s.block.acquire(Timeout::Try), Err(Error::Destroyed));
    assert_eq!(s.block.destroy(), Err(Error::Destroyed));
    assert_eq!(s.block.initialize(Kind::Plain), Ok(()));
    s.is_usable();
}

#[test]
fn destroy_against_acquire() {
    check("destroy, enter", Shared::plain, [destroy, enter], is_destroyed);
    check("destroy, enter soon", Shared::plain, [destroy, enter_soon], is_destroyed);
    check("destroy, attach", Shared::plain, [destroy, attach], is_destroyed);
}

#[test]
fn destroy_against_a_holder_and_waiters() {
    check("destroy, 2 enter", Shared::plain, [destroy, enter, enter], is_destroyed);
    let bodies = [destroy, enter, enter_soon];
    check("destroy, enter, enter soon", Shared::plain, bodies, is_destroyed);
}

/// The holder destroys it as soon as it can, and both others wait by then.
#[test]
fn destroy_reaches_all_that_wait() {
    fn hold_and_destroy(s: &Shared) {
        assert_eq!(s.block.acquire(Timeout::Never), Ok(Ownership::Clean));
        assert_eq!(s.block.destroy(), Err(Error::Busy));
        s.section.enter();
        assert_eq!(s.block.release(), Ok(()));
        destroy(s);
    }
    let bodies = [hold_and_destroy, enter, enter];
    check("hold and destroy, 2 enter", Shared::plain, bodies, is_destroyed);
}

#[test]
fn destroy_one_of_two_succeeds() {
    check("2 destroy", Shared::plain, [destroy_too; 2], is_destroyed);
}

/// An owner has died before.
fn left_by_the_dead() -> Shared {
    let shared = Shared::plain();
    assert_eq!(shared.block.acquire(Timeout::Never), Ok(Ownership::Clean));
    shared.section.enter();
    shared.block.owner_dies();
    shared
}

/// Makes it not recoverable by `lose`, if the other has not done so before.
fn lose_or_see(s: &Shared, lose: fn(&Block) -> Result<(), Error>) {
    match s.block.acquire(Timeout::Never) {
        Ok(ownership) => {
            assert_eq!(ownership, Ownership::OwnerDied);
            s.section.enter();
            s.data.set(1);
            assert_eq!(s.made.fetch_add(1, Relaxed), 0, "lost already");
            assert_eq!(lose(&s.block), Ok(()));
        }
        Err(error) => {
            assert_eq!(error, Error::NotRecoverable);
            assert_eq!(s.data.get(), 1);
        }
    }
}

fn give_up_or_see(s: &Shared) {
    lose_or_see(s, Block::give_up);
}

/// To release is to give up.
fn release_or_see(s: &Shared) {
    lose_or_see(s, Block::release);
}

fn is_lost(s: &Shared) {
    assert_eq!(s.made.load(Relaxed), 1);
    assert_eq!(s.block.attach(), Err(Error::NotRecoverable));
    assert_eq!(s.block.acquire(Timeout::Try), Err(Error::NotRecoverable));
    assert_eq!(s.block.destroy(), Ok(()));
    assert_eq!(s.block.initialize(Kind::Plain), Ok(()));
    s.is_usable();
}

#[test]
fn give_up_reaches_all_that_wait() {
    let bodies = [give_up_or_see, release_or_see];
    check("2 give up", left_by_the_dead, bodies, is_lost);
}

/// At an inner level: the mutex is lost for all at once, and held until the last release.
#[test]
fn give_up_at_an_inner_level() {
    fn left() -> Shared {
        let shared = Shared::with(Kind::Recursive, u32::MAX);
        for _ in 0..3 {
            assert_eq!(shared.block.acquire(Timeout::Never), Ok(Ownership::Clean));
        }
        shared.block.owner_dies();
        shared
    }
    fn give_up_or_see(s: &Shared) {
        match s.block.acquire(Timeout::Never) {
            Ok(ownership) => {
                assert_eq!(ownership, Ownership::OwnerDied);
                // The depth of the dead is gone.
                assert_eq!(s.block.acquire(Timeout::Never), Ok(Ownership::OwnerDied));
                s.data.set(1);
                assert_eq!(s.block.give_up(), Ok(()));
                assert_eq!(s.block.acquire(Timeout::Never), Err(Error::NotRecoverable));
                assert_eq!(s.block.make_consistent(), Err(Error::NotRecoverable));
                s.section.enter();
                s.made.fetch_add(1, Relaxed);
                assert_eq!(s.block.release(), Ok(()));
                assert_eq!(s.block.release(), Err(Error::NotOwner));
            }
            Err(error) => {
                assert_eq!(error, Error::NotRecoverable);
                assert_eq!(s.data.get(), 1);
            }
        }
    }
    check("recursive, 2 give up", left, [give_up_or_see; 2], is_lost);
    check("recursive, 3 give up", left, [give_up_or_see; 3], is_lost);
}

/// One waits while the other repairs what the dead has left.
#[test]
fn give_up_is_not_what_a_repairer_does() {
    fn enter(s: &Shared) {
        _ = s.enter(Timeout::Never).unwrap();
    }
    fn told_once(s: &Shared) {
        s.is_usable();
        assert_eq!(s.told.load(Relaxed), 1);
    }
    check("2 repair", left_by_the_dead, [enter; 2], told_once);
}

/// To destroy what a dead owner has left is to do away with it.
#[test]
fn destroy_what_the_dead_has_left() {
    fn enter(s: &Shared) {
        match s.enter(Timeout::Never) {
            Ok(_) => {}
            Err(error) => assert_eq!(error, Error::Destroyed),
        }
    }
    check("left, destroy, enter", left_by_the_dead, [destroy, enter], |s| {
        is_destroyed(s);
        assert!(s.told.load(Relaxed) <= 1);
    });
}
