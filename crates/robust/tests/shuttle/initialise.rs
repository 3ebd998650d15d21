//! Initialisers, of which some die. There is one mutex in the end.

use super::*;

/// The initialiser that dies does not use the mutex: there is no death to tell of.
fn initialise(s: &Shared) {
    s.may_die(30, || match s.initialize(any_kind()) {
        Ok(()) => _ = s.made.fetch_add(1, Relaxed),
        Err(error) => {
            assert!(matches!(error, Error::AlreadyInitialized | Error::Initializing), "{error:?}");
        }
    });
}

fn open(s: &Shared) {
    let made = s.open(any_kind(), Timeout::Never).unwrap();
    s.made.fetch_add(made.into(), Relaxed);
    enter(s);
}

fn enter(s: &Shared) {
    while let Err(error) = s.block.attach() {
        assert!(matches!(error, Error::Uninitialized | Error::Initializing), "{error:?}");
        shuttle::thread::yield_now();
    }
    assert_eq!(s.acquire(Timeout::Never), Ok(Ownership::Clean));
    assert_eq!(s.block.release(), Ok(()));
}

fn is_made_once(s: &Shared) {
    assert!(s.made.load(Relaxed) <= 1);
    s.is_usable();
}

fn try_out(name: &str, block: fn() -> Shared) {
    let bodies = [initialise, initialise, open, enter, initialise];
    TryOut::new(name, 6_000).run(block, bodies, is_made_once);
}

#[test]
fn initialise_where_there_is_nothing() {
    try_out("zeroes, 3 initialisers, open, enter", || Shared::around(Block::default(), false));
    try_out("garbage, 3 initialisers, open, enter", || Shared::around(Block::garbage(), false));
}

#[test]
fn initialise_after_a_reboot() {
    try_out("rebooted, 3 initialisers, open, enter", || {
        let shared = Shared::with(any_kind(), false);
        assert_eq!(shared.acquire(Timeout::Try), Ok(Ownership::Clean));
        model::reboot();
        shared
    });
}
