//! What becomes of a behaviour.

use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use pysync_platform::{Deadline, LockFlags, Native, Runtime};

use crate::cown::{Held, NotAcquired, deadline_after};
use crate::{Cown, Failed};

/// The result of a behaviour, once it has run: what [`when`](crate::when) returns. It is a cown, which the
/// behaviour holds until then. So another behaviour can follow it: `when(&outcome, …)`.
///
/// Dropped, it lets the behaviour run all the same; the result is dropped where it ends.
///
/// ```
/// use pysync_boc::{Cown, when};
///
/// let number = Cown::new(20);
/// let double = when(&number, |n| *n * 2);
/// let more = when(&double, |double| double.as_ref().unwrap() + 2);
/// assert_eq!(more.wait(None).unwrap().unwrap(), 42);
/// ```
pub struct Outcome<R> {
    cown: Cown<Result<R, Failed>>,
}

impl<R: Send + 'static> Outcome<R> {
    pub(crate) fn new(cown: Cown<Result<R, Failed>>) -> Self {
        Self { cown }
    }

    /// Waits until the behaviour has run, or will not, and behind what else was asked of the outcome; takes
    /// the result. `None` waits for ever, and `Some(ZERO)` not at all. Blocks through signals, and detached
    /// while it sleeps.
    ///
    /// The result is taken from all handles of the outcome, as [`Held::disown`] does.
    ///
    /// # Errors
    /// The outcome itself, if there is no result in time.
    ///
    /// # Panics
    /// Inside a behaviour, unless the result is there or the timeout is zero: name the outcome in
    /// [`when`](crate::when) instead.
    #[track_caller]
    pub fn wait(self, timeout: Option<Duration>) -> Result<Result<R, Failed>, Self> {
        self.wait_in::<Native>(deadline_after(timeout), LockFlags::DETACH).map_err(|(this, _)| this)
    }

    /// [`wait`](Self::wait) in any runtime, until a deadline. A signal that interrupts the wait ends it or
    /// has pending calls run, as `flags` say.
    ///
    /// # Errors
    /// The outcome itself, and how the wait has ended.
    ///
    /// # Panics
    /// As `wait` does, and if a pending call panics.
    #[track_caller]
    pub fn wait_in<S: Runtime>(
        self,
        deadline: Deadline,
        flags: LockFlags,
    ) -> Result<Result<R, Failed>, (Self, NotAcquired)> {
        match self.cown.acquire_in::<S>(deadline, flags) {
            Ok(held) => Ok(held.take()),
            // It has been taken through another handle.
            Err(NotAcquired::Disowned) => Ok(Err(Failed::Disowned)),
            Err(error) => Err((self, error)),
        }
    }

    /// Cancels the behaviour; true if it is not going to run by that, and false if it runs, has run, or was
    /// cancelled before. The closure is dropped here and now, and the result is [`Failed::Cancelled`]. The
    /// behaviour keeps its place before those that follow it on its cowns, until it is its turn. Never blocks.
    ///
    /// # Panics
    /// If the drop of the closure panics. The behaviour is cancelled nevertheless.
    pub fn cancel(&self) -> bool {
        let header = self.cown.header();
        // SAFETY: the handle keeps it.
        unsafe { header.as_ref().vtable.outcome.as_ref() }
            // SAFETY: as above.
            .is_some_and(|vtable| unsafe { (vtable.cancel)(header) })
    }

    /// Whether the behaviour has run, or will not. Never blocks.
    pub fn is_done(&self) -> bool {
        let header = self.cown.header();
        // SAFETY: the handle keeps it.
        unsafe { header.as_ref().vtable.outcome.as_ref() }
            // SAFETY: as above.
            .is_none_or(|vtable| unsafe { (vtable.is_done)(header) })
    }

    /// Acquires the outcome if there is a result and no other has it: what is to be looked at, and not taken.
    pub fn try_look(&self) -> Option<Held<Result<R, Failed>>> {
        self.cown.try_acquire()
    }
}

impl<R> Deref for Outcome<R> {
    type Target = Cown<Result<R, Failed>>;

    fn deref(&self) -> &Self::Target {
        &self.cown
    }
}

impl<R: Send + 'static> fmt::Debug for Outcome<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outcome").field("is_done", &self.is_done()).finish()
    }
}
