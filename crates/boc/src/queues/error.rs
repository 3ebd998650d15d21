//! Why a call on the queues has failed. What was to be sent comes back with the error.

use std::error::Error;
use std::fmt;

/// All tags are taken, or [`set_tags`](super::Queues::set_tags) has fixed them, and the name is none of
/// them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NoTagLeft;

const NO_TAG_LEFT: &str = "no tag is left for the name";

impl fmt::Display for NoTagLeft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NO_TAG_LEFT)
    }
}

impl Error for NoTagLeft {}

/// Why [`send`](super::Queues::send) has not sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SendError<M> {
    /// The queue holds as many messages as it may, or a receiver is about to take one.
    Full(M),
    /// The queue has been closed.
    Closed(M),
    /// [`set_tags`](super::Queues::set_tags) has ended the tag, or it is of other queues.
    Stale(M),
    /// The name is new, and no tag is left for it.
    NoTagLeft(M),
}

/// Why [`send_timed`](super::Queues::send_timed) has not sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SendTimedError<M> {
    /// There was no room before the deadline.
    Timeout(M),
    /// The queue has been closed.
    Closed(M),
    /// [`set_tags`](super::Queues::set_tags) has ended the tag, or it is of other queues.
    Stale(M),
    /// The name is new, and no tag is left for it.
    NoTagLeft(M),
    /// A signal came, and the flags let it end the wait.
    Interrupted(M),
}

impl<M> SendError<M> {
    /// The message that has not been sent.
    pub fn into_message(self) -> M {
        match self {
            Self::Full(m) | Self::Closed(m) | Self::Stale(m) | Self::NoTagLeft(m) => m,
        }
    }

    fn parts(&self) -> (&'static str, &'static str) {
        match self {
            Self::Full(_) => ("Full", "the queue is full"),
            Self::Closed(_) => ("Closed", CLOSED),
            Self::Stale(_) => ("Stale", STALE),
            Self::NoTagLeft(_) => ("NoTagLeft", NO_TAG_LEFT),
        }
    }
}

impl<M> SendTimedError<M> {
    /// The message that has not been sent.
    pub fn into_message(self) -> M {
        match self {
            Self::Timeout(m)
            | Self::Closed(m)
            | Self::Stale(m)
            | Self::NoTagLeft(m)
            | Self::Interrupted(m) => m,
        }
    }

    fn parts(&self) -> (&'static str, &'static str) {
        match self {
            Self::Timeout(_) => ("Timeout", "there was no room before the deadline"),
            Self::Closed(_) => ("Closed", CLOSED),
            Self::Stale(_) => ("Stale", STALE),
            Self::NoTagLeft(_) => ("NoTagLeft", NO_TAG_LEFT),
            Self::Interrupted(_) => ("Interrupted", INTERRUPTED),
        }
    }
}

const CLOSED: &str = "the queue is closed";
const STALE: &str = "the tag is not, or no longer, one of these queues";
const INTERRUPTED: &str = "a signal has interrupted the wait";

macro_rules! error_with_message {
    ($error:ident) => {
        /// Needs no `M: Debug`: the message is left out.
        impl<M> fmt::Debug for $error<M> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(self.parts().0).finish_non_exhaustive()
            }
        }

        impl<M> fmt::Display for $error<M> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.parts().1)
            }
        }

        impl<M> Error for $error<M> {}
    };
}

error_with_message!(SendError);
error_with_message!(SendTimedError);

/// Why a receive has ended without a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReceiveError {
    /// No message came before the deadline.
    Timeout,
    /// All the queues asked for are closed, and no message is left in them.
    Closed,
    /// A signal came, and the flags let it end the wait.
    Interrupted,
    /// [`set_tags`](super::Queues::set_tags) has ended a tag that was asked for, or it is of other
    /// queues.
    Stale,
    /// No tag was asked for.
    NoTags,
    /// A name is new, and no tag is left for it.
    NoTagLeft,
}

impl fmt::Display for ReceiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout => "no message came before the deadline",
            Self::Closed => CLOSED,
            Self::Interrupted => INTERRUPTED,
            Self::Stale => STALE,
            Self::NoTags => "no tag was asked for",
            Self::NoTagLeft => NO_TAG_LEFT,
        })
    }
}

impl Error for ReceiveError {}

/// Why [`set_tags`](super::Queues::set_tags) has changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SetTagsError {
    /// There are more names than [`Limits::tags`](super::Limits::tags).
    TooMany {
        /// How many names there are.
        given: usize,
        /// How many there may be.
        limit: usize,
    },
    /// A name stands at two places.
    Duplicate {
        /// The first place.
        first: usize,
        /// The second place.
        second: usize,
    },
}

impl fmt::Display for SetTagsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany { given, limit } => {
                write!(f, "{given} names were given for at most {limit} tags")
            }
            Self::Duplicate { first, second } => {
                write!(f, "the names at {first} and {second} are the same")
            }
        }
    }
}

impl Error for SetTagsError {}
