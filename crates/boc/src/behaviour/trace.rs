//! The events of behaviours, for a subscriber of the `tracing` crate. Without that feature every function here
//! is empty. The rules are those of [`pysync_platform::trace`].

/// A behaviour has an address for as long as it is pending.
#[cfg(feature = "tracing")]
mod behaviours {
    use super::super::Failed;
    use pysync_platform::trace::emit;

    /// The calling thread is about to queue a behaviour for so many cowns.
    pub(crate) fn schedule(addr: usize, cowns: usize) {
        emit(|| tracing::trace!(target: "pysync", addr, cowns, "schedule"));
    }

    /// The behaviour has all its cowns, and the calling thread is about to call its body.
    pub(crate) fn run(addr: usize) {
        emit(|| tracing::trace!(target: "pysync", addr, "run"));
    }

    /// The body has returned, or why it has not. The cowns are about to be released.
    pub(crate) fn done<R>(addr: usize, result: &Result<R, Failed>) {
        let result = match result {
            Ok(_) => "returned",
            Err(Failed::Panicked(_)) => "panicked",
            Err(Failed::Cancelled) => "cancelled",
            Err(Failed::Stopped) => "stopped",
            Err(Failed::Disowned) => "disowned",
        };
        emit(|| tracing::trace!(target: "pysync", addr, result, "done"));
    }

    /// The calling thread has cancelled the behaviour, by its outcome.
    pub(crate) fn cancel(addr: usize) {
        emit(|| tracing::trace!(target: "pysync", addr, "cancel"));
    }
}

#[cfg(not(feature = "tracing"))]
mod behaviours {
    use super::super::Failed;

    #[inline(always)]
    pub(crate) fn schedule(_addr: usize, _cowns: usize) {}

    #[inline(always)]
    pub(crate) fn run(_addr: usize) {}

    #[inline(always)]
    pub(crate) fn done<R>(_addr: usize, _result: &Result<R, Failed>) {}

    #[inline(always)]
    pub(crate) fn cancel(_addr: usize) {}
}

pub(crate) use behaviours::{cancel, done, run, schedule};
