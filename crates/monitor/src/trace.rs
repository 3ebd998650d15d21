//! The events of monitors, for a subscriber of the `tracing` crate. Without that feature this is empty. The rules are
//! those of [`pysync_platform::trace`].

/// The calling thread has lost in a cycle of so many threads: it wanted the monitor at `addr`. It holds no lock but what
/// it is inside of.
#[cfg(feature = "tracing")]
pub(crate) fn deadlock(addr: usize, threads: usize) {
    use pysync_platform::trace::emit;
    emit(|| tracing::trace!(target: "pysync", addr, threads, "deadlock"));
}

#[cfg(not(feature = "tracing"))]
#[inline(always)]
pub(crate) fn deadlock(_addr: usize, _threads: usize) {}
