//! The events of the scheduler and of behaviours, for a subscriber of the `tracing` crate. Without that
//! feature every function here is empty. The rules are those of [`pysync_platform::trace`].

/// The events of the scheduler. No lock of a queue is held.
#[cfg(feature = "tracing")]
mod scheduler {
    use pysync_platform::trace::emit;

    /// A worker has taken `tasks` behaviours from the queue of another one.
    pub(crate) fn steal(worker: usize, victim: usize, tasks: usize) {
        emit(|| tracing::trace!(target: "pysync", worker, victim, tasks, "steal"));
    }

    /// A worker is about to sleep.
    pub(crate) fn park(worker: usize) {
        emit(|| tracing::trace!(target: "pysync", worker, "park"));
    }

    /// The calling thread has woken a worker.
    pub(crate) fn wake(worker: usize) {
        emit(|| tracing::trace!(target: "pysync", worker, "wake"));
    }

    /// A runtime has been stopped.
    pub(crate) fn stop(dropped: usize, still_running: usize) {
        emit(|| tracing::trace!(target: "pysync", dropped, still_running, "stop"));
    }
}

#[cfg(not(feature = "tracing"))]
mod scheduler {
    #[inline(always)]
    pub(crate) fn steal(_worker: usize, _victim: usize, _tasks: usize) {}

    #[inline(always)]
    pub(crate) fn park(_worker: usize) {}

    #[inline(always)]
    pub(crate) fn wake(_worker: usize) {}

    #[inline(always)]
    pub(crate) fn stop(_dropped: usize, _still_running: usize) {}
}

pub(crate) use scheduler::{park, steal, stop, wake};
