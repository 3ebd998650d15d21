//! The events of a park, for a subscriber of the `tracing` crate. Without the feature every
//! function here is empty. The rules are those of [`pysync_platform::trace`].

use crate::ParkStatus;

#[cfg(feature = "tracing")]
mod imp {
    use pysync_platform::monotonic_now;
    use pysync_platform::trace::emit;

    use super::*;

    pub(crate) type Started = u64;

    pub(crate) fn now() -> Started {
        monotonic_now()
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
    pub(crate) fn now() -> Started {
        Started
    }

    #[inline(always)]
    pub(crate) fn park(_addr: usize) {}

    #[inline(always)]
    pub(crate) fn unparked(_addr: usize, _status: ParkStatus, _started: Started) {}
}

pub(crate) use imp::{now, park, unparked};
