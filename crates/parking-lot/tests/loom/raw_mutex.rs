//! The word-sized mutex.

use super::*;

type State = (RawMutex, Data);

fn state() -> State {
    (RawMutex::new(), Data::new())
}

fn increment((mutex, data): &State) {
    mutex.lock();
    data.add(1);
    mutex.unlock();
}

fn increment_twice(state: &State) {
    increment(state);
    increment(state);
}

fn try_to_increment((mutex, data): &State) {
    if mutex.try_lock() {
        data.add(1);
        mutex.unlock();
    }
}

#[test]
fn two_threads() {
    exhaustive("raw mutex, 2 threads", || {
        let state = run(state(), &[increment, increment]);
        assert_eq!(state.1.get(), 2);
        assert!(!state.0.is_locked());
    });
}

#[test]
fn two_threads_twice() {
    exhaustive("raw mutex, 2 threads, 2 and 1 turns", || {
        let state = run(state(), &[increment_twice, increment]);
        assert_eq!(state.1.get(), 3);
    });
}

#[test]
fn three_threads() {
    bounded("raw mutex, 3 threads", || {
        let state = run(state(), &[increment, increment, increment]);
        assert_eq!(state.1.get(), 3);
        assert!(!state.0.is_locked());
    });
}

#[test]
fn try_lock() {
    exhaustive("raw mutex, try_lock and lock", || {
        let state = run(state(), &[try_to_increment, increment]);
        assert!(matches!(state.1.get(), 1 | 2));
    });
    bounded("raw mutex, try_lock and 2 locks", || {
        let state = run(state(), &[try_to_increment, increment, increment]);
        assert!(matches!(state.1.get(), 2 | 3));
    });
}

#[test]
fn racing_double_unlocks() {
    // One lock, two unlocks that race, and one or two who wait: whoever is refused is told
    // so, nobody is left waiting, and no waiter is touched after it has gone.
    hush_panics("unlocking mutex that is not locked");
    fn unlock((mutex, _): &State) {
        let _ = catch_unwind(AssertUnwindSafe(|| mutex.unlock()));
    }
    fn lock_and_unlock(state: &State) {
        state.0.lock();
        unlock(state);
    }
    fn locked() -> State {
        let state = state();
        state.0.lock();
        state
    }
    bounded("raw mutex, double unlock, 1 waiter", || {
        let state = run(locked(), &[lock_and_unlock, unlock, unlock]);
        state.0.lock();
        state.0.unlock();
    });
    bounded("raw mutex, double unlock, 2 waiters", || {
        let state = run(locked(), &[lock_and_unlock, lock_and_unlock, unlock, unlock]);
        state.0.lock();
        state.0.unlock();
    });
}
