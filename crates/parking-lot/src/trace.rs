//! Slow-path events, for whoever listens. Without the feature every function here is empty.

use crate::ParkStatus;

#[cfg(feature = "tracing")]
mod imp {
    use super::*;

    pub(crate) type Started = u64;

    pub(crate) fn now() -> Started {
        crate::monotonic_now()
    }

    pub(crate) fn park(addr: usize) {
        tracing::trace!(target: "pysync", addr, "park");
    }

    pub(crate) fn unparked(addr: usize, status: ParkStatus, started: Started) {
        let nanos = now().saturating_sub(started);
        match status {
            ParkStatus::Ok => tracing::trace!(target: "pysync", addr, nanos, "wake"),
            ParkStatus::Timeout => tracing::trace!(target: "pysync", addr, nanos, "timeout"),
            ParkStatus::Interrupted => tracing::trace!(target: "pysync", addr, nanos, "interrupt"),
            ParkStatus::Again => {}
        }
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

pub(crate) use imp::*;
