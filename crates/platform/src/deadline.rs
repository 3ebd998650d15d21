use std::time::Duration;

use crate::monotonic_now;

/// The time on the monotonic clock at which a wait gives up, or [`NEVER`](Self::NEVER).
///
/// A wait turns its timeout into a deadline once, at its start. So a wait that is interrupted and
/// goes on does not grow. A timeout that is too long for the clock (584 years) means never.
///
/// C adds with `_PyTime_Add` at the start and subtracts with `_PyDeadline_Get` around each park.
///
/// ```
/// use pysync_platform::Deadline;
/// use std::time::Duration;
///
/// let soon = Deadline::after(Some(Duration::from_millis(1)));
/// while !soon.has_passed() {
///     std::thread::yield_now();
/// }
/// assert!(Deadline::NOW < soon && soon < Deadline::NEVER);
/// assert_eq!(Deadline::after(Some(Duration::ZERO)), Deadline::NOW);
/// assert_eq!(Deadline::after(None), Deadline::NEVER);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(u64);

impl Deadline {
    /// The wait has no limit.
    pub const NEVER: Self = Self(u64::MAX);

    /// The deadline has passed already: one attempt and no wait.
    pub const NOW: Self = Self(0);

    /// `timeout` from now. `None` is [`NEVER`](Self::NEVER) and `Some(ZERO)` is
    /// [`NOW`](Self::NOW); for neither is the clock read.
    #[inline]
    pub fn after(timeout: Option<Duration>) -> Self {
        match timeout {
            None => Self::NEVER,
            Some(Duration::ZERO) => Self::NOW,
            Some(timeout) => Self::at(monotonic_now(), Some(timeout)),
        }
    }

    /// `timeout` after `now`, which is a reading of [`monotonic_now`] in nanoseconds.
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

    /// Whether the deadline has passed. Reads the clock, but for [`NEVER`](Self::NEVER) and
    /// [`NOW`](Self::NOW).
    #[inline]
    pub fn has_passed(self) -> bool {
        self == Self::NOW || (!self.is_never() && monotonic_now() >= self.0)
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
        assert_eq!(Deadline::after(Some(Duration::ZERO)), Deadline::NOW);
        assert!(Deadline::NOW.has_passed());
        assert!(!Deadline::after(Some(Duration::from_secs(3600))).has_passed());
    }
}
