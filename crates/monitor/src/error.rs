//! Why a thread is not where it wanted to be.

use std::error::Error;
use std::fmt;

use crate::report::Deadlock;
use crate::scope::Cancelled;

/// Why a thread has not entered.
#[derive(Debug)]
pub enum EnterError {
    /// It would have waited for ever.
    Deadlock(Deadlock),
    /// The timeout ran out.
    Timeout,
    /// A signal has ended the wait. Only where the caller has asked for that.
    Interrupted,
}

/// Why a wait for a condition has ended without it.
#[derive(Debug)]
pub enum Stopped {
    /// It would never have ended.
    Deadlock(Deadlock),
    /// The thread was cancelled.
    Cancelled(Cancelled),
    /// A signal has ended the wait. Only where the caller has asked for that.
    Interrupted,
}

/// An error that may be a [`Deadlock`], for [`attempt`](crate::attempt()).
pub trait AsDeadlock {
    /// The deadlock, if it is one.
    fn as_deadlock(&self) -> Option<&Deadlock>;
}

impl AsDeadlock for Deadlock {
    fn as_deadlock(&self) -> Option<&Deadlock> {
        Some(self)
    }
}

impl AsDeadlock for EnterError {
    fn as_deadlock(&self) -> Option<&Deadlock> {
        match self {
            Self::Deadlock(deadlock) => Some(deadlock),
            _ => None,
        }
    }
}

impl AsDeadlock for Stopped {
    fn as_deadlock(&self) -> Option<&Deadlock> {
        match self {
            Self::Deadlock(deadlock) => Some(deadlock),
            _ => None,
        }
    }
}

macro_rules! as_deadlock_of_box {
    ($($ty:ty),+) => {$(
        /// If the boxed error is one of this crate.
        impl AsDeadlock for Box<$ty> {
            fn as_deadlock(&self) -> Option<&Deadlock> {
                if let Some(deadlock) = self.downcast_ref() {
                    return Some(deadlock);
                }
                let entering = self.downcast_ref::<EnterError>().and_then(AsDeadlock::as_deadlock);
                entering.or_else(|| self.downcast_ref::<Stopped>()?.as_deadlock())
            }
        }
    )+};
}

as_deadlock_of_box!(dyn Error, dyn Error + Send, dyn Error + Send + Sync);

impl From<Deadlock> for EnterError {
    fn from(deadlock: Deadlock) -> Self {
        Self::Deadlock(deadlock)
    }
}

impl From<Deadlock> for Stopped {
    fn from(deadlock: Deadlock) -> Self {
        Self::Deadlock(deadlock)
    }
}

impl From<Cancelled> for Stopped {
    fn from(cancelled: Cancelled) -> Self {
        Self::Cancelled(cancelled)
    }
}

impl fmt::Display for EnterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadlock(deadlock) => deadlock.fmt(f),
            Self::Timeout => f.write_str("the monitor was not left in time"),
            Self::Interrupted => f.write_str("a signal has ended the wait for the monitor"),
        }
    }
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadlock(deadlock) => deadlock.fmt(f),
            Self::Cancelled(cancelled) => cancelled.fmt(f),
            Self::Interrupted => f.write_str("a signal has ended the wait for the condition"),
        }
    }
}

impl Error for EnterError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Deadlock(deadlock) => Some(deadlock),
            _ => None,
        }
    }
}

impl Error for Stopped {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Deadlock(deadlock) => Some(deadlock),
            Self::Cancelled(cancelled) => Some(cancelled),
            Self::Interrupted => None,
        }
    }
}
