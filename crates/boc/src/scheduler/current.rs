//! Which behaviour the calling thread runs.

use std::cell::Cell;
use std::ptr::{self, NonNull};

use pysync_platform::primitive;

use super::runtime::Shared;
use super::worker::Worker;

/// What the calling thread is.
#[derive(Clone, Copy)]
pub(crate) struct Current {
    /// The runtime whose behaviour it runs or drops, or null.
    shared: *const Shared,
    /// The worker of that runtime that it is, or null.
    worker: *const Worker,
}

primitive::thread_local! {
    static CURRENT: Cell<Current> = Cell::new(Current { shared: ptr::null(), worker: ptr::null() })
}

primitive::thread_local! {
    /// How many bodies have panicked on the calling thread.
    static PANICS: Cell<usize> = Cell::new(0)
}

/// Counts a body that has panicked on the calling thread.
pub(crate) fn count_panic() {
    PANICS.with(|panics| panics.set(panics.get().wrapping_add(1)));
}

/// How many bodies have panicked on the calling thread.
pub(crate) fn panics() -> usize {
    PANICS.with(Cell::get)
}

/// The runtime whose behaviour the calling thread runs or drops, if it does.
#[inline]
pub(crate) fn current() -> Option<NonNull<Shared>> {
    NonNull::new(CURRENT.with(Cell::get).shared.cast_mut())
}

/// Whether the calling thread runs the body of a behaviour, or drops one: in a worker, in
/// [`Lane::pump`](crate::Lane::pump), or in what gives behaviours up.
#[inline]
pub(crate) fn is_inside_body() -> bool {
    current().is_some()
}

/// The worker of `shared` that the calling thread is, if it is one.
#[inline]
pub(crate) fn worker_of(shared: &Shared) -> Option<&Worker> {
    let current = CURRENT.with(Cell::get);
    if !ptr::eq(current.shared, shared) {
        return None;
    }
    // SAFETY: a worker of this runtime lives as long as it does.
    unsafe { current.worker.as_ref() }
}

/// What the thread was before an [`enter`]. It is that again when this is dropped.
pub(crate) struct Entered(Current);

/// The calling thread runs behaviours of `shared` from now on, as its `worker` if that is not null.
pub(crate) fn enter(shared: *const Shared, worker: *const Worker) -> Entered {
    Entered(CURRENT.with(|current| current.replace(Current { shared, worker })))
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.with(|current| current.set(self.0));
    }
}
