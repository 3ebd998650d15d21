//! The events of queues, for a subscriber of the `tracing` crate. Without that feature this is empty. The
//! rules are those of [`pysync_platform::trace`].

/// A send to the queue in `slot` of the queues at `addr` has found it full.
#[cfg(feature = "tracing")]
pub(super) fn send_full(addr: usize, slot: usize) {
    use pysync_platform::trace::emit;
    emit(|| tracing::trace!(target: "pysync", addr, slot, "send-full"));
}

/// The calling thread has set the names of the queues at `addr`, so many, and will drop so many messages. It
/// holds no lock.
#[cfg(feature = "tracing")]
pub(super) fn set_tags(addr: usize, tags: usize, discarded: usize) {
    use pysync_platform::trace::emit;
    emit(|| tracing::trace!(target: "pysync", addr, tags, discarded, "set-tags"));
}

#[cfg(not(feature = "tracing"))]
#[inline(always)]
pub(super) fn send_full(_addr: usize, _slot: usize) {}

#[cfg(not(feature = "tracing"))]
#[inline(always)]
pub(super) fn set_tags(_addr: usize, _tags: usize, _discarded: usize) {}
