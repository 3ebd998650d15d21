use std::cell::Cell;
use std::fmt;
use std::pin::Pin;
use std::ptr;

use pysync_lock::{Mutex, NotLocked};

use crate::section::{assert_innermost, holds, pop};
use crate::stack::SectionThread;
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

    /// Begins the section: locks both mutexes, suspending the thread's other sections if that
    /// blocks.
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
        self.mutex2.set(ptr::null());
        // Deviation D07: both at once or neither (gh-150902). To lock only the one that is
        // missing would invert the order.
        let top = thread.top_here();
        if holds(top, a) && holds(top, b) {
            self.base.mutex.set(ptr::null());
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

        // L164-L171: any order does, as long as everybody agrees.
        let (m1, m2) = if ptr::from_ref(b) < ptr::from_ref(a) { (b, a) } else { (a, b) };
        // L173-L174: both at the first go, or the slow path.
        let m1_locked = m1.lock_fast();
        if m1_locked && m2.lock_fast() {
            // L175-L182: linked with the tag that says that there are two.
            self.base.mutex.set(m1);
            self.mutex2.set(m2);
            // SAFETY: the calling thread's link, and a section that begins on it, by contract.
            unsafe {
                self.base.prev.set(thread.top());
                thread.set_top(Tagged::two(self.get_ref()));
            }
        } else {
            // L183-L189: a first mutex that is locked stays so.
            // SAFETY: by contract.
            unsafe { self.begin_slow_in(thread, m1, m2, m1_locked) };
        }
    }

    /// [`begin_in`](Self::begin_in) for mutexes of which one was found locked; `m1` is the one
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
        // L30-L34: on the stack first, as for one mutex.
        self.base.mutex.set(ptr::null());
        self.mutex2.set(ptr::null());
        // SAFETY: the calling thread's link, and a section that begins on it, by contract.
        unsafe {
            self.base.prev.set(thread.top());
            thread.set_top(Tagged::two(self.get_ref()));
        }

        // L36-L39: `m1` is not given back while we wait for `m2`. Everybody waits in this order.
        if !is_m1_locked {
            m1.lock_in::<T::Runtime>();
        }
        m2.lock_in::<T::Runtime>();
        // L40-L41: both at once: a suspend in between saw neither.
        self.base.mutex.set(m1);
        self.mutex2.set(m2);
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
        stack::report(unsafe { self.finish() });
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
        let mutex2 = self.mutex2.get();
        if mutex2.is_null() {
            // SAFETY: by contract.
            return unsafe { self.base().finish_in(thread) };
        }
        // SAFETY: the calling thread's, by contract.
        let suspended = unsafe { assert_innermost(thread, &self.base) }.is_inactive();
        let mutex = self.base.mutex.replace(ptr::null());
        self.mutex2.set(ptr::null());
        let unlocked = if suspended {
            Ok(())
        } else {
            // L202-L205: both, whatever becomes of the first.
            // SAFETY: the mutexes outlive the section.
            unsafe { (*mutex2).try_unlock().and((*mutex).try_unlock()) }
        };
        // L206: as for one mutex.
        // SAFETY: the innermost section of the calling thread.
        unsafe { pop(thread, &self.base) };
        unlocked
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
