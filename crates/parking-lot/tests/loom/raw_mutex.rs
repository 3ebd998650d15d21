//! The word-sized mutex.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pysync_testing::hush_panics;

use super::*;

type State = (RawMutex, Data);

fn increment((mutex, data): &State) {
    mutex.lock();
    data.add_one();
    mutex.unlock();
}

fn increment_twice(state: &State) {
    increment(state);
    increment(state);
}

fn try_to_increment((mutex, data): &State) {
    if mutex.try_lock() {
        data.add_one();
        mutex.unlock();
    }
}

/// All have counted, and the mutex is free.
fn counted(state: &State, total: u32) {
    assert_eq!(state.1.get(), total);
    assert!(!state.0.is_locked());
}

#[test]
fn two_threads() {
    Explore::new("raw mutex, 2 threads")
        .run(State::default, [increment; 2], |state| counted(state, 2));
}

#[test]
fn two_threads_twice() {
    let bodies = [increment_twice, increment];
    Explore::new("raw mutex, 2 threads, 2 and 1 turns")
        .run(State::default, bodies, |state| counted(state, 3));
}

#[test]
fn three_threads() {
    Explore::new("raw mutex, 3 threads")
        .bounded()
        .run(State::default, [increment; 3], |state| counted(state, 3));
}

#[test]
fn try_lock() {
    let bodies = [try_to_increment, increment];
    Explore::new("raw mutex, try_lock and lock").run(State::default, bodies, |state| {
        assert!(matches!(state.1.get(), 1 | 2));
    });
    let bodies = [try_to_increment, increment, increment];
    Explore::new("raw mutex, try_lock and 2 locks").bounded().run(
        State::default,
        bodies,
        |state| {
            assert!(matches!(state.1.get(), 2 | 3));
        },
    );
}

#[test]
fn racing_double_unlocks() {
    // One lock, two unlocks that race, and one or two waiters. The unlocker that comes too late is
    // told so, no waiter is left behind, and none is touched after it has gone.
    hush_panics("unlocking mutex that is not locked");
    fn unlock((mutex, _): &State) {
        let _ = catch_unwind(AssertUnwindSafe(|| mutex.unlock()));
    }
    fn lock_and_unlock(state: &State) {
        state.0.lock();
        unlock(state);
    }
    fn locked() -> State {
        let state = State::default();
        state.0.lock();
        state
    }
    fn is_free((mutex, _): &State) {
        mutex.lock();
        mutex.unlock();
    }
    Explore::new("raw mutex, double unlock, 1 waiter").bounded().run(
        locked,
        [lock_and_unlock, unlock, unlock],
        is_free,
    );
    // Four threads have half a million orders with three preemptions, so these have two.
    Explore::new("raw mutex, double unlock, 2 waiters").preemptions(2).run(
        locked,
        [lock_and_unlock, lock_and_unlock, unlock, unlock],
        is_free,
    );
}
