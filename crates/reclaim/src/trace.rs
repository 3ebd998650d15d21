//! The events of finalizers, for a subscriber of the `tracing` crate. Without that feature this is empty. The
//! rules are those of [`pysync_platform::trace`]: no clone and no drop emits any.

/// The calling thread, a finalizer's, has finalized a core of that type. It holds no lock.
#[cfg(feature = "tracing")]
pub(crate) fn finalize(queue: usize, type_name: &str, panicked: bool) {
    use pysync_platform::trace::emit;
    emit(|| tracing::trace!(target: "pysync", addr = queue, type_name, panicked, "finalize"));
}

/// The calling thread has waited for the queue to be empty.
#[cfg(feature = "tracing")]
pub(crate) fn drain(queue: usize, ran: usize, panicked: usize, left: usize) {
    use pysync_platform::trace::emit;
    emit(|| tracing::trace!(target: "pysync", addr = queue, ran, panicked, left, "drain"));
}

#[cfg(not(feature = "tracing"))]
#[inline(always)]
pub(crate) fn finalize(_queue: usize, _type_name: &str, _panicked: bool) {}

#[cfg(not(feature = "tracing"))]
#[inline(always)]
pub(crate) fn drain(_queue: usize, _ran: usize, _panicked: usize, _left: usize) {}
