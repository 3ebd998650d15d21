use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::ptr;
use std::thread;

use pysync_lock::NotLocked;
use pysync_parking_lot::{park_in, unpark_all};
use pysync_platform::primitive::atomic::{AtomicU32, Ordering};
use pysync_platform::primitive::{self, const_fn};
use pysync_platform::{Deadline, Native, ThreadHooks};

use crate::stack::{self, SectionThread};
use crate::tag::Tagged;
use crate::trace;

/// The thread does not run inside the runtime, and nobody waits for it.
const DETACHED: u32 = 0;
/// The thread runs inside the runtime.
const ATTACHED: u32 = 1;
/// Somebody has stopped the thread while it was detached; it may not attach.
const SUSPENDED: u32 = 2;

/// What a runtime knows of one thread: whether it is attached, and its stack of critical
/// sections. The part of CPython's `PyThreadState` that sections need.
///
/// Each thread has one. While it is attached, it detaches around every wait in these crates that
/// blocks and that asks for it, which suspends its sections, and attaches again afterwards,
/// which resumes the innermost one.
///
/// **Fork**: the child's one thread keeps its state and its sections. Sections of threads that
/// no longer exist leave their mutexes locked. If the thread had been stopped when it forked, in
/// [`Attached::detached`] for one, [`after_fork`](Self::after_fork) starts it.
pub struct ThreadState {
    /// The innermost section. The thread's own.
    critical_section: Cell<Tagged>,
    /// Written by the thread itself between detached and attached, by others between detached
    /// and suspended.
    state: AtomicU32,
}

// SAFETY: other threads can only get at `state`, which is atomic; `critical_section` is reached
// through `current` alone, which is the calling thread's.
unsafe impl Sync for ThreadState {}

primitive::thread_local! {
    static CURRENT: ThreadState = ThreadState::new()
}

static HOOKS: ThreadHooks = ThreadHooks {
    // PR 116483: only what is attached is detached; to have a state is not enough.
    detach: || {
        let current = ThreadState::current();
        let attached = current.is_attached_here();
        if attached {
            stack::report(current.detach());
        }
        attached
    },
    attach: || ThreadState::current().attach_here(),
};

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
    /// for as long as it lasts. A result that is leaked leaves the thread attached for good. One
    /// that is kept in a thread local detaches when that is destroyed, and where std frees thread
    /// locals one by one (windows-gnu, Android) finds the thread's state gone by then.
    ///
    /// # Panics
    /// If the thread is attached already.
    #[doc(alias = "PyThreadState_Attach")]
    pub fn attach() -> Attached {
        let current = Self::current();
        assert!(!current.is_attached_here(), "the thread is already attached");
        let previous_hooks = Native::set_thread_hooks(Some(&HOOKS));
        current.attach_here();
        Attached { previous_hooks, not_send: PhantomData }
    }

    /// Whether the calling thread is attached.
    pub fn is_attached() -> bool {
        Self::current().is_attached_here()
    }

    /// Stops the thread if it is detached: it stays so until [`start`](Self::start). False if it
    /// is attached, and then the caller tries again later; true if it is stopped, by this call
    /// or already. Never blocks.
    ///
    /// This is what a runtime that stops the world does to each thread. Whoever does it must not
    /// detach from then until the world starts (gh-118332): a mutex of its sections might be
    /// handed to a thread that it has stopped. Nor must it wait for a mutex that such a thread
    /// may have been handed already (gh-144513).
    pub fn try_stop(&self) -> bool {
        // Ordering: Acquire pairs with the Release in `detach`: what the thread did while it was
        // attached is visible to the thread that stopped it, and to one that finds it stopped.
        match self.state.compare_exchange(DETACHED, SUSPENDED, Ordering::Acquire, Ordering::Acquire)
        {
            Ok(_) => true,
            Err(state) => state == SUSPENDED,
        }
    }

    /// Lets a stopped thread attach again; no effect on others.
    pub fn start(&self) {
        // Ordering: Release pairs with the Acquire in `try_attach`: the thread sees what was
        // done while it was stopped.
        let started =
            self.state.compare_exchange(SUSPENDED, DETACHED, Ordering::Release, Ordering::Relaxed);
        if started.is_ok() {
            unpark_all(&raw const self.state);
        }
    }

    /// Starts the calling thread in the child of a `fork`, if it was stopped: the thread that would
    /// start it does not exist here.
    ///
    /// # Safety
    /// The calling thread is the only one in the process.
    pub unsafe fn after_fork() {
        // No thread can be parked on it but this one, and that is not.
        Self::current().start();
    }

    /// The calling thread's state. Not to be kept beyond the caller's own return, nor given away:
    /// at the thread's end std may free it among the other thread locals.
    #[inline]
    pub(crate) fn current() -> &'static Self {
        // SAFETY: it stays for as long as the thread runs anything but the destructors of its
        // thread locals, and between the beginning and the end of each of these. The callers here
        // keep no reference for longer.
        CURRENT.with(|state| unsafe { &*ptr::from_ref(state) })
    }

    /// The link to the innermost section of the calling thread, whose state this is: `current` is
    /// the only way to it here.
    #[inline]
    pub(crate) fn top_here(&self) -> Tagged {
        self.critical_section.get()
    }

    /// The calling thread's state.
    ///
    /// # Panics
    /// If the thread is not attached.
    #[inline]
    #[track_caller]
    pub(crate) fn current_attached() -> &'static Self {
        let current = Self::current();
        assert!(
            current.is_attached_here(),
            "critical section without an attached thread state: call ThreadState::attach first"
        );
        current
    }

    #[inline]
    pub(crate) fn is_attached_here(&self) -> bool {
        // Ordering: Relaxed; only the thread itself makes it attached or not.
        self.state.load(Ordering::Relaxed) == ATTACHED
    }

    /// The `_PyThreadState_Attach` of `pystate.c`, without the interpreter.
    fn attach_here(&self) {
        while let Err(state) = self.try_attach() {
            if state == ATTACHED {
                // By a guard that got out of `detached`. It will do.
                return;
            }
            // Stopped. Not detaching: the thread is not attached.
            park_in::<Native, _>(&self.state, SUSPENDED, Deadline::NEVER, ptr::null_mut(), false);
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
    fn detach(&self) -> Result<(), NotLocked> {
        let top = self.top_here();
        let active = trace::active(top);
        // SAFETY: the calling thread's own state.
        let unlocked = if top.is_none() { Ok(()) } else { unsafe { stack::suspend_all(self) } };
        // Ordering: Release pairs with the Acquire in `try_stop`.
        self.state.store(DETACHED, Ordering::Release);
        // Only now: a subscriber that waits for a lock would detach a thread that is not yet.
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

/// An attached thread; detaches when dropped. Stays on its thread.
///
/// Sections that are open when it is dropped are suspended, and may end so.
///
/// # Panics
/// Dropping it panics if somebody else has unlocked the mutex of a section that is open, after
/// detaching.
#[must_use]
pub struct Attached {
    /// What the thread did around its waits before; ours if this is an attach inside `detached`.
    previous_hooks: Option<&'static ThreadHooks>,
    not_send: PhantomData<*mut ()>,
}

impl Attached {
    /// Runs `f` with the thread detached, and its sections suspended: around anything that may
    /// block and is not a lock of these crates. Attaches again even if `f` panics, resuming the
    /// innermost section.
    ///
    /// # Panics
    /// If the thread is not attached, as inside another `detached`; or if somebody else has
    /// unlocked the mutex of one of its sections, and then the innermost has its own again.
    #[doc(alias("Py_BEGIN_ALLOW_THREADS", "Py_END_ALLOW_THREADS"))]
    #[track_caller]
    pub fn detached<T>(&self, f: impl FnOnce() -> T) -> T {
        struct Reattach;
        impl Drop for Reattach {
            fn drop(&mut self) {
                ThreadState::current().attach_here();
            }
        }

        let state = ThreadState::current();
        assert!(state.is_attached_here(), "the thread is already detached");
        let unlocked = state.detach();
        let _reattach = Reattach;
        stack::report(unlocked);
        f()
    }

    /// The address of the innermost section, if there is one.
    pub fn top(&self) -> Option<usize> {
        let top = ThreadState::current().top_here();
        (!top.is_none()).then(|| top.untagged().addr())
    }

    /// The thread's state, for whoever stops the world.
    ///
    /// A pointer and not a reference, since it is valid until the thread's closure returns, which a
    /// borrow of a guard that has been leaked would outlive. Any thread may use it until then. (At
    /// the thread's end std may free it, among the destructors of the thread's locals.)
    pub fn state(&self) -> *const ThreadState {
        ThreadState::current()
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let state = ThreadState::current();
        // Not attached if another guard got out of `detached` and went first. To store "detached"
        // then might start a thread that has been stopped.
        let unlocked = if state.is_attached_here() { state.detach() } else { Ok(()) };
        if !self.previous_hooks.is_some_and(|hooks| ptr::eq(hooks, &HOOKS)) {
            Native::set_thread_hooks(self.previous_hooks);
        }
        if !thread::panicking() {
            stack::report(unlocked);
        }
    }
}

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attached").field("top", &self.top()).finish()
    }
}
