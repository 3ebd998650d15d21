use std::cell::Cell;
use std::fmt;
use std::pin::pin;
use std::ptr;
use std::time::Duration;

use pysync_parking_lot::{Choice, Key, Position, Waiter, unpark_filter};
use pysync_platform::primitive::atomic::{
    AtomicU32,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use pysync_platform::primitive::const_fn;
use pysync_platform::{Deadline, LockFlags, LockStatus, Native, ParkStatus, Runtime};

/// Bit 0. Threads wait, or have until they gave up.
const PARKED: u32 = 1;
/// What one task adds to the word.
const ONE: u32 = 2;

/// How many tasks have not ended.
const fn count(state: u32) -> u32 {
    state / ONE
}

/// Tasks that are under way, and threads that wait until all have ended. Four bytes.
///
/// | bits | means | is changed by |
/// |---|---|---|
/// | 0, parked | threads are queued, or were until they gave up | a waiter sets it; the thread that ends the last task clears it; both under the bucket lock |
/// | 1 and up | the count of tasks | [`add`](Self::add) and [`done`](Self::done), with an exchange; under the bucket lock where the last task ends and bit 0 is set |
///
/// 1. A waiter that finds the count zero does not wait. Otherwise it sets bit 0 and queues itself, in
///    one step under the bucket lock.
/// 2. The last `done` that finds bit 0 set locks the bucket, takes the word from "one task, parked" to
///    zero, and wakes all that are queued. If another thread adds a task at the same time, one of the
///    two exchanges comes first: either the count never was zero, and nobody is woken, or the new task
///    belongs to the next round.
/// 3. A waiter that has been woken does not look at the count again. So the group can be used again at
///    once: a task that is added before a waiter gets to run does not send it back to sleep.
///
/// Tasks are to be added by a thread that has one, or before the threads that wait look: else these may
/// find the count zero too early.
///
/// It can stand in a `static`, and zeroed memory is a group without tasks. A waiter may free it: the
/// thread that ends the last task touches it no more once the count is zero.
///
/// **Publishing**: a thread whose wait ends sees all that was done before each `done` of the round.
///
/// **Blocking**: to add never blocks. To end a task does not block but for the lock of a bucket of the
/// parking lot.
///
/// **Signals**: a signal ends a wait only if the caller's [`LockFlags`] say so; without such flags the
/// waiter keeps its place. With `HANDLE_SIGNALS` it leaves the queue for its pending calls, and then
/// looks at the count again.
///
/// **Fork**: a child inherits the count. The tasks of threads that it does not have do not end; the
/// child, which is alone, may end [`count`](Self::count) of them itself. It forgets the waiters by
/// [`pysync_parking_lot::after_fork`].
///
/// ```
/// use pysync_cond::WaitGroup;
/// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
///
/// let (group, sum) = (WaitGroup::new(), AtomicU32::new(0));
/// std::thread::scope(|scope| {
///     for i in 0..4 {
///         let task = group.task();
///         let sum = &sum;
///         scope.spawn(move || {
///             sum.fetch_add(i, Relaxed);
///             drop(task);
///         });
///     }
///     group.wait();
///     assert_eq!(sum.load(Relaxed), 6);
/// });
/// ```
#[repr(transparent)]
pub struct WaitGroup {
    state: AtomicU32,
}

/// The count is too small for what was to be taken off it. Nothing has changed.
pub(crate) struct Negative;

impl WaitGroup {
    /// The greatest count that there is room for.
    pub(crate) const MAX: u32 = u32::MAX >> 1;

    const_fn! {
        /// A group without tasks. Not `const` in a model.
        #[inline]
        pub const fn new() -> Self {
            Self::with_count(0)
        }
    }

    const_fn! {
        /// A group with tasks, at most [`MAX`](Self::MAX).
        #[inline]
        pub(crate) const fn with_count(count: u32) -> Self {
            Self { state: AtomicU32::new(count * ONE) }
        }
    }

    /// Adds `n` tasks. Never blocks.
    ///
    /// # Panics
    /// `too many tasks`, if there would be more than half of `u32::MAX`. Nothing has changed then.
    #[inline]
    #[track_caller]
    pub fn add(&self, n: u32) {
        let mut state = self.state.load(Relaxed);
        loop {
            if n > Self::MAX - count(state) {
                Native::fatal_error("WaitGroup::add", "too many tasks");
            }
            // Ordering: Relaxed. It publishes nothing, and an exchange keeps what others have.
            match self.state.compare_exchange_weak(state, state + n * ONE, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(actual) => state = actual,
            }
        }
    }

    /// Ends a task. Wakes all that wait if it was the last.
    ///
    /// # Panics
    /// `negative WaitGroup counter`, if there is no task. Nothing has changed then.
    #[inline]
    #[track_caller]
    pub fn done(&self) {
        if self.subtract(1).is_err() {
            Native::fatal_error("WaitGroup::done", "negative WaitGroup counter");
        }
    }

    /// Adds a task that ends when the guard is dropped, also by a panic.
    ///
    /// # Panics
    /// As [`add`](Self::add).
    #[inline]
    #[track_caller]
    pub fn task(&self) -> Task<'_> {
        self.add(1);
        Task { group: self }
    }

    /// How many tasks have not ended. The answer may be out of date when it arrives. Who finds zero sees
    /// what was done before each `done`.
    #[inline]
    pub fn count(&self) -> u32 {
        // Ordering: Acquire pairs with the Release of each `done`.
        count(self.state.load(Acquire))
    }

    /// Blocks until all tasks have ended, through signals, and detached while it sleeps. Returns at once
    /// if there are none.
    #[inline]
    pub fn wait(&self) {
        let status = self.wait_in::<Native>(Deadline::NEVER, LockFlags::DETACH);
        debug_assert_eq!(status, LockStatus::Acquired);
    }

    /// Blocks until all tasks have ended, for `timeout` at most, or until a signal ends the wait, if
    /// `flags` let it.
    ///
    /// | result | says |
    /// |---|---|
    /// | `Acquired` | all tasks had ended at some time during the wait |
    /// | `Failure` | the timeout ran out |
    /// | `Interrupted` | a signal came, and `flags` let it end the wait |
    ///
    /// `None` waits forever, and `Some(ZERO)` only looks. A wait does not end before its timeout.
    ///
    /// # Panics
    /// If a pending call panics.
    #[inline]
    pub fn wait_timed(&self, timeout: Option<Duration>, flags: LockFlags) -> LockStatus {
        // One look, before the clock is read.
        if self.count() == 0 {
            return LockStatus::Acquired;
        }
        self.wait_slow::<Native>(Deadline::after(timeout), flags)
    }

    /// [`wait_timed`](Self::wait_timed) until a deadline, in a runtime of the caller's choice. The other
    /// methods that wait are this one for [`Native`].
    #[inline]
    pub fn wait_in<R: Runtime>(&self, deadline: Deadline, flags: LockFlags) -> LockStatus {
        if self.count() == 0 {
            return LockStatus::Acquired;
        }
        self.wait_slow::<R>(deadline, flags)
    }

    /// Waits for tasks that the caller has just seen.
    #[cold]
    fn wait_slow<R: Runtime>(&self, deadline: Deadline, flags: LockFlags) -> LockStatus {
        loop {
            if deadline.has_passed() {
                return LockStatus::Failure;
            }
            let waiter = pin!(Waiter::new(ptr::null_mut()));
            let waiter = waiter.as_ref();
            // SAFETY: nothing reads the park arguments of this key.
            if !unsafe { waiter.queue(self.key(), Position::Back, || self.announce()) } {
                return LockStatus::Acquired;
            }
            match waiter.spin_then_sleep::<R>(deadline, flags) {
                // Whatever the count is by now: that is the next round's.
                ParkStatus::Ok => return LockStatus::Acquired,
                ParkStatus::Timeout => return LockStatus::Failure,
                ParkStatus::Interrupted => {
                    if let Some(status) = flags.on_interrupt::<R>() {
                        return status;
                    }
                }
                // The child of a fork.
                ParkStatus::Again => {}
            }
            if self.count() == 0 {
                return LockStatus::Acquired;
            }
        }
    }

    /// Says in the word that a thread waits; false if there is nothing to wait for. The bucket lock is
    /// held.
    fn announce(&self) -> bool {
        // Ordering: Acquire, as in `count`: who finds zero does not wait.
        let mut state = self.state.load(Acquire);
        while count(state) > 0 {
            if state & PARKED != 0 {
                return true;
            }
            // Ordering: Relaxed on success. The bucket lock orders it with the exchange that ends the
            // last task.
            match self.state.compare_exchange_weak(state, state | PARKED, Relaxed, Acquire) {
                Ok(_) => return true,
                Err(actual) => state = actual,
            }
        }
        false
    }

    /// Takes `n` off the count.
    #[inline]
    pub(crate) fn subtract(&self, n: u32) -> Result<(), Negative> {
        // Ordering: Relaxed to look; the exchanges decide.
        let mut state = self.state.load(Relaxed);
        loop {
            if n > count(state) {
                return Err(Negative);
            }
            let left = state - n * ONE;
            if left == PARKED {
                if self.subtract_last(state) {
                    return Ok(());
                }
                state = self.state.load(Relaxed);
                continue;
            }
            // Ordering: Release pairs with the Acquire in `count` and in `subtract_last`. All others
            // that change the word do so by exchanges, which hand it on.
            match self.state.compare_exchange_weak(state, left, Release, Relaxed) {
                Ok(_) => return Ok(()),
                Err(actual) => state = actual,
            }
        }
    }

    /// Takes a word that is `state` to zero, and wakes all that wait; false if it is another by now.
    #[cold]
    fn subtract_last(&self, state: u32) -> bool {
        let ended = Cell::new(None);
        let end = || {
            // Ordering: Release for those who look. Acquire pairs with the Release of the other
            // tasks, whose work those who are woken see by the wake alone.
            let end = || self.state.compare_exchange(state, 0, AcqRel, Relaxed).is_ok();
            let result = ended.get().unwrap_or_else(end);
            ended.set(Some(result));
            result
        };
        let choose = |_| if end() { Choice::Unpark } else { Choice::Stop };
        // All that were queued may have given up.
        unpark_filter(self.key(), choose, |_| _ = end());
        // From here on a waiter may have freed the group.
        ended.get() == Some(true)
    }

    /// What threads park on.
    #[inline]
    fn key(&self) -> Key {
        Key::of(&raw const self.state)
    }
}

impl Default for WaitGroup {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for WaitGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitGroup").field("count", &self.count()).finish()
    }
}

/// A task of a [`WaitGroup`]. It ends when this is dropped.
#[must_use = "the task ends at once if this is not kept"]
pub struct Task<'a> {
    group: &'a WaitGroup,
}

impl Drop for Task<'_> {
    #[inline]
    fn drop(&mut self) {
        self.group.done();
    }
}

impl fmt::Debug for Task<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").finish_non_exhaustive()
    }
}
