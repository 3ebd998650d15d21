use std::cell::Cell;
use std::fmt;
use std::marker::PhantomPinned;
use std::pin::Pin;
use std::ptr;

use pysync_lock::{Mutex, NotLocked};
use pysync_platform::Runtime;

use crate::stack::SectionThread;
use crate::tag::Tagged;
use crate::{ThreadState, stack};

/// A section of one mutex in its raw form: begun and ended by hand, with C's layout.
///
/// | offset | field |
/// |---|---|
/// | 0 | tagged pointer to the section around this one |
/// | 8 | the mutex; null while it waits for it, and if it had nothing to lock |
///
/// It is linked into its thread's stack by address while it lasts, so it is pinned, and neither
/// `Send` nor `Sync`. For runtimes; others have [`critical_section`](crate::critical_section).
///
/// CPython: Include/cpython/critical_section.h:L98 PyCriticalSection
#[doc(alias = "PyCriticalSection")]
#[repr(C)]
pub struct CriticalSection {
    // L100: fixed while the section is innermost; its tag is set when it is suspended.
    pub(crate) prev: Cell<Tagged>,
    // L103: null while it waits, so that a suspend has nothing to let go of.
    pub(crate) mutex: Cell<*const Mutex>,
    pinned: PhantomPinned,
}

impl CriticalSection {
    /// A section that has not begun.
    pub const fn new() -> Self {
        Self { prev: Cell::new(Tagged::NONE), mutex: Cell::new(ptr::null()), pinned: PhantomPinned }
    }

    /// Begins the section: locks `m`, suspending the thread's other sections if that blocks.
    ///
    /// # Panics
    /// If the thread has no attached [`ThreadState`].
    ///
    /// # Safety
    /// The section has not begun, or has ended. It must be ended, on this thread, after all that
    /// began later and before those around it, before it is dropped or leaves its place and
    /// before `m` is dropped.
    ///
    /// CPython: Include/internal/pycore_critical_section.h:L110 _PyCriticalSection_BeginMutex
    #[doc(alias("_PyCriticalSection_BeginMutex", "PyCriticalSection_BeginMutex"))]
    #[inline]
    #[track_caller]
    pub unsafe fn begin(self: Pin<&Self>, m: &Mutex) {
        let thread = ThreadState::current_attached();
        // Deviation D07: 3.14's shortcut. In 3.13 this blocks on itself, suspends the section
        // that holds `m`, and so takes it over.
        if holds(thread.top_here(), m) {
            self.mutex.set(ptr::null());
            return;
        }
        // SAFETY: by contract.
        unsafe { self.begin_in(thread, m) };
    }

    /// [`begin`](Self::begin) without its shortcut, for a thread that is attached.
    ///
    /// # Safety
    /// As for `begin`.
    ///
    /// CPython: Include/internal/pycore_critical_section.h:L110 _PyCriticalSection_BeginMutex
    #[doc(hidden)]
    #[inline]
    pub unsafe fn begin_in<T: SectionThread>(self: Pin<&Self>, thread: &T, m: &Mutex) {
        // L112: one exchange if nobody holds it.
        if m.lock_fast() {
            // L113-L116: locked, so the section may be seen as holding it.
            self.mutex.set(m);
            // SAFETY: the calling thread's link, and a section that begins on it, by contract.
            unsafe {
                self.prev.set(thread.top());
                thread.set_top(Tagged::one(self.get_ref()));
            }
        } else {
            // L118-L119: out of line.
            // SAFETY: by contract.
            unsafe { self.begin_slow_in(thread, m) };
        }
    }

    /// [`begin_in`](Self::begin_in) for a mutex that was found locked.
    ///
    /// # Safety
    /// As for `begin`.
    ///
    /// CPython: Python/critical_section.c:L12 _PyCriticalSection_BeginSlow
    #[doc(alias = "_PyCriticalSection_BeginSlow")]
    #[doc(hidden)]
    #[cold]
    pub unsafe fn begin_slow_in<T: SectionThread>(self: Pin<&Self>, thread: &T, m: &Mutex) {
        // L15-L18: on the stack first, without a mutex, so that a detach in `lock` finds the
        // sections below it and resuming finds nothing to do here.
        self.mutex.set(ptr::null());
        // SAFETY: the calling thread's link, and a section that begins on it, by contract.
        unsafe {
            self.prev.set(thread.top());
            thread.set_top(Tagged::one(self.get_ref()));
        }

        // L20-L21: this may detach and attach; only then is it ours.
        m.lock_in::<T::Runtime>();
        self.mutex.set(m);
    }

    /// Ends the section, and resumes the one around it if that is suspended, which may block.
    /// Without effect on a section that has not begun or had nothing to lock.
    ///
    /// If the thread has detached since it began, the section is suspended already and only
    /// leaves the stack.
    ///
    /// # Panics
    /// If the section is not the thread's innermost one, and then nothing has changed; or if
    /// somebody else has unlocked its mutex, and then the section has ended.
    ///
    /// # Safety
    /// On the thread that began it.
    ///
    /// CPython: Include/internal/pycore_critical_section.h:L146 _PyCriticalSection_End
    /// CPython: Python/critical_section.c:L125 PyCriticalSection_End
    #[doc(alias("_PyCriticalSection_End", "PyCriticalSection_End"))]
    #[inline]
    #[track_caller]
    pub unsafe fn end(self: Pin<&Self>) {
        // L128: C's exported form of the inline one.
        // SAFETY: by contract.
        stack::report(unsafe { self.finish() });
    }

    /// [`end`](Self::end), with the mutex that was not locked as an error.
    ///
    /// # Safety
    /// As for `end`.
    #[inline]
    #[track_caller]
    pub(crate) unsafe fn finish(self: Pin<&Self>) -> Result<(), NotLocked> {
        // SAFETY: by contract.
        unsafe { self.finish_in(ThreadState::current()) }
    }

    /// [`end`](Self::end) for another runtime's thread, with the mutex that was not locked as an
    /// error.
    ///
    /// # Safety
    /// As for `end`.
    ///
    /// CPython: Include/internal/pycore_critical_section.h:L146 _PyCriticalSection_End
    #[doc(hidden)]
    #[track_caller]
    pub unsafe fn finish_in<T: SectionThread>(
        self: Pin<&Self>,
        thread: &T,
    ) -> Result<(), NotLocked> {
        let mutex = self.mutex.get();
        if mutex.is_null() {
            return Ok(());
        }
        // SAFETY: the calling thread's, by contract.
        let suspended = unsafe { assert_innermost(thread, &self) }.is_inactive();
        self.mutex.set(ptr::null());
        // L148: misuse is reported once the section is off the stack.
        // SAFETY: the mutex outlives the section.
        let unlocked = if suspended { Ok(()) } else { unsafe { (*mutex).try_unlock() } };
        // L149: the mutex is free before the section around us may block to resume.
        // SAFETY: the innermost section of the calling thread.
        unsafe { pop(thread, &self) };
        unlocked
    }
}

impl Default for CriticalSection {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for CriticalSection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CriticalSection")
            .field("prev", &self.prev.get())
            .field("mutex", &self.mutex.get())
            .finish()
    }
}

/// Whether the section that `tagged` leads to holds `m`.
///
/// CPython: Include/internal/pycore_critical_section.h:L211 _PyCriticalSection_AssertHeld
#[inline]
pub(crate) fn holds(tagged: Tagged, m: &Mutex) -> bool {
    // L214-L215: the innermost one is active whenever its thread runs.
    if !tagged.is_active() {
        return false;
    }
    // SAFETY: a section on the stack is pinned and has begun but not ended.
    unsafe {
        // L220-L223: the one mutex, or the first of two.
        ptr::eq((*tagged.untagged()).mutex.get(), m)
            // L216-L219: out of order: the second is looked at only where there is one.
            || tagged.untagged2().is_some_and(|section2| ptr::eq((*section2).mutex2.get(), m))
    }
}

/// Panics unless the innermost section of the thread, which the caller has attached, holds `m`.
/// For code that relies on its caller's section.
///
/// CPython: Include/internal/pycore_critical_section.h:L211 _PyCriticalSection_AssertHeld
/// CPython: Include/internal/pycore_critical_section.h:L57 _Py_CRITICAL_SECTION_ASSERT_MUTEX_LOCKED
#[doc(alias("_PyCriticalSection_AssertHeld", "_Py_CRITICAL_SECTION_ASSERT_MUTEX_LOCKED"))]
#[track_caller]
pub fn assert_held(m: &Mutex) {
    let top = ThreadState::current_attached().top_here();
    assert!(holds(top, m), "the innermost critical section does not hold the mutex");
}

/// The link to the section, which must be the thread's innermost one.
///
/// # Safety
/// `thread` stands for the calling thread.
#[track_caller]
pub(crate) unsafe fn assert_innermost<T: SectionThread>(
    thread: &T,
    section: &CriticalSection,
) -> Tagged {
    // SAFETY: by contract.
    let top = unsafe { thread.top() };
    if !ptr::eq(top.untagged(), section) {
        T::Runtime::fatal_error(
            "CriticalSection",
            "critical section ended out of order: it is not the innermost one",
        );
    }
    top
}

/// Takes the innermost section off the stack and resumes the one below, unless the thread has
/// detached: then it is for its next attach to do.
///
/// # Safety
/// `section` is the innermost one of the calling thread, which `thread` stands for.
///
/// CPython: Include/internal/pycore_critical_section.h:L134 _PyCriticalSection_Pop
#[doc(alias = "_PyCriticalSection_Pop")]
pub(crate) unsafe fn pop<T: SectionThread>(thread: &T, section: &CriticalSection) {
    // L136-L138: off the stack first; resuming looks at the top.
    let prev = section.prev.get();
    // SAFETY: by contract, and what an innermost section was linked to is still there.
    unsafe { thread.set_top(prev) };

    // L140-L142: the section around us was suspended while we ran.
    if prev.is_inactive() && thread.is_attached() {
        // SAFETY: by contract, and there is a section.
        unsafe { stack::resume(thread) };
    }
}
