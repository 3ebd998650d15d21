//! Waits that are cancelled: none falls between the look at the flag and the queue.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use pysync_cond::{Cancel, Deadline, LockFlags, WaitStatus};
use pysync_testing::model::{Data, Explore};

use crate::cond::model::Monitor;

#[derive(Default)]
struct Shared {
    monitor: Monitor,
    cancel: Cancel,
    /// What the canceller has written before.
    word: Data,
    /// How many waits `cancel` has ended, and how many ended as cancelled.
    ended: AtomicUsize,
    cancelled: AtomicUsize,
}

impl Shared {
    fn wait(&self) -> WaitStatus {
        let (m, flags) = (&self.monitor, LockFlags::empty());
        let wait = || m.cond().wait_cancellable(m.mutex(), Deadline::NEVER, flags, &self.cancel);
        let status = m.counts.ended(m.locked(wait));
        if status == WaitStatus::Cancelled {
            assert!(self.cancel.is_set());
            assert_eq!(self.word.get(), 7);
            self.cancelled.fetch_add(1, Relaxed);
        }
        status
    }

    fn cancel(&self) -> usize {
        self.word.set(7);
        let ended = self.monitor.cond().cancel(&self.cancel);
        self.ended.fetch_add(ended, Relaxed);
        ended
    }

    /// So many waits found the flag set, and did not begin.
    fn found_it_set(&self) -> usize {
        self.cancelled.load(Relaxed) - self.ended.load(Relaxed)
    }
}

fn wait_until_cancelled(s: &Shared) {
    assert_eq!(s.wait(), WaitStatus::Cancelled);
}

/// With the mutex or without, before the wait, at its start or in it.
#[test]
fn a_cancelled_wait_ends_whenever_it_is_cancelled() {
    fn cancel_inside(s: &Shared) {
        s.monitor.locked(|| s.cancel());
    }
    let cancellers = [("inside", cancel_inside as fn(&Shared)), ("outside", |s| _ = s.cancel())];
    for (name, cancel) in cancellers {
        Explore::new(format!("cancel {name}")).bounded().run(
            Shared::default,
            [wait_until_cancelled, cancel],
            |s| {
                s.monitor.is_over(0);
                assert!(s.found_it_set() <= 1);
            },
        );
    }
}

/// It stays cancelled, for a second wait and a second canceller.
#[test]
fn what_is_cancelled_stays_cancelled() {
    fn wait_twice(s: &Shared) {
        wait_until_cancelled(s);
        wait_until_cancelled(s);
    }
    Explore::new("2 cancelled waits").bounded().run(
        Shared::default,
        [wait_twice, |s| _ = s.cancel()],
        |s| {
            s.monitor.is_over(0);
            assert!((1..=2).contains(&s.found_it_set()));
        },
    );
}

/// A thread that only looks at the flag sees what the canceller did before.
#[test]
fn a_look_at_the_flag_sees_what_came_before() {
    fn look(s: &Shared) {
        if s.cancel.is_set() {
            assert_eq!(s.word.get(), 7);
        }
    }
    Explore::new("cancel, a look").run(Shared::default, [look, |s| _ = s.cancel()], |_| ());
}

/// The one that comes first counts, and each is counted as what it was.
#[test]
fn a_wait_is_notified_or_cancelled_and_not_both() {
    fn notify_and_cancel(s: &Shared) {
        s.monitor.notify_one();
        s.cancel();
    }
    fn either(s: &Shared) {
        assert!(matches!(s.wait(), WaitStatus::Notified | WaitStatus::Cancelled));
    }
    let agree = |s: &Shared| {
        s.monitor.is_over(0);
        assert!(s.found_it_set() <= 1);
    };
    let model = Explore::new("notified, then cancelled").bounded();
    model.run(Shared::default, [either, notify_and_cancel], agree);
    let bodies = [either, |s: &Shared| _ = s.monitor.notify_one(), |s: &Shared| _ = s.cancel()];
    let model = Explore::new("notified or cancelled").preemptions(2);
    model.run(Shared::default, bodies, agree);
}

/// Only the wait that was given the flag ends. The other one keeps its place, and is notified.
#[test]
fn one_of_two_waits_is_cancelled() {
    fn wait(s: &Shared) {
        s.monitor.wait_until_ready(Deadline::NEVER);
    }
    fn cancel_and_notify(s: &Shared) {
        assert!(s.cancel() <= 1);
        s.monitor.make_ready_inside();
    }
    let model = Explore::new("one of 2 is cancelled").preemptions(2);
    model.run(Shared::default, [wait_until_cancelled, wait, cancel_and_notify], |s| {
        s.monitor.is_over(2);
    });
}

/// The condition is looked at once more: what ended while the wait was cancelled counts.
#[test]
fn wait_while_looks_once_more_when_it_is_cancelled() {
    fn wait(s: &Shared) {
        let (m, flags, cancel) = (&s.monitor, LockFlags::empty(), Some(&s.cancel));
        m.locked(|| {
            let holds = || m.ready.get() == 0;
            let status = m.cond().wait_while(m.mutex(), holds, Deadline::NEVER, flags, cancel);
            let ended = if holds() { WaitStatus::Cancelled } else { WaitStatus::Notified };
            assert_eq!(status, ended);
        });
    }
    fn make_ready_and_cancel(s: &Shared) {
        s.monitor.locked(|| s.monitor.ready.set(1));
        s.cancel();
    }
    fn cancel_and_make_ready(s: &Shared) {
        s.cancel();
        s.monitor.locked(|| s.monitor.ready.set(1));
    }
    for (name, cancel) in
        [("after", make_ready_and_cancel as fn(&Shared)), ("before", cancel_and_make_ready)]
    {
        let model = Explore::new(format!("wait_while, cancelled {name}")).bounded();
        model.run(Shared::default, [wait, cancel], |s| {
            assert!(s.monitor.mutex().try_lock());
            s.monitor.mutex().unlock();
        });
    }
}
