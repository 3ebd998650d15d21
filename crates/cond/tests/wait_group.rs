//! The wait group: counting, reuse, what a wait sees, misuse.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::mem::{MaybeUninit, align_of, size_of};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::*};
use std::thread;
use std::time::{Duration, Instant};

use pysync_cond::{Deadline, LockFlags, LockStatus, WaitGroup};
use pysync_parking_lot::{Key, Native, inspect};
use pysync_testing::{Sleeper, panics_with, together, wait_until, watchdog, watchdog_for};

const NEGATIVE: &str = "negative WaitGroup counter";
const TOO_MANY: &str = "too many tasks";
const DETACH: LockFlags = LockFlags::DETACH;

fn soon() -> Option<Duration> {
    Some(Duration::from_millis(2))
}

/// Returns once so many threads wait.
fn until_queued(group: &WaitGroup, count: usize) {
    wait_until(|| inspect(Key::of(group), |waiters| waiters.count()) == count);
}

#[test]
fn it_has_four_bytes_and_zeroed_memory_has_no_tasks() {
    assert_eq!((size_of::<WaitGroup>(), align_of::<WaitGroup>()), (4, 4));
    // SAFETY: zeroes are valid, as is promised.
    let zeroed: WaitGroup = unsafe { MaybeUninit::zeroed().assume_init() };
    zeroed.wait();
    zeroed.add(1);
    zeroed.done();
    zeroed.wait();
    let group = WaitGroup::default();
    group.add(2);
    assert_eq!(format!("{group:?}"), "WaitGroup { count: 2 }");
}

#[test]
fn a_wait_ends_with_the_last_task_or_with_its_time() {
    static GROUP: WaitGroup = WaitGroup::new();
    let _watchdog = watchdog();
    GROUP.add(3);
    GROUP.done();
    assert_eq!(GROUP.count(), 2);
    let begin = Instant::now();
    assert_eq!(GROUP.wait_timed(soon(), DETACH), LockStatus::Failure);
    assert!(Some(begin.elapsed()) >= soon());
    assert_eq!(GROUP.wait_timed(Some(Duration::ZERO), DETACH), LockStatus::Failure);
    GROUP.done();
    assert_eq!(GROUP.wait_in::<Native>(Deadline::NOW, DETACH), LockStatus::Failure);
    // The bit of the waiter that gave up is still set.
    GROUP.done();
    assert_eq!(GROUP.wait_in::<Native>(Deadline::NOW, DETACH), LockStatus::Acquired);
    assert_eq!(GROUP.wait_timed(Some(Duration::ZERO), DETACH), LockStatus::Acquired);
    GROUP.wait();
    assert_eq!(GROUP.count(), 0);
}

#[test]
fn no_wait_ends_while_a_task_is_left() {
    const WAITERS: usize = 3;
    let _watchdog = watchdog();
    let (group, woken) = (WaitGroup::new(), AtomicUsize::new(0));
    group.add(2);
    let sleepers: [Sleeper; WAITERS] = Default::default();
    thread::scope(|scope| {
        for sleeper in &sleepers {
            let (group, woken) = (&group, &woken);
            scope.spawn(move || {
                sleeper.enter();
                group.wait();
                woken.fetch_add(1, SeqCst);
            });
        }
        until_queued(&group, WAITERS);
        pysync_testing::sleeping(&sleepers);
        group.add(1);
        group.done();
        group.done();
        until_queued(&group, WAITERS);
        pysync_testing::sleeping(&sleepers);
        assert_eq!(woken.load(SeqCst), 0);
        group.done();
    });
    assert_eq!(woken.into_inner(), WAITERS);
}

#[test]
fn too_many_dones_panic_and_change_nothing() {
    let group = WaitGroup::new();
    panics_with(NEGATIVE, || group.done());
    assert_eq!(group.count(), 0);
    group.add(1);
    group.done();
    panics_with(NEGATIVE, || group.done());
    assert_eq!(group.wait_timed(Some(Duration::ZERO), DETACH), LockStatus::Acquired);
}

#[test]
fn too_many_tasks_panic_and_change_nothing() {
    let group = WaitGroup::new();
    panics_with(TOO_MANY, || group.add(u32::MAX));
    group.add(u32::MAX >> 1);
    panics_with(TOO_MANY, || group.add(1));
    panics_with(TOO_MANY, || drop(group.task()));
    assert_eq!(group.count(), u32::MAX >> 1);
    group.done();
    group.add(1);
}

#[test]
fn a_task_ends_with_its_guard() {
    let group = WaitGroup::new();
    let (first, second) = (group.task(), group.task());
    assert_eq!(group.count(), 2);
    assert_eq!(format!("{first:?}"), "Task { .. }");
    drop(first);
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _second = second;
        panic!("in a task");
    }));
    assert!(unwound.is_err());
    assert_eq!(group.count(), 0);
}

/// Go's TestWaitGroup: two groups, of which each round uses both again.
#[test]
fn two_groups_serve_one_round_after_another() {
    const THREADS: usize = 16;
    const ROUNDS: usize = 8;
    let _watchdog = watchdog();
    let (first, second) = (WaitGroup::new(), WaitGroup::new());
    for _ in 0..ROUNDS {
        first.add(THREADS as u32);
        second.add(THREADS as u32);
        let exited = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    first.done();
                    second.wait();
                    exited.fetch_add(1, SeqCst);
                });
            }
            first.wait();
            for _ in 0..THREADS {
                assert_eq!(exited.load(SeqCst), 0, "the second group has let it go too soon");
                second.done();
            }
        });
        assert_eq!(exited.into_inner(), THREADS);
    }
}

/// Go's TestWaitGroupRace.
#[test]
fn no_wait_returns_before_the_tasks_that_were_added() {
    const ROUNDS: usize = 1_000;
    let _watchdog = watchdog_for(Duration::from_secs(300));
    for _ in 0..ROUNDS {
        let (group, ended) = (WaitGroup::new(), AtomicU32::new(0));
        thread::scope(|scope| {
            for _ in 0..2 {
                let task = group.task();
                let ended = &ended;
                scope.spawn(move || {
                    ended.fetch_add(1, Relaxed);
                    drop(task);
                });
            }
            group.wait();
            assert_eq!(ended.load(Relaxed), 2);
        });
    }
}

/// The count is not zero any more when the waiter runs.
#[test]
fn a_group_that_is_used_again_at_once_loses_no_waiter() {
    const ROUNDS: u32 = 2_000;
    let _watchdog = watchdog();
    let (group, ended, begun) = (WaitGroup::new(), AtomicU32::new(0), AtomicU32::new(0));
    group.add(1);
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..ROUNDS {
                wait_until(|| begun.load(SeqCst) == round);
                group.wait();
                ended.fetch_add(1, SeqCst);
            }
        });
        for round in 0..ROUNDS {
            until_queued(&group, 1);
            group.done();
            group.add(1);
            wait_until(|| ended.load(SeqCst) == round + 1);
            begun.fetch_add(1, SeqCst);
        }
        group.done();
    });
}

/// Whichever comes first: nobody is woken, or the new task is of the next round.
#[test]
fn a_task_that_is_added_as_the_last_one_ends_is_waited_for_or_not() {
    let _watchdog = watchdog_for(Duration::from_secs(300));
    let group = WaitGroup::new();
    together(4, |id| {
        for round in 0..3_000_u64 {
            let task = group.task();
            if id == 0 || round % 7 == 0 {
                drop(task);
                let timeout = Some(Duration::from_micros(round % 50));
                _ = group.wait_timed(timeout, DETACH);
            }
        }
    });
    assert_eq!(group.count(), 0);
    group.wait();
}

#[cfg(all(target_os = "linux", not(pysync_portable)))]
#[test]
fn a_signal_ends_a_wait_if_the_flags_say_so() {
    use pysync_testing::{ThreadId, rain_until, watch_signals};
    use std::sync::OnceLock;
    use std::sync::atomic::AtomicBool;

    let _watchdog = watchdog();
    watch_signals();
    let (group, id, ended) = (WaitGroup::new(), OnceLock::new(), AtomicBool::new(false));
    group.add(1);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            id.set(ThreadId::current()).unwrap();
            let status = group.wait_timed(None, LockFlags::FAIL_IF_INTERRUPTED);
            ended.store(true, SeqCst);
            while group.count() > 0 {
                thread::yield_now();
            }
            status
        });
        until_queued(&group, 1);
        // SAFETY: not joined yet.
        unsafe { rain_until(&[*id.get().unwrap()], || ended.load(SeqCst)) };
        group.done();
        assert_eq!(waiter.join().unwrap(), LockStatus::Interrupted);
    });
}

#[cfg(unix)]
#[test]
fn a_child_inherits_the_count_and_no_waiter() {
    let _watchdog = watchdog();
    pysync_parking_lot::register_fork_handler();
    let group = WaitGroup::new();
    group.add(2);
    thread::scope(|scope| {
        scope.spawn(|| group.wait());
        until_queued(&group, 1);
        pysync_testing::fork(|| {
            (0..group.count()).for_each(|_| group.done());
            group.wait();
            group.count() == 0
        });
        group.done();
        group.done();
    });
}
