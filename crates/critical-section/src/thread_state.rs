//! A thread's state: whether it is attached, and the link to its innermost section.
//!
//! Two kinds of threads use it. The *owner thread*, whose state it is, attaches and detaches; it
//! reaches the state as a thread local. A *stopper*, a thread that stops the world, holds the owner
//! thread back while that is detached; it has a pointer to the state.
//!
//! | state word | means | set by | cleared by |
//! |---|---|---|---|
//! | [`DETACHED`] | the owner thread does not run in the runtime | the owner thread, in `detach`; the stopper, in `start` | the owner thread, in `attach`; a stopper, in `try_stop` |
//! | [`ATTACHED`] | the owner thread runs in the runtime | the owner thread, in `attach`, from detached | the owner thread, in `detach` |
//! | [`STOPPED`] | the owner thread may not attach | a stopper, in `try_stop`, from detached | the stopper, in `start`; the owner thread, in `after_fork` |
//!
//! An owner thread that wants to attach while it is stopped parks on the word. Sections are the
//! owner thread's alone: it suspends them before it leaves *attached*, and resumes the innermost
//! one after it has come back.
//!
//! This is the little of `pystate.c` that sections need: `_PyThreadState_Attach`,
//! `_PyThreadState_Detach`, and of stop-the-world what is done to one thread.

use std::cell::Cell;
use std::fmt;
use std::ptr;

use pysync_lock::{Mutex, NotLocked};
use pysync_parking_lot::{park_in, unpark_all};
use pysync_platform::primitive::atomic::{AtomicU32, Ordering};
use pysync_platform::primitive::{self, const_fn};
use pysync_platform::{Deadline, Native, Runtime};

use crate::section_thread::{SectionThread, die};
use crate::tag::Tagged;
use crate::{Attached, stack, trace};

/// The owner thread does not run in the runtime, and no stopper waits for it.
/// C: `_Py_THREAD_DETACHED`.
const DETACHED: u32 = 0;
/// The owner thread runs in the runtime. C: `_Py_THREAD_ATTACHED`.
const ATTACHED: u32 = 1;
/// A stopper has stopped the owner thread while it was detached. C: `_Py_THREAD_SUSPENDED`, which
/// is about the thread; that a *section* is suspended is something else.
const STOPPED: u32 = 2;

/// What a runtime knows of one thread: whether it is attached, and its stack of critical
/// sections. The part of CPython's `PyThreadState` that sections need.
///
/// Each thread has one. An attached thread that waits in these crates detaches for the time of the
/// wait, if the wait blocks and asks for it. To detach suspends the thread's sections; to attach
/// again resumes the innermost one.
///
/// **Fork**: the child's one thread keeps its state and its sections. The sections of threads that
/// no longer exist leave their mutexes locked. If the thread was stopped when it forked, as it may
/// be inside [`Attached::detached`], [`after_fork`](Self::after_fork) starts it.
pub struct ThreadState {
    /// The link to the innermost section. Only the owner thread reads and writes it.
    critical_section: Cell<Tagged>,
    /// [`DETACHED`], [`ATTACHED`] or [`STOPPED`].
    state: AtomicU32,
}

// SAFETY: other threads can only reach `state`, which is atomic. `critical_section` is reached
// through `current` alone, which is the calling thread's.
unsafe impl Sync for ThreadState {}

primitive::thread_local! {
    static CURRENT: ThreadState = ThreadState::new()
}

impl ThreadState {
    const_fn! {
        const fn new() -> Self {
            Self {
                critical_section: Cell::new(Tagged::NONE),
                state: AtomicU32::new(DETACHED),
            }
        }
    }

    /// Attaches the calling thread until the result is dropped. Blocks while the thread is
    /// [stopped](Self::try_stop).
    ///
    /// May also be called inside [`Attached::detached`], where it resumes the innermost section
    /// for as long as the result lives.
    ///
    /// A result that is leaked leaves the thread attached for good. A result that is kept in a
    /// thread local detaches when that is destroyed. On platforms where std frees thread locals
    /// one by one (windows-gnu, Android), the thread's state may be gone by then.
    ///
    /// # Panics
    /// If the thread is attached already.
    #[doc(alias = "PyThreadState_Attach")]
    pub fn attach() -> Attached {
        let current = Self::current();
        if current.is_attached_here() {
            Native::fatal_error("ThreadState::attach", "the thread is already attached");
        }
        Attached::new(current)
    }

    /// Whether the calling thread is attached.
    pub fn is_attached() -> bool {
        Self::current().is_attached_here()
    }

    /// Stops the thread if it is detached: it cannot attach until [`start`](Self::start). Never
    /// blocks.
    ///
    /// Returns true if the thread is stopped, by this call or by an earlier one. Returns false if
    /// it is attached; the stopper then tries again later.
    ///
    /// # Rules for the stopper
    /// A runtime that stops the world does this to each thread. From the first stop until the
    /// world starts, the stopper
    /// - must not detach. A detach unlocks the mutexes of the stopper's sections, and may hand one
    ///   to a thread that it has stopped. The stopper would then wait for that thread, which waits
    ///   for the stopper (gh-118332);
    /// - must not wait for a mutex that a stopped thread may hold. A thread may have been handed
    ///   a mutex just before it was stopped, and does not unlock it until the stopper starts it
    ///   (gh-144513).
    pub fn try_stop(&self) -> bool {
        // Ordering: Acquire pairs with the Release in `detach`: the stopper sees what the owner
        // thread did while it was attached, and so does a second stopper that finds it stopped.
        match self.state.compare_exchange(DETACHED, STOPPED, Ordering::Acquire, Ordering::Acquire) {
            Ok(_) => true,
            Err(state) => state == STOPPED,
        }
    }

    /// Lets a stopped thread attach again. No effect on other threads.
    pub fn start(&self) {
        // Ordering: Release pairs with the Acquire in `try_attach`: the owner thread sees what the
        // stopper did while it was stopped.
        let started =
            self.state.compare_exchange(STOPPED, DETACHED, Ordering::Release, Ordering::Relaxed);
        if started.is_ok() {
            unpark_all(&raw const self.state);
        }
    }

    /// Starts the calling thread in the child of a `fork`, if it was stopped: the stopper does not
    /// exist in the child.
    ///
    /// # Safety
    /// The calling thread is the only one in the process.
    pub unsafe fn after_fork() {
        // Only the owner thread parks on its word, and this one is running.
        Self::current().start();
    }

    /// The calling thread's state. A caller must not keep it beyond its own return, nor give it
    /// away: at the thread's end std may free it among the other thread locals.
    #[inline]
    pub(crate) fn current() -> &'static Self {
        // SAFETY: the state stays for as long as the thread runs anything but the destructors of
        // its thread locals, and between the beginning and the end of each of these. The callers
        // here keep no reference for longer.
        CURRENT.with(|state| unsafe { &*ptr::from_ref(state) })
    }

    /// The link to the innermost section of the calling thread, whose state this is: `current` is
    /// the only way to it here.
    #[inline]
    pub(crate) fn top_here(&self) -> Tagged {
        self.critical_section.get()
    }

    /// Whether the innermost section of the calling thread, whose state this is and which is
    /// attached, holds `m`.
    #[inline]
    pub(crate) fn holds_here(&self, m: &Mutex) -> bool {
        // SAFETY: the calling thread's own link.
        unsafe { stack::holds(self.top_here(), m) }
    }

    /// The calling thread's state.
    ///
    /// # Panics
    /// If the thread is not attached.
    #[inline]
    #[track_caller]
    pub(crate) fn current_attached() -> &'static Self {
        let current = Self::current();
        if !current.is_attached_here() {
            die::<Self>(
                "critical section without an attached thread state: call ThreadState::attach first",
            );
        }
        current
    }

    #[inline]
    pub(crate) fn is_attached_here(&self) -> bool {
        // Ordering: Relaxed; only the owner thread makes the state attached or not attached.
        self.state.load(Ordering::Relaxed) == ATTACHED
    }

    /// The `_PyThreadState_Attach` of `pystate.c`, without the interpreter.
    pub(crate) fn attach_here(&self) {
        while let Err(state) = self.try_attach() {
            if state == ATTACHED {
                // The thread is attached by a guard that got out of `detached`. That will do.
                return;
            }
            // Stopped. The wait does not detach the thread, which is not attached.
            park_in::<Native, _>(&self.state, STOPPED, Deadline::NEVER, ptr::null_mut(), false);
        }
        if !self.top_here().is_none() {
            // SAFETY: the calling thread's own state, and there is a section.
            unsafe { stack::resume(self) };
        }
    }

    fn try_attach(&self) -> Result<u32, u32> {
        // Ordering: Acquire pairs with the Release in `start`.
        self.state.compare_exchange(DETACHED, ATTACHED, Ordering::Acquire, Ordering::Relaxed)
    }

    /// The `_PyThreadState_Detach` of `pystate.c`, without the interpreter. An error says that a
    /// section's mutex was not locked; the thread is detached all the same.
    pub(crate) fn detach(&self) -> Result<(), NotLocked> {
        let top = self.top_here();
        let active = trace::active(top);
        // SAFETY: the calling thread's own state.
        let unlocked = if top.is_none() { Ok(()) } else { unsafe { stack::suspend_all(self) } };
        // Ordering: Release pairs with the Acquire in `try_stop`.
        self.state.store(DETACHED, Ordering::Release);
        // Only now: a subscriber that waits for a lock must not detach a thread that still is
        // attached.
        trace::suspend(active);
        unlocked
    }
}

// SAFETY: the link is a cell.
unsafe impl SectionThread for ThreadState {
    type Runtime = Native;

    #[inline]
    unsafe fn top(&self) -> Tagged {
        self.critical_section.get()
    }

    #[inline]
    unsafe fn set_top(&self, tagged: Tagged) {
        self.critical_section.set(tagged);
    }

    #[inline]
    fn is_attached(&self) -> bool {
        self.is_attached_here()
    }
}

impl fmt::Debug for ThreadState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadState")
            .field("state", &self.state.load(Ordering::Relaxed))
            .finish_non_exhaustive()
    }
}
