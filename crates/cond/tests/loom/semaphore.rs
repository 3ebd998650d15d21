use std::time::Duration;

use pysync_cond::{Deadline, LockFlags, LockStatus, Semaphore};
use pysync_parking_lot::{Key, Native, inspect};
use pysync_testing::model::{Data, Explore, Unlock};

const SOON: Option<Duration> = Some(Duration::from_millis(5));
const DETACH: LockFlags = LockFlags::DETACH;

#[derive(Default)]
struct Shared {
    semaphore: Semaphore,
    /// What the releases publish, each its own.
    data: [Data; 2],
    /// How many permits the waits have taken, each its own.
    taken: [Data; 2],
}

/// Two threads in every order, three in those with at most two preemptions.
fn check<const N: usize>(
    name: &str,
    unlock: Unlock,
    permits: u32,
    bodies: [fn(&Shared); N],
    after: fn(&Shared),
) {
    let model = Explore::new(format!("semaphore, {name}")).unlock(unlock);
    let model = if N == 2 { model } else { model.preemptions(2) };
    let shared = move || Shared { semaphore: Semaphore::new(permits), ..Shared::default() };
    model.run(shared, bodies, after);
}

fn release(s: &Shared) {
    s.data[0].add_one();
    s.semaphore.release(1);
}

fn release_too(s: &Shared) {
    s.data[1].add_one();
    s.semaphore.release(1);
}

fn hand_off(s: &Shared) {
    s.data[0].add_one();
    s.semaphore.release_handoff();
}

fn acquire(s: &Shared) {
    s.semaphore.acquire();
    s.taken[0].add_one();
}

fn acquire_too(s: &Shared) {
    s.semaphore.acquire();
    s.taken[1].add_one();
}

/// All permits that were released have been taken or are there.
fn keeps(s: &Shared, permits: u32) {
    let taken = s.taken[0].get() + s.taken[1].get();
    assert_eq!(taken + s.semaphore.available(), permits);
    assert!(s.semaphore.try_acquire_many(permits - taken), "what is there can be taken");
}

/// As a mutex.
#[test]
fn semaphore_one_permit_excludes_and_publishes() {
    fn enter(s: &Shared) {
        s.semaphore.acquire();
        s.data[0].add_one();
        s.semaphore.release(1);
    }

    fn all_have_been_inside<const N: u32>(s: &Shared) {
        assert_eq!(s.data[0].get(), N);
        assert_eq!(s.semaphore.available(), 1);
    }

    for unlock in [Unlock::Wakes, Unlock::HandsOff] {
        check("2 threads", unlock, 1, [enter; 2], all_have_been_inside::<2>);
        check("3 threads", unlock, 1, [enter; 3], all_have_been_inside::<3>);
    }
}

#[test]
fn semaphore_a_wait_with_a_deadline_has_the_permit_or_leaves_it() {
    fn timed(s: &Shared) {
        match s.semaphore.acquire_timed(SOON, DETACH) {
            LockStatus::Acquired => {
                s.taken[0].add_one();
                assert_eq!(s.data[0].get(), 1);
            }
            LockStatus::Failure => {}
            LockStatus::Interrupted => unreachable!("no flag asks for it"),
        }
    }

    for unlock in [Unlock::Wakes, Unlock::HandsOff] {
        check("a deadline", unlock, 0, [timed, release], |s| keeps(s, 1));
    }
    check("a deadline and a hand-off", Unlock::Wakes, 0, [timed, hand_off], |s| keeps(s, 1));
}

#[test]
fn semaphore_a_barger_takes_no_permit_that_is_assigned() {
    fn barge(s: &Shared) {
        if s.semaphore.try_acquire() {
            assert_eq!(s.data[0].get(), 1);
            s.semaphore.release(1);
        }
    }

    /// The barger is the releaser: nothing comes between. One that waits does so until it is woken.
    fn hand_off_and_barge(s: &Shared) {
        let waits = inspect(Key::of(&s.semaphore), |waiters| waiters.count()) > 0;
        hand_off(s);
        assert!(!(waits && s.semaphore.try_acquire()));
    }

    fn the_waiter_has_it(s: &Shared) {
        assert_eq!(s.taken[0].get(), 1);
        keeps(s, 1);
    }

    for unlock in [Unlock::Wakes, Unlock::HandsOff] {
        check("a barger", unlock, 0, [acquire, release, barge], the_waiter_has_it);
    }
    let bodies = [acquire, hand_off, barge];
    check("a barger and a hand-off", Unlock::Wakes, 0, bodies, the_waiter_has_it);
    check("a hand-off, taken back", Unlock::Wakes, 0, [acquire, hand_off_and_barge], |s| {
        assert_eq!(s.taken[0].get(), 1);
    });
}

#[test]
fn semaphore_one_release_of_two_serves_both_waiters() {
    fn release_two(s: &Shared) {
        s.semaphore.release(2);
    }

    for unlock in [Unlock::Wakes, Unlock::HandsOff] {
        check("release(2)", unlock, 0, [acquire, acquire_too, release_two], |s| keeps(s, 2));
    }
}

#[test]
fn semaphore_two_releases_serve_two_waiters() {
    fn acquire_both(s: &Shared) {
        acquire(s);
        acquire_too(s);
    }

    for unlock in [Unlock::Wakes, Unlock::HandsOff] {
        check("2 releases", unlock, 0, [acquire_both, release, release_too], |s| keeps(s, 2));
    }
}

/// Both releasers' data reach the one that takes both permits, though it may be assigned one of them
/// long before the other, or find one in the word.
#[test]
fn semaphore_two_permits_at_once_publish_both_releases() {
    fn acquire_two(s: &Shared) {
        s.semaphore.acquire_many(2);
        assert_eq!((s.data[0].get(), s.data[1].get()), (1, 1));
        s.taken[0].set(2);
    }

    for unlock in [Unlock::Wakes, Unlock::HandsOff] {
        check("acquire(2)", unlock, 0, [acquire_two, release, release_too], |s| keeps(s, 2));
    }
    let bodies = [acquire_two, hand_off, release_too];
    check("acquire(2) and a hand-off", Unlock::Wakes, 0, bodies, |s| keeps(s, 2));
}

fn two_in_time(s: &Shared) {
    let deadline = Deadline::after(SOON);
    if s.semaphore.acquire_in::<Native>(2, deadline, DETACH) == LockStatus::Acquired {
        s.taken[0].set(2);
    }
}

#[test]
fn semaphore_what_a_waiter_was_assigned_comes_back_at_its_deadline() {
    for unlock in [Unlock::Wakes, Unlock::HandsOff] {
        check("acquire(2) in time", unlock, 0, [two_in_time, release, release_too], |s| {
            keeps(s, 2)
        });
    }
    check("acquire(2) in time, one", Unlock::Wakes, 0, [two_in_time, hand_off], |s| keeps(s, 1));
}

/// The one in front needs two permits, and gives up. There is one, for the one behind it: else that
/// waits forever.
#[test]
fn semaphore_one_that_gives_up_lets_those_behind_it_be_served() {
    for unlock in [Unlock::Wakes, Unlock::HandsOff] {
        let bodies = [two_in_time, acquire_too, release];
        check("one that gives up", unlock, 0, bodies, |s| keeps(s, 1));
    }
}

/// The word has one permit already, which is too few.
#[test]
fn semaphore_two_permits_at_once_come_from_the_release_and_the_word() {
    fn acquire_two(s: &Shared) {
        s.semaphore.acquire_many(2);
        assert_eq!(s.data[0].get(), 1);
        s.taken[0].set(2);
    }

    for unlock in [Unlock::Wakes, Unlock::HandsOff] {
        check("acquire(2) of 1", unlock, 1, [acquire_two, release], |s| keeps(s, 2));
    }
}

/// Each of the two needs all permits, which come one by one: none may keep one from the other.
#[test]
fn semaphore_two_that_need_all_permits_do_not_wait_for_each_other() {
    fn hold_two(s: &Shared) {
        s.semaphore.acquire_many(2);
        s.data[0].add_one();
        s.semaphore.release(1);
        s.semaphore.release(1);
    }

    check("acquire(2), 3 threads", Unlock::Wakes, 2, [hold_two; 3], |s| {
        assert_eq!((s.data[0].get(), s.semaphore.available()), (3, 2));
    });
}

#[test]
fn semaphore_a_guard_releases_what_it_has() {
    fn enter(s: &Shared) {
        let _permit = s.semaphore.permit();
        s.data[0].add_one();
    }

    check("guards", Unlock::Wakes, 1, [enter; 2], |s| {
        assert_eq!((s.data[0].get(), s.semaphore.available()), (2, 1));
    });
}
