use std::ffi::c_int;
use std::pin::Pin;

use pysync_critical_section::raw::{SectionThread, resume, suspend_all};
use pysync_critical_section::{CriticalSection, CriticalSection2};
use pysync_lock::{Mutex, NotLocked};

use crate::imports::{PyObject, PyThreadState};
use crate::layout;
use crate::runtime::{Thread, fatal};

// Here a section takes its mutex even if the innermost section holds it, which deviation D07 avoids
// elsewhere. The `_End` that C code of 3.13 inlines unlocks without a look whether there is a mutex.

/// CPython: Python/critical_section.c:L12 _PyCriticalSection_BeginSlow
#[unsafe(no_mangle)]
unsafe extern "C" fn _PyCriticalSection_BeginSlow(c: *mut CriticalSection, m: *const Mutex) {
    // SAFETY: the caller's section and mutex, which outlives it.
    unsafe { new_section(c).begin_slow_in(&Thread::of_section(), &*m) };
}

/// CPython: Python/critical_section.c:L26 _PyCriticalSection2_BeginSlow
#[unsafe(no_mangle)]
unsafe extern "C" fn _PyCriticalSection2_BeginSlow(
    c: *mut CriticalSection2,
    m1: *const Mutex,
    m2: *const Mutex,
    is_m1_locked: c_int,
) {
    let thread = Thread::of_section();
    // SAFETY: as above, with both mutexes, in the order of their addresses.
    unsafe { new_section2(c).begin_slow_in(&thread, &*m1, &*m2, is_m1_locked != 0) };
}

/// CPython: Python/critical_section.c:L56 _PyCriticalSection_SuspendAll
#[unsafe(no_mangle)]
unsafe extern "C" fn _PyCriticalSection_SuspendAll(tstate: *mut PyThreadState) {
    // SAFETY: the calling thread's state.
    check(unsafe { suspend_all(&Thread::from_c(tstate)) });
}

/// CPython: Python/critical_section.c:L80 _PyCriticalSection_Resume
#[unsafe(no_mangle)]
unsafe extern "C" fn _PyCriticalSection_Resume(tstate: *mut PyThreadState) {
    // SAFETY: the calling thread's state.
    let thread = unsafe { Thread::from_c(tstate) };
    // SAFETY: the calling thread's own link.
    if !unsafe { thread.top() }.is_inactive() {
        fatal(c"_PyCriticalSection_Resume", c"resuming a section that is not suspended");
    }
    // SAFETY: as above, and it has a section.
    unsafe { resume(&thread) };
}

/// The section of an object: of the mutex in its header.
#[unsafe(no_mangle)]
unsafe extern "C" fn PyCriticalSection_Begin(c: *mut CriticalSection, op: *const PyObject) {
    // SAFETY: the caller's section and object, which outlives it.
    unsafe { new_section(c).begin_in(&Thread::of_section(), &*mutex_of(op)) };
}

/// CPython: Python/critical_section.c:L125 PyCriticalSection_End
#[unsafe(no_mangle)]
unsafe extern "C" fn PyCriticalSection_End(c: *const CriticalSection) {
    // SAFETY: the thread's innermost section.
    check(unsafe { pinned(c).finish_in(&Thread::of_section()) });
}

/// The section of two objects.
#[unsafe(no_mangle)]
unsafe extern "C" fn PyCriticalSection2_Begin(
    c: *mut CriticalSection2,
    a: *const PyObject,
    b: *const PyObject,
) {
    // SAFETY: the caller's section and objects, which outlive it.
    unsafe { new_section2(c).begin_in(&Thread::of_section(), &*mutex_of(a), &*mutex_of(b)) };
}

/// CPython: Python/critical_section.c:L143 PyCriticalSection2_End
#[unsafe(no_mangle)]
unsafe extern "C" fn PyCriticalSection2_End(c: *const CriticalSection2) {
    // SAFETY: the thread's innermost section.
    check(unsafe { pinned(c).finish_in(&Thread::of_section()) });
}

/// A section that is about to begin. C callers do not initialise its memory.
///
/// # Safety
/// The caller's memory for a section, which stays where it is until the section has ended.
unsafe fn new_section<'a>(section: *mut CriticalSection) -> Pin<&'a CriticalSection> {
    // SAFETY: by contract.
    unsafe {
        section.write(CriticalSection::new());
        pinned(section)
    }
}

/// As [`new_section`].
///
/// # Safety
/// As for [`new_section`].
unsafe fn new_section2<'a>(section: *mut CriticalSection2) -> Pin<&'a CriticalSection2> {
    // SAFETY: by contract.
    unsafe {
        section.write(CriticalSection2::new());
        pinned(section)
    }
}

/// # Safety
/// A section of the caller, which stays where it is until it has ended.
unsafe fn pinned<'a, T>(section: *const T) -> Pin<&'a T> {
    // SAFETY: by contract.
    unsafe { Pin::new_unchecked(&*section) }
}

fn mutex_of(op: *const PyObject) -> *const Mutex {
    op.wrapping_byte_add(layout::OBJECT_MUTEX).cast()
}

fn check(unlocked: Result<(), NotLocked>) {
    if unlocked.is_err() {
        fatal(c"PyMutex_Unlock", c"unlocking mutex that is not locked");
    }
}
