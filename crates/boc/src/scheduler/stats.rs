//! What workers have done.

use pysync_platform::primitive::plain::{AtomicUsize, Ordering::Relaxed};

/// Adds to a counter that has one writer at a time.
#[inline(always)]
pub(crate) fn bump(counter: &AtomicUsize, n: usize) {
    // Ordering: Relaxed; a statistic. One writer, so that no exchange is needed.
    counter.store(counter.load(Relaxed).wrapping_add(n), Relaxed);
}

/// The counters of a worker that are no part of the protocol. It alone writes them.
#[derive(Default)]
pub(crate) struct WorkerCounters {
    pub(crate) panicked: AtomicUsize,
    pub(crate) continued: AtomicUsize,
    pub(crate) yielded: AtomicUsize,
    pub(crate) from_injector: AtomicUsize,
    pub(crate) injector_turns: AtomicUsize,
    pub(crate) stolen: AtomicUsize,
    pub(crate) steal_attempts: AtomicUsize,
    pub(crate) steal_failures: AtomicUsize,
    pub(crate) parked: AtomicUsize,
    pub(crate) woke: AtomicUsize,
}

/// What [`Runtime::stats`](crate::Runtime::stats) has found. The counts go on while they are read, so that
/// those of different workers do not belong to one moment; each of them wraps at `usize::MAX`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Each worker, by its index.
    pub workers: Vec<WorkerStats>,
    /// All threads that are no workers of the runtime, lanes among them.
    pub outside: OutsideStats,
}

/// What a worker has done.
///
/// The names that bocpy has for such counts:
///
/// | there | here |
/// |---|---|
/// | `worker_index` | `index` |
/// | `pushed_local` | `pushed` |
/// | `dispatched_to_pending` | `continued` |
/// | `pushed_remote` | [`OutsideStats::injected`] |
/// | `popped_local` | `run` − `stolen` |
/// | `popped_via_steal` | `stolen` |
/// | `enqueue_cas_retries` and `dequeue_cas_retries`, together | `contended` |
/// | `batch_resets` | `yielded` |
/// | `steal_attempts`, `steal_failures`, `parked` | of the same name |
/// | `last_steal_attempt_ns` | none, since a clock is not read for it |
/// | `fairness_arm_fires` | `injector_turns` |
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerStats {
    /// Its index, from 0.
    pub index: usize,
    /// Behaviours that were scheduled by bodies that ran on it.
    pub scheduled: usize,
    /// Bodies that it has run.
    pub run: usize,
    /// Bodies that have panicked.
    pub panicked: usize,
    /// Behaviours that it has run right after the one that had made them ready, without a queue.
    pub continued: usize,
    /// How often it has queued such a one instead, since others had waited for long.
    pub yielded: usize,
    /// Behaviours that have been put into its own queue.
    pub pushed: usize,
    /// How often a thread has found its queue locked.
    pub contended: usize,
    /// Behaviours that it has taken from the injector, where other threads put them.
    pub from_injector: usize,
    /// How often it has taken from the injector though its own queue was not empty.
    pub injector_turns: usize,
    /// Behaviours that it has taken from other workers' queues.
    pub stolen: usize,
    /// How often it has tried to take from another worker's queue.
    pub steal_attempts: usize,
    /// How often it has found nothing there.
    pub steal_failures: usize,
    /// How often it has gone to sleep.
    pub parked: usize,
    /// How often it has woken another worker.
    pub woke: usize,
}

/// What other threads have done for a runtime.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutsideStats {
    /// Behaviours that were scheduled from outside the workers.
    pub scheduled: usize,
    /// Behaviours that have run on lanes, or have been dropped.
    pub finished: usize,
    /// Bodies that have panicked on lanes.
    pub panicked: usize,
    /// Behaviours that have been put into the injector.
    pub injected: usize,
    /// How often a thread has found the injector locked.
    pub contended: usize,
}

impl Stats {
    /// How many behaviours have been scheduled.
    pub fn scheduled(&self) -> usize {
        self.sum(|worker| worker.scheduled).wrapping_add(self.outside.scheduled)
    }

    /// How many behaviours have run, or have been dropped.
    pub fn finished(&self) -> usize {
        self.sum(|worker| worker.run).wrapping_add(self.outside.finished)
    }

    /// How many bodies have panicked.
    pub fn panicked(&self) -> usize {
        self.sum(|worker| worker.panicked).wrapping_add(self.outside.panicked)
    }

    /// The sum of one count over the workers.
    pub fn sum(&self, count: impl Fn(&WorkerStats) -> usize) -> usize {
        self.workers.iter().map(count).fold(0, usize::wrapping_add)
    }
}
