use std::time::Duration;

use pysync_platform::Deadline;

/// How long an acquirer waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// For as long as it takes.
    Never,
    /// Not at all: a held mutex is [`Busy`](crate::Error::Busy). Never sleeps.
    Try,
    /// For so long on the monotonic clock, from now; then the wait is
    /// [`TimedOut`](crate::Error::TimedOut). A step of the wall clock changes nothing. A timeout that
    /// is too long for the clock (584 years) means never.
    After(Duration),
}

impl Timeout {
    /// When a wait that begins now gives up.
    pub(crate) fn deadline(self) -> Deadline {
        match self {
            Self::Never => Deadline::NEVER,
            Self::Try => Deadline::NOW,
            Self::After(timeout) => Deadline::after(Some(timeout)),
        }
    }
}

/// Whether the owner may acquire a mutex once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It may not: that is a [`Deadlock`](crate::Error::Deadlock).
    Plain,
    /// It may. It has to release the mutex as often as it has acquired it.
    Recursive,
}
