//! The word-sized mutex under signals.

use super::*;

type State = (RawMutex, Data);

fn increment((mutex, data): &State) {
    mutex.lock();
    data.increment();
    mutex.unlock();
}

fn increment_twice(state: &State) {
    increment(state);
    increment(state);
}

fn try_to_increment((mutex, data): &State) {
    if mutex.try_lock() {
        data.increment();
        mutex.unlock();
    }
}

#[test]
fn gh_148820_signals_do_not_end_the_wait_for_a_raw_mutex() {
    check("raw mutex and signals, 3 threads", || {
        let state = (RawMutex::new(), Data::new());
        let bodies = [increment_twice, increment, increment_twice, try_to_increment];
        let state = run(state, &bodies);
        assert!(matches!(state.1.get(), 5 | 6));
        assert!(!state.0.is_locked());
    });
}

#[test]
fn gh_148820_a_waiter_outlives_the_wake_it_is_owed() {
    // Waiters that come and go on one stack: one that left early would be woken twice, or be
    // found in the list when it is gone.
    check("raw mutex and signals, waiters in turn", || {
        let state = (RawMutex::new(), Data::new());
        let waiter: fn(&State) = |state| (0..4).for_each(|_| increment(state));
        let state = run(state, &[waiter, waiter, waiter]);
        assert_eq!(state.1.get(), 12);
    });
}
