//! Cancels, notifications, deadlines and signals at once: each wait ends by one of them, and is
//! counted where it is.

use pysync_cond::{Cancel, Deadline, LockFlags, WaitStatus};
use pysync_testing::model::TryOut;
use shuttle::rand::Rng;
use shuttle::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use crate::cond::model::{Monitor, soon};

#[derive(Default)]
struct Shared {
    monitor: Monitor,
    cancels: [Cancel; 2],
    /// How many waits ended as cancelled, and how many the cancellers counted.
    cancelled: [AtomicUsize; 2],
    counted: [AtomicUsize; 2],
}

impl Shared {
    fn wait(&self, which: usize) {
        let (m, cancel) = (&self.monitor, &self.cancels[which]);
        let signal = shuttle::rand::thread_rng().gen_ratio(1, 4);
        let flags = if signal { LockFlags::FAIL_IF_INTERRUPTED } else { LockFlags::empty() };
        let timed = shuttle::rand::thread_rng().gen_ratio(1, 4);
        let deadline = if timed { soon() } else { Deadline::NEVER };
        // Set already, it ends the wait before it begins, and that one nobody counts.
        let (status, was_set) = m.locked(|| {
            let was_set = cancel.is_set();
            (m.cond().wait_cancellable(m.mutex(), deadline, flags, cancel), was_set)
        });
        match m.counts.ended(status) {
            WaitStatus::Cancelled => {
                assert!(cancel.is_set());
                self.cancelled[which].fetch_add(1, SeqCst);
            }
            WaitStatus::Notified => assert!(!was_set),
            WaitStatus::TimedOut => assert!(timed && !was_set),
            WaitStatus::Interrupted => assert!(signal && !was_set),
        }
    }

    fn cancel(&self, which: usize) {
        let ended = self.monitor.cond().cancel(&self.cancels[which]);
        self.counted[which].fetch_add(ended, SeqCst);
    }

    fn is_over(&self) {
        self.monitor.is_over(0);
        for (cancelled, counted) in self.cancelled.iter().zip(&self.counted) {
            assert!(cancelled.load(SeqCst) >= counted.load(SeqCst), "more counted than cancelled");
        }
    }
}

#[test]
fn each_wait_ends_by_one_thing() {
    TryOut::new("2 cancels, notify_one, deadlines, signals", 40_000).run(
        Shared::default,
        [
            |s| s.wait(0),
            |s| s.wait(1),
            |s| {
                s.wait(0);
                s.wait(1);
            },
            |s| s.cancel(0),
            |s| s.monitor.locked(|| s.cancel(1)),
            |s| {
                s.monitor.locked(|| s.monitor.notify_one());
                s.monitor.notify_one();
            },
        ],
        Shared::is_over,
    );
}

/// One canceller, and waits that are all queued: each is counted once.
#[test]
fn a_canceller_counts_those_whose_waits_it_ends() {
    fn wait(s: &Shared) {
        let m = &s.monitor;
        m.locked(|| {
            m.ready.add_one();
            let flags = LockFlags::empty();
            let status =
                m.cond().wait_cancellable(m.mutex(), Deadline::NEVER, flags, &s.cancels[0]);
            // Set after the last of them has queued itself, so that it had to end the wait.
            assert_eq!(status, WaitStatus::Cancelled);
        });
    }
    fn cancel_once_all_wait(s: &Shared) {
        let m = &s.monitor;
        while m.locked(|| m.ready.get()) < 3 {
            shuttle::thread::yield_now();
        }
        assert_eq!(m.cond().cancel(&s.cancels[0]), 3);
    }
    TryOut::new("3 cancelled waits", 20_000).run(
        Shared::default,
        [wait, wait, wait, cancel_once_all_wait],
        |s| s.monitor.is_over(3),
    );
}
