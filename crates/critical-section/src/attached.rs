//! The guard of an attached thread, and what an attached thread does around its waits.

use std::fmt;
use std::marker::PhantomData;
use std::ptr;
use std::thread;

use pysync_platform::{Native, Runtime, ThreadHooks};

use crate::ThreadState;
use crate::section_thread::report;

static HOOKS: ThreadHooks = ThreadHooks {
    // PR 116483: only an attached thread is detached; to have a state is not enough.
    detach: || {
        let current = ThreadState::current();
        let attached = current.is_attached_here();
        if attached {
            report::<ThreadState>(current.detach());
        }
        attached
    },
    attach: || ThreadState::current().attach_here(),
};

/// An attached thread; detaches when dropped. Stays on its thread.
///
/// Dropping it suspends the sections that are open. They may then end while the thread is detached.
///
/// # Panics
/// Dropping it panics, after detaching, if the mutex of an open section was not locked, because
/// other code has unlocked it.
#[must_use]
pub struct Attached {
    /// What the thread did around its waits before; ours if this is an attach inside `detached`.
    previous_hooks: Option<&'static ThreadHooks>,
    not_send: PhantomData<*mut ()>,
}

impl Attached {
    /// Attaches the calling thread, whose state `current` is and which is not attached.
    pub(crate) fn new(current: &ThreadState) -> Self {
        let previous_hooks = Native::set_thread_hooks(Some(&HOOKS));
        current.attach_here();
        Self { previous_hooks, not_send: PhantomData }
    }

    /// Runs `f` with the thread detached and its sections suspended. Meant for all code that may
    /// block and is no lock of these crates. Attaches again afterwards, even if `f` panics, which
    /// resumes the innermost section.
    ///
    /// # Panics
    /// - If the thread is not attached, as inside another `detached`.
    /// - If the mutex of one of its sections was not locked, because other code has unlocked it.
    ///   Then `f` does not run, and the innermost section has its mutexes again.
    #[doc(alias("Py_BEGIN_ALLOW_THREADS", "Py_END_ALLOW_THREADS"))]
    #[track_caller]
    pub fn detached<T>(&self, f: impl FnOnce() -> T) -> T {
        struct Reattach;
        impl Drop for Reattach {
            fn drop(&mut self) {
                ThreadState::current().attach_here();
            }
        }

        let state = ThreadState::current();
        if !state.is_attached_here() {
            Native::fatal_error("Attached::detached", "the thread is already detached");
        }
        let unlocked = state.detach();
        let _reattach = Reattach;
        report::<ThreadState>(unlocked);
        f()
    }

    /// The address of the innermost section, if there is one.
    pub fn top(&self) -> Option<usize> {
        let top = ThreadState::current().top_here();
        (!top.is_none()).then(|| top.untagged().addr())
    }

    /// The thread's state, for a stopper.
    ///
    /// It is valid until the thread's closure returns, and any thread may use it until then. At
    /// the thread's end std may free it, among the destructors of the thread's locals. It is a
    /// pointer, since a borrow of a guard that has been leaked would outlive the state.
    pub fn state(&self) -> *const ThreadState {
        ThreadState::current()
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let state = ThreadState::current();
        // The thread is not attached if another guard got out of `detached` and was dropped first.
        // To store "detached" then might start a thread that has been stopped.
        let unlocked = if state.is_attached_here() { state.detach() } else { Ok(()) };
        if !self.previous_hooks.is_some_and(|hooks| ptr::eq(hooks, &HOOKS)) {
            Native::set_thread_hooks(self.previous_hooks);
        }
        if !thread::panicking() {
            report::<ThreadState>(unlocked);
        }
    }
}

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attached").field("top", &self.top()).finish()
    }
}
