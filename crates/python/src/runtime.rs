//! The interpreter as a [`Runtime`]: what a thread does around a sleep, and what it runs after a signal.

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::{self, NonNull};

use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;
use pysync_platform::{Native, PendingCallError, Runtime};

unsafe extern "C" {
    /// Exported by each version, though not a part of the stable ABI.
    fn PyGILState_Check() -> std::ffi::c_int;
}

unsafe extern "C-unwind" {
    // As in the headers, but that a thread may be ended in it.
    fn PyEval_RestoreThread(state: *mut ffi::PyThreadState);
    fn Py_DecRef(object: *mut ffi::PyObject);
    // Exported by each version, though not a part of the stable ABI of all of them.
    fn PyObject_Vectorcall(
        callable: *mut ffi::PyObject,
        args: *const *mut ffi::PyObject,
        count: usize,
        names: *mut ffi::PyObject,
    ) -> *mut ffi::PyObject;
}

/// The place before the arguments is the callee's to use.
const ARGUMENTS_OFFSET: usize = 1 << (usize::BITS - 1);

/// Whether the calling thread is attached to the interpreter.
pub(crate) fn is_attached() -> bool {
    // SAFETY: may be called by any thread.
    unsafe { PyGILState_Check() != 0 }
}

/// Fails in all interpreters but the main one: the statics of this module own objects of one interpreter.
pub(crate) fn refuse_subinterpreters(_py: Python<'_>) -> PyResult<()> {
    // SAFETY: attached.
    let id = unsafe { ffi::PyInterpreterState_GetID(ffi::PyInterpreterState_Get()) };
    if id == 0 {
        return Ok(());
    }
    Err(PyImportError::new_err("pysync can be imported in the main interpreter only"))
}

/// A thread that is unwound by `pthread_exit` sleeps for ever where this is dropped. Before 3.14 a thread
/// that attaches while the interpreter is being finalized is ended so, which the frames of Rust around it do
/// not survive.
struct HangOnUnwind;

impl Drop for HangOnUnwind {
    fn drop(&mut self) {
        loop {
            // SAFETY: has no precondition.
            unsafe { libc::pause() };
        }
    }
}

/// Calls `f` with a function of the interpreter's in which the thread may be ended, which then sleeps for
/// ever.
#[inline]
pub(crate) fn hang_on_unwind<F, T>(function: F, f: impl FnOnce(F) -> T) -> T {
    let guard = HangOnUnwind;
    // Other crates declare these functions as such that do not unwind. The linker makes one of the
    // declarations, and the compiler must not know by that which function it is.
    let result = f(std::hint::black_box(function));
    std::mem::forget(guard);
    result
}

/// Attaches the calling thread. Does not return if the interpreter is being finalized.
///
/// # Safety
/// The state is this thread's, which has detached it.
pub(crate) unsafe fn restore_thread(state: *mut ffi::PyThreadState) {
    type RestoreThread = unsafe extern "C-unwind" fn(*mut ffi::PyThreadState);
    // SAFETY: by contract.
    hang_on_unwind(PyEval_RestoreThread as RestoreThread, |restore| unsafe { restore(state) });
}

/// Calls `callable` with all but the first of `args`. A thread that is ended in it sleeps for ever.
#[inline]
pub(crate) fn call(
    callable: &Bound<'_, PyAny>,
    args: &mut [*mut ffi::PyObject],
) -> PyResult<Py<PyAny>> {
    type Vectorcall = unsafe extern "C-unwind" fn(
        *mut ffi::PyObject,
        *const *mut ffi::PyObject,
        usize,
        *mut ffi::PyObject,
    ) -> *mut ffi::PyObject;
    let count = (args.len() - 1) | ARGUMENTS_OFFSET;
    // SAFETY: attached, with a callable, and with arguments that the caller keeps, behind one place more.
    let result = hang_on_unwind(PyObject_Vectorcall as Vectorcall, |call| unsafe {
        call(callable.as_ptr(), args.as_mut_ptr().add(1), count, ptr::null_mut())
    });
    // SAFETY: a new reference, or null with an exception.
    unsafe { Bound::from_owned_ptr_or_err(callable.py(), result) }.map(Bound::unbind)
}

/// A reference that may be the last one to what a user has made. Its drop runs code of Python's then, in which
/// the thread may be ended; it sleeps for ever instead.
///
/// To be dropped by attached threads only.
#[repr(transparent)]
pub(crate) struct Owned<T = PyAny>(ManuallyDrop<Py<T>>);

impl<T> Owned<T> {
    #[inline]
    pub(crate) fn into_inner(self) -> Py<T> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: taken once, since `this` is not dropped.
        unsafe { ManuallyDrop::take(&mut this.0) }
    }
}

impl<T> From<Py<T>> for Owned<T> {
    #[inline]
    fn from(object: Py<T>) -> Self {
        Self(ManuallyDrop::new(object))
    }
}

impl<T> Deref for Owned<T> {
    type Target = Py<T>;

    #[inline]
    fn deref(&self) -> &Py<T> {
        &self.0
    }
}

impl<T> Drop for Owned<T> {
    #[inline]
    fn drop(&mut self) {
        type DecRef = unsafe extern "C-unwind" fn(*mut ffi::PyObject);
        // SAFETY: attached, and the reference is this one's own.
        hang_on_unwind(Py_DecRef as DecRef, |dec_ref| unsafe { dec_ref(self.0.as_ptr()) });
    }
}

/// The Python interpreter that has loaded the module.
pub(crate) struct Interpreter;

impl Runtime for Interpreter {
    type Detached = NonNull<ffi::PyThreadState>;

    fn detach() -> Option<Self::Detached> {
        if !is_attached() {
            return None;
        }
        // SAFETY: attached.
        NonNull::new(unsafe { ffi::PyEval_SaveThread() })
    }

    /// Does not return if the interpreter is being finalized.
    fn attach(detached: Self::Detached) {
        // SAFETY: of this thread, which has detached it.
        unsafe { restore_thread(detached.as_ptr()) };
    }

    /// The handlers of signals run on the main thread only. The exception of one that fails stays set.
    fn make_pending_calls() -> Result<(), PendingCallError> {
        if !is_attached() {
            return Ok(());
        }
        // SAFETY: attached.
        if unsafe { ffi::PyErr_CheckSignals() } == 0 { Ok(()) } else { Err(PendingCallError) }
    }

    fn thread_ident() -> u64 {
        Native::thread_ident()
    }

    #[track_caller]
    fn fatal_error(function: &'static str, message: &str) -> ! {
        Native::fatal_error(function, message)
    }
}
