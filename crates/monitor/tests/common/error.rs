//! The error of the threads of a test.

use std::fmt;

use pysync_monitor::{Cancelled, Deadlock, Stopped};

/// Why a thread has not done what it was to do.
#[derive(Debug)]
pub(crate) enum Error<E> {
    /// It has failed by itself.
    Failed(E),
    Cancelled,
    Deadlock(Deadlock),
}

impl<E> From<Cancelled> for Error<E> {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}

impl<E> From<Deadlock> for Error<E> {
    fn from(deadlock: Deadlock) -> Self {
        Self::Deadlock(deadlock)
    }
}

impl<E> From<Stopped> for Error<E> {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Deadlock(deadlock) => Self::Deadlock(deadlock),
            _ => Self::Cancelled,
        }
    }
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => write!(f, "error {error}"),
            Self::Cancelled => f.write_str("cancelled"),
            Self::Deadlock(deadlock) => deadlock.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for Error<E> {}
