use std::cell::Cell;
use std::fmt;

use crate::abort::abort_on_unwind;
use crate::{ident, primitive, trace};

/// A pending call failed, and the wait that ran it ends as interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingCallError;

impl fmt::Display for PendingCallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a pending call failed")
    }
}

impl std::error::Error for PendingCallError {}

/// What these crates ask of the interpreter around them: the one seam to `pystate.c`, `ceval.c`,
/// `thread.c` and `pylifecycle.c`.
///
/// Types stay free of it. Each method that can block has one generic form over `R: Runtime`, with
/// `_in` in its name; the plain forms are calls of it for [`Native`].
///
/// A wait has five steps:
///
/// 1. The waiter queues itself, under the lock of a bucket.
/// 2. It calls `detach`. It holds no bucket lock.
/// 3. It sleeps.
/// 4. It leaves the queue, if no waker has taken it off.
/// 5. It calls `attach`. It holds no bucket lock, and nothing with a destructor that matters is alive
///    in these crates, because `attach` may never return.
pub trait Runtime {
    /// Proof of a detach, handed back to [`Runtime::attach`].
    type Detached;

    /// Detaches the calling thread from the runtime, so that no other thread waits for it while it
    /// sleeps; `None` if it was not attached. May unlock and so unpark other threads, and even
    /// the caller. A panic aborts the process: the caller is queued, and to unwind would leave
    /// its stack behind.
    fn detach() -> Option<Self::Detached>;

    /// Undoes a detach. May block, in these crates' own locks too, and may never return, if it
    /// blocks for good. A panic aborts the process: the caller may have been handed a lock already.
    /// (So does a `pthread_exit` that unwinds through Rust. Built with `panic = "abort"`, the thread
    /// just ends.)
    fn attach(detached: Self::Detached);

    /// Runs what signal handlers have left to be done. Called with no lock of these crates held,
    /// on an attached thread if it was attached before the wait. A panic ends the wait and
    /// unwinds to its caller.
    ///
    /// # Errors
    /// The wait that was interrupted is to end as interrupted.
    fn make_pending_calls() -> Result<(), PendingCallError>;

    /// The calling thread's identity: not 0, and equal to no other living thread's. Where it is
    /// not, a recursive mutex lets two threads in, or stays locked once both have left. Nothing is
    /// unsound: no memory is shared on the word of a runtime. On targets without 64-bit atomics it
    /// must fit in 32 bits.
    fn thread_ident() -> u64;

    /// Ends with a message: a caller has broken a rule. [`Native`] panics.
    fn fatal_error(function: &'static str, message: &str) -> !;
}

/// How one thread detaches and attaches, for [`Native::set_thread_hooks`].
#[derive(Debug)]
pub struct ThreadHooks {
    /// Detaches the calling thread; false if it was not attached, and then `attach` is not called.
    pub detach: fn() -> bool,
    /// Undoes a `detach` that returned true.
    pub attach: fn(),
}

/// The runtime of plain Rust programs: misuse panics, and a blocking thread calls the hooks that
/// it has registered for itself, if any. `pysync-critical-section` registers its thread state.
#[derive(Debug)]
pub struct Native;

primitive::thread_local! {
    static HOOKS: Cell<Option<&'static ThreadHooks>> = Cell::new(None)
}
primitive::thread_local! {
    static PENDING_CALLS: Cell<Option<PendingCalls>> = Cell::new(None)
}

type PendingCalls = fn() -> Result<(), PendingCallError>;

impl Native {
    /// Sets what the calling thread does around its waits; returns what it did before.
    pub fn set_thread_hooks(hooks: Option<&'static ThreadHooks>) -> Option<&'static ThreadHooks> {
        HOOKS.with(|cell| cell.replace(hooks))
    }

    /// Sets what the calling thread runs when a signal interrupts a wait that asks for it
    /// (`HANDLE_SIGNALS` in `pysync-lock`); returns what it ran before.
    pub fn set_pending_calls(calls: Option<PendingCalls>) -> Option<PendingCalls> {
        PENDING_CALLS.with(|cell| cell.replace(calls))
    }
}

impl Runtime for Native {
    type Detached = &'static ThreadHooks;

    #[inline]
    fn detach() -> Option<Self::Detached> {
        HOOKS.with(Cell::get).filter(|hooks| (hooks.detach)())
    }

    #[inline]
    fn attach(detached: Self::Detached) {
        (detached.attach)();
    }

    fn make_pending_calls() -> Result<(), PendingCallError> {
        PENDING_CALLS.with(Cell::get).map_or(Ok(()), |calls| calls())
    }

    #[inline]
    fn thread_ident() -> u64 {
        ident::current()
    }

    #[track_caller]
    fn fatal_error(_function: &'static str, message: &str) -> ! {
        panic!("{message}")
    }
}

/// Calls `wait`, with the thread detached from its runtime if `detach` asks for it, the thread is
/// attached, and it is not a trace subscriber that waits. Returns once the thread is attached
/// again, if it ever is.
///
/// The caller holds no lock that a hook may want: see [`Runtime`].
///
/// # Aborts
/// The process, with a message, if `R::detach`, `wait` or `R::attach` panics: the thread may be on
/// a queue, or detached, or have been handed a lock.
pub fn detached<R: Runtime, T>(detach: bool, wait: impl FnOnce() -> T) -> T {
    abort_on_unwind("a panic in a runtime's detach or attach around a wait", || {
        let detached = if detach && !trace::is_emitting() { R::detach() } else { None };
        let result = wait();
        if let Some(detached) = detached {
            R::attach(detached);
        }
        result
    })
}
