//! Slow-path events, for whoever listens. Without the feature this is empty.

/// The mutex at `addr` was handed to the thread that waited longest.
#[cfg(feature = "tracing")]
pub(crate) fn hand_off(addr: usize) {
    tracing::trace!(target: "pysync", addr, "hand-off");
}

#[cfg(not(feature = "tracing"))]
#[inline(always)]
pub(crate) fn hand_off(_addr: usize) {}
