//! The end of a runtime.

use std::ptr::{self, NonNull};
use std::time::Duration;

use pysync_parking_lot::{park_in, unpark_all};
use pysync_platform::primitive::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use pysync_platform::{Deadline, Native, detached};

use super::current;
use super::quiesce::Counts;
use super::runtime::{Runtime, Shared};
use super::submit::give_up;
use super::trace;

/// What [`Runtime::stop`] has done, and what it has left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stopped {
    /// How many behaviours have been given up since the runtime was stopped, by this call or another.
    pub dropped: usize,
    /// How many workers have not ended, since a body still runs there.
    pub still_running: usize,
}

/// More pins than there are behaviours.
const MANY: usize = usize::MAX / 4;

impl Runtime {
    /// Stops the runtime: it takes no more behaviours, running bodies end, and those that are queued are
    /// given up: their bodies are dropped on this thread, in order, their outcomes are
    /// [`Stopped`](crate::Failed::Stopped), and their cowns are released. Returns once the workers' threads
    /// have ended, or after `timeout`: `None` waits forever for the bodies that run, `Some(ZERO)` does not
    /// wait.
    ///
    /// It may be called again: after a timeout the next call finishes the job. Of two threads that call it
    /// at once, one gives up what is queued, and the other may return before that has ended.
    ///
    /// A behaviour that waits for a cown which is held outside, or by another runtime, cannot be reached. It
    /// is given up by the thread that releases the cown. So is one that waits on a lane: by the next
    /// [`pump`](crate::Lane::pump).
    ///
    /// Inside a behaviour of this very runtime it only signals, and returns at once: the last worker that
    /// ends does the rest.
    ///
    /// Parks, through signals, and detached while it sleeps. In the child of a fork, after
    /// [`after_fork`](Self::after_fork), it does nothing.
    pub fn stop(&self, timeout: Option<Duration>) -> Stopped {
        let shared = self.inner();
        // Ordering: Relaxed. Set while there is one thread.
        if shared.dead.load(Relaxed) {
            return Stopped::default();
        }
        shared.signal_stop();
        if current::current() == Some(self.shared()) {
            // Ordering: Release pairs with the Acquire of the last worker, which is not over yet; or all
            // of them are, and an earlier stop has done what there is to do.
            shared.is_orphan.store(true, Release);
            return shared.stopped();
        }
        let deadline = Deadline::after(timeout);
        shared.wait_for_workers(deadline);
        shared.give_up_all();
        let stopped = shared.stopped();
        if stopped.still_running == 0 {
            let threads = std::mem::take(&mut *shared.threads.lock());
            detached::<Native, _>(true, || {
                // A worker does not unwind: what panics in a hook aborts.
                threads.into_iter().for_each(|thread| _ = thread.join());
            });
        }
        trace::stop(stopped.dropped, stopped.still_running);
        stopped
    }

    /// Forgets, in the child of a `fork`, the workers, which are not there, and all that was queued, which is
    /// leaked: what is scheduled from now on is [`Stopped`](crate::Failed::Stopped). For
    /// [`global`](Self::global) too, which stays so. Cowns that were free at the fork, or held by the thread
    /// that has forked, are as good as before, in another runtime. Those that another thread or a behaviour held
    /// or waited for stay held for ever.
    ///
    /// Takes no lock, since a thread that is not there may have held it. Run
    /// [`pysync_parking_lot::after_fork`] first, and this before anything else is done with the runtime in
    /// the child.
    ///
    /// # Safety
    /// The calling thread is the only one in the process.
    pub unsafe fn after_fork(&self) {
        let shared = self.inner();
        // Ordering: Relaxed. There is one thread.
        shared.dead.store(true, Relaxed);
        shared.outside.stop();
        shared.stopping.store(true, Relaxed);
        // What is leaked may point to it.
        // SAFETY: the handle is a pin.
        unsafe { Shared::pin(self.shared()) };
    }
}

impl Shared {
    /// From now on nothing is counted, and each worker ends after the body that it runs.
    pub(crate) fn signal_stop(&self) {
        self.outside.stop();
        // Ordering: Release pairs with the Acquire in `is_stopping`.
        self.stopping.store(true, Release);
        // A worker that is announced already is woken. One that announces itself later looks at the flag
        // after that, and the lock of the idle ones orders it.
        self.wake_all();
    }

    fn stopped(&self) -> Stopped {
        Stopped { dropped: self.dropped.load(Relaxed), still_running: self.alive.load(Acquire) }
    }

    fn wait_for_workers(&self, deadline: Deadline) {
        loop {
            // Ordering: Acquire pairs with the Release in `leave`: what the worker has left is seen.
            let alive = self.alive.load(Acquire);
            if alive == 0 || deadline.has_passed() {
                return;
            }
            park_in::<Native, _>(&self.alive, alive, deadline, ptr::null_mut(), true);
        }
    }

    /// Gives up all that is queued, and what becomes ready by that. A worker that has not ended gives up
    /// by itself what its body makes ready: the injector takes no more.
    pub(crate) fn give_up_all(&self) {
        let mut tasks = self.injector.close();
        for worker in &self.workers {
            tasks.append(&mut worker.queue.take(|len| len));
        }
        give_up(tasks);
    }

    /// A worker has run, and runs nothing more. What is left in its queue goes to the thread that stops the
    /// runtime.
    ///
    /// The last worker makes a pin for each behaviour that is pending, which keeps the runtime until the
    /// thread that executes it has counted it. That thread is none of the workers, so that it uses
    /// [`Outside::finish`](super::quiesce::Outside::finish), whose flag says whether the behaviour was
    /// pending then. There are as many such pins as behaviours: none is counted any more.
    pub(crate) fn leave(&self, index: usize) {
        // Ordering: Relaxed. Set while there is one thread.
        if self.dead.load(Relaxed) {
            return;
        }
        let mut tasks = self.workers[index].queue.take(|len| len);
        if !tasks.is_empty() && !self.injector.push(&mut tasks) {
            give_up(tasks);
        }
        // What this worker has finished may have been the last.
        self.notify_if_quiet();
        // Ordering: Release for what the worker has left, Acquire for the last one, which takes it.
        if self.alive.fetch_sub(1, AcqRel) == 1 {
            self.convert();
            // Ordering: Acquire pairs with the Release in `stop`.
            if self.is_orphan.load(Acquire) {
                self.give_up_all();
            }
        }
        unpark_all(&raw const self.alive);
    }

    /// Makes a pin for each behaviour that is pending.
    fn convert(&self) {
        // First too many: a behaviour that is finished meanwhile gives one back.
        // Ordering: Relaxed; the worker that ends has a pin of its own.
        self.pins.fetch_add(MANY, Relaxed);
        let finished = self.sum(Counts::finished, self.outside.convert());
        let scheduled = self.sum(Counts::scheduled, self.outside.scheduled());
        let pending = scheduled.wrapping_sub(finished) & (usize::MAX / 2);
        // Ordering: as above.
        self.pins.fetch_sub(MANY - pending, Relaxed);
    }

    /// A worker whose thread could not be spawned.
    ///
    /// # Safety
    /// It has not run, and the caller has another pin.
    pub(crate) unsafe fn never_started(this: NonNull<Self>) {
        // SAFETY: pinned.
        let shared = unsafe { this.as_ref() };
        shared.alive.fetch_sub(1, AcqRel);
        // SAFETY: the pin of that worker.
        unsafe { Self::unpin(this) };
    }
}
