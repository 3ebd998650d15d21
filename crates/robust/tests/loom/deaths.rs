//! One thread dies, before each of its steps. The others get the mutex, and one of them is told if it was
//! the owner that has died.

use super::*;

fn plain(step: u32) -> Shared {
    Shared::with(Kind::Plain, step)
}

fn recursive(step: u32) -> Shared {
    Shared::with(Kind::Recursive, step)
}

/// An owner has died before, at the third level.
fn left_by_the_dead(step: u32) -> Shared {
    let shared = recursive(step);
    for _ in 0..3 {
        assert_eq!(shared.block.acquire(Timeout::Never), Ok(Ownership::Clean));
    }
    shared.block.owner_dies();
    shared
}

fn enter(s: &Shared) {
    _ = s.enter(Timeout::Never).unwrap();
}

fn enter_and_die(s: &Shared) {
    _ = s.dies(|| enter(s));
}

/// To the third level, and out again.
fn enter_deeply(s: &Shared) {
    for level in 0..3 {
        let ownership = s.block.acquire(Timeout::Never).unwrap();
        assert!(level == 0 || ownership == Ownership::Clean);
        if ownership == Ownership::OwnerDied {
            s.told.fetch_add(1, Relaxed);
            assert_eq!(s.block.make_consistent(), Ok(()));
        }
    }
    s.section.enter();
    (0..3).for_each(|_| assert_eq!(s.block.release(), Ok(())));
}

fn enter_deeply_and_die(s: &Shared) {
    _ = s.dies(|| enter_deeply(s));
}

/// Each death of an owner is told to one.
fn is_told(s: &Shared) {
    s.is_usable();
    assert_eq!(s.told.load(Relaxed), s.owners_died.load(Relaxed));
}

#[test]
fn deaths_of_an_owner_are_told_once() {
    check_each_death("2 enter", plain, [enter_and_die, enter], is_told);
    let bodies = [enter_deeply_and_die, enter_deeply];
    check_each_death("recursive, 2 enter", recursive, bodies, is_told);
}

/// The second death comes before the repair of what the first has left, or after it.
#[test]
fn deaths_while_repairing() {
    fn is_told(s: &Shared) {
        s.is_usable();
        let died = 1 + s.owners_died.load(Relaxed);
        assert!((1..=died).contains(&s.told.load(Relaxed)));
    }
    check_each_death("left, 2 enter", left_by_the_dead, [enter_and_die, enter], is_told);
}

/// A mutex is lost, or still to be repaired.
#[test]
fn deaths_while_giving_up() {
    fn give_up_or_see(s: &Shared) {
        match s.block.acquire(Timeout::Never) {
            Ok(Ownership::OwnerDied) => {
                s.section.enter();
                assert_eq!(s.block.give_up(), Ok(()));
                s.made.fetch_add(1, Relaxed);
            }
            Ok(Ownership::Clean) => unreachable!("no owner has repaired it"),
            Err(error) => assert_eq!(error, Error::NotRecoverable),
        }
    }
    fn give_up_and_die(s: &Shared) {
        _ = s.dies(|| give_up_or_see(s));
    }
    check_each_death("left, 2 give up", left_by_the_dead, [give_up_and_die, give_up_or_see], |s| {
        assert!(s.made.load(Relaxed) <= 1);
        give_up_or_see(s);
        assert_eq!(s.block.acquire(Timeout::Try), Err(Error::NotRecoverable));
        assert_eq!(s.block.initialize(Kind::Plain), Ok(()));
        s.is_usable();
    });
}

/// It is destroyed, or there is one to be repaired.
#[test]
fn deaths_while_destroying() {
    fn destroy(s: &Shared) {
        _ = s.dies(|| match s.block.destroy() {
            Ok(()) => {}
            Err(error) => assert_eq!(error, Error::Busy),
        });
    }
    fn enter(s: &Shared) {
        match s.enter(Timeout::Never) {
            Ok(_) => {}
            Err(error) => assert_eq!(error, Error::Destroyed),
        }
    }
    check_each_death("destroy, enter", plain, [destroy, enter], |s| {
        match s.block.acquire(Timeout::Try) {
            Ok(_) => {
                assert_eq!(s.block.make_consistent(), Ok(()));
                assert_eq!(s.block.release(), Ok(()));
            }
            Err(error) => {
                assert_eq!(error, Error::Destroyed);
                assert_eq!(s.block.initialize(Kind::Plain), Ok(()));
            }
        }
        s.is_usable();
    });
}
