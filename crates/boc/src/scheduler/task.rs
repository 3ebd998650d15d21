//! What the scheduler knows of a behaviour.

use std::ptr::{self, NonNull};

use pysync_platform::primitive::UnsafeCell;

use super::ready::ReadyList;
use super::runtime::Shared;

/// The head of a behaviour: what the scheduler knows of it. A thread that is handed a task which is ready
/// owns it, until it executes it.
#[repr(C)]
pub(crate) struct Task {
    /// The next one on whichever list of tasks this is.
    next: UnsafeCell<*mut Task>,
    vtable: &'static Vtable,
    /// The runtime that has counted it, and lives until it is finished.
    runtime: NonNull<Shared>,
    /// The lane on which it is to run, or null: any worker of the runtime may.
    lane: *const super::lane::Shared,
}

pub(crate) struct Vtable {
    /// See [`execute`].
    pub(crate) execute: unsafe fn(NonNull<Task>, Verdict, &mut ReadyList),
}

/// What becomes of a task that is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Its body runs.
    Run,
    /// Its body is dropped, since its runtime has been stopped.
    Stop,
    /// The same, but it has never been queued, so that no cown is its own.
    Refuse,
    /// Its body is dropped before it was ever queued, since its batch was.
    Cancel,
}

impl Task {
    #[inline]
    pub(crate) fn new(
        vtable: &'static Vtable,
        runtime: NonNull<Shared>,
        lane: *const super::lane::Shared,
    ) -> Self {
        Self { next: UnsafeCell::new(ptr::null_mut()), vtable, runtime, lane }
    }

    #[inline]
    pub(crate) fn runtime(&self) -> NonNull<Shared> {
        self.runtime
    }

    #[inline]
    pub(crate) fn lane(&self) -> *const super::lane::Shared {
        self.lane
    }

    /// # Safety
    /// The caller owns the task.
    #[inline]
    pub(crate) unsafe fn next(this: NonNull<Self>) -> *mut Task {
        // SAFETY: the owner alone touches the link.
        unsafe { this.as_ref().next.with(|next| *next) }
    }

    /// # Safety
    /// The caller owns the task.
    #[inline]
    pub(crate) unsafe fn set_next(this: NonNull<Self>, next: *mut Task) {
        // SAFETY: the owner alone touches the link.
        unsafe { this.as_ref().next.with_mut(|place| *place = next) }
    }
}

/// Runs the body of a task that is ready, or drops it; releases its cowns, and appends the tasks that are
/// ready by that to `ready`, which may be of other runtimes and lanes. Never unwinds: what panics in a
/// body is its result.
///
/// # Safety
/// The caller owns the task, which is gone afterwards.
#[inline]
pub(crate) unsafe fn execute(task: NonNull<Task>, verdict: Verdict, ready: &mut ReadyList) {
    // SAFETY: owned, by contract.
    unsafe { (task.as_ref().vtable.execute)(task, verdict, ready) }
}
