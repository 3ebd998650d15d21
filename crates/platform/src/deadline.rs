use std::time::Duration;

use crate::monotonic_now;

/// A point on the monotonic clock at which a wait gives up, or never.
///
/// Every wait in these crates turns its timeout into a deadline once, at its start, so that a
/// wait that is interrupted and taken up again does not grow. Timeouts too long for the clock
/// (584 years) mean never.
///
/// In C the same sum is done with `_PyTime_Add` and undone with `_PyDeadline_Get` around each
/// park.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(u64);

impl Deadline {
    /// The wait has no limit.
    pub const NEVER: Self = Self(u64::MAX);

    /// `timeout` from now; `None` is [`Deadline::NEVER`]. Reads the clock only when it has to.
    #[inline]
    pub fn after(timeout: Option<Duration>) -> Self {
        match timeout {
            None => Self::NEVER,
            Some(timeout) => Self::at(monotonic_now(), Some(timeout)),
        }
    }

    /// `timeout` after `now`, a reading of [`monotonic_now`].
    #[inline]
    pub fn at(now: u64, timeout: Option<Duration>) -> Self {
        let nanos = |timeout: Duration| u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        Self(timeout.map_or(u64::MAX, |timeout| now.saturating_add(nanos(timeout))))
    }

    /// Whether there is no limit.
    #[inline]
    pub const fn is_never(self) -> bool {
        self.0 == u64::MAX
    }

    /// Whether the deadline has come. Reads the clock unless there is no limit.
    #[inline]
    pub fn has_passed(self) -> bool {
        !self.is_never() && monotonic_now() >= self.0
    }

    /// Nanoseconds on the monotonic clock; `u64::MAX` is never.
    #[inline]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }
}

#[cfg(all(test, not(any(pysync_loom, pysync_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn long_timeouts_do_not_overflow() {
        assert_eq!(Deadline::after(Some(Duration::MAX)), Deadline::NEVER);
        assert_eq!(Deadline::at(u64::MAX - 5, Some(Duration::from_nanos(9))), Deadline::NEVER);
        assert!(!Deadline::NEVER.has_passed());
    }

    #[test]
    fn zero_has_passed_at_once() {
        assert!(Deadline::after(Some(Duration::ZERO)).has_passed());
        assert!(!Deadline::after(Some(Duration::from_secs(3600))).has_passed());
    }
}
