//! Slow-path events, for whoever listens. Without the feature this is empty.

/// The section at `addr` let go of its mutexes.
#[cfg(feature = "tracing")]
pub(crate) fn suspend(addr: usize) {
    tracing::trace!(target: "pysync", addr, "suspend");
}

/// The section at `addr` has its mutexes again.
#[cfg(feature = "tracing")]
pub(crate) fn resume(addr: usize) {
    tracing::trace!(target: "pysync", addr, "resume");
}

#[cfg(not(feature = "tracing"))]
#[inline(always)]
pub(crate) fn suspend(_addr: usize) {}

#[cfg(not(feature = "tracing"))]
#[inline(always)]
pub(crate) fn resume(_addr: usize) {}
