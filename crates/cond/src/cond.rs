use std::fmt;
use std::pin::pin;
use std::ptr;
use std::time::Duration;

use pysync_lock::{Mutex, MutexWaiter, Requeue};
use pysync_parking_lot::{Choice, Key, Position, Waiter, unpark_requeue};
use pysync_platform::primitive::atomic::{AtomicU8, Ordering::Relaxed};
use pysync_platform::primitive::{UnsafeCell, Zeroed};
use pysync_platform::{Deadline, LockFlags, Native, ParkStatus, Runtime};

use crate::status::Woken;
use crate::{Cancel, Lock, WaitStatus, trace};

const NOT_HELD: &str = "waiting with a lock that is not held";

/// A condition variable of one byte: threads that wait for a condition which a lock guards.
///
/// A waiter gives its lock up, sleeps until a notifier chooses it, and takes the lock back. It is
/// queued before the lock is free, so that no notification in between is missed.
///
/// | byte | means | is written by |
/// |---|---|---|
/// | 0 | no thread waits | a notifier that has emptied the queue |
/// | 1 | threads wait, or have until they gave up | a waiter |
///
/// Both write under the lock of the bucket in which the waiters are queued. Nothing else is in the
/// byte: who waits is in the queue, and which lock a waiter has given up is in its entry. So waiters
/// with different locks may wait at the same time.
///
/// - **A wait ends by its notification.** No wait ends by itself, except in the child of a fork that the
///   thread makes in the middle of it. But between the notification and the
///   lock another thread may have changed what the condition looks at. So a waiter that needs the
///   condition waits in a loop, which [`wait_while`](Self::wait_while) does.
/// - **First in, first out.** A notification chooses those who have waited longest. A waiter that has
///   been chosen counts as notified, though its deadline passes or a signal comes.
/// - **Exact counts.** [`notify_one`](Self::notify_one) says whether, and
///   [`notify_all`](Self::notify_all) how many waiters it has chosen: as many waits end as notified.
/// - **No herd.** Waiters with a [`Mutex`] or a
///   [`RecursiveMutex`](pysync_lock::RecursiveMutex) that is held are moved to the queue of that
///   mutex, asleep, and its unlocks wake them one by one. So they keep their order. The millisecond
///   after which each is handed the mutex counts from its notification. Of waiters with different
///   locks, those with the lock of the first are moved, and the others woken.
/// - **The lock guards the condition.** A thread that changes the condition holds the lock while it
///   does, and may notify with the lock held or afterwards. If a thread that finds the condition
///   without a wait may free the condition variable, the notifier holds the lock. What no lock guards
///   is for a [`NotifyList`](crate::NotifyList).
///
/// It can stand in a `static`, and zeroed memory is one that nobody waits on. A waiter that is
/// notified may free it: a notifier touches it no more once a waiter can wake.
///
/// **Blocking**: to notify does not block but for the locks of two buckets. A wait detaches the thread
/// from its runtime while it sleeps, if its flags say so; [`wait`](Self::wait) does.
///
/// **Signals**: a signal ends a wait only if the caller's [`LockFlags`] say so. The waiter leaves the
/// queue, so that it takes no notification with it, and runs its pending calls with the lock given up.
/// Whether these succeed or fail, `wait_timed` and its like return [`WaitStatus::Interrupted`], since
/// the waiter is on no queue any more; a caller that must tell the two apart passes
/// `FAIL_IF_INTERRUPTED` and runs the calls itself. `wait_while` goes on if they succeed. A signal
/// handler must not notify.
///
/// **Fork**: a child inherits it with nobody waiting on it, once
/// [`pysync_parking_lot::after_fork`] has run there. Nothing is to be reset.
///
/// **The mutex of an open critical section** is not to be given up like this: the section lets go of it
/// by itself when the thread detaches. It would unlock a mutex that is unlocked, which ends the process,
/// or one that another thread has locked. For such a condition there is
/// [`Ticket::wait`](crate::Ticket::wait).
///
/// ```
/// use pysync_cond::Cond;
/// use pysync_lock::Mutex;
/// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
///
/// static MUTEX: Mutex = Mutex::new();
/// static NOT_ZERO: Cond = Cond::new();
/// static COUNT: AtomicU32 = AtomicU32::new(0); // guarded by MUTEX
///
/// let waiter = std::thread::spawn(|| {
///     MUTEX.lock();
///     while COUNT.load(Relaxed) == 0 {
///         NOT_ZERO.wait(&MUTEX);
///     }
///     MUTEX.unlock();
/// });
/// MUTEX.lock();
/// COUNT.store(1, Relaxed);
/// NOT_ZERO.notify_one();
/// MUTEX.unlock();
/// waiter.join().unwrap();
/// ```
#[derive(Default)]
#[repr(transparent)]
pub struct Cond {
    state: Zeroed<AtomicU8>,
}

/// Threads may wait.
const WAITED_FOR: u8 = 1;
/// No thread waits.
const IDLE: u8 = 0;

/// What a waiter and the thread that takes it off the queue tell each other. It lies on the waiter's
/// stack, and its address is the waiter's park argument.
#[repr(C)]
struct CondWaiter {
    /// First, since at the mutex the address is that of a `MutexWaiter`.
    at_mutex: MutexWaiter,
    /// Where the waiter may be moved to, or null.
    mutex: *const Mutex,
    /// What else ends the wait, or null.
    cancel: *const Cancel,
    /// Written by the canceller under the bucket lock, before the waiter wakes.
    is_cancelled: UnsafeCell<bool>,
}

impl CondWaiter {
    fn new(mutex: Option<&Mutex>, cancel: Option<&Cancel>) -> Self {
        Self {
            at_mutex: MutexWaiter::new(),
            mutex: mutex.map_or(ptr::null(), ptr::from_ref),
            cancel: cancel.map_or(ptr::null(), ptr::from_ref),
            is_cancelled: UnsafeCell::new(false),
        }
    }

    fn park_arg(&self) -> *mut () {
        (&raw const *self).cast_mut().cast()
    }

    /// Whether a canceller has taken the waiter off the queue. To be called by the waiter once it is off.
    fn is_cancelled(&self) -> bool {
        // SAFETY: off the queue, so that no canceller writes.
        self.is_cancelled.with(|is_cancelled| unsafe { *is_cancelled })
    }
}

/// How large what a waiter keeps on its stack is.
#[doc(hidden)]
pub const WAITER_BYTES: usize = size_of::<CondWaiter>() + size_of::<Waiter>();

/// Takes a lock back that a wait has given up, whatever way the wait ends: a pending call may panic.
struct Relock<'a, R: Runtime, L: Lock + ?Sized> {
    lock: &'a L,
    held: Option<L::Held>,
    waiter: &'a CondWaiter,
    flags: LockFlags,
    runtime: std::marker::PhantomData<R>,
}

impl<R: Runtime, L: Lock + ?Sized> Drop for Relock<'_, R, L> {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            self.lock.acquire_in::<R>(held, &self.waiter.at_mutex, self.flags);
        }
    }
}

impl Cond {
    /// One that nobody waits on.
    #[inline]
    pub const fn new() -> Self {
        Self { state: Zeroed::<AtomicU8>::new() }
    }

    /// Gives `lock` up, waits for a notification, and takes the lock back. Blocks through signals, and
    /// detached while it sleeps.
    ///
    /// # Panics
    /// `waiting with a lock that is not held`. Nothing has changed then.
    #[track_caller]
    pub fn wait<L: Lock + ?Sized>(&self, lock: &L) {
        // Not notified only in the child of a fork, which is to look.
        _ = self.wait_once::<Native, L>(lock, Deadline::NEVER, LockFlags::DETACH, None);
    }

    /// [`wait`](Self::wait) for `timeout` at most, or until a signal, if `flags` let it end the wait.
    /// The lock is held again whatever the result.
    ///
    /// `None` waits forever. `Some(ZERO)` gives the lock up once, so that others may take it in
    /// between. A wait does not end before its timeout, and no timeout is too long.
    ///
    /// # Panics
    /// As [`wait`](Self::wait), and if a pending call panics; the lock is held again then.
    #[track_caller]
    pub fn wait_timed<L: Lock + ?Sized>(
        &self,
        lock: &L,
        timeout: Option<Duration>,
        flags: LockFlags,
    ) -> WaitStatus {
        self.wait_in::<Native, L>(lock, Deadline::after(timeout), flags, None)
    }

    /// [`wait_timed`](Self::wait_timed) until a deadline, which a loop computes once.
    ///
    /// # Panics
    /// As [`wait_timed`](Self::wait_timed).
    #[track_caller]
    pub fn wait_until<L: Lock + ?Sized>(
        &self,
        lock: &L,
        deadline: Deadline,
        flags: LockFlags,
    ) -> WaitStatus {
        self.wait_in::<Native, L>(lock, deadline, flags, None)
    }

    /// [`wait_until`](Self::wait_until) that [`cancel`](Self::cancel) ends too. If `cancel` is set
    /// already, the lock is not given up. A notification that comes first counts.
    ///
    /// # Panics
    /// As [`wait_timed`](Self::wait_timed).
    #[track_caller]
    pub fn wait_cancellable<L: Lock + ?Sized>(
        &self,
        lock: &L,
        deadline: Deadline,
        flags: LockFlags,
        cancel: &Cancel,
    ) -> WaitStatus {
        self.wait_in::<Native, L>(lock, deadline, flags, Some(cancel))
    }

    /// Waits once, in a runtime of the caller's choice. The methods above are this one for
    /// [`Native`].
    ///
    /// # Fatal errors
    /// `R` reports `waiting with a lock that is not held`. Nothing has changed then.
    #[track_caller]
    pub fn wait_in<R: Runtime, L: Lock + ?Sized>(
        &self,
        lock: &L,
        deadline: Deadline,
        flags: LockFlags,
        cancel: Option<&Cancel>,
    ) -> WaitStatus {
        self.wait_once::<R, L>(lock, deadline, flags, cancel).status()
    }

    /// Waits for as long as `condition` holds, until the deadline, a signal that `flags` let end the
    /// wait, or `cancel`. `condition` is called with the lock held: before the first wait, after each,
    /// and once more when the time is up or the wait is cancelled.
    ///
    /// | result | says |
    /// |---|---|
    /// | `Notified` | the condition does not hold any more |
    /// | `TimedOut` | the time is up, and the condition holds |
    /// | `Cancelled` | `cancel` is set, and the condition holds |
    /// | `Interrupted` | a signal came, and a pending call failed or was not to be run |
    ///
    /// ```
    /// use pysync_cond::{Cond, Deadline, LockFlags, WaitStatus};
    /// use pysync_lock::Mutex;
    ///
    /// let (mutex, cond) = (Mutex::new(), Cond::new());
    /// mutex.lock();
    /// let status = cond.wait_while(&mutex, || false, Deadline::NEVER, LockFlags::DETACH, None);
    /// assert_eq!(status, WaitStatus::Notified); // without a wait
    /// # mutex.unlock();
    /// ```
    ///
    /// # Panics
    /// As [`wait_timed`](Self::wait_timed), and if `condition` panics; the lock is held then.
    #[track_caller]
    pub fn wait_while<L: Lock + ?Sized>(
        &self,
        lock: &L,
        condition: impl FnMut() -> bool,
        deadline: Deadline,
        flags: LockFlags,
        cancel: Option<&Cancel>,
    ) -> WaitStatus {
        self.wait_while_in::<Native, L>(lock, condition, deadline, flags, cancel)
    }

    /// [`wait_while`](Self::wait_while) in a runtime of the caller's choice.
    ///
    /// # Fatal errors
    /// As [`wait_in`](Self::wait_in).
    #[track_caller]
    pub fn wait_while_in<R: Runtime, L: Lock + ?Sized>(
        &self,
        lock: &L,
        mut condition: impl FnMut() -> bool,
        deadline: Deadline,
        flags: LockFlags,
        cancel: Option<&Cancel>,
    ) -> WaitStatus {
        while condition() {
            match self.wait_once::<R, L>(lock, deadline, flags, cancel) {
                Woken::Ends(WaitStatus::Notified) | Woken::LooksAgain => {}
                Woken::Ends(WaitStatus::Interrupted) => return WaitStatus::Interrupted,
                Woken::Ends(status) => {
                    return if condition() { status } else { WaitStatus::Notified };
                }
            }
        }
        WaitStatus::Notified
    }

    #[track_caller]
    fn wait_once<R: Runtime, L: Lock + ?Sized>(
        &self,
        lock: &L,
        deadline: Deadline,
        flags: LockFlags,
        cancel: Option<&Cancel>,
    ) -> Woken {
        if !lock.is_held_in::<R>() {
            R::fatal_error("Cond::wait", NOT_HELD);
        }
        let waiter = CondWaiter::new(lock.mutex(), cancel);
        let entry = pin!(Waiter::new(waiter.park_arg()));
        let entry = entry.as_ref();
        let validate = || {
            if cancel.is_some_and(Cancel::is_set) {
                return false;
            }
            // Ordering: Relaxed. A notifier that is to see it has taken the waiter's lock since.
            self.state.store(WAITED_FOR, Relaxed);
            true
        };
        // SAFETY: threads park on this key only here, with a `CondWaiter`. It begins with what the
        // mutex to which it may be moved expects. It outlives the entry.
        if !unsafe { entry.queue(self.key(), Position::Back, validate) } {
            return Woken::Ends(WaitStatus::Cancelled);
        }
        let Ok(held) = lock.release_in::<R>() else {
            // A thread has unlocked, since the look above, what was not its own. A notification that came
            // since is for another waiter then.
            if entry.leave() && !waiter.is_cancelled() {
                self.notify_one();
            }
            R::fatal_error("Cond::wait", NOT_HELD);
        };
        let relock = Relock {
            lock,
            held: Some(held),
            waiter: &waiter,
            flags,
            runtime: std::marker::PhantomData::<R>,
        };
        let status = entry.spin_then_sleep::<R>(deadline, flags);
        let woken = if status == ParkStatus::Ok && waiter.is_cancelled() {
            Woken::Ends(WaitStatus::Cancelled)
        } else {
            Woken::after::<R>(status, flags)
        };
        drop(relock);
        woken
    }

    /// Notifies the thread that has waited longest; true if there was one. Does not block, but for the
    /// locks of two buckets of the parking lot.
    ///
    /// If no thread waits, this is one load.
    #[inline]
    pub fn notify_one(&self) -> bool {
        self.is_waited_for() && self.notify(1) > 0
    }

    /// Notifies all threads that wait; returns how many. Does not block, but for the locks of two
    /// buckets of the parking lot. Takes time in proportion to the number of waiters, with both held.
    #[inline]
    pub fn notify_all(&self) -> usize {
        if self.is_waited_for() { self.notify(usize::MAX) } else { 0 }
    }

    /// Sets `cancel`, and ends the waits on this condition variable that were given it; returns how
    /// many. Waits that have been notified already stay so.
    ///
    /// The waits of other threads go on, in their order.
    pub fn cancel(&self, cancel: &Cancel) -> usize {
        self.choose(
            usize::MAX,
            || cancel.set(),
            |waiter| {
                // SAFETY: queued, so it is there, and the bucket lock orders its writers.
                unsafe {
                    let is_meant = ptr::eq((*waiter).cancel, cancel);
                    if is_meant {
                        (*waiter).is_cancelled.with_mut(|is_cancelled| *is_cancelled = true);
                    }
                    is_meant
                }
            },
        )
    }

    #[inline]
    fn is_waited_for(&self) -> bool {
        // Ordering: Relaxed. A waiter that waits for what this thread has brought about has queued
        // itself before it gave its lock up, and this thread has had that lock since.
        self.state.load(Relaxed) != IDLE
    }

    #[cold]
    fn notify(&self, most: usize) -> usize {
        self.choose(most, || (), |_| true)
    }

    /// Moves or wakes at most so many of the waiters that `is_meant` names, the longest first.
    /// Returns how many. `first` is called under the bucket lock before any of them wakes.
    fn choose(
        &self,
        most: usize,
        first: impl FnOnce(),
        is_meant: impl Fn(*const CondWaiter) -> bool,
    ) -> usize {
        let mut left = most;
        let mut requeue = Requeue::new();
        let key = self.key();
        // SAFETY: all who park on this key do so with a `CondWaiter`, which begins with the
        // `MutexWaiter` that the mutex expects, and names that mutex, which its waiter borrows. Both
        // bucket locks are held where the `Requeue` chooses.
        let outcome = unsafe {
            unpark_requeue(
                key,
                |park_arg| {
                    let mutex = (*park_arg.cast::<CondWaiter>()).mutex;
                    (!mutex.is_null()).then(|| (*mutex).requeue_key())
                },
                |candidate| {
                    let waiter = candidate.park_arg.cast_const().cast::<CondWaiter>();
                    if left == 0 {
                        Choice::Stop
                    } else if !is_meant(waiter) {
                        Choice::Skip
                    } else {
                        left -= 1;
                        if candidate.can_requeue {
                            requeue.choose(&*(*waiter).mutex, waiter.cast())
                        } else {
                            Choice::Unpark
                        }
                    }
                },
                |outcome| {
                    first();
                    if !outcome.has_more_waiters {
                        // Ordering: Relaxed. The next waiter writes under the same bucket lock.
                        self.state.store(IDLE, Relaxed);
                    }
                },
            )
        };
        // From here on a waiter may have freed this condition variable.
        trace::notify(key.addr(), outcome.unparked, outcome.requeued);
        outcome.unparked + outcome.requeued
    }

    /// What threads park on.
    #[inline]
    fn key(&self) -> Key {
        Key::of(&raw const *self.state)
    }
}

impl fmt::Debug for Cond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cond").field("waited_for", &self.is_waited_for()).finish()
    }
}
