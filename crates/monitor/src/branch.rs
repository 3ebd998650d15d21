//! Threads that end where they began.

mod child;
mod failures;
mod threads;

use std::io;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use crate::node::Node;
use crate::nodes;
use crate::scope::Scope;

pub use child::Child;
use child::Slot;
pub use failures::{Failure, Failures};
pub use threads::Builder;
use threads::Threads;

/// What the threads of a branch share.
struct Shared<E> {
    scope: Scope,
    failed: Mutex<Failed<E>>,
    /// How many threads have been made.
    made: AtomicUsize,
}

struct Failed<E> {
    /// The body is 0, and the threads are counted from 1.
    all: Vec<(usize, Failure<E>)>,
    /// The one that has cancelled the branch.
    cause: Option<usize>,
}

impl<E> Shared<E> {
    fn fail(&self, index: usize, failure: Failure<E>) {
        let was_cancelled = self.scope.is_cancelled();
        {
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            if failed.all.is_empty() && !was_cancelled {
                failed.cause = Some(index);
            }
            failed.all.push((index, failure));
        }
        self.scope.cancel();
    }
}

/// A branch, for its body and its threads: makes more threads. What [`branch`] passes to its closure.
pub struct Branch<'s, 'env, E> {
    threads: &'s Threads<'s, 'env>,
    /// There for `'s`: it is made outside of the scope of the threads.
    shared: NonNull<Shared<E>>,
}

// SAFETY: it gives what a shared reference to the shared part does, which takes errors from any thread.
unsafe impl<E: Send> Send for Branch<'_, '_, E> {}
// SAFETY: as above.
unsafe impl<E: Send> Sync for Branch<'_, '_, E> {}

impl<E> Clone for Branch<'_, '_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for Branch<'_, '_, E> {}

impl<E> std::fmt::Debug for Branch<'_, '_, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let is_cancelled = self.shared().scope.is_cancelled();
        f.debug_struct("Branch").field("is_cancelled", &is_cancelled).finish_non_exhaustive()
    }
}

impl<E> Branch<'_, '_, E> {
    fn shared(&self) -> &Shared<E> {
        // SAFETY: there for `'s`.
        unsafe { self.shared.as_ref() }
    }

    /// Cancels the branch: its body, its threads and the branches inside of it, for good. Threads that are made from now
    /// on are cancelled too. This is no failure by itself.
    ///
    /// What waits to enter a monitor goes on waiting, so that clean-up in monitors does not fail; [`check`](crate::check),
    /// [`sleep`](crate::sleep) and waits for conditions fail.
    ///
    /// Blocks for a lock of all branches only, for as long as the threads that are to be cancelled are gone through.
    pub fn cancel(&self) {
        self.shared().scope.cancel();
    }

    /// Whether the branch has been cancelled, or one around it.
    pub fn is_cancelled(&self) -> bool {
        self.shared().scope.is_cancelled()
    }
}

impl<'s, E: Send + 's> Branch<'s, '_, E> {
    /// Runs `f` on a thread of its own. If it fails or panics, the branch is cancelled.
    ///
    /// A thread that is made after the branch has been cancelled, or has not begun by then, does not run `f` but drops
    /// it, and has failed as [`Failure::Cancelled`].
    ///
    /// # Panics
    /// If the system makes no thread. The branch is as if this had not been called.
    ///
    /// ```
    /// use pysync_monitor::{Stopped, branch};
    ///
    /// let squares = branch::<_, Stopped>(|b| {
    ///     let threads: Vec<_> = (0..4).map(|n| b.spawn(move || Ok(n * n))).collect();
    ///     threads.into_iter().map(|thread| thread.join()).collect::<Result<Vec<_>, _>>()
    /// });
    /// assert_eq!(squares.unwrap(), [0, 1, 4, 9]);
    /// ```
    #[track_caller]
    pub fn spawn<T: Send + 's>(
        &self,
        f: impl FnOnce() -> Result<T, E> + Send + 's,
    ) -> Child<'s, T> {
        self.try_spawn(Builder::new(), f).expect("the system makes no thread")
    }

    /// [`spawn`](Self::spawn) for a thread with a name, which reports of deadlocks have.
    ///
    /// # Panics
    /// As `spawn`; and if the name contains null bytes.
    #[track_caller]
    pub fn spawn_named<T: Send + 's>(
        &self,
        name: impl Into<String>,
        f: impl FnOnce() -> Result<T, E> + Send + 's,
    ) -> Child<'s, T> {
        self.try_spawn(Builder::new().name(name.into()), f).expect("the system makes no thread")
    }

    /// [`spawn`](Self::spawn) for a thread that is made as `builder` says.
    ///
    /// # Errors
    /// If the system makes no thread. `f` is dropped, and the branch is as if this had not been called.
    ///
    /// # Panics
    /// If the builder has a name that contains null bytes.
    pub fn try_spawn<T: Send + 's>(
        &self,
        builder: Builder,
        f: impl FnOnce() -> Result<T, E> + Send + 's,
    ) -> io::Result<Child<'s, T>> {
        // The children can lose, and the parent, that waits for them, cannot: so they are to be the younger.
        nodes::current().stamp_it();
        let shared = self.shared();
        let index = shared.made.fetch_add(1, Relaxed) + 1;
        let slot = Arc::new(Slot::new());
        // SAFETY: the scope is there for `'s`.
        let child = unsafe { Child::new(&shared.scope, index, Arc::clone(&slot)) };
        if shared.scope.is_cancelled() {
            shared.fail(index, Failure::Cancelled);
            return Ok(child);
        }
        let announced = Announced::new(&shared.scope, index);
        let node = announced.node;
        let branch = *self;
        let run = move || {
            let branch = branch;
            let shared = branch.shared();
            nodes::adopt(node);
            // SAFETY: the thread ends before the branch does.
            let _begun = unsafe { shared.scope.join(index) };
            let run = || {
                if shared.scope.is_cancelled() {
                    drop(f);
                    return Err(Failure::Cancelled);
                }
                slot.put(f().map_err(Failure::Error)?);
                // Here, where a panic of the value's drop is caught and its waits are seen.
                drop(slot);
                Ok(())
            };
            let result = catch_unwind(AssertUnwindSafe(run));
            if let Err(failure) = result.unwrap_or_else(|panic| Err(Failure::Panicked(panic))) {
                shared.fail(index, failure);
            }
        };
        threads::spawn(self.threads, builder, run)?;
        std::mem::forget(announced);
        Ok(child)
    }
}

/// A thread that is about to be made, and counts as one of the scope already. Dropped, it is not to be made after all.
struct Announced<'a> {
    scope: &'a Scope,
    index: usize,
    node: &'static Node,
}

impl<'a> Announced<'a> {
    fn new(scope: &'a Scope, index: usize) -> Self {
        let node = nodes::reserve();
        scope.add(node, index);
        Self { scope, index, node }
    }
}

impl Drop for Announced<'_> {
    fn drop(&mut self) {
        self.scope.remove(self.index);
        nodes::give_back(self.node);
    }
}

/// Calls `f`, which makes threads, and returns when all of them have ended. The first that fails, be it `f` itself,
/// cancels the others; a panic is a failure.
///
/// A branch is inside of the branch that its thread is in, and is cancelled with it (but see [`shield`](crate::shield)).
/// The wait for the threads is not cancelled, since they are; and it is known to the detector of deadlocks: a thread that
/// wants a monitor in which this call is made loses.
///
/// Blocks until the threads have ended, detached from the thread's runtime. Signals do not end that.
///
/// **Fork**: the child of a fork that is made in a branch has none of its threads. It must not return from the branch: it
/// would wait for ever, as in [`std::thread::scope`]. It may open others.
///
/// # Errors
/// All that have failed, if one has: that of the body first, then in the order in which the threads were made.
///
/// ```
/// use pysync_monitor::{Cancelled, Failure, branch, sleep};
/// use std::time::Duration;
///
/// #[derive(Debug, PartialEq)]
/// enum Error {
///     Cancelled,
///     Broken(&'static str),
/// }
///
/// impl From<Cancelled> for Error {
///     fn from(_: Cancelled) -> Self {
///         Self::Cancelled
///     }
/// }
///
/// let failures = branch(|b| {
///     b.spawn(|| Ok(sleep(Duration::from_secs(3600))?));
///     b.spawn(|| Err::<(), _>(Error::Broken("pipe")));
///     Ok(())
/// })
/// .unwrap_err();
/// assert!(matches!(failures.cause(), Some(Failure::Error(Error::Broken("pipe")))));
/// ```
#[track_caller]
pub fn branch<'env, R, E: Send>(
    f: impl for<'s> FnOnce(Branch<'s, 'env, E>) -> Result<R, E>,
) -> Result<R, Failures<E>> {
    run(false, Location::caller(), f)
}

/// A [`branch`] that threads outside of it have no part in: none of them makes a condition true for which a thread inside
/// waits.
///
/// So there is something that can be said of its threads: if each of them waits to enter a monitor that another one is
/// inside of, for others of them to end, or for a condition, none with a deadline, then no condition will ever be true. The
/// last that begins to wait, or ends, finds that out at once, and the wait of the youngest that waits for a condition ends
/// with a [`Deadlock`](crate::Deadlock) that [`is_stuck`](crate::Deadlock::is_stuck) and tells of all threads.
///
/// Threads that run, sleep, wait for a time, or wait for something that this crate does not know of, count as such that can
/// go on. So do those that wait for a monitor that a thread outside is inside of. Branches inside of it are part of it. If a
/// thread outside does make a condition true, then one that waits for another condition may have lost for nothing; that is
/// all.
///
/// Each wait inside, and each end of a thread, looks at the threads until one is found that can go on.
///
/// # Errors
/// As for [`branch`].
///
/// ```
/// use pysync_monitor::{Monitor, Stopped, branch_closed};
///
/// let monitor = Monitor::new(0);
/// let failures = branch_closed::<(), Stopped>(|b| {
///     b.spawn(|| monitor.enter_when(|value| *value == 1, |_| ()));
///     Ok(())
/// })
/// .unwrap_err();
/// assert!(matches!(failures.into_single(), Ok(Stopped::Deadlock(it)) if it.is_stuck()));
/// ```
#[track_caller]
pub fn branch_closed<'env, R, E: Send>(
    f: impl for<'s> FnOnce(Branch<'s, 'env, E>) -> Result<R, E>,
) -> Result<R, Failures<E>> {
    run(true, Location::caller(), f)
}

fn run<'env, R, E: Send>(
    is_closed: bool,
    at: &'static Location<'static>,
    f: impl for<'s> FnOnce(Branch<'s, 'env, E>) -> Result<R, E>,
) -> Result<R, Failures<E>> {
    let shared = Shared {
        scope: Scope::new(is_closed),
        failed: Mutex::new(Failed { all: Vec::new(), cause: None }),
        made: AtomicUsize::new(0),
    };
    let result = threads::scope(|threads| {
        // SAFETY: the scope stays here, and what this returns is dropped before it.
        let _opened = unsafe { shared.scope.open() };
        let branch = Branch { threads, shared: NonNull::from(&shared) };
        let result = catch_unwind(AssertUnwindSafe(|| f(branch).map_err(Failure::Error)));
        let result = result.unwrap_or_else(|panic| Err(Failure::Panicked(panic)));
        let result = result.map_err(|failure| shared.fail(0, failure)).ok();
        shared.scope.join_all(at);
        result
    });
    let me = nodes::current();
    if me.is_outside() {
        me.has_left_all();
    }
    let failed = shared.failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    match result {
        Some(result) if failed.all.is_empty() => Ok(result),
        _ => Err(Failures::new(failed.all, failed.cause)),
    }
}
