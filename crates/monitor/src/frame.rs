//! What a thread is inside of.

use std::cell::Cell;
use std::panic::Location;
use std::ptr;
use std::sync::atomic::Ordering::Relaxed;

use pysync_platform::abort;

use crate::lock::Lock;
use crate::node::Node;

/// One entry of a thread into a monitor. It lies on the thread's stack until the thread has left. Others read it while
/// the thread is queued, in which it changes nothing here.
pub(crate) struct Frame {
    /// The entry around this one, or null.
    pub(crate) outer: Cell<*const Frame>,
    pub(crate) lock: *const Lock,
    /// Where the thread has entered.
    pub(crate) at: &'static Location<'static>,
    /// The thread has the monitor: not while it waits for a condition, nor after it has lost such a wait.
    pub(crate) is_inside: Cell<bool>,
    /// The thread may have written to the value.
    pub(crate) is_dirty: Cell<bool>,
    /// What is to be done if the body fails: a list of [`crate::undo`], or null.
    pub(crate) undo: Cell<*mut ()>,
}

impl Frame {
    #[inline]
    pub(crate) fn new(lock: *const Lock, at: &'static Location<'static>) -> Self {
        Self {
            outer: Cell::new(ptr::null()),
            lock,
            at,
            is_inside: Cell::new(false),
            is_dirty: Cell::new(false),
            undo: Cell::new(ptr::null_mut()),
        }
    }

    /// The calling thread has entered by this frame.
    ///
    /// # Safety
    /// The frame stays where it is until it is popped.
    #[inline]
    pub(crate) unsafe fn push(&self, me: &Node) {
        // Ordering: Relaxed, here and below; a wait publishes what the thread is inside of.
        self.outer.set(me.frames.load(Relaxed));
        self.is_inside.set(true);
        me.frames.store(ptr::from_ref(self).cast_mut(), Relaxed);
    }

    /// The calling thread leaves the innermost entry.
    ///
    /// # Aborts
    /// If that is another one, as where two stacks of one thread are inside of monitors.
    #[inline]
    pub(crate) fn pop(&self, me: &Node) {
        if !ptr::eq(me.frames.load(Relaxed), self) {
            abort_out_of_order();
        }
        me.frames.store(self.outer.get().cast_mut(), Relaxed);
    }
}

#[cold]
fn abort_out_of_order() -> ! {
    abort("monitors are left in another order than the reverse of that in which they were entered")
}
