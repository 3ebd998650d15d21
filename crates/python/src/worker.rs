//! The workers' threads as threads of the interpreter.
//!
//! A worker attaches for a body, and stays attached while there are more of them: to attach costs as much as
//! a short body does. Once it has run out of bodies it detaches, before it looks for some elsewhere and
//! sleeps. While it is attached, it gives way to others where any Python thread does, inside a body; and, since
//! a body need not be Python, between two bodies every now and then.

use std::cell::Cell;
use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;
use pysync_platform::monotonic_now;

use crate::runtime::{hang_on_unwind, restore_thread};

/// What the calling thread is, if it is a worker.
#[derive(Clone, Copy)]
struct Worker {
    /// Its thread state; null if it is none.
    state: *mut ffi::PyThreadState,
    is_attached: bool,
}

unsafe extern "C-unwind" {
    // As in the headers, but that a thread may be ended in them.
    fn PyGILState_Ensure() -> ffi::PyGILState_STATE;
    fn PyGILState_Release(state: ffi::PyGILState_STATE);
}

thread_local! {
    static WORKER: Cell<Worker> =
        const { Cell::new(Worker { state: ptr::null_mut(), is_attached: false }) };
    /// After so many bodies it looks at the clock.
    static BODIES: Cell<u32> = const { Cell::new(BODIES_OF_A_LOOK) };
    /// When it has given way last.
    static GAVE_WAY: Cell<u64> = const { Cell::new(0) };
    /// The state of a thread that is no worker, while it is in [`suspended`] and not in [`attached`].
    static SUSPENDED: Cell<*mut ffi::PyThreadState> = const { Cell::new(ptr::null_mut()) };
}

const BODIES_OF_A_LOOK: u32 = 256;
/// A worker does not stay attached for longer, in nanoseconds. The interpreter has threads take turns of 5 ms.
const TURN: u64 = 10_000_000;

/// A worker begins: it gets a thread state, which it keeps, and is detached.
pub(crate) fn begin() {
    type Ensure = unsafe extern "C-unwind" fn() -> ffi::PyGILState_STATE;
    // SAFETY: a thread that the interpreter does not know.
    hang_on_unwind(PyGILState_Ensure as Ensure, |ensure| unsafe { ensure() });
    // SAFETY: attached by that.
    let state = unsafe { ffi::PyEval_SaveThread() };
    WORKER.set(Worker { state, is_attached: false });
}

/// A worker ends: its thread state goes.
pub(crate) fn end() {
    attach();
    WORKER.set(Worker { state: ptr::null_mut(), is_attached: false });
    type Release = unsafe extern "C-unwind" fn(ffi::PyGILState_STATE);
    // What is local to the thread is dropped, which may run code of Python's.
    // SAFETY: the thread is attached, and this is the counterpart of what `begin` has called.
    hang_on_unwind(PyGILState_Release as Release, |release| unsafe {
        release(ffi::PyGILState_STATE::PyGILState_UNLOCKED)
    });
}

/// Whether the calling thread is a worker.
pub(crate) fn is_worker() -> bool {
    !WORKER.get().state.is_null()
}

/// Attaches a worker that is detached. Does not return if the interpreter is being finalized.
#[inline]
fn attach() {
    let worker = WORKER.get();
    if !worker.is_attached {
        // SAFETY: this thread's own state, which it has detached.
        unsafe { restore_thread(worker.state) };
        WORKER.set(Worker { is_attached: true, ..worker });
    }
}

/// Detaches a worker that is attached.
pub(crate) fn detach() {
    let worker = WORKER.get();
    if worker.is_attached {
        WORKER.set(Worker { is_attached: false, ..worker });
        // SAFETY: attached.
        unsafe { ffi::PyEval_SaveThread() };
    }
}

/// Lets others attach if it is time.
#[cold]
fn give_way() {
    BODIES.set(BODIES_OF_A_LOOK);
    let now = monotonic_now();
    if now - GAVE_WAY.get() < TURN {
        return;
    }
    GAVE_WAY.set(now);
    detach();
    attach();
}

/// Calls `f` on the thread, attached. A worker stays so until it [detaches](detach).
#[inline]
pub(crate) fn attached<T>(f: impl FnOnce(Python<'_>) -> T) -> T {
    if is_worker() {
        attach();
        let left = BODIES.get() - 1;
        BODIES.set(left);
        if left == 0 {
            give_way();
        }
    } else if !SUSPENDED.get().is_null() {
        return resumed(f);
    }
    Python::attach(f)
}

#[cold]
fn resumed<T>(f: impl FnOnce(Python<'_>) -> T) -> T {
    let state = SUSPENDED.replace(ptr::null_mut());
    // SAFETY: this thread's own state, which `suspended` has detached.
    unsafe { restore_thread(state) };
    let result = Python::attach(f);
    // SAFETY: attached.
    SUSPENDED.set(unsafe { ffi::PyEval_SaveThread() });
    result
}

/// Calls `f` on the thread, detached, but for what it calls [`attached`]. Does not return if the interpreter is
/// being finalized: PyO3's own function would unwind then.
pub(crate) fn suspended<T>(_py: Python<'_>, f: impl FnOnce() -> T) -> T {
    // SAFETY: attached.
    SUSPENDED.set(unsafe { ffi::PyEval_SaveThread() });
    let result = f();
    let state = SUSPENDED.replace(ptr::null_mut());
    // SAFETY: as above.
    unsafe { restore_thread(state) };
    result
}
