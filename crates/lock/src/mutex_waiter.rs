//! A waiter of a mutex, and how a condition variable moves its own waiters to a mutex: they sleep on,
//! and the unlocks of the mutex wake them one by one, instead of all at once.

use std::fmt;

use pysync_parking_lot::{Choice, Key};
use pysync_platform::primitive::UnsafeCell;
use pysync_platform::{Deadline, Runtime, Spin, TIME_TO_BE_FAIR};

use crate::{LockFlags, LockStatus, Mutex, trace};

/// What a waiter of a [`Mutex`] and the unlocker that wakes it tell each other. It lies on the
/// waiter's stack, and its address is the waiter's park argument.
///
/// A condition variable has its waiters park with one, on a key of its own, so that a notifier can
/// move them to the mutex:
///
/// 1. The waiter parks on the condition's key with [`park_arg`](Self::park_arg), and unlocks the mutex
///    between queueing and sleeping ([`park_with`](pysync_parking_lot::park_with)).
/// 2. The notifier calls [`unpark_requeue`](pysync_parking_lot::unpark_requeue) with the mutex's
///    [`requeue_key`](Mutex::requeue_key) as the target, and decides on each waiter by a [`Requeue`].
/// 3. However its park ends, the waiter takes the mutex by [`relock_in`](Mutex::relock_in).
///
/// ```
/// use pysync_lock::{LockFlags, Mutex, MutexWaiter, Requeue};
/// use pysync_parking_lot::{Deadline, Key, Native, Position, Wait, park_with, unpark_requeue};
///
/// static MUTEX: Mutex = Mutex::new();
/// static CONDITION: u8 = 0;
///
/// /// Gives the mutex up, waits to be notified, and takes the mutex.
/// fn wait() {
///     let waiter = MutexWaiter::new();
///     let wait = Wait {
///         deadline: Deadline::NEVER,
///         park_arg: waiter.park_arg(),
///         detach: true,
///         position: Position::Back,
///     };
///     // SAFETY: all who park on this key do so with a `MutexWaiter`.
///     unsafe { park_with::<Native>(Key::of(&CONDITION), wait, || true, || MUTEX.unlock()) };
///     MUTEX.relock_in::<Native>(&waiter, LockFlags::DETACH);
/// }
///
/// /// Notifies all; says how many.
/// fn notify_all() -> usize {
///     let mut requeue = Requeue::new();
///     // SAFETY: as above, and both bucket locks are held where the `Requeue` chooses.
///     let told = unsafe {
///         unpark_requeue(
///             Key::of(&CONDITION),
///             |_| Some(MUTEX.requeue_key()),
///             |waiter| requeue.choose(&MUTEX, waiter.park_arg.cast()),
///             |_| (),
///         )
///     };
///     told.unparked + told.requeued
/// }
///
/// # #[cfg(not(any(pysync_loom, pysync_shuttle)))] {
/// MUTEX.lock();
/// let notifier = std::thread::spawn(|| while notify_all() == 0 {});
/// wait();
/// MUTEX.unlock();
/// notifier.join().unwrap();
/// # }
/// ```
///
/// CPython: Python/lock.c:L33 mutex_entry
#[doc(alias = "mutex_entry")]
pub struct MutexWaiter {
    // L36: when the waiter is due. The waiter writes it before it parks at the mutex, or the
    // notifier that moves it there; the unlocker reads it under the bucket lock.
    time_to_be_fair: UnsafeCell<Deadline>,
    // L39: the unlocker writes it under the bucket lock, and the waiter reads it once it is awake.
    handed_off: UnsafeCell<bool>,
}

impl MutexWaiter {
    /// A waiter that does not contend for a mutex yet, and is never due.
    pub fn new() -> Self {
        Self {
            time_to_be_fair: UnsafeCell::new(Deadline::NEVER),
            handed_off: UnsafeCell::new(false),
        }
    }

    /// What the waiter is to park with.
    pub fn park_arg(&self) -> *mut () {
        (&raw const *self).cast_mut().cast()
    }

    /// The waiter contends for the mutex from now on, unless it does so already; says when it is
    /// due.
    pub(crate) fn contend(&self) -> Deadline {
        self.time_to_be_fair.with_mut(|due| {
            // SAFETY: not parked, so it is the waiter's own.
            unsafe {
                if (*due).is_never() {
                    *due = Deadline::after(Some(TIME_TO_BE_FAIR));
                }
                *due
            }
        })
    }

    /// Whether the unlocker that woke the waiter has left the mutex locked for it.
    ///
    /// # Safety
    /// The waiter is awake.
    pub(crate) unsafe fn is_handed_off(&self) -> bool {
        // SAFETY: the unlocker wrote to it before the wake, and is done with it.
        self.handed_off.with(|handed_off| unsafe { *handed_off })
    }

    /// Whether the waiter is due, and so is handed the mutex.
    ///
    /// CPython: Python/lock.c:L140 mutex_unpark
    ///
    /// # Safety
    /// `this` is parked at the mutex, and the bucket lock is held.
    pub(crate) unsafe fn hand_off_if_due(this: *const Self) -> bool {
        // L144-L147
        // SAFETY: parked, so it is there, and the lock orders its writers.
        let is_due = unsafe { (*this).time_to_be_fair.with(|due| (*due).has_passed()) };
        // L149-L150
        // SAFETY: as above, and the waiter does not read it before it is awake.
        unsafe { (*this).handed_off.with_mut(|handed_off| *handed_off = is_due) };
        is_due
    }
}

/// What one notification does with the waiters of a condition, all of whom want the same mutex.
///
/// - If the mutex is locked, all are moved, and the mutex says that threads are parked at it, so
///   that its unlock looks for them.
/// - If it is unlocked, no unlock is to come, and all are woken.
/// - The millisecond after which a moved waiter is due counts from the notification, and not from the
///   time when it began to wait for the condition.
///
/// `docs/cond.md` says what was measured for this choice.
#[derive(Debug)]
pub struct Requeue {
    /// When those that are moved are due, or that none is moved. Decided at the first waiter.
    due: Option<Option<Deadline>>,
}

impl Requeue {
    /// No waiter has been decided on.
    pub const fn new() -> Self {
        Self { due: None }
    }

    /// Decides on the next waiter, in the order of their queue.
    ///
    /// # Safety
    /// - This is called in the `choose` of an [`unpark_requeue`](pysync_parking_lot::unpark_requeue)
    ///   whose target for `waiter` is `mutex`'s [`requeue_key`](Mutex::requeue_key), and its result is
    ///   returned there. The mutex is the same for all waiters.
    /// - `waiter` is the park argument of that waiter: a [`MutexWaiter`].
    pub unsafe fn choose(&mut self, mutex: &Mutex, waiter: *const MutexWaiter) -> Choice {
        // Once is enough: with the bucket lock held the announcement stays, and an unlock that sees it
        // waits for that lock.
        let due = *self.due.get_or_insert_with(|| {
            mutex.announce_if_locked().then(|| Deadline::after(Some(TIME_TO_BE_FAIR)))
        });
        let Some(due) = due else { return Choice::Unpark };
        // SAFETY: parked, and the bucket locks order its writers.
        unsafe { (*waiter).time_to_be_fair.with_mut(|field| *field = due) };
        Choice::Requeue
    }
}

impl Default for Requeue {
    fn default() -> Self {
        Self::new()
    }
}

impl Mutex {
    /// The key to which waiters of a condition are moved.
    pub fn requeue_key(&self) -> Key {
        Key::of(self.word())
    }

    /// Takes the mutex for a thread whose park as `waiter` is over, blocking through signals for as
    /// long as it takes. Of `flags`, only `DETACH` counts here.
    ///
    /// If the waiter was moved to the mutex and handed it, the thread holds it already. If it was
    /// moved and only woken, it goes on to wait from the time of its notification. If it was not
    /// moved, it begins to wait now.
    pub fn relock_in<R: Runtime>(&self, waiter: &MutexWaiter, flags: LockFlags) {
        // SAFETY: the thread is awake, since it calls this.
        if unsafe { waiter.is_handed_off() } {
            trace::hand_off(self.word().addr());
        } else if !self.try_lock() {
            // Not by `lock_fast`: the unlock that has woken a moved waiter leaves the byte saying that
            // others are parked.
            self.relock_slow::<R>(waiter, flags);
        }
        // For the next wait.
        // SAFETY: not parked, so it is the thread's own.
        unsafe {
            waiter.time_to_be_fair.with_mut(|due| *due = Deadline::NEVER);
            waiter.handed_off.with_mut(|handed_off| *handed_off = false);
        }
    }

    #[cold]
    fn relock_slow<R: Runtime>(&self, waiter: &MutexWaiter, flags: LockFlags) {
        // SAFETY: not parked, so it is the thread's own.
        let was_moved = waiter.time_to_be_fair.with(|due| unsafe { !(*due).is_never() });
        let due = waiter.contend();
        let mut spin = Spin::new(self.word().addr(), due, Deadline::NEVER);
        if was_moved {
            spin.on_wake();
        }
        let flags = flags & LockFlags::DETACH;
        let status = self.lock_as::<R>(waiter, spin, Deadline::NEVER, flags);
        debug_assert_eq!(status, LockStatus::Acquired);
    }
}

impl Default for MutexWaiter {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MutexWaiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MutexWaiter").finish_non_exhaustive()
    }
}
