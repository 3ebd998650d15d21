//! The events of a notification, for a subscriber of the `tracing` crate. Without that feature this is
//! empty. The rules are those of [`pysync_platform::trace`].

/// The calling thread has notified waiters of the condition at `addr`: so many are woken, and so many
/// have been moved to their mutex. It holds no lock of a queue any more.
#[cfg(feature = "tracing")]
pub(crate) fn notify(addr: usize, woken: usize, moved: usize) {
    use pysync_platform::trace::emit;
    if woken + moved > 0 {
        emit(|| tracing::trace!(target: "pysync", addr, woken, moved, "notify"));
    }
}

#[cfg(not(feature = "tracing"))]
#[inline(always)]
pub(crate) fn notify(_addr: usize, _woken: usize, _moved: usize) {}
