use std::pin::pin;
use std::thread;

use pysync_lock::{Mutex, NotLocked};
use pysync_platform::AbortOnUnwind;

use crate::section_thread::report;
use crate::{CriticalSection, CriticalSection2, ThreadState};

/// Runs `f` in a critical section of `m`: with `m` locked, except while the thread blocks.
///
/// Whenever the thread blocks on a lock of these crates, or detaches, all its sections unlock their
/// mutexes. Before the thread goes on, the innermost section has its own again; each outer one has
/// its own again once it is the innermost. So threads may nest sections in any order without a
/// deadlock. What the thread has read before a call that can block must be checked again after it.
///
/// Some waits do not detach the thread, and sections keep their mutexes through them: waits that
/// are told not to detach, and waits for a raw mutex or a sequence lock.
///
/// If the innermost section holds `m` already, `f` just runs. The wait for `m` goes on through
/// signals.
///
/// # Panics
/// If the thread has no attached [`ThreadState`]. If `f` panics, the section
/// ends first.
///
/// # Aborts
/// The process, with a message, if the section that ends is not the thread's innermost one. That
/// takes a coroutine that yields in `f`. The sections of a thread must end in the reverse of the
/// order in which they began, whichever stack they are on.
///
/// # No `&mut` through a section
/// A section can lose its mutex at every call that may block. So it guards no data of its own and
/// lends none: between such calls, what it protects is read and written through cells or atomics.
/// The closure is given nothing:
///
/// ```compile_fail,E0593
/// # use pysync_critical_section::{ThreadState, critical_section};
/// # use pysync_lock::Mutex;
/// let _attached = ThreadState::attach();
/// let mutex = Mutex::new();
/// critical_section(&mutex, |list: &mut Vec<i32>| list.push(2));
/// ```
///
/// What the closure brings along is no more exclusive in a section than outside. Two threads cannot
/// both write to a variable,
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

/// [`critical_section`] with two mutexes. It locks them in the order of their addresses, so that
/// `(a, b)` and `(b, a)` agree. If `a` and `b` are the same, it is a section of one mutex. If the
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
        // Only a coroutine can end its sections out of order: one that yields in a section and is
        // resumed in another. A panic would free the frame of a section that is still linked.
        let no_unwind = AbortOnUnwind::new("a critical section did not end");
        let unlocked = (self.0)();
        no_unwind.disarm();
        // A second panic would abort.
        if !thread::panicking() {
            report::<ThreadState>(unlocked);
        }
    }
}
