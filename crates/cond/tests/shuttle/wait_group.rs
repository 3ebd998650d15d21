use std::time::Duration;

use pysync_cond::{LockFlags, LockStatus, WaitGroup};
use pysync_parking_lot::{Native, PendingCallError};
use pysync_testing::model::{Data, TryOut};
use shuttle::rand::Rng;

const SOON: Option<Duration> = Some(Duration::from_millis(5));

struct Shared {
    group: WaitGroup,
    work: [Data; 2],
}

fn two_tasks() -> Shared {
    let group = WaitGroup::default();
    group.add(2);
    Shared { group, work: Default::default() }
}

fn all_is_done(s: &Shared) {
    assert_eq!((s.work[0].get(), s.work[1].get()), (1, 1));
}

/// Waits as `timeout` and `flags` have it.
fn wait(s: &Shared, timeout: Option<Duration>, flags: LockFlags) -> LockStatus {
    let status = s.group.wait_timed(timeout, flags);
    if status == LockStatus::Acquired {
        all_is_done(s);
    }
    status
}

fn task(s: &Shared) {
    s.work[0].add_one();
    s.group.done();
}

/// Has one more task done, so that the count rises meanwhile.
fn task_and_another(s: &Shared) {
    s.work[1].add_one();
    drop(s.group.task());
    s.group.done();
}

fn to_the_end(s: &Shared) {
    assert_eq!(wait(s, None, LockFlags::DETACH), LockStatus::Acquired);
}

fn in_time(s: &Shared) {
    assert_ne!(wait(s, SOON, LockFlags::DETACH), LockStatus::Interrupted);
}

fn until_a_signal(s: &Shared) {
    assert_ne!(wait(s, None, LockFlags::FAIL_IF_INTERRUPTED), LockStatus::Failure);
}

fn until_a_pending_call_fails(s: &Shared) {
    Native::set_pending_calls(Some(|| {
        let fails = shuttle::rand::thread_rng().gen_ratio(1, 2);
        if fails { Err(PendingCallError) } else { Ok(()) }
    }));
    assert_ne!(wait(s, None, LockFlags::HANDLE_SIGNALS), LockStatus::Failure);
}

#[test]
fn wait_group_every_wait_ends_with_the_tasks_or_as_it_was_asked_to() {
    let bodies =
        [to_the_end, task, in_time, until_a_signal, task_and_another, until_a_pending_call_fails];
    TryOut::new("wait group, waits of every kind", 16_000).run(two_tasks, bodies, |s| {
        all_is_done(s);
        assert_eq!(s.group.count(), 0);
    });
}

/// As Go's TestWaitGroup: the second group is for those who have come to the end of the first.
#[test]
fn wait_group_one_group_ends_after_another() {
    fn come_and_go(s: &[WaitGroup; 2]) {
        s[0].done();
        s[1].wait();
    }

    fn let_go(s: &[WaitGroup; 2]) {
        s[0].wait();
        s[1].done();
    }

    let groups = || {
        let groups = [WaitGroup::default(), WaitGroup::default()];
        groups[0].add(3);
        groups[1].add(1);
        groups
    };
    let bodies = [come_and_go, come_and_go, let_go, come_and_go];
    TryOut::new("wait group, 2 of them", 8_000).run(groups, bodies, |s| {
        assert_eq!((s[0].count(), s[1].count()), (0, 0));
    });
}
