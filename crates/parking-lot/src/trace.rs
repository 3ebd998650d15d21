//! Slow-path events, for a subscriber of the `tracing` crate. Without the feature every function
//! here is empty.
//!
//! A subscriber is foreign code: it may panic, block, and wait for one of these very locks. So an
//! event is emitted only where every queue, lock and section is as it should be, and only by
//! threads that wait: no unlock emits any.
//!
//! Inside an event there are no further events, and a wait does not detach. Detached, a subscriber
//! that is handed its buffer's lock would first resume its thread's sections, and so wait for their
//! mutexes with the buffer locked; and the thread that has one of these may be in an event too.

use crate::ParkStatus;

#[cfg(feature = "tracing")]
mod imp {
    use std::cell::Cell;
    use std::panic::{self, AssertUnwindSafe};

    use super::*;
    use crate::primitive;

    pub(crate) type Started = u64;

    primitive::thread_local! {
        static EMITTING: Cell<bool> = Cell::new(false)
    }

    /// Whether the calling thread is inside an event.
    pub(crate) fn is_emitting() -> bool {
        EMITTING.with(Cell::get)
    }

    /// Emits an event, unless the thread is inside another: a subscriber that waits for a lock of
    /// these crates hears nothing of that wait, or it could go on for ever.
    ///
    /// Does not unwind. If the subscriber panics, the panic hook reports it and the caller goes on.
    pub fn emit(event: impl FnOnce()) {
        if EMITTING.with(|emitting| emitting.replace(true)) {
            return;
        }
        let result = panic::catch_unwind(AssertUnwindSafe(|| {
            let result = panic::catch_unwind(AssertUnwindSafe(event));
            // A payload's drop is foreign code too.
            drop(result);
        }));
        EMITTING.with(|emitting| emitting.set(false));
        // And so is the drop of what that has thrown, without end.
        std::mem::forget(result);
    }

    pub(crate) fn now() -> Started {
        crate::monotonic_now()
    }

    pub(crate) fn park(addr: usize) {
        emit(|| tracing::trace!(target: "pysync", addr, "park"));
    }

    pub(crate) fn unparked(addr: usize, status: ParkStatus, started: Started) {
        let nanos = now().saturating_sub(started);
        emit(|| match status {
            ParkStatus::Ok => tracing::trace!(target: "pysync", addr, nanos, "wake"),
            ParkStatus::Timeout => tracing::trace!(target: "pysync", addr, nanos, "timeout"),
            ParkStatus::Interrupted => tracing::trace!(target: "pysync", addr, nanos, "interrupt"),
            // The child of a fork in the middle of a wait.
            ParkStatus::Again => tracing::trace!(target: "pysync", addr, nanos, "again"),
        });
    }
}

#[cfg(not(feature = "tracing"))]
mod imp {
    use super::*;

    /// Nothing to remember.
    pub(crate) struct Started;

    #[inline(always)]
    pub(crate) fn is_emitting() -> bool {
        false
    }

    #[inline(always)]
    pub(crate) fn now() -> Started {
        Started
    }

    #[inline(always)]
    pub(crate) fn park(_addr: usize) {}

    #[inline(always)]
    pub(crate) fn unparked(_addr: usize, _status: ParkStatus, _started: Started) {}
}

#[cfg(feature = "tracing")]
pub use imp::emit;
pub(crate) use imp::{is_emitting, now, park, unparked};
