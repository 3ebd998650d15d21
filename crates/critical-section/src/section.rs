use std::cell::Cell;
use std::fmt;
use std::marker::PhantomPinned;
use std::pin::{Pin, pin};
use std::ptr;
use std::thread;

use pysync_lock::{Mutex, NotLocked};

use crate::stack::SectionThread;
use crate::tag::Tagged;
use crate::{ThreadState, stack};

/// Runs `f` in a critical section of `m`: with `m` locked, except while the thread blocks.
///
/// Whenever the thread blocks on a lock of these crates, or detaches, all its sections let go of
/// their mutexes; before it goes on, the innermost has its own again, and each outer one as soon
/// as it is the innermost. So threads may nest sections in any order without a deadlock, and
/// whatever was read before a call that can block must be checked again after it. Sections are
/// kept through waits that do not detach: those that are told not to, and those for a raw mutex
/// or a sequence lock.
///
/// If the innermost section holds `m` already, `f` just runs. Blocks through signals.
///
/// # Panics
/// If the thread has no attached [`ThreadState`]. If `f` panics, the section ends first.
///
/// # No `&mut` through a section
/// A section can lose its mutex at every call that may block, so it guards no data of its own
/// and lends none: what it protects must be read and written through cells or atomics, between
/// such calls. The closure is given nothing:
///
/// ```compile_fail,E0593
/// # use pysync_critical_section::{ThreadState, critical_section};
/// # use pysync_lock::Mutex;
/// let _attached = ThreadState::attach();
/// let mutex = Mutex::new();
/// critical_section(&mutex, |list: &mut Vec<i32>| list.push(2));
/// ```
///
/// What it brings along is no more exclusive in a section than outside. Two threads cannot both
/// write to a variable,
///
/// ```compile_fail,E0499
/// # use pysync_critical_section::{ThreadState, critical_section};
/// # use pysync_lock::Mutex;
/// # use std::thread;
/// static MUTEX: Mutex = Mutex::new();
/// let mut list = vec![1];
/// thread::scope(|scope| {
///     scope.spawn(|| {
///         let _attached = ThreadState::attach();
///         critical_section(&MUTEX, || list.push(2));
///     });
///     scope.spawn(|| {
///         let _attached = ThreadState::attach();
///         critical_section(&MUTEX, || list.push(3));
///     });
/// });
/// ```
///
/// nor share a cell that is not `Sync`:
///
/// ```compile_fail,E0277
/// # use pysync_critical_section::{ThreadState, critical_section};
/// # use pysync_lock::Mutex;
/// # use std::{cell::Cell, thread};
/// static MUTEX: Mutex = Mutex::new();
/// let count = Cell::new(0);
/// thread::scope(|scope| {
///     scope.spawn(|| {
///         let _attached = ThreadState::attach();
///         critical_section(&MUTEX, || count.set(1));
///     });
/// });
/// ```
///
/// # Example
/// ```
/// use pysync_critical_section::{ThreadState, critical_section};
/// use pysync_lock::Mutex;
///
/// static MUTEX: Mutex = Mutex::new();
///
/// let attached = ThreadState::attach();
/// critical_section(&MUTEX, || {
///     assert!(MUTEX.is_locked());
///     attached.detached(|| assert!(!MUTEX.is_locked()));
///     assert!(MUTEX.is_locked());
/// });
/// ```
///
/// CPython: Include/internal/pycore_critical_section.h:L24 Py_BEGIN_CRITICAL_SECTION_MUT
/// CPython: Include/cpython/critical_section.h:L121 Py_END_CRITICAL_SECTION
#[doc(alias("Py_BEGIN_CRITICAL_SECTION", "Py_BEGIN_CRITICAL_SECTION_MUT"))]
#[track_caller]
pub fn critical_section<T>(m: &Mutex, f: impl FnOnce() -> T) -> T {
    let section = pin!(CriticalSection::new());
    let section = section.as_ref();
    // SAFETY: `End` ends it on this thread, in order, before `section` goes and while `m` is
    // borrowed.
    unsafe { section.begin(m) };
    // SAFETY: on the same thread.
    let _end = End(|| unsafe { section.finish() });
    f()
}

/// [`critical_section`] with two mutexes, locked in the order of their addresses, so that
/// `(a, b)` and `(b, a)` agree. With `a` and `b` the same it is a section of one mutex; if the
/// innermost section holds both already, `f` just runs.
///
/// Two nested sections of one mutex each do *not* hold both: the inner one may suspend the outer.
///
/// # Panics
/// As [`critical_section`] does.
///
/// CPython: Include/internal/pycore_critical_section.h:L29 Py_BEGIN_CRITICAL_SECTION2_MUT
/// CPython: Include/cpython/critical_section.h:L130 Py_END_CRITICAL_SECTION2
#[doc(alias("Py_BEGIN_CRITICAL_SECTION2", "Py_BEGIN_CRITICAL_SECTION2_MUT"))]
#[track_caller]
pub fn critical_section2<T>(a: &Mutex, b: &Mutex, f: impl FnOnce() -> T) -> T {
    let section = pin!(CriticalSection2::new());
    let section = section.as_ref();
    // SAFETY: as in `critical_section`.
    unsafe { section.begin(a, b) };
    // SAFETY: on the same thread.
    let _end = End(|| unsafe { section.finish() });
    f()
}

/// Ends a section when its scope does, in a panic too.
struct End<F: FnMut() -> Result<(), NotLocked>>(F);

impl<F: FnMut() -> Result<(), NotLocked>> Drop for End<F> {
    fn drop(&mut self) {
        let unlocked = (self.0)();
        // A second panic would abort.
        if !thread::panicking() {
            stack::report(unlocked);
        }
    }
}

/// A section of one mutex in its raw form: begun and ended by hand, with C's layout.
///
/// | offset | field |
/// |---|---|
/// | 0 | tagged pointer to the section around this one |
/// | 8 | the mutex; null while it waits for it, and if it had nothing to lock |
///
/// It is linked into its thread's stack by address while it lasts, so it is pinned, and neither
/// `Send` nor `Sync`. For runtimes; others have [`critical_section`].
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
    #[track_caller]
    pub unsafe fn begin(self: Pin<&Self>, m: &Mutex) {
        let thread = ThreadState::current_attached();
        // Deviation D07: 3.14's shortcut. In 3.13 this blocks on itself, suspends the section
        // that holds `m`, and so takes it over.
        if holds(thread.top(), m) {
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
            self.prev.set(thread.top());
            thread.set_top(Tagged::one(self.get_ref()));
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
        self.prev.set(thread.top());
        thread.set_top(Tagged::one(self.get_ref()));

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
    #[track_caller]
    unsafe fn finish(self: Pin<&Self>) -> Result<(), NotLocked> {
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
        let suspended = assert_innermost(thread, &self).is_inactive();
        self.mutex.set(ptr::null());
        // L148: misuse is reported once the section is off the stack.
        // SAFETY: the mutex outlives the section.
        let unlocked = if suspended { Ok(()) } else { unsafe { (*mutex).try_unlock() } };
        // L149: the mutex is free before the section around us may block to resume.
        pop(thread, &self);
        unlocked
    }
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
    #[track_caller]
    pub unsafe fn begin(self: Pin<&Self>, a: &Mutex, b: &Mutex) {
        let thread = ThreadState::current_attached();
        self.mutex2.set(ptr::null());
        // Deviation D07: both at once or neither (gh-150902). To lock only the one that is
        // missing would invert the order.
        if holds(thread.top(), a) && holds(thread.top(), b) {
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
            self.base.prev.set(thread.top());
            thread.set_top(Tagged::two(self.get_ref()));
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
        self.base.prev.set(thread.top());
        thread.set_top(Tagged::two(self.get_ref()));

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
    #[track_caller]
    unsafe fn finish(self: Pin<&Self>) -> Result<(), NotLocked> {
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
        let suspended = assert_innermost(thread, &self.base).is_inactive();
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
        pop(thread, &self.base);
        unlocked
    }

    fn base(self: Pin<&Self>) -> Pin<&CriticalSection> {
        // SAFETY: pinned with the whole.
        unsafe { self.map_unchecked(|section| &section.base) }
    }
}

/// Whether the section that `tagged` leads to holds `m`.
///
/// CPython: Include/internal/pycore_critical_section.h:L211 _PyCriticalSection_AssertHeld
fn holds(tagged: Tagged, m: &Mutex) -> bool {
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
    let top = ThreadState::current_attached().top();
    assert!(holds(top, m), "the innermost critical section does not hold the mutex");
}

/// The link to the section, which must be the thread's innermost one.
#[track_caller]
fn assert_innermost<T: SectionThread>(thread: &T, section: &CriticalSection) -> Tagged {
    let innermost = ptr::eq(thread.top().untagged(), section);
    assert!(innermost, "critical section ended out of order: it is not the innermost one");
    thread.top()
}

/// Takes the innermost section off the stack and resumes the one below, unless the thread has
/// detached: then it is for its next attach to do.
///
/// CPython: Include/internal/pycore_critical_section.h:L134 _PyCriticalSection_Pop
#[doc(alias = "_PyCriticalSection_Pop")]
fn pop<T: SectionThread>(thread: &T, section: &CriticalSection) {
    // L136-L138: off the stack first; resuming looks at the top.
    let prev = section.prev.get();
    thread.set_top(prev);

    // L140-L142: the section around us was suspended while we ran.
    if prev.is_inactive() && thread.is_attached() {
        stack::resume(thread);
    }
}

impl Default for CriticalSection {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for CriticalSection2 {
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

impl fmt::Debug for CriticalSection2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CriticalSection2")
            .field("base", &self.base)
            .field("mutex2", &self.mutex2.get())
            .finish()
    }
}
