//! Why a behaviour has no result.

use std::any::Any;
use std::fmt;

/// Why a behaviour has no result. Its cowns have been released nevertheless, with what the body had made of
/// their values by then: there is no poison.
pub enum Failed {
    /// The body has panicked, with this payload.
    Panicked(Box<dyn Any + Send>),
    /// It was [cancelled](crate::Outcome::cancel) before it ran.
    Cancelled,
    /// Its runtime was [stopped](crate::Runtime::stop) before it ran, or before it was asked for.
    Stopped,
    /// A cown of its has been [disowned](crate::Held::disown), so that there is no value for the body.
    Disowned,
}

impl Failed {
    /// What the panic said, if that is what has happened and it said a text.
    pub fn message(&self) -> Option<&str> {
        let Self::Panicked(payload) = self else { return None };
        let text = payload.downcast_ref::<&str>().copied();
        text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
    }
}

impl fmt::Debug for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(_) => f.debug_tuple("Panicked").field(&self.message()).finish(),
            Self::Cancelled => f.write_str("Cancelled"),
            Self::Stopped => f.write_str("Stopped"),
            Self::Disowned => f.write_str("Disowned"),
        }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(_) => match self.message() {
                Some(message) => write!(f, "the behaviour has panicked: {message}"),
                None => f.write_str("the behaviour has panicked"),
            },
            Self::Cancelled => f.write_str("the behaviour was cancelled"),
            Self::Stopped => f.write_str("the runtime was stopped"),
            Self::Disowned => f.write_str("a cown of the behaviour has been disowned"),
        }
    }
}

impl std::error::Error for Failed {}
