use std::time::Duration;

use pysync_cond::{Deadline, LockFlags, LockStatus, Semaphore};
use pysync_parking_lot::{Key, Native, PendingCallError, inspect};
use pysync_testing::model::{Section, TryOut};
use shuttle::rand::Rng;

const SOON: Option<Duration> = Some(Duration::from_millis(5));
const DETACH: LockFlags = LockFlags::DETACH;
const FAIL: LockFlags = LockFlags::FAIL_IF_INTERRUPTED;

struct Shared {
    semaphore: Semaphore,
    permits: u32,
    section: Section,
}

/// Takes `n` as `deadline` and `flags` have it, and gives them back in some way.
fn hold(s: &Shared, n: u32, timeout: Option<Duration>, flags: LockFlags) -> LockStatus {
    let deadline = Deadline::after(timeout);
    let status = if n == 1 && shuttle::rand::thread_rng().gen_ratio(1, 4) {
        s.semaphore.acquire_lifo_in::<Native>(deadline, flags)
    } else {
        s.semaphore.acquire_in::<Native>(n, deadline, flags)
    };
    if status == LockStatus::Acquired {
        if s.permits == n {
            s.section.enter();
        }
        match shuttle::rand::thread_rng().gen_range(0..3) {
            0 => (0..n).for_each(|_| s.semaphore.release_handoff()),
            1 => (0..n).for_each(|_| s.semaphore.release(1)),
            _ => s.semaphore.release(n),
        }
    }
    status
}

fn one(s: &Shared) {
    assert_eq!(hold(s, 1, None, DETACH), LockStatus::Acquired);
}

fn two(s: &Shared) {
    assert_eq!(hold(s, 2, None, DETACH), LockStatus::Acquired);
}

fn one_in_time(s: &Shared) {
    assert_ne!(hold(s, 1, SOON, DETACH), LockStatus::Interrupted);
}

fn two_in_time(s: &Shared) {
    assert_ne!(hold(s, 2, SOON, DETACH), LockStatus::Interrupted);
}

fn two_until_a_signal(s: &Shared) {
    assert_ne!(hold(s, 2, None, FAIL), LockStatus::Failure);
}

fn one_until_a_pending_call_fails(s: &Shared) {
    Native::set_pending_calls(Some(|| {
        let fails = shuttle::rand::thread_rng().gen_ratio(1, 2);
        if fails { Err(PendingCallError) } else { Ok(()) }
    }));
    assert_ne!(hold(s, 1, None, LockFlags::HANDLE_SIGNALS), LockStatus::Failure);
}

fn an_attempt(s: &Shared) {
    if let Some(permit) = s.semaphore.try_permit() {
        drop(permit);
    }
}

/// Tries `bodies` out; then all permits are there.
fn check<const N: usize>(name: &str, schedules: usize, permits: u32, bodies: [fn(&Shared); N]) {
    let shared = move || {
        let semaphore = Semaphore::new(permits);
        Shared { semaphore, permits, section: Section::default() }
    };
    TryOut::new(name, schedules).run(shared, bodies, |s| {
        assert_eq!(s.semaphore.available(), s.permits);
        s.semaphore.acquire_many(s.permits);
    });
}

#[test]
fn semaphore_excludes_and_loses_no_wake() {
    check("semaphore, 1 permit", 16_000, 1, [one, one, one, an_attempt]);
    check("semaphore, 2 at once", 16_000, 2, [two, two, two, an_attempt]);
}

#[test]
fn semaphore_those_who_give_up_keep_no_permit() {
    check("semaphore, deadlines", 16_000, 2, [one, two_in_time, two, one_in_time]);
    let bodies = [one, two_until_a_signal, two, one_until_a_pending_call_fails];
    check("semaphore, signals", 16_000, 2, bodies);
}

#[test]
fn semaphore_every_kind_of_wait_at_once() {
    let bodies = [
        one,
        two_in_time,
        two_until_a_signal,
        an_attempt,
        two,
        one_in_time,
        one_until_a_pending_call_fails,
        one,
    ];
    for permits in [2, 3] {
        check("semaphore, 8 threads of every kind", 8_000, permits, bodies);
    }
}

/// The waiters are known by their park arguments, which do not change while they wait.
#[test]
fn semaphore_one_that_was_woken_in_vain_keeps_its_place() {
    fn queue(s: &Shared) -> Vec<usize> {
        inspect(Key::of(&s.semaphore), |waiters| waiters.map(|waiter| waiter.addr()).collect())
    }

    fn acquire(s: &Shared) {
        s.semaphore.acquire();
    }

    /// Releases a permit and takes it back. The one that was woken for it queues again.
    fn tease(s: &Shared) {
        let before = queue(s);
        s.semaphore.release(1);
        if before.len() == 2 && s.semaphore.try_acquire() {
            while queue(s).len() < 2 {
                shuttle::thread::yield_now();
            }
            assert_eq!(queue(s), before);
            s.semaphore.release(1);
        }
        s.semaphore.release(1);
    }

    let shared =
        || Shared { semaphore: Semaphore::default(), permits: 0, section: Section::default() };
    TryOut::new("semaphore, woken in vain", 16_000).run(shared, [acquire, acquire, tease], |s| {
        assert_eq!(s.semaphore.available(), 0);
    });
}
