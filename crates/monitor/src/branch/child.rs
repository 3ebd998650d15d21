//! A thread of a branch, for those that want its result.

use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use crate::Stopped;
use crate::scope::{Cancelled, Scope};

/// What a thread has returned, once it has and until that is taken.
pub(super) struct Slot<T>(Mutex<Option<T>>);

impl<T> Slot<T> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(None))
    }

    pub(super) fn put(&self, value: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
    }

    fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A thread of a [`branch`](crate::branch()), and its result. Dropped, the thread goes on, and the branch waits for it.
pub struct Child<'s, T> {
    scope: NonNull<Scope>,
    index: usize,
    slot: Arc<Slot<T>>,
    /// The scope is there for `'s`.
    _s: PhantomData<&'s Scope>,
}

// SAFETY: the scope is for all threads, and the value is that of the thread which takes it.
unsafe impl<T: Send> Send for Child<'_, T> {}
// SAFETY: the value is not got at by a shared reference.
unsafe impl<T: Send> Sync for Child<'_, T> {}

impl<'s, T> Child<'s, T> {
    /// # Safety
    /// The scope is there for `'s`.
    pub(super) unsafe fn new(scope: &Scope, index: usize, slot: Arc<Slot<T>>) -> Self {
        Self { scope: NonNull::from(scope), index, slot, _s: PhantomData::<&'s Scope> }
    }

    fn scope(&self) -> &Scope {
        // SAFETY: there for `'s`.
        unsafe { self.scope.as_ref() }
    }

    /// Waits until the thread has ended, and returns what it has returned.
    ///
    /// Blocks, detached from the thread's runtime. Neither a signal nor a cancel ends the wait: a cancel of the branch
    /// ends the thread that is waited for.
    ///
    /// # Errors
    /// - [`Stopped::Cancelled`] if the thread has failed: why is among the [`Failures`](crate::Failures) of the branch,
    ///   which has been cancelled.
    /// - [`Stopped::Deadlock`] if the thread would never end, since it waits for the calling one, and that is the
    ///   youngest of those that can lose.
    #[track_caller]
    pub fn join(self) -> Result<T, Stopped> {
        let at = Location::caller();
        self.scope().join_one(self.index, at).map_err(Stopped::Deadlock)?;
        self.slot.take().ok_or(Stopped::Cancelled(Cancelled))
    }

    /// Whether the thread has ended: then [`join`](Self::join) does not block. Blocks for a lock of all branches only.
    pub fn is_finished(&self) -> bool {
        self.scope().has_ended(self.index)
    }
}

impl<T> fmt::Debug for Child<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child").field("index", &self.index).finish_non_exhaustive()
    }
}
