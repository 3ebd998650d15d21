//! The section of two mutexes in its raw form. Its states are those of `section`.

use std::cell::Cell;
use std::fmt;
use std::pin::Pin;
use std::ptr;

use pysync_lock::{Mutex, NotLocked};

use crate::section_thread::{SectionThread, report};
use crate::tag::Tagged;
use crate::{CriticalSection, ThreadState, stack};

/// A section of two mutexes in its raw form; see [`CriticalSection`].
///
/// CPython: Include/cpython/critical_section.h:L110 PyCriticalSection2
#[doc(alias = "PyCriticalSection2")]
#[repr(C)]
pub struct CriticalSection2 {
    // L111: at offset 0, so that a link to either kind is a link to this.
    pub(crate) base: CriticalSection,
    // L113: null for a section that turned out to have one.
    pub(crate) mutex2: Cell<*const Mutex>,
}

impl CriticalSection2 {
    /// A section that has not begun.
    pub const fn new() -> Self {
        Self { base: CriticalSection::new(), mutex2: Cell::new(ptr::null()) }
    }

    /// Begins the section: locks both mutexes. If that blocks, the thread's other sections are
    /// suspended meanwhile.
    ///
    /// # Panics
    /// If the thread has no attached [`ThreadState`].
    ///
    /// # Safety
    /// As for [`CriticalSection::begin`], with both mutexes.
    ///
    /// CPython: Include/internal/pycore_critical_section.h:L154 _PyCriticalSection2_BeginMutex
    #[doc(alias("_PyCriticalSection2_BeginMutex", "PyCriticalSection2_BeginMutex"))]
    #[inline]
    #[track_caller]
    pub unsafe fn begin(self: Pin<&Self>, a: &Mutex, b: &Mutex) {
        let thread = ThreadState::current_attached();
        // Deviation D07: nothing to lock if the innermost section holds both (gh-150902). If it
        // holds one, the section takes both: to lock the other alone would invert the order.
        if thread.holds_here(a) && thread.holds_here(b) {
            self.base.mutex.set(ptr::null());
            self.mutex2.set(ptr::null());
            return;
        }
        // SAFETY: by contract.
        unsafe { self.begin_in(thread, a, b) };
    }

    /// [`begin`](Self::begin) without its shortcut, for a thread that is attached.
    ///
    /// # Safety
    /// As for `begin`.
    ///
    /// CPython: Include/internal/pycore_critical_section.h:L154 _PyCriticalSection2_BeginMutex
    #[doc(hidden)]
    #[inline]
    pub unsafe fn begin_in<T: SectionThread>(self: Pin<&Self>, thread: &T, a: &Mutex, b: &Mutex) {
        // L156-L162: the same mutex twice is one.
        if ptr::eq(a, b) {
            self.mutex2.set(ptr::null());
            // SAFETY: `base` is pinned with the whole; the rest by contract.
            unsafe { self.base().begin_in(thread, a) };
            return;
        }

        // L164-L171: any order would do, if all threads agree on it.
        let (m1, m2) = if ptr::from_ref(b) < ptr::from_ref(a) { (b, a) } else { (a, b) };
        // L173-L174: both at the first attempt, or the slow path.
        let m1_locked = m1.lock_fast();
        if m1_locked && m2.lock_fast() {
            let link = Tagged::two(self.get_ref());
            // L175-L182: the tag of the link says that there are two.
            // SAFETY: the calling thread, and a section that begins on it, by contract.
            unsafe {
                stack::put(link, [m1, m2]);
                stack::push(thread, link);
            }
        } else {
            // L183-L189: if the first mutex is locked, it stays locked.
            // SAFETY: by contract.
            unsafe { self.begin_slow_in(thread, m1, m2, m1_locked) };
        }
    }

    /// [`begin_in`](Self::begin_in) for two mutexes of which one was found locked. `m1` is the one
    /// with the lower address.
    ///
    /// # Safety
    /// As for `begin`.
    ///
    /// CPython: Python/critical_section.c:L26 _PyCriticalSection2_BeginSlow
    #[doc(alias = "_PyCriticalSection2_BeginSlow")]
    #[doc(hidden)]
    #[cold]
    pub unsafe fn begin_slow_in<T: SectionThread>(
        self: Pin<&Self>,
        thread: &T,
        m1: &Mutex,
        m2: &Mutex,
        is_m1_locked: bool,
    ) {
        let link = Tagged::two(self.get_ref());
        let mutexes = [ptr::from_ref(m1), ptr::from_ref(m2)];
        // L30-L34: on the stack first, without mutexes, as for one mutex.
        // SAFETY: the calling thread, and a section that begins on it, by contract.
        unsafe {
            stack::put(link, stack::NO_MUTEXES);
            stack::push(thread, link);
        }

        // L36-L39: the thread keeps `m1` while it waits for `m2`. All threads wait in this order.
        let missing = if is_m1_locked { [ptr::null(), mutexes[1]] } else { mutexes };
        // SAFETY: the mutexes outlive the section.
        unsafe { stack::take::<T::Runtime>(missing) };
        // L40-L41: both at once. A detach in between has seen neither.
        // SAFETY: as above.
        unsafe { stack::put(link, mutexes) };
    }

    /// Ends the section; see [`CriticalSection::end`].
    ///
    /// # Panics
    /// As [`CriticalSection::end`] does.
    ///
    /// # Safety
    /// On the thread that began it.
    ///
    /// CPython: Include/internal/pycore_critical_section.h:L200 _PyCriticalSection2_End
    /// CPython: Python/critical_section.c:L143 PyCriticalSection2_End
    #[doc(alias("_PyCriticalSection2_End", "PyCriticalSection2_End"))]
    #[inline]
    #[track_caller]
    pub unsafe fn end(self: Pin<&Self>) {
        // L146: C's exported form of the inline one.
        // SAFETY: by contract.
        report::<ThreadState>(unsafe { self.finish() });
    }

    /// [`end`](Self::end), with a mutex that was not locked as an error.
    ///
    /// # Safety
    /// As for `end`.
    #[inline]
    #[track_caller]
    pub(crate) unsafe fn finish(self: Pin<&Self>) -> Result<(), NotLocked> {
        // SAFETY: by contract.
        unsafe { self.finish_in(ThreadState::current()) }
    }

    /// [`end`](Self::end) for another runtime's thread, with a mutex that was not locked as an
    /// error.
    ///
    /// # Safety
    /// As for `end`.
    ///
    /// CPython: Include/internal/pycore_critical_section.h:L200 _PyCriticalSection2_End
    #[doc(hidden)]
    #[track_caller]
    pub unsafe fn finish_in<T: SectionThread>(
        self: Pin<&Self>,
        thread: &T,
    ) -> Result<(), NotLocked> {
        if self.mutex2.get().is_null() {
            // SAFETY: by contract.
            return unsafe { self.base().finish_in(thread) };
        }
        // SAFETY: by contract.
        unsafe { stack::finish(thread, Tagged::two(self.get_ref())) }
    }

    fn base(self: Pin<&Self>) -> Pin<&CriticalSection> {
        // SAFETY: pinned with the whole.
        unsafe { self.map_unchecked(|section| &section.base) }
    }
}

impl Default for CriticalSection2 {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for CriticalSection2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CriticalSection2")
            .field("base", &self.base)
            .field("mutex2", &self.mutex2.get())
            .finish()
    }
}
