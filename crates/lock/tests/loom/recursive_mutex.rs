use pysync_lock::RecursiveMutex;
use pysync_testing::model::{Data, Explore, Unlock};

#[derive(Default)]
struct Shared {
    mutex: RecursiveMutex,
    data: Data,
}

fn add_one(s: &Shared) {
    s.mutex.lock();
    s.data.add_one();
    s.mutex.unlock();
}

/// Unlocked in between, the other would get in.
fn add_one_nested(s: &Shared) {
    s.mutex.lock();
    let value = s.data.get();
    s.mutex.lock();
    s.mutex.unlock();
    assert!(s.mutex.is_locked_by_current_thread());
    s.data.set(value + 1);
    s.mutex.unlock();
}

/// Two threads in every order, three in those with at most one preemption.
fn check<const N: usize>(name: &str, unlock: Unlock, bodies: [fn(&Shared); N], after: fn(&Shared)) {
    let model = Explore::new(format!("recursive mutex, {name}")).unlock(unlock);
    let model = if N == 2 { model } else { model.preemptions(1) };
    model.run(Shared::default, bodies, after);
}

#[test]
fn recursive_mutex_two_threads_exclude_each_other_and_see_each_others_data() {
    check("2 threads", Unlock::Wakes, [add_one, add_one_nested], |s| assert_eq!(s.data.get(), 2));
}

#[test]
fn recursive_mutex_hand_off_publishes_the_data() {
    check("2 threads", Unlock::HandsOff, [add_one, add_one_nested], |s| {
        assert_eq!(s.data.get(), 2);
    });
}

#[test]
fn recursive_mutex_three_threads_lose_no_wake() {
    check("3 threads", Unlock::Wakes, [add_one, add_one_nested, add_one], |s| {
        assert_eq!(s.data.get(), 3);
    });
}

/// The ident is looked at without the mutex: another's must not be taken for one's own.
#[test]
fn recursive_mutex_nobody_mistakes_anothers_for_its_own() {
    fn look(s: &Shared) {
        assert!(!s.mutex.is_locked_by_current_thread());
        assert!(s.mutex.try_unlock().is_err());
    }

    check("a look", Unlock::Wakes, [add_one_nested, look], |s| assert_eq!(s.data.get(), 1));
}
