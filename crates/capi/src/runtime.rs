//! The runtime of the C symbols: CPython's own.

use std::ffi::CStr;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI32, Ordering};

use pysync_critical_section::raw::{SectionThread, Tagged};
use pysync_platform::{PendingCallError, Runtime, preserve_errno};

use crate::imports::{
    _Py_FatalErrorFunc, Py_MakePendingCalls, PyEval_AcquireThread, PyEval_ReleaseThread,
    PyThread_get_thread_ident_ex, PyThreadState, PyThreadState_GetUnchecked,
};
use crate::layout;

/// `_Py_THREAD_ATTACHED`.
const ATTACHED: i32 = 1;

/// CPython, as the locks see it.
pub(crate) struct CPython;

impl Runtime for CPython {
    type Detached = Thread;

    fn detach() -> Option<Thread> {
        // PR 116483: only an attached thread is detached; to have a state is not enough.
        let thread = Thread::current().filter(SectionThread::is_attached)?;
        // SAFETY: the calling thread's own state, and attached.
        preserve_errno(|| unsafe { PyEval_ReleaseThread(thread.0.as_ptr()) });
        Some(thread)
    }

    fn attach(detached: Thread) {
        // This call may never return. Nothing on the stack up to the C caller has to be dropped.
        // SAFETY: the calling thread's own state, which `detach` has detached.
        preserve_errno(|| unsafe { PyEval_AcquireThread(detached.0.as_ptr()) });
    }

    fn make_pending_calls() -> Result<(), PendingCallError> {
        if preserve_errno(|| Py_MakePendingCalls()) < 0 { Err(PendingCallError) } else { Ok(()) }
    }

    fn thread_ident() -> u64 {
        PyThread_get_thread_ident_ex()
    }

    fn fatal_error(function: &'static str, message: &str) -> ! {
        let (function, message) = (c_string::<64>(function), c_string::<128>(message));
        // SAFETY: strings that end with a zero and live on this stack.
        unsafe { _Py_FatalErrorFunc(function.as_ptr().cast(), message.as_ptr().cast()) }
    }
}

/// Ends the process with the name of a C function and C's message.
#[cold]
pub(crate) fn fatal(function: &CStr, message: &CStr) -> ! {
    // SAFETY: C strings.
    unsafe { _Py_FatalErrorFunc(function.as_ptr(), message.as_ptr()) }
}

/// `text` as a C string, cut if it is too long.
fn c_string<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    let len = text.len().min(N - 1);
    bytes[..len].copy_from_slice(&text.as_bytes()[..len]);
    bytes
}

/// A thread of CPython.
pub(crate) struct Thread(NonNull<PyThreadState>);

impl Thread {
    /// The calling thread, if it has a state.
    pub(crate) fn current() -> Option<Self> {
        NonNull::new(PyThreadState_GetUnchecked()).map(Self)
    }

    /// The calling thread, which must have a state, since it has or begins a section.
    pub(crate) fn of_section() -> Self {
        Self::current().unwrap_or_else(|| {
            fatal(c"PyCriticalSection", c"critical section without a thread state")
        })
    }

    /// # Safety
    /// The calling thread's own state.
    pub(crate) unsafe fn from_c(tstate: *mut PyThreadState) -> Self {
        // SAFETY: not null, by contract.
        Self(unsafe { NonNull::new_unchecked(tstate) })
    }

    fn top_field(&self) -> *mut Tagged {
        self.0.as_ptr().wrapping_byte_add(layout::TSTATE_CRITICAL_SECTION).cast()
    }
}

// SAFETY: the calling thread's state, and its own field for the link.
unsafe impl SectionThread for Thread {
    type Runtime = CPython;

    unsafe fn top(&self) -> Tagged {
        // SAFETY: the field of a thread state, which only the thread itself uses; a tagged
        // pointer in a word.
        unsafe { self.top_field().read() }
    }

    unsafe fn set_top(&self, tagged: Tagged) {
        // SAFETY: as above.
        unsafe { self.top_field().write(tagged) };
    }

    fn is_attached(&self) -> bool {
        let state = self.0.as_ptr().wrapping_byte_add(layout::TSTATE_STATE).cast();
        // SAFETY: the field of a thread state, an int that C accesses atomically too.
        let state = unsafe { AtomicI32::from_ptr(state) };
        // Ordering: Relaxed; only the owner thread makes the state attached or not attached.
        state.load(Ordering::Relaxed) == ATTACHED
    }
}
