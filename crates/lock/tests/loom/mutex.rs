use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use loom::sync::atomic::AtomicUsize;
use pysync_lock::{LockFlags, LockStatus, Mutex};
use pysync_testing::model::{Data, Explore, Unlock};

const SOON: Option<Duration> = Some(Duration::from_millis(5));

#[derive(Default)]
struct Shared {
    mutex: Mutex,
    data: Data,
}

fn add_one(s: &Shared) {
    s.mutex.lock();
    s.data.add_one();
    s.mutex.unlock();
}

fn two_are_counted(s: &Shared) {
    // By now everything is ordered by the joins.
    assert_eq!(s.data.get(), 2);
    assert!(!s.mutex.is_locked());
}

fn three_are_counted(s: &Shared) {
    assert_eq!(s.data.get(), 3);
    assert!(!s.mutex.is_locked());
}

/// Two threads in every order, three in those with at most three preemptions.
fn check<const N: usize>(name: &str, unlock: Unlock, bodies: [fn(&Shared); N], after: fn(&Shared)) {
    let model = Explore::new(format!("mutex, {name}")).unlock(unlock);
    let model = if N == 2 { model } else { model.preemptions(3) };
    model.run(Shared::default, bodies, after);
}

#[test]
fn mutex_two_threads_exclude_each_other_and_see_each_others_data() {
    check("2 threads", Unlock::Wakes, [add_one, add_one], two_are_counted);
}

/// The new holder locks nothing: what the old one wrote reaches it through the wake alone.
#[test]
fn mutex_hand_off_publishes_the_data() {
    check("2 threads", Unlock::HandsOff, [add_one, add_one], two_are_counted);
}

#[test]
fn mutex_three_threads_lose_no_wake() {
    check("3 threads", Unlock::Wakes, [add_one; 3], three_are_counted);
}

#[test]
fn mutex_three_threads_hand_it_on() {
    check("3 threads", Unlock::HandsOff, [add_one; 3], three_are_counted);
}

#[test]
fn mutex_attempts_see_the_data_if_they_succeed() {
    fn attempt(s: &Shared) {
        if s.mutex.try_lock() {
            s.data.add_one();
            s.mutex.unlock();
        }
    }

    for unlock in [Unlock::Wakes, Unlock::HandsOff] {
        check("try_lock", unlock, [add_one, attempt], |s| assert!(matches!(s.data.get(), 1 | 2)));
        check("try_lock and a waiter", unlock, [add_one, attempt, add_one], |s| {
            assert!(matches!(s.data.get(), 2 | 3));
        });
    }
}

/// The thread that gives up may be the one that an unlock is about to wake: then it has been
/// woken, and must take it on.
#[test]
fn mutex_a_wait_that_times_out_takes_no_wake_with_it() {
    fn timed(s: &Shared) {
        match s.mutex.lock_timed(SOON, LockFlags::DETACH) {
            LockStatus::Acquired => {
                s.data.add_one();
                s.mutex.unlock();
            }
            LockStatus::Failure => {}
            LockStatus::Interrupted => unreachable!("no flag asks for it"),
        }
    }

    fn is_free(s: &Shared) {
        assert!(matches!(s.data.get(), 1..=3));
        assert!(s.mutex.try_lock(), "handed to a thread that gave up");
    }

    for unlock in [Unlock::Wakes, Unlock::HandsOff] {
        check("a timeout", unlock, [add_one, timed], is_free);
        check("a timeout and a waiter", unlock, [add_one, timed, add_one], is_free);
    }
}

#[test]
fn mutex_unlocking_fails_for_all_but_one() {
    fn unlock(s: &(Mutex, AtomicUsize)) {
        if s.0.try_unlock().is_ok() {
            s.1.fetch_add(1, Relaxed);
        }
    }

    fn locked() -> (Mutex, AtomicUsize) {
        let state = (Mutex::default(), AtomicUsize::new(0));
        state.0.lock();
        state
    }

    Explore::new("mutex, 2 unlocks").run(locked, [unlock, unlock], |s| {
        assert_eq!(s.1.load(Relaxed), 1);
    });
}
