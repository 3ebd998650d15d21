use std::ops::RangeInclusive;
use std::time::Duration;

use pysync_lock::{LockFlags, LockStatus, Mutex};
use pysync_parking_lot::{Native, PendingCallError};
use pysync_testing::model::{Section, TryOut};
use shuttle::rand::Rng;

const SOON: Option<Duration> = Some(Duration::from_millis(5));

#[derive(Default)]
struct Shared {
    mutex: Mutex,
    section: Section,
}

fn enter(s: &Shared) {
    s.mutex.lock();
    s.section.enter();
    s.mutex.unlock();
}

/// As `flags` and `timeout` have it; whether it was entered.
fn enter_if(s: &Shared, timeout: Option<Duration>, flags: LockFlags) -> LockStatus {
    let status = s.mutex.lock_timed(timeout, flags);
    if status == LockStatus::Acquired {
        s.section.enter();
        s.mutex.unlock();
    }
    status
}

fn with_a_timeout(s: &Shared) {
    let status = enter_if(s, SOON, LockFlags::DETACH);
    assert_ne!(status, LockStatus::Interrupted);
}

fn until_a_signal(s: &Shared) {
    let status = enter_if(s, None, LockFlags::DETACH | LockFlags::FAIL_IF_INTERRUPTED);
    assert_ne!(status, LockStatus::Failure);
}

fn until_a_signal_or_a_timeout(s: &Shared) {
    _ = enter_if(s, SOON, LockFlags::FAIL_IF_INTERRUPTED);
}

fn with_pending_calls(s: &Shared) {
    Native::set_pending_calls(Some(|| Ok(())));
    let status = enter_if(s, None, LockFlags::DETACH | LockFlags::HANDLE_SIGNALS);
    assert_eq!(status, LockStatus::Acquired);
}

fn until_a_pending_call_fails(s: &Shared) {
    Native::set_pending_calls(Some(|| {
        let fails = shuttle::rand::thread_rng().gen_ratio(1, 2);
        if fails { Err(PendingCallError) } else { Ok(()) }
    }));
    let status = enter_if(s, None, LockFlags::HANDLE_SIGNALS);
    assert_ne!(status, LockStatus::Failure);
}

fn an_attempt(s: &Shared) {
    if s.mutex.try_lock() {
        s.section.enter();
        s.mutex.unlock();
    }
}

/// No thread holds it any more, whichever gave up at whatever moment.
fn is_free(s: &Shared) {
    assert!(s.mutex.try_lock(), "handed to a thread that had given up");
    s.mutex.unlock();
}

/// Tries `bodies` out; then so many of them have entered, and the mutex is free.
fn check<const N: usize>(
    name: &str,
    schedules: usize,
    bodies: [fn(&Shared); N],
    entered: RangeInclusive<u32>,
) {
    TryOut::new(name, schedules).run(Shared::default, bodies, move |s| {
        assert!(entered.contains(&s.section.entered()));
        is_free(s);
    });
}

#[test]
fn mutex_excludes_and_loses_no_wake() {
    check("mutex, 3 threads", 40_000, [enter; 3], 3..=3);
}

#[test]
fn mutex_a_thread_that_gives_up_takes_no_wake_with_it() {
    let bodies = [enter, with_a_timeout, enter, with_a_timeout];
    check("mutex, timeouts", 40_000, bodies, 2..=4);
}

#[test]
fn mutex_a_thread_that_is_interrupted_takes_no_wake_with_it() {
    let bodies = [enter, until_a_signal, with_pending_calls, until_a_pending_call_fails];
    check("mutex, signals", 40_000, bodies, 2..=4);
}

#[test]
fn mutex_every_kind_of_wait_at_once() {
    let bodies = [
        enter,
        with_a_timeout,
        until_a_signal,
        an_attempt,
        with_pending_calls,
        until_a_signal_or_a_timeout,
        enter,
        until_a_pending_call_fails,
        with_a_timeout,
        an_attempt,
    ];
    check("mutex, 10 threads of every kind", 16_000, bodies, 3..=10);
}

/// Two locks in one bucket, as all are in a model: the parked bit speaks for both.
#[test]
fn gh_135641_mutexes_that_share_a_bucket_do_not_confuse_each_other() {
    fn enter_first(s: &[Shared; 2]) {
        enter(&s[0]);
    }

    fn enter_second(s: &[Shared; 2]) {
        enter(&s[1]);
    }

    fn enter_second_in_time(s: &[Shared; 2]) {
        with_a_timeout(&s[1]);
    }

    fn enter_both(s: &[Shared; 2]) {
        enter_first(s);
        enter_second(s);
    }

    TryOut::new("mutex, 2 of them", 24_000).run(
        <[Shared; 2]>::default,
        [enter_first, enter_second, enter_second_in_time, enter_both, enter_both],
        |both| {
            assert_eq!(both[0].section.entered(), 3);
            assert!((3..=4).contains(&both[1].section.entered()));
            both.iter().for_each(is_free);
        },
    );
}
