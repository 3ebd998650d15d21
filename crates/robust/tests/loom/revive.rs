//! A mutex that was destroyed, or is not recoverable, is made again, while others wait for it or make
//! it too.

use super::*;

fn destroyed(step: u32) -> Shared {
    let shared = Shared::with(Kind::Recursive, step);
    assert_eq!(shared.block.destroy(), Ok(()));
    shared
}

fn lost(step: u32) -> Shared {
    let shared = Shared::with(Kind::Plain, step);
    assert_eq!(shared.block.acquire(Timeout::Never), Ok(Ownership::Clean));
    shared.block.owner_dies();
    assert_eq!(shared.block.acquire(Timeout::Never), Ok(Ownership::OwnerDied));
    assert_eq!(shared.block.give_up(), Ok(()));
    shared
}

fn check_each_end<const N: usize>(name: &str, bodies: [fn(&Shared); N], after: fn(&Shared)) {
    check(&format!("destroyed, {name}"), || destroyed(u32::MAX), bodies, after);
    check(&format!("lost, {name}"), || lost(u32::MAX), bodies, after);
}

fn prepare(s: &Shared) -> Result<(), Error> {
    s.block.initialize_with(Kind::Plain, || s.data.update(|prepared| *prepared = 1))
}

fn revive(s: &Shared) {
    match prepare(s) {
        Ok(()) => _ = s.made.fetch_add(1, Relaxed),
        Err(Error::AlreadyInitialized) => assert_eq!(s.data.get(), 1),
        Err(error) => assert_eq!(error, Error::Busy),
    }
}

fn attach(s: &Shared) {
    match s.block.attach() {
        Ok(()) => assert_eq!(s.data.get(), 1),
        Err(error) => assert!(matches!(error, Error::Destroyed | Error::NotRecoverable)),
    }
}

fn acquire(s: &Shared) {
    match s.enter(Timeout::Never) {
        Ok(ownership) => {
            assert_eq!(ownership, Ownership::Clean);
            assert_eq!(s.data.get(), 1);
        }
        Err(error) => assert!(matches!(error, Error::Destroyed | Error::NotRecoverable)),
    }
}

fn open(s: &Shared) {
    let made = s.block.open_with(Kind::Plain, Timeout::Never, || s.data.set(1)).unwrap();
    s.made.fetch_add(made.into(), Relaxed);
    assert_eq!(s.data.get(), 1);
    assert_eq!(s.enter(Timeout::Never), Ok(Ownership::Clean));
}

fn is_made_once(s: &Shared) {
    assert_eq!(s.made.load(Relaxed), 1);
    s.is_usable();
    // The kind is that of the new life.
    assert_eq!(s.block.acquire(Timeout::Try), Ok(Ownership::Clean));
    assert_eq!(s.block.acquire(Timeout::Try), Err(Error::Deadlock));
}

#[test]
fn revive_one_of_two_succeeds() {
    check_each_end("2 revivers", [revive; 2], is_made_once);
    check("destroyed, 3 revivers", || destroyed(u32::MAX), [revive; 3], is_made_once);
}

#[test]
fn revive_by_open() {
    check("destroyed, 2 open", || destroyed(u32::MAX), [open; 2], is_made_once);
    check("destroyed, open, a reviver", || destroyed(u32::MAX), [open, revive], is_made_once);
}

/// What is lost while `open` looks at it stays lost: only `initialize` makes it anew.
#[test]
fn revive_not_what_is_lost_by_open() {
    fn open(s: &Shared) {
        match s.block.open_with(Kind::Plain, Timeout::Never, || ()) {
            Ok(made) => _ = s.made.fetch_add(made.into(), Relaxed),
            Err(error) => assert_eq!(error, Error::NotRecoverable),
        }
    }
    fn revive_and_lose(s: &Shared) {
        match s.block.initialize(Kind::Plain) {
            Ok(()) => {
                s.made.fetch_add(1, Relaxed);
                assert_eq!(s.block.acquire(Timeout::Never), Ok(Ownership::Clean));
                assert_eq!(s.block.give_up(), Ok(()));
            }
            Err(error) => assert!(matches!(error, Error::AlreadyInitialized | Error::Busy)),
        }
    }
    let bodies = [open, revive_and_lose];
    check(
        "destroyed, open, lost again",
        || destroyed(u32::MAX),
        bodies,
        |s| {
            assert_eq!(s.made.load(Relaxed), 1);
        },
    );
}

#[test]
fn revive_what_is_prepared_is_seen_by_who_attaches() {
    check_each_end("a reviver, attach", [revive, attach], is_made_once);
}

#[test]
fn revive_against_acquire() {
    check_each_end("a reviver, acquire", [revive, acquire], |s| {
        // Unless the reviver has met the other on its way out.
        if s.made.load(Relaxed) == 0 {
            revive(s);
        }
        is_made_once(s);
    });
}

/// Destroys it and makes it again while others wait: they get the new one, or learn that the old one is
/// no more.
fn destroy_and_revive(s: &Shared) {
    while let Err(error) = s.block.destroy() {
        assert_eq!(error, Error::Busy);
        loom::thread::yield_now();
    }
    while let Err(error) = s.block.initialize(Kind::Plain) {
        assert_eq!(error, Error::Busy);
        loom::thread::yield_now();
    }
}

fn enter(s: &Shared) {
    match s.enter(Timeout::Never) {
        Ok(ownership) => assert_eq!(ownership, Ownership::Clean),
        Err(error) => assert_eq!(error, Error::Destroyed),
    }
}

#[test]
fn revive_against_those_that_wait_since_before() {
    check("destroy, revive, enter", Shared::plain, [destroy_and_revive, enter], Shared::is_usable);
    let bodies = [destroy_and_revive, enter, enter];
    check("destroy, revive, 2 enter", Shared::plain, bodies, Shared::is_usable);
}

#[test]
fn revive_goes_on_after_a_death() {
    fn revive_and_die(s: &Shared) {
        _ = s.dies(|| revive(s));
    }
    fn can_be_made(s: &Shared) {
        match prepare(s) {
            Ok(()) => {}
            Err(error) => assert_eq!(error, Error::AlreadyInitialized),
        }
        s.is_usable();
    }
    let bodies = [revive_and_die, revive];
    check_each_death("destroyed, 2 revivers", destroyed, bodies, can_be_made);
    check_each_death("lost, 2 revivers", lost, bodies, can_be_made);
    fn use_it(s: &Shared) {
        match s.enter(Timeout::Never) {
            Ok(_) => {}
            Err(error) => assert!(matches!(error, Error::Destroyed | Error::NotRecoverable)),
        }
    }
    let bodies = [revive_and_die, use_it];
    check_each_death("destroyed, a reviver, use", destroyed, bodies, can_be_made);
}
