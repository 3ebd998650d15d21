//! The functions that CPython, or the program in its place, must define.

use std::ffi::{c_char, c_int, c_ulonglong};

/// A thread's state. Its fields are reached by the offsets in [`layout`](crate::layout).
#[repr(C)]
pub(crate) struct PyThreadState {
    opaque: [u8; 0],
}

/// An object that a critical section locks, by the mutex in its header.
#[repr(C)]
pub(crate) struct PyObject {
    opaque: [u8; 0],
}

// The types are compared with the headers' in `layout/layout.c`.
unsafe extern "C" {
    /// The calling thread's state, or null. C inlines `_PyThreadState_GET` instead, which reads a
    /// thread-local variable; stable Rust cannot link to one.
    pub(crate) safe fn PyThreadState_GetUnchecked() -> *mut PyThreadState;
    /// Attaches the thread. May lock, park, resume a section, or never return.
    pub(crate) fn PyEval_AcquireThread(tstate: *mut PyThreadState);
    /// Detaches the thread, which suspends its sections, and so unlocks and unparks.
    pub(crate) fn PyEval_ReleaseThread(tstate: *mut PyThreadState);
    /// Runs the calls that signal handlers have left pending, Python code among them.
    pub(crate) safe fn Py_MakePendingCalls() -> c_int;
    pub(crate) safe fn PyThread_get_thread_ident_ex() -> c_ulonglong;
    /// `Py_FatalError` is a macro over it.
    pub(crate) fn _Py_FatalErrorFunc(function: *const c_char, message: *const c_char) -> !;
}
