//! The word-sized mutex under signals.

use super::*;

type State = (RawMutex, Section);

fn enter((mutex, section): &State) {
    mutex.lock();
    section.enter();
    mutex.unlock();
}

fn enter_twice(state: &State) {
    enter(state);
    enter(state);
}

fn try_to_enter((mutex, section): &State) {
    if mutex.try_lock() {
        section.enter();
        mutex.unlock();
    }
}

#[test]
fn gh_148820_signals_do_not_end_the_wait_for_a_raw_mutex() {
    let bodies = [enter_twice, enter, enter_twice, try_to_enter];
    try_out("raw mutex and signals, 3 threads").run(State::default, bodies, |state| {
        assert!(matches!(state.1.entered(), 5 | 6));
        assert!(!state.0.is_locked());
    });
}

#[test]
fn gh_148820_a_waiter_outlives_the_wake_it_is_owed() {
    // Waiters that come and go on one stack: one that left early would be woken twice, or be
    // found in the list when it is gone.
    fn wait(state: &State) {
        (0..4).for_each(|_| enter(state));
    }
    try_out("raw mutex and signals, waiters in turn").run(State::default, [wait; 3], |state| {
        assert_eq!(state.1.entered(), 12);
    });
}
