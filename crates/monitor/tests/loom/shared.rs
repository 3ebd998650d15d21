//! What the models share: monitors in known buckets, and what has become of the threads.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use pysync_monitor::{Deadlock, Monitor};
use pysync_parking_lot::{Key, inspect};
use pysync_testing::model::Data;

/// Soon for a waiter: a timed wait gives up in a model unless it has been woken.
pub(crate) const SOON: Duration = Duration::from_millis(1);

/// Monitors. In a model with two buckets the first and the second are in different ones, and the third is in that of the
/// first.
#[derive(Default)]
#[repr(C)]
pub(crate) struct Monitors {
    first: Low,
    second: High,
    third: Low,
    pub(crate) ends: Ends,
}

#[derive(Default)]
#[repr(C, align(128))]
struct Low(Monitor<Data>);

#[derive(Default)]
#[repr(C, align(128))]
struct High {
    skipped: [u64; 8],
    monitor: Monitor<Data>,
}

/// What has become of the threads. The atomics are std's, since counting is no step of a model.
#[derive(Default)]
pub(crate) struct Ends {
    done: AtomicUsize,
    lost: AtomicUsize,
    given_up: AtomicUsize,
}

impl Monitors {
    /// What loom makes at its first use is made here: what the first user did before would be seen by all others.
    pub(crate) fn new() -> Self {
        let monitors = Self::default();
        for at in 0..3 {
            let monitor = monitors.get(at);
            assert!(monitor.try_enter(|value| assert_eq!(value.get(), 0)).is_some());
            inspect(Key::of(monitor), |waiters| assert_eq!(waiters.count(), 0));
        }
        monitors
    }

    pub(crate) fn get(&self, at: usize) -> &Monitor<Data> {
        [&self.first.0, &self.second.monitor, &self.third.0][at]
    }

    /// Enters two monitors, one inside of the other, and adds one to each.
    pub(crate) fn enter_both(&self, outer: usize, inner: usize) -> Result<(), Deadlock> {
        self.get(outer).enter(|a| {
            self.get(inner).enter(|b| {
                a.add_one();
                b.add_one();
            })
        })?
    }

    /// All threads have ended: each monitor is left, and has been added to so often.
    pub(crate) fn are_left(&self, added: [usize; 3]) {
        for (at, added) in added.into_iter().enumerate() {
            let value = self.get(at).try_enter(|value| value.get()).expect("a thread is inside");
            assert_eq!(value as usize, added, "monitor {at}");
        }
    }
}

impl Ends {
    /// Counts a thread as done, or as one that has lost in a cycle of so many.
    pub(crate) fn ended(&self, result: Result<(), Deadlock>, threads: usize) {
        match result {
            Ok(()) => self.done(),
            Err(deadlock) => self.lost(&deadlock, threads),
        }
    }

    pub(crate) fn done(&self) {
        self.done.fetch_add(1, Relaxed);
    }

    /// The calling thread has lost: it was the youngest.
    pub(crate) fn lost(&self, deadlock: &Deadlock, threads: usize) {
        let links = deadlock.cycle();
        assert_eq!(links.len(), threads);
        let youngest = links.iter().map(|link| link.age).max();
        assert_eq!(Some(links[deadlock.victim()].age), youngest);
        self.lost.fetch_add(1, Relaxed);
    }

    pub(crate) fn given_up(&self) {
        self.given_up.fetch_add(1, Relaxed);
    }

    /// How many threads are done, have lost, and have given up.
    pub(crate) fn all(&self) -> [usize; 3] {
        [&self.done, &self.lost, &self.given_up].map(|count| count.load(Relaxed))
    }
}
