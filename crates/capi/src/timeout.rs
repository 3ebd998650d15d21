//! `PyTime_t`: nanoseconds in C's sign convention.

use std::time::Duration;

/// Negative waits forever.
pub(crate) type PyTime = i64;

pub(crate) fn from_c(nanos: PyTime) -> Option<Duration> {
    u64::try_from(nanos).ok().map(Duration::from_nanos)
}
