//! What CPython, or the program in its place, brings.

use std::ffi::{c_char, c_int, c_ulonglong};

/// A thread's state. Its fields are reached by the offsets in [`layout`](crate::layout).
#[repr(C)]
pub(crate) struct PyThreadState {
    opaque: [u8; 0],
}

/// Something that a critical section locks, by the mutex in it.
#[repr(C)]
pub(crate) struct PyObject {
    opaque: [u8; 0],
}

// The types are compared with the headers' in `layout/layout.c`.
unsafe extern "C" {
    /// The calling thread's state, or null. What `_PyThreadState_GET` inlines in C: the variable
    /// behind it is thread-local, and stable Rust cannot link to such.
    pub(crate) safe fn PyThreadState_GetUnchecked() -> *mut PyThreadState;
    /// Attaches the thread. May lock, park, resume a section, or never return.
    pub(crate) fn PyEval_AcquireThread(tstate: *mut PyThreadState);
    /// Detaches the thread, which suspends its sections, and so unlocks and unparks.
    pub(crate) fn PyEval_ReleaseThread(tstate: *mut PyThreadState);
    /// Runs what signal handlers have left to do, Python code included.
    pub(crate) safe fn Py_MakePendingCalls() -> c_int;
    pub(crate) safe fn PyThread_get_thread_ident_ex() -> c_ulonglong;
    /// `Py_FatalError` is a macro over it.
    pub(crate) fn _Py_FatalErrorFunc(function: *const c_char, message: *const c_char) -> !;
}
