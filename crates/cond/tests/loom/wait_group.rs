use std::time::Duration;

use pysync_cond::{Latch, LockFlags, LockStatus, WaitGroup};
use pysync_parking_lot::{Key, inspect};
use pysync_testing::model::{Data, Explore};

const SOON: Option<Duration> = Some(Duration::from_millis(5));
const DETACH: LockFlags = LockFlags::DETACH;

struct Shared {
    group: WaitGroup,
    /// What each task publishes.
    data: [Data; 2],
}

/// Two threads in every order, three in those with at most two preemptions.
fn check<const N: usize>(name: &str, tasks: u32, bodies: [fn(&Shared); N], after: fn(&Shared)) {
    let model = Explore::new(format!("wait group, {name}"));
    let model = if N == 2 { model } else { model.preemptions(2) };
    let shared = move || {
        let group = WaitGroup::default();
        group.add(tasks);
        Shared { group, data: Default::default() }
    };
    model.run(shared, bodies, after);
}

fn task(s: &Shared) {
    s.data[0].add_one();
    s.group.done();
}

fn other_task(s: &Shared) {
    s.data[1].add_one();
    s.group.done();
}

fn wait_for_one(s: &Shared) {
    s.group.wait();
    assert_eq!(s.data[0].get(), 1);
}

fn wait_for_both(s: &Shared) {
    s.group.wait();
    assert_eq!((s.data[0].get(), s.data[1].get()), (1, 1));
}

fn is_empty(s: &Shared) {
    assert_eq!(s.group.count(), 0);
}

#[test]
fn wait_group_a_wait_sees_the_task() {
    check("1 task", 1, [wait_for_one, task], is_empty);
    check("1 task, 2 waits", 1, [wait_for_one, wait_for_one, task], is_empty);
}

/// The one that is woken by the last task sees the work of the other by the wake alone.
#[test]
fn wait_group_the_last_task_publishes_the_work_of_all() {
    check("2 tasks", 2, [wait_for_both, task, other_task], is_empty);
}

#[test]
fn wait_group_a_wait_with_a_deadline_leaves_nothing_behind() {
    fn timed(s: &Shared) {
        match s.group.wait_timed(SOON, DETACH) {
            LockStatus::Acquired => assert_eq!(s.data[0].get(), 1),
            LockStatus::Failure => {}
            LockStatus::Interrupted => unreachable!("no flag asks for it"),
        }
    }

    check("a deadline", 1, [timed, task], is_empty);
    check("a deadline and a wait", 1, [timed, wait_for_one, task], is_empty);
}

/// The next round begins before the waiter of the first runs, and nobody ends it.
#[test]
fn wait_group_a_group_that_is_used_again_loses_no_waiter() {
    fn task_and_next_round(s: &Shared) {
        let waits = inspect(Key::of(&s.group), |waiters| waiters.count()) > 0;
        task(s);
        s.group.add(1);
        // One that comes later may wait for the next round.
        if !waits {
            s.group.done();
        }
    }

    check("used again", 1, [wait_for_one, task_and_next_round], |_| ());
}

/// Either the count never was zero, or the new task is one of the next round.
#[test]
fn wait_group_a_task_may_come_as_another_ends() {
    fn next_task(s: &Shared) {
        s.group.add(1);
        s.group.done();
    }

    /// Woken, there is none but the new task.
    fn wait_and_count(s: &Shared) {
        wait_for_one(s);
        assert!(s.group.count() <= 1, "woken while the count was not zero");
    }

    check("a task comes", 1, [wait_and_count, task, next_task], is_empty);
}

#[test]
fn wait_group_a_latch_opens_for_all() {
    fn count_down(s: &(Latch, [Data; 2])) {
        s.1[0].add_one();
        s.0.count_down();
    }

    fn count_down_and_wait(s: &(Latch, [Data; 2])) {
        s.1[1].add_one();
        s.0.count_down();
        s.0.wait();
        assert_eq!(s.1[0].get(), 1);
    }

    Explore::new("latch, 2 threads").run(
        || (Latch::new(2), Default::default()),
        [count_down, count_down_and_wait],
        |s| assert!(s.0.is_open()),
    );
}
