//! Slow-path events, for a subscriber of the `tracing` crate. Without the feature this is empty.

/// The calling thread has been handed the mutex at `addr`, which it waited for. The unlocker says
/// nothing: it may be in the middle of letting go of several.
#[cfg(feature = "tracing")]
pub(crate) fn hand_off(addr: usize) {
    pysync_platform::trace::emit(|| tracing::trace!(target: "pysync", addr, "hand-off"));
}

#[cfg(not(feature = "tracing"))]
#[inline(always)]
pub(crate) fn hand_off(_addr: usize) {}
