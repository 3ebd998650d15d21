//! A runtime: what its workers share, and the handle to it.

use std::fmt;
use std::ptr::NonNull;
use std::thread::JoinHandle;
use std::time::Duration;

use pysync_lock::guarded::{Mutex, OnceCell};
use pysync_platform::primitive::atomic::{
    AtomicBool, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed},
};
use pysync_platform::primitive::plain;
use pysync_platform::{Deadline, LockFlags, Native};

use super::builder::Builder;
use super::current;
use super::idle::Idle;
use super::quiesce::{Outside, Quiescers, Waited};
use super::run_queue::RunQueue;
use super::stats::{OutsideStats, Stats};
use super::worker::Worker;
use crate::padded::Padded;

/// What the workers of a runtime and its handles share.
///
/// It is freed with its last **pin**. There is one for each handle, one for each worker until it has ended,
/// and one for each thread that hands something over for the moment that it takes. A behaviour that is
/// counted as pending keeps it too: while the runtime runs, its workers do; and the last worker that ends
/// makes a pin for each that is pending then (see [`leave`](Self::leave)).
pub(crate) struct Shared {
    pub(crate) workers: Box<[Worker]>,
    /// The runtime has been stopped. Set after [`Outside::stop`].
    pub(crate) stopping: AtomicBool,
    /// This is the child of a fork, in which the runtime has no workers. Not a model's atomic.
    pub(crate) dead: plain::AtomicBool,
    /// Where threads that are no workers put tasks.
    pub(crate) injector: Padded<RunQueue>,
    pub(crate) idle: Padded<Idle>,
    pub(crate) outside: Padded<Outside>,
    pub(crate) quiescers: Quiescers,
    pub(crate) pins: AtomicUsize,
    pub(crate) handles: AtomicUsize,
    /// How many workers have not ended. Who stops the runtime parks on it.
    pub(crate) alive: AtomicUsize,
    /// A stop has been called that cannot wait. The last worker does what is left to do.
    pub(crate) is_orphan: AtomicBool,
    /// How many behaviours have been given up.
    pub(crate) dropped: plain::AtomicUsize,
    pub(crate) panicked_outside: plain::AtomicUsize,
    pub(crate) threads: Mutex<Vec<JoinHandle<()>>>,
    #[cfg(any(test, pysync_loom, pysync_shuttle))]
    _life: super::model::Life,
}

/// A signal came, and the flags of the wait let it end.
pub(crate) struct Interrupted;

impl Shared {
    /// One with a handle, and so many workers, which are to [run](super::worker::run).
    pub(crate) fn new(workers: usize) -> NonNull<Self> {
        let shared = Box::new(Self {
            workers: (0..workers).map(Worker::new).collect(),
            stopping: AtomicBool::new(false),
            dead: plain::AtomicBool::new(false),
            injector: Padded::default(),
            idle: Padded(Idle::new(workers)),
            outside: Padded::default(),
            quiescers: Quiescers::default(),
            pins: AtomicUsize::new(workers + 1),
            handles: AtomicUsize::new(1),
            alive: AtomicUsize::new(workers),
            is_orphan: AtomicBool::new(false),
            dropped: plain::AtomicUsize::new(0),
            panicked_outside: plain::AtomicUsize::new(0),
            threads: Mutex::default(),
            #[cfg(any(test, pysync_loom, pysync_shuttle))]
            _life: super::model::Life::new(),
        });
        NonNull::from(Box::leak(shared))
    }

    /// Counts `count` behaviours that are about to be scheduled; false if the runtime has been stopped, and
    /// then they are not counted. What has been counted either runs, or is executed with
    /// [`Verdict::Stop`](super::task::Verdict::Stop).
    ///
    /// The caller has a handle, or runs a behaviour of the runtime.
    #[inline]
    pub(crate) fn begin(&self, count: usize) -> bool {
        let Some(worker) = current::worker_of(self) else { return self.outside.begin(count) };
        // A worker that sees the stop late does no harm: who stops the runtime waits for it, or leaves it
        // to give up what it has.
        if self.is_stopping() {
            return false;
        }
        worker.counts.begin(count);
        true
    }

    /// Counts a body that has panicked. The caller runs it.
    pub(crate) fn count_panic(&self) {
        match current::worker_of(self) {
            Some(worker) => super::stats::bump(&worker.counters.panicked, 1),
            None => _ = self.panicked_outside.fetch_add(1, Relaxed),
        }
        current::count_panic();
    }

    /// Whether the runtime has been stopped.
    #[inline]
    pub(crate) fn is_stopping(&self) -> bool {
        // Ordering: Acquire pairs with the Release in `signal_stop`: who sees it sees that
        // nothing more is counted.
        self.stopping.load(Acquire)
    }

    /// Keeps the runtime until the [`unpin`](Self::unpin).
    ///
    /// # Safety
    /// There is another pin, or a behaviour that is counted as pending.
    pub(crate) unsafe fn pin(this: NonNull<Self>) {
        // Ordering: Relaxed. It is kept already, and this count only goes up.
        // SAFETY: kept, by contract.
        unsafe { this.as_ref() }.pins.fetch_add(1, Relaxed);
    }

    /// Gives a pin back.
    ///
    /// # Safety
    /// It is the caller's own, which uses the runtime no more.
    pub(crate) unsafe fn unpin(this: NonNull<Self>) {
        // Ordering: Release for what this thread did with the runtime, Acquire for the last one, which
        // frees it.
        // SAFETY: the pin keeps it until here.
        if unsafe { this.as_ref() }.pins.fetch_sub(1, AcqRel) == 1 {
            // SAFETY: the last one.
            drop(unsafe { Box::from_raw(this.as_ptr()) });
        }
    }
}

/// Workers that run behaviours, and their queues. A handle: its clones are of the same runtime.
///
/// [`global`](Self::global) is the one that the free functions use. A program may build others, with
/// [`builder`](Self::builder). Runtimes share nothing but the cowns: a cown may be used by behaviours of
/// several.
///
/// **Workers** run one body at a time. A worker that has nothing to do takes half of what is queued at
/// another, searches for a moment, and parks; it uses no processor then, and has no timer. A behaviour that
/// becomes ready wakes one worker, if one sleeps: none waits behind a body that runs while a worker sleeps.
/// Workers take the signals that their creator's thread has not blocked.
///
/// **Drop**: with the last handle the runtime is [stopped](Self::stop), without a timeout.
///
/// **Fork**: the child has no workers: see [`after_fork`](Self::after_fork).
pub struct Runtime {
    shared: NonNull<Shared>,
}

// SAFETY: a handle is a pin, and what is shared is behind atomics and locks.
unsafe impl Send for Runtime {}
// SAFETY: as above.
unsafe impl Sync for Runtime {}

/// [`Runtime::quiesce`] has timed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy {
    /// How many behaviours were pending: scheduled, and not finished.
    pub pending: usize,
}

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pending {
            1 => f.write_str("1 behaviour is pending"),
            n => write!(f, "{n} behaviours are pending"),
        }
    }
}

impl std::error::Error for Busy {}

/// Why [`Runtime::quiesce_in`] has ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotQuiet {
    /// The deadline has passed.
    Busy(Busy),
    /// A signal came, and the flags let it end the wait.
    Interrupted,
}

impl fmt::Display for NotQuiet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy(busy) => busy.fmt(f),
            Self::Interrupted => f.write_str("a signal has interrupted the wait"),
        }
    }
}

impl std::error::Error for NotQuiet {}

static GLOBAL: OnceCell<Runtime> = OnceCell::new();

impl Runtime {
    /// The runtime that the free functions use outside of behaviours. The first call starts it, with the
    /// defaults of the [`Builder`].
    ///
    /// It is never dropped: what is pending when the program ends does not run, unless `main` waits for it.
    /// Once stopped it stays so, as it does in the child of a fork.
    ///
    /// # Panics
    /// If a thread cannot be spawned.
    pub fn global() -> &'static Self {
        GLOBAL.get_or_init(|| match Self::builder().build() {
            Ok(runtime) => runtime,
            Err(error) => panic!("the global runtime cannot start: {error}"),
        })
    }

    /// The runtime whose behaviour the calling thread runs, in a worker or in
    /// [`Lane::pump`](crate::Lane::pump); `None` outside of behaviours.
    pub fn current() -> Option<Self> {
        let shared = current::current()?;
        // SAFETY: kept by the behaviour that runs.
        let handles = &unsafe { shared.as_ref() }.handles;
        // Ordering: Relaxed, as for any count that only goes up.
        handles.fetch_add(1, Relaxed);
        // SAFETY: as above.
        unsafe { Shared::pin(shared) };
        Some(Self { shared })
    }

    /// How to build a runtime of one's own.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// # Safety
    /// The handle that comes with [`Shared::new`], which the caller hands over.
    pub(crate) unsafe fn from_shared(shared: NonNull<Shared>) -> Self {
        Self { shared }
    }

    /// Waits until no behaviour is pending, for `timeout` at most: `None` waits forever, and `Some(ZERO)`
    /// only looks. Says whether there was such a moment. All that the caller has scheduled was finished by then,
    /// and all that these behaviours have scheduled.
    ///
    /// A behaviour is pending from when it is scheduled until its body has run and its cowns are released,
    /// also while it waits for a cown that is held outside, or for a lane that no thread pumps.
    ///
    /// Parks, through signals, and detached while it sleeps. Behaviours may be scheduled meanwhile.
    ///
    /// # Errors
    /// [`Busy`] after the timeout.
    ///
    /// # Panics
    /// Inside a behaviour, which would wait for itself.
    pub fn quiesce(&self, timeout: Option<Duration>) -> Result<(), Busy> {
        // No flag that lets a signal end it.
        match self.quiesce_in::<Native>(Deadline::after(timeout), LockFlags::DETACH) {
            Err(NotQuiet::Busy(busy)) => Err(busy),
            Ok(()) | Err(NotQuiet::Interrupted) => Ok(()),
        }
    }

    /// [`quiesce`](Self::quiesce) in a Python runtime or the like of the caller's choice, until a deadline.
    /// `flags` say whether the thread detaches while it sleeps, and whether a signal may end the wait.
    ///
    /// # Errors
    /// [`NotQuiet::Busy`] after the deadline, [`NotQuiet::Interrupted`] after a signal.
    ///
    /// # Panics
    /// As `quiesce`; and if a pending call of `R` panics.
    pub fn quiesce_in<R: pysync_platform::Runtime>(
        &self,
        deadline: Deadline,
        flags: LockFlags,
    ) -> Result<(), NotQuiet> {
        self.quiesce_or_in::<R>(deadline, flags, || false).map(|_| ())
    }

    /// [`quiesce_in`](Self::quiesce_in) that also ends when `is_over` says so: for a thread that has
    /// something else to do until nothing is pending, as to pump a [`Lane`](crate::Lane). True if nothing was
    /// pending.
    ///
    /// It looks at `is_over` once more after each [`recheck`](Self::recheck), also under a lock: that must be
    /// short, and must neither park nor unpark.
    ///
    /// # Errors
    /// As `quiesce_in`.
    ///
    /// # Panics
    /// As `quiesce_in`.
    pub fn quiesce_or_in<R: pysync_platform::Runtime>(
        &self,
        deadline: Deadline,
        flags: LockFlags,
        is_over: impl Fn() -> bool,
    ) -> Result<bool, NotQuiet> {
        assert!(
            !current::is_inside_body(),
            "quiesce was called inside a behaviour, and would wait for the end of it"
        );
        let shared = self.inner();
        // Ordering: Relaxed. Set while there is one thread.
        let is_quiet = || shared.pending() == 0 || shared.dead.load(Relaxed);
        match shared.quiescers.wait::<R>(deadline, flags, is_quiet, is_over) {
            Ok(Waited::Quiet) => Ok(true),
            Ok(Waited::Over) => Ok(false),
            // It may have become quiet in between.
            Ok(Waited::Late) => Err(NotQuiet::Busy(Busy { pending: shared.pending().max(1) })),
            Err(Interrupted) => Err(NotQuiet::Interrupted),
        }
    }

    /// Has the threads in [`quiesce_or_in`](Self::quiesce_or_in) look once more whether they are to go on
    /// waiting. The caller has changed before what they look at. Does not block.
    pub fn recheck(&self) {
        self.inner().quiescers.recheck();
    }

    /// What the workers have done so far.
    pub fn stats(&self) -> Stats {
        let shared = self.inner();
        Stats {
            workers: shared.workers.iter().map(Worker::stats).collect(),
            outside: OutsideStats {
                scheduled: shared.outside.scheduled(),
                finished: shared.outside.finished(),
                panicked: shared.panicked_outside.load(Relaxed),
                injected: shared.injector.pushed(),
                contended: shared.injector.contended(),
            },
        }
    }

    /// How many workers it has been built with.
    pub fn workers(&self) -> usize {
        self.inner().workers.len()
    }

    pub(crate) fn shared(&self) -> NonNull<Shared> {
        self.shared
    }

    pub(crate) fn inner(&self) -> &Shared {
        // SAFETY: the handle is a pin.
        unsafe { self.shared.as_ref() }
    }
}

impl Clone for Runtime {
    fn clone(&self) -> Self {
        // Ordering: Relaxed, as for any count that only goes up.
        self.inner().handles.fetch_add(1, Relaxed);
        // SAFETY: this handle is a pin.
        unsafe { Shared::pin(self.shared) };
        Self { shared: self.shared }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // Ordering: Release for what was done with this handle, Acquire for the last one, which stops the
        // runtime after all that.
        if self.inner().handles.fetch_sub(1, AcqRel) == 1 {
            self.stop(None);
        }
        // SAFETY: this handle's own.
        unsafe { Shared::unpin(self.shared) };
    }
}

/// Handles are equal if they are of the same runtime.
impl PartialEq for Runtime {
    fn eq(&self, other: &Self) -> bool {
        self.shared == other.shared
    }
}

impl Eq for Runtime {}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = self.inner();
        f.debug_struct("Runtime")
            .field("workers", &shared.workers.len())
            .field("pending", &shared.pending())
            .field("stopped", &shared.is_stopping())
            .finish()
    }
}
