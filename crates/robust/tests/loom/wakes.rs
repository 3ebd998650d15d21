//! No wake is lost while no thread dies, and what an owner has done is seen by the next.

use pysync_testing::model::Unlock;

use super::*;

fn enter(s: &Shared) {
    assert_eq!(s.enter(Timeout::Never), Ok(Ownership::Clean));
}

/// Comes twice, so that it meets waiters that have slept.
fn enter_twice(s: &Shared) {
    enter(s);
    enter(s);
}

fn enter_soon(s: &Shared) {
    match s.enter(SOON) {
        Ok(ownership) => assert_eq!(ownership, Ownership::Clean),
        Err(error) => assert_eq!(error, Error::TimedOut),
    }
}

fn try_to_enter(s: &Shared) {
    match s.enter(Timeout::Try) {
        Ok(ownership) => assert_eq!(ownership, Ownership::Clean),
        Err(error) => assert_eq!(error, Error::Busy),
    }
}

fn is_free(s: &Shared) {
    s.is_usable();
    assert_eq!(s.told.load(Relaxed), 0);
}

#[test]
fn wakes_two_threads() {
    check("2 enter", Shared::plain, [enter; 2], |s| {
        is_free(s);
        assert_eq!(s.section.entered(), 3);
    });
    check("enter, enter twice", Shared::plain, [enter, enter_twice], is_free);
    check("enter twice, try", Shared::plain, [enter_twice, try_to_enter], is_free);
}

#[test]
fn wakes_three_threads() {
    check_within(2, "3 enter", Shared::plain, [enter; 3], |s| {
        is_free(s);
        assert_eq!(s.section.entered(), 4);
    });
}

/// The one that was woken takes the mutex as if no waiter slept, and another sleeps.
#[test]
fn wakes_who_has_slept_says_again_that_others_may() {
    check("2 enter, enter twice", Shared::plain, [enter, enter, enter_twice], is_free);
}

#[test]
fn wakes_who_gives_up_passes_its_wake_on() {
    check_within(2, "2 enter, enter soon", Shared::plain, [enter, enter, enter_soon], is_free);
    // Each reading of the clock is later than a deadline: one that is woken gives up.
    let model = Explore::new("enter, enter twice, enter soon").preemptions(1);
    let bodies = [enter, enter_twice, enter_soon];
    model.unlock(Unlock::HandsOff).run(Shared::plain, bodies, is_free);
}

#[test]
fn wakes_of_a_recursive_mutex() {
    fn enter_to_the_third(s: &Shared) {
        for _ in 0..3 {
            assert_eq!(s.block.acquire(Timeout::Never), Ok(Ownership::Clean));
            s.section.enter();
        }
        for _ in 0..3 {
            s.section.enter();
            assert_eq!(s.block.release(), Ok(()));
        }
    }
    let recursive = || Shared::with(Kind::Recursive, u32::MAX);
    check("recursive, 2 threads", recursive, [enter_to_the_third; 2], |s| {
        is_free(s);
        assert_eq!(s.section.entered(), 13);
    });
    check("recursive, 3 threads", recursive, [enter_to_the_third, enter, enter_soon], is_free);
}

/// A release by another thread changes nothing, at whatever level the owner is.
#[test]
fn wakes_a_stranger_releases_nothing() {
    fn owner(s: &Shared) {
        assert_eq!(s.block.acquire(Timeout::Never), Ok(Ownership::Clean));
        assert_eq!(s.block.acquire(Timeout::Never), Ok(Ownership::Clean));
        s.section.enter();
        assert_eq!(s.block.release(), Ok(()));
        s.section.enter();
        assert_eq!(s.block.release(), Ok(()));
        assert_eq!(s.block.release(), Err(Error::NotOwner));
    }
    fn stranger(s: &Shared) {
        assert_eq!(s.block.release(), Err(Error::NotOwner));
        assert_eq!(s.block.give_up(), Err(Error::NotOwner));
        assert_eq!(s.block.make_consistent(), Err(Error::NotOwner));
        assert_eq!(s.block.release(), Err(Error::NotOwner));
    }
    let recursive = || Shared::with(Kind::Recursive, u32::MAX);
    check("an owner, a stranger", recursive, [owner, stranger], is_free);
}

#[test]
fn wakes_an_owner_of_a_plain_mutex_is_told_so() {
    fn owner(s: &Shared) {
        assert_eq!(s.block.acquire(Timeout::Never), Ok(Ownership::Clean));
        assert_eq!(s.block.acquire(Timeout::Never), Err(Error::Deadlock));
        assert_eq!(s.block.acquire(Timeout::Try), Err(Error::Deadlock));
        s.section.enter();
        assert_eq!(s.block.release(), Ok(()));
    }
    check("an owner that comes again", Shared::plain, [owner, enter], is_free);
}
