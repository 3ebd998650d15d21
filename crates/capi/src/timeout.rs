//! `PyTime_t`: nanoseconds in C's sign convention.

use std::time::Duration;

use pysync_platform::Deadline;

/// Nanoseconds. A negative number waits forever, and 0 does not wait.
pub(crate) type PyTime = i64;

/// When a wait ends that begins now. A timeout of 0 is [`Deadline::NOW`], for which no lock reads
/// the clock.
pub(crate) fn deadline(timeout: PyTime) -> Deadline {
    match u64::try_from(timeout) {
        Ok(0) => Deadline::NOW,
        Ok(nanos) => Deadline::after(Some(Duration::from_nanos(nanos))),
        Err(_) => Deadline::NEVER,
    }
}
