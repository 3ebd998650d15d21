//! What is told of a branch that has not succeeded.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::panic::resume_unwind;

/// Why a part of a branch has not succeeded.
pub enum Failure<E> {
    /// Its closure has returned an error.
    Error(E),
    /// Its closure has panicked.
    Panicked(Box<dyn Any + Send>),
    /// Its closure was not called, since the branch had been cancelled.
    Cancelled,
}

/// All that has failed in a [`branch`](crate::branch()): the body first, then the threads in the order in which they were
/// made.
pub struct Failures<E> {
    all: Vec<Failure<E>>,
    /// Which of them has cancelled the branch.
    cause: Option<usize>,
}

impl<E> Failures<E> {
    /// From failures with the numbers of the parts, and the number of that which has cancelled the branch.
    pub(super) fn new(mut all: Vec<(usize, Failure<E>)>, cause: Option<usize>) -> Self {
        all.sort_by_key(|(index, _)| *index);
        let cause = cause.and_then(|cause| all.iter().position(|(index, _)| *index == cause));
        Self { all: all.into_iter().map(|(_, failure)| failure).collect(), cause }
    }

    /// All of them: the body's first, then those of the threads in the order in which they were made.
    pub fn iter(&self) -> std::slice::Iter<'_, Failure<E>> {
        self.all.iter()
    }

    /// All of them, in the order of [`iter`](Self::iter).
    pub fn into_vec(self) -> Vec<Failure<E>> {
        self.all
    }

    /// The one that came first, and has cancelled the others. `None` if the branch had been cancelled otherwise before.
    pub fn cause(&self) -> Option<&Failure<E>> {
        self.cause.map(|cause| &self.all[cause])
    }

    /// The error, if there is one and no panic. Those that have not begun do not count.
    ///
    /// # Errors
    /// All of them, as they were.
    pub fn into_single(self) -> Result<E, Self> {
        self.into_single_unless(|_| false)
    }

    /// [`into_single`](Self::into_single) that does not count the errors of threads that have ended because they were
    /// cancelled, either, as `is_cancelled` tells; unless there are no others.
    ///
    /// # Errors
    /// All of them, as they were.
    pub fn into_single_unless(self, is_cancelled: impl Fn(&E) -> bool) -> Result<E, Self> {
        let (mut found, mut others, mut last_cancelled) = (None, 0, None);
        for (at, failure) in self.all.iter().enumerate() {
            match failure {
                Failure::Error(error) if is_cancelled(error) => last_cancelled = Some(at),
                Failure::Cancelled => {}
                _ => (found, others) = (Some(at), others + 1),
            }
        }
        let single = match others {
            0 if self.errors().count() == 1 => last_cancelled,
            1 => found,
            _ => None,
        };
        let Some(at) = single.filter(|&at| matches!(self.all[at], Failure::Error(_))) else {
            return Err(self);
        };
        match self.all.into_iter().nth(at) {
            Some(Failure::Error(error)) => Ok(error),
            _ => unreachable!("it is an error"),
        }
    }

    /// Goes on with the first panic, if there is one; otherwise returns what it was given.
    pub fn resume_panic(mut self) -> Self {
        match self.all.iter().position(|failure| matches!(failure, Failure::Panicked(_))) {
            Some(at) => match self.all.swap_remove(at) {
                Failure::Panicked(payload) => resume_unwind(payload),
                _ => unreachable!("it is a panic"),
            },
            None => self,
        }
    }

    fn errors(&self) -> impl Iterator<Item = &E> {
        self.all.iter().filter_map(|failure| match failure {
            Failure::Error(error) => Some(error),
            _ => None,
        })
    }
}

impl<E> IntoIterator for Failures<E> {
    type Item = Failure<E>;
    type IntoIter = std::vec::IntoIter<Failure<E>>;

    fn into_iter(self) -> Self::IntoIter {
        self.all.into_iter()
    }
}

impl<'a, E> IntoIterator for &'a Failures<E> {
    type Item = &'a Failure<E>;
    type IntoIter = std::slice::Iter<'a, Failure<E>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The message of a panic, if it is one.
fn message(payload: &(dyn Any + Send)) -> &str {
    let message = payload.downcast_ref::<&str>().copied();
    message
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("with something that is no message")
}

impl<E: fmt::Display> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => error.fmt(f),
            Self::Panicked(payload) => write!(f, "panicked: {}", message(&**payload)),
            Self::Cancelled => f.write_str("cancelled before it began"),
        }
    }
}

impl<E: fmt::Debug> fmt::Debug for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => f.debug_tuple("Error").field(error).finish(),
            Self::Panicked(payload) => {
                f.debug_tuple("Panicked").field(&message(&**payload)).finish()
            }
            Self::Cancelled => f.write_str("Cancelled"),
        }
    }
}

impl<E: fmt::Display> fmt::Display for Failures<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.all[..] {
            [failure] => failure.fmt(f),
            all => {
                write!(f, "{} parts of a branch have failed", all.len())?;
                all.iter().enumerate().try_for_each(|(at, failure)| {
                    write!(f, "{} {failure}", if at == 0 { ":" } else { ";" })
                })
            }
        }
    }
}

impl<E: fmt::Debug> fmt::Debug for Failures<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.all).finish()
    }
}

impl<E: Error + 'static> Error for Failures<E> {
    /// The one that has cancelled the others, or else the first that is an error.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self.cause() {
            Some(Failure::Error(error)) => Some(error),
            _ => self.errors().next().map(|error| error as &(dyn Error + 'static)),
        }
    }
}
