//! What the models of loom and of shuttle have in common: a mutex with a condition variable, and the
//! count of notifications.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use pysync_cond::{Cond, Deadline, LockFlags, WaitStatus};
use pysync_lock::Mutex;
use pysync_testing::model::Data;

/// Soon for a waiter: a timed wait gives up in a model unless it has been woken.
pub(crate) fn soon() -> Deadline {
    Deadline::after(Some(Duration::from_millis(1)))
}

/// How many waits ended as notified, and how many waiters the notifiers have counted. The atomics
/// are std's, since counting is no step of a model.
#[derive(Default)]
pub(crate) struct Counts {
    notified: AtomicUsize,
    counted: AtomicUsize,
}

impl Counts {
    /// A wait has ended.
    pub(crate) fn ended(&self, status: WaitStatus) -> WaitStatus {
        self.notified.fetch_add((status == WaitStatus::Notified).into(), Relaxed);
        status
    }

    /// A notifier has counted so many waiters.
    pub(crate) fn counted(&self, waiters: usize) -> usize {
        self.counted.fetch_add(waiters, Relaxed);
        waiters
    }

    /// All threads have ended.
    pub(crate) fn agree(&self) {
        let (notified, counted) = (self.notified.load(Relaxed), self.counted.load(Relaxed));
        assert_eq!(notified, counted, "as many waits end as notified as are counted");
    }
}

/// Two of a kind. In a model with two buckets each has its own, the `low` one that of the lower index,
/// however large a checker's atomics are.
#[derive(Default)]
pub(crate) struct Pair<T> {
    low: Low<T>,
    high: High<T>,
}

#[derive(Default)]
#[repr(C, align(128))]
struct Low<T>(T);

#[derive(Default)]
#[repr(C, align(128))]
struct High<T> {
    skipped: [u64; 8],
    value: T,
}

impl<T> Pair<T> {
    pub(crate) fn get(&self, low: bool) -> &T {
        if low { &self.low.0 } else { &self.high.value }
    }
}

/// A mutex, a condition variable, and what they guard. In a model with two buckets they are in different
/// ones, either way round.
#[derive(Default)]
pub(crate) struct Monitor<const MUTEX_IS_LOW: bool = true> {
    mutexes: Pair<Mutex>,
    conds: Pair<Cond>,
    pub(crate) ready: Data,
    pub(crate) counts: Counts,
}

impl<const MUTEX_IS_LOW: bool> Monitor<MUTEX_IS_LOW> {
    pub(crate) fn mutex(&self) -> &Mutex {
        self.mutexes.get(MUTEX_IS_LOW)
    }

    pub(crate) fn cond(&self) -> &Cond {
        self.conds.get(!MUTEX_IS_LOW)
    }

    /// Runs `f` with the mutex held.
    pub(crate) fn locked<T>(&self, f: impl FnOnce() -> T) -> T {
        self.mutex().lock();
        let result = f();
        self.mutex().unlock();
        result
    }

    /// Waits once, with the mutex held.
    pub(crate) fn wait_once(&self, deadline: Deadline, flags: LockFlags) -> WaitStatus {
        self.counts.ended(self.cond().wait_until(self.mutex(), deadline, flags))
    }

    /// Waits until it is ready, the first time until `deadline`, and adds one.
    pub(crate) fn wait_until_ready(&self, mut deadline: Deadline) {
        self.locked(|| {
            while self.ready.get() == 0 {
                _ = self.wait_once(deadline, LockFlags::empty());
                deadline = Deadline::NEVER;
            }
            // Alone, whatever way the mutex came.
            self.ready.add_one();
        });
    }

    pub(crate) fn notify_one(&self) -> usize {
        self.counts.counted(self.cond().notify_one().into())
    }

    pub(crate) fn notify_all(&self) -> usize {
        self.counts.counted(self.cond().notify_all())
    }

    /// Makes it ready and notifies, with the mutex held.
    pub(crate) fn make_ready_inside(&self) {
        self.locked(|| {
            self.ready.add_one();
            self.notify_all();
        });
    }

    /// Makes it ready, and notifies when the mutex may be free.
    pub(crate) fn make_ready_and_notify_outside(&self) {
        self.locked(|| self.ready.add_one());
        self.notify_all();
    }

    /// All threads have ended: so many have added one, nobody waits, and the mutex is free.
    pub(crate) fn is_over(&self, ready: u32) {
        self.counts.agree();
        assert!(self.mutex().try_lock(), "handed to a thread that did not want it");
        assert_eq!(self.ready.get(), ready);
        self.mutex().unlock();
        assert_eq!(self.cond().notify_all(), 0, "left behind");
    }
}
