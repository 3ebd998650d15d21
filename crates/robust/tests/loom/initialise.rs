//! Initialisers against each other, against those that attach, and after the death of one.

use super::*;

/// What it takes to have made the mutex.
const PREPARED: u32 = 7;

fn prepare(s: &Shared) -> Result<(), Error> {
    s.block.initialize_with(Kind::Plain, || s.data.set(PREPARED))
}

fn initialise(s: &Shared) {
    match prepare(s) {
        Ok(()) => _ = s.made.fetch_add(1, Relaxed),
        Err(Error::AlreadyInitialized) => assert_eq!(s.data.get(), PREPARED),
        Err(error) => assert_eq!(error, Error::Initializing),
    }
}

fn attach(s: &Shared) {
    match s.block.attach() {
        Ok(()) => assert_eq!(s.data.get(), PREPARED),
        Err(error) => assert!(matches!(error, Error::Uninitialized | Error::Initializing)),
    }
}

fn look(s: &Shared) {
    use pysync_robust::State;

    let state = s.block.state();
    assert!(matches!(state, Ok(State::Uninitialized | State::Initializing | State::Free)));
}

/// Without a look before.
fn acquire(s: &Shared) {
    match s.enter(Timeout::Try) {
        Ok(ownership) => {
            assert_eq!(ownership, Ownership::Clean);
            assert_eq!(s.data.get(), PREPARED);
        }
        Err(error) => assert_eq!(error, Error::Uninitialized),
    }
}

fn attach_and_acquire(s: &Shared) {
    if s.block.attach().is_ok() {
        assert_eq!(s.enter(Timeout::Never), Ok(Ownership::Clean));
    }
}

fn open(s: &Shared) {
    let made = s.block.open_with(Kind::Plain, Timeout::Never, || s.data.set(PREPARED)).unwrap();
    s.made.fetch_add(made.into(), Relaxed);
    assert_eq!(s.data.get(), PREPARED);
    assert_eq!(s.enter(Timeout::Never), Ok(Ownership::Clean));
}

fn is_made_once(s: &Shared) {
    assert_eq!(s.made.load(Relaxed), 1);
    s.is_usable();
}

fn zeroes(step: u32) -> Shared {
    model::begin(false);
    Shared::around(Block::default(), step)
}

fn garbage(step: u32) -> Shared {
    model::begin(false);
    Shared::around(Block::garbage(), step)
}

/// In a file, from before a reboot at which a thread held it.
fn from_before(step: u32) -> Shared {
    let shared = Shared::with(Kind::Plain, step);
    assert_eq!(shared.block.acquire(Timeout::Try), Ok(Ownership::Clean));
    model::reboot();
    shared
}

/// From each of the states in which there is no mutex.
fn check_each_nothing<const N: usize>(name: &str, bodies: [fn(&Shared); N], after: fn(&Shared)) {
    check(&format!("zeroes, {name}"), || zeroes(u32::MAX), bodies, after);
    check(&format!("garbage, {name}"), || garbage(u32::MAX), bodies, after);
    check(&format!("rebooted, {name}"), || from_before(u32::MAX), bodies, after);
}

#[test]
fn initialise_one_of_two_succeeds() {
    check_each_nothing("2 initialisers", [initialise; 2], is_made_once);
}

#[test]
fn initialise_one_of_three_succeeds() {
    let shared = || zeroes(u32::MAX);
    check_within(0, "zeroes, 3 initialisers", shared, [initialise; 3], is_made_once);
}

#[test]
fn initialise_what_is_prepared_is_seen_by_who_attaches() {
    check_each_nothing("an initialiser, attach", [initialise, attach], is_made_once);
    check_each_nothing("an initialiser, state", [initialise, look], is_made_once);
}

#[test]
fn initialise_against_use() {
    let bodies = [initialise, acquire];
    check("zeroes, an initialiser, acquire", || zeroes(u32::MAX), bodies, is_made_once);
    check("garbage, an initialiser, acquire", || garbage(u32::MAX), bodies, is_made_once);
    let bodies = [initialise, attach_and_acquire];
    check_each_nothing("an initialiser, attach and acquire", bodies, is_made_once);
}

/// It changes nothing, whatever it comes across.
#[test]
fn initialise_against_a_stranger() {
    fn release(s: &Shared) {
        let error = s.block.release().unwrap_err();
        assert!(matches!(error, Error::Uninitialized | Error::NotOwner));
    }
    fn give_up(s: &Shared) {
        let error = s.block.give_up().unwrap_err();
        assert!(matches!(error, Error::Uninitialized | Error::NotOwner));
    }
    fn destroy(s: &Shared) {
        if let Err(error) = s.block.destroy() {
            return assert_eq!(error, Error::Uninitialized);
        }
        assert_eq!(s.block.initialize(Kind::Plain), Ok(()));
    }
    check("an initialiser, release", || zeroes(u32::MAX), [initialise, release], is_made_once);
    check("an initialiser, give up", || zeroes(u32::MAX), [initialise, give_up], is_made_once);
    check("an initialiser, destroy", || zeroes(u32::MAX), [initialise, destroy], is_made_once);
}

#[test]
fn initialise_by_open() {
    let shared = || zeroes(u32::MAX);
    check_within(0, "zeroes, 2 open", shared, [open; 2], is_made_once);
    let shared = || garbage(u32::MAX);
    check_within(1, "garbage, open, an initialiser", shared, [open, initialise], is_made_once);
}

fn initialise_and_die(s: &Shared) {
    _ = s.dies(|| initialise(s));
}

/// The claim of the dead is taken over, now or by the next.
fn can_be_made(s: &Shared) {
    match prepare(s) {
        Ok(()) => {}
        Err(error) => assert_eq!(error, Error::AlreadyInitialized),
    }
    assert_eq!(s.data.get(), PREPARED);
    assert!(s.made.load(Relaxed) <= 1);
    s.is_usable();
}

#[test]
fn initialise_goes_on_after_a_death() {
    let bodies = [initialise_and_die, initialise];
    check_each_death_within(1, "zeroes, 2 initialisers", zeroes, bodies, can_be_made);
    check_each_death_within(1, "rebooted, 2 initialisers", from_before, bodies, can_be_made);
    let bodies = [initialise_and_die, open];
    check_each_death_within(1, "zeroes, an initialiser, open", zeroes, bodies, can_be_made);
    let bodies = [initialise_and_die, attach_and_acquire];
    check_each_death_within(1, "zeroes, an initialiser, use", zeroes, bodies, can_be_made);
}
