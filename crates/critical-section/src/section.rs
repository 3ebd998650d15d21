//! The section of one mutex in its raw form.
//!
//! A section passes through these states, which its two words and the link to it tell apart:
//!
//! | state | mutex | on the stack | tag of the link |
//! |---|---|---|---|
//! | not begun, or ended | null | no | – |
//! | begun with nothing to lock | null | no | – |
//! | waits for its mutex, to begin or to resume | null | yes | either |
//! | active: holds its mutex | the mutex | yes | active |
//! | suspended: holds nothing | the mutex | yes | suspended |
//!
//! The type begins and ends a section; what both do to the thread's stack stands in `stack`. Each
//! operation is generic over the thread, and the public ones are for [`ThreadState`].

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomPinned;
use std::pin::Pin;
use std::ptr;

use pysync_lock::{Mutex, NotLocked};

use crate::section_thread::{SectionThread, report};
use crate::tag::Tagged;
use crate::{ThreadState, stack};

/// A section of one mutex in its raw form: begun and ended by hand, with C's layout.
///
/// | offset | field |
/// |---|---|
/// | 0 | tagged pointer to the section around this one |
/// | 8 | the mutex; null while the section waits for it, and if there was nothing to lock |
///
/// The thread's stack links to the section by its address, so the section is pinned, and neither
/// `Send` nor `Sync`. It is for runtimes; other code has
/// [`critical_section`](crate::critical_section).
///
/// CPython: Include/cpython/critical_section.h:L98 PyCriticalSection
#[doc(alias = "PyCriticalSection")]
#[repr(C)]
pub struct CriticalSection {
    // L100: fixed while the section is innermost. Its tag changes when the section around this one
    // is suspended.
    pub(crate) prev: Cell<Tagged>,
    // L103: null while the section waits, so that a detach has nothing to unlock.
    pub(crate) mutex: Cell<*const Mutex>,
    pinned: PhantomPinned,
}

impl CriticalSection {
    /// A section that has not begun.
    pub const fn new() -> Self {
        Self { prev: Cell::new(Tagged::NONE), mutex: Cell::new(ptr::null()), pinned: PhantomPinned }
    }

    /// Begins the section: locks `m`. If that blocks, the thread's other sections are suspended
    /// meanwhile.
    ///
    /// # Panics
    /// If the thread has no attached [`ThreadState`].
    ///
    /// # Safety
    /// - The section has not begun, or has ended.
    /// - It is ended on this thread, after all sections that begin later, and before those around
    ///   it.
    /// - It is ended before it is dropped or moved, and before `m` is dropped.
    ///
    /// CPython: Include/internal/pycore_critical_section.h:L110 _PyCriticalSection_BeginMutex
    #[doc(alias("_PyCriticalSection_BeginMutex", "PyCriticalSection_BeginMutex"))]
    #[inline]
    #[track_caller]
    pub unsafe fn begin(self: Pin<&Self>, m: &Mutex) {
        let thread = ThreadState::current_attached();
        // Deviation D07: nothing to lock if the innermost section holds `m`, as in C 3.14. In C
        // 3.13 the thread waits for itself, which suspends that section and frees `m`.
        if thread.holds_here(m) {
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
        // L112: one exchange if the mutex is free.
        if m.lock_fast() {
            let link = Tagged::one(self.get_ref());
            // L113-L116: locked, so the section may show it.
            // SAFETY: the calling thread, and a section that begins on it, by contract.
            unsafe {
                stack::put(link, [m, ptr::null()]);
                stack::push(thread, link);
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
        let link = Tagged::one(self.get_ref());
        let mutexes = [ptr::from_ref(m), ptr::null()];
        // L15-L18: on the stack first, without a mutex: if the wait detaches the thread, it finds
        // the sections around this one, and nothing to unlock or to lock in this one.
        // SAFETY: the calling thread, and a section that begins on it, by contract.
        unsafe {
            stack::put(link, stack::NO_MUTEXES);
            stack::push(thread, link);
        }
        // L20-L21: the section shows the mutex once it is locked.
        // SAFETY: the mutex outlives the section.
        unsafe {
            stack::take::<T::Runtime>(mutexes);
            stack::put(link, mutexes);
        }
    }

    /// Ends the section: unlocks its mutex, and resumes the section around it if that is
    /// suspended, which may block. Without effect on a section that has not begun or had nothing
    /// to lock.
    ///
    /// If the thread has detached since the section began, and has not attached again, the section
    /// is suspended already and only leaves the stack.
    ///
    /// # Panics
    /// - If the section is not the thread's innermost one; then nothing has changed.
    /// - If its mutex was not locked, because other code has unlocked it; then the section has
    ///   ended.
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
        report::<ThreadState>(unsafe { self.finish() });
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
        // SAFETY: by contract.
        unsafe { stack::finish(thread, Tagged::one(self.get_ref())) }
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
