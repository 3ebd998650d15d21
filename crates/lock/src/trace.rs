//! Events on slow paths, for a subscriber of the `tracing` crate. Without that feature this is
//! empty.

/// The calling thread waited for the mutex at `addr`, and an unlocker has handed it over. The
/// unlocker emits no event, since it may be about to unlock more than one.
#[cfg(feature = "tracing")]
pub(crate) fn hand_off(addr: usize) {
    pysync_platform::trace::emit(|| tracing::trace!(target: "pysync", addr, "hand-off"));
}

#[cfg(not(feature = "tracing"))]
#[inline(always)]
pub(crate) fn hand_off(_addr: usize) {}
