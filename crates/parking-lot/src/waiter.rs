//! A thread's side of a wait: to queue itself, to sleep, to leave the queue.
//!
//! [`park_with`] is the three in one, and C's `_PyParkingLot_Park` is a case of it. A [`Waiter`] is
//! for a thread that has something to do between queueing itself and sleeping.

use std::cell::Cell;
use std::fmt;
use std::marker::{PhantomData, PhantomPinned};
use std::pin::Pin;

use pysync_platform::spin::spin_until;
use pysync_platform::{
    Deadline, LockFlags, Native, ParkStatus, Runtime, abort_on_unwind, detached,
};

use crate::bucket::{Bucket, bucket_locks_held};
use crate::wait_queues::WaitEntry;
use crate::{Key, fork, trace};

const VALIDATE_PANICKED: &str = "the callback of a park panicked under a bucket lock";
const BEFORE_SLEEP_PANICKED: &str = "the callback of a park panicked while its thread was queued";

/// Where in the queue of its key a thread queues itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Position {
    /// Behind all others, so that it is unparked after them. What [`park`](crate::park) does.
    #[default]
    Back,
    /// Before all others, so that it is unparked next.
    Front,
}

/// How a thread parks, for [`park_with`].
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    /// When it gives up.
    pub deadline: Deadline,
    /// What it tells the thread that unparks it.
    pub park_arg: *mut (),
    /// Whether it detaches from its runtime while it sleeps.
    pub detach: bool,
    /// Where it queues itself.
    pub position: Position,
}

/// Parks on `key` if `validate` says so; otherwise returns [`ParkStatus::Again`] at once.
///
/// 1. `validate` runs under the bucket lock. To the threads that unpark, its answer and the
///    queueing are one step, so it is the place to look at a word, and to announce a waiter there.
/// 2. The thread is queued, and the bucket unlocked.
/// 3. `before_sleep` runs: it is the place to give up a lock. No unpark is missed from the second
///    step on, and `before_sleep` itself may unpark the thread.
/// 4. The thread detaches, sleeps, leaves the queue and attaches, as in [`park`](crate::park).
///
/// `validate` must be short, and must neither park nor unpark, nor take a lock whose holder might.
/// Signals, forks and `errno` are as for [`park`](crate::park). Nothing is allocated.
///
/// C has neither callback, nor a choice of the position.
///
/// # Aborts
/// The process, with a message, if `validate`, `before_sleep` or a hook of the runtime panics.
///
/// # Safety
/// The code that unparks threads on `key` and reads their park arguments expects `wait.park_arg`
/// there: threads park on a lock's address only in that lock's own code. So does the code that
/// unparks on any key to which this thread may be moved by [`unpark_requeue`](crate::unpark_requeue).
///
/// # Example
/// A thread that gives a lock up and sleeps, as one step for its waker:
/// ```
/// # #[cfg(not(any(pysync_loom, pysync_shuttle)))] {
/// use pysync_parking_lot::{Deadline, Key, Native, ParkStatus, Position, RawMutex, Wait, park_with};
/// use std::ptr::null_mut;
///
/// let (lock, key) = (RawMutex::new(), Key::of(&raw const lock_waits));
/// # static lock_waits: u8 = 0;
/// lock.lock();
/// let wait = Wait {
///     deadline: Deadline::after(Some(std::time::Duration::from_millis(1))),
///     park_arg: null_mut(),
///     detach: false,
///     position: Position::Back,
/// };
/// // SAFETY: no code reads the park arguments of this key.
/// let status = unsafe { park_with::<Native>(key, wait, || true, || lock.unlock()) };
/// assert_eq!(status, ParkStatus::Timeout);
/// # }
/// ```
///
/// CPython: Python/parking_lot.c:L307 _PyParkingLot_Park
#[cold]
pub unsafe fn park_with<R: Runtime>(
    key: Key,
    wait: Wait,
    validate: impl FnOnce() -> bool,
    before_sleep: impl FnOnce(),
) -> ParkStatus {
    let bucket = Bucket::of(key);
    let entry;

    // L318-L325: look and queue in one step, as others see it.
    {
        let mut queues = bucket.lock();
        if !abort_on_unwind(VALIDATE_PANICKED, validate) {
            return ParkStatus::Again;
        }
        // L310-L316: out of order: set up once it is going to be used. The entry is ours to give
        // up only once it is off its queue.
        entry = WaitEntry::new(key, wait.park_arg);
        // SAFETY: `entry` stays here until it is off the queue: every way out of this function
        // below has either been woken by the thread that took it off or takes it off itself,
        // and nothing unwinds in between: unlocking the bucket aborts where it cannot.
        unsafe {
            match wait.position {
                Position::Back => queues.push_back(&raw const entry),
                Position::Front => queues.push_front(&raw const entry),
            }
        }
    }
    trace::park(key.addr());
    let started = trace::now();
    debug_assert_eq!(bucket_locks_held(), 0);
    abort_on_unwind(BEFORE_SLEEP_PANICKED, before_sleep);

    let how = Sleep { detach: wait.detach, heeds_signals: true, spins_first: false };
    let status = sleep::<R>(&entry, wait.deadline, how);
    trace::unparked(key.addr(), status, started);
    // L349-L351: nothing to destroy.
    status
}

/// How a queued thread sleeps.
#[derive(Clone, Copy)]
struct Sleep {
    /// It detaches from its runtime meanwhile.
    detach: bool,
    /// A signal ends the sleep.
    heeds_signals: bool,
    /// It looks for its wake for a moment before.
    spins_first: bool,
}

impl Sleep {
    fn new(flags: LockFlags, spins_first: bool) -> Self {
        let detach = flags.contains(LockFlags::DETACH);
        let heeds_signals =
            flags.intersects(LockFlags::HANDLE_SIGNALS | LockFlags::FAIL_IF_INTERRUPTED);
        // A handler that runs while the thread spins would end no sleep.
        Self { detach, heeds_signals, spins_first: spins_first && !heeds_signals }
    }
}

/// Sleeps until `entry` is woken, the deadline or a signal that it heeds; the entry is off its queue
/// then, and the thread attached.
///
/// CPython: Python/parking_lot.c:L307 _PyParkingLot_Park
fn sleep<R: Runtime>(entry: &WaitEntry, deadline: Deadline, how: Sleep) -> ParkStatus {
    // Detaching comes after queueing: it may unlock what we hold, and so unpark ourselves.
    debug_assert_eq!(bucket_locks_held(), 0);
    // L327-L332: `_PySemaphore_Wait`, which in 3.13 also detaches and attaches.
    detached::<R, _>(how.detach, || {
        if how.spins_first {
            // The sleep finds what has come. In the child of a fork nothing does.
            spin_until(deadline, || entry.is_forgotten() || entry.parker.has_wakeup());
        }
        let status =
            fork::while_parked(entry, || sleep_detached(entry, deadline, how.heeds_signals));
        entry.retire();
        // Deviation D03: attach only now, with the bucket clean (gh-137433). An attach can block
        // for good, at shutdown for one, and must not leave an entry behind.
        debug_assert_eq!(bucket_locks_held(), 0);
        status
    })
}

/// CPython: Python/parking_lot.c:L307 _PyParkingLot_Park
fn sleep_detached(entry: &WaitEntry, mut deadline: Deadline, heeds_signals: bool) -> ParkStatus {
    loop {
        // L327-L332: the sleep itself.
        let status =
            if entry.is_forgotten() { ParkStatus::Ok } else { entry.parker.wait_until(deadline) };
        if status == ParkStatus::Ok && !entry.is_forgotten() {
            return status;
        }
        if status == ParkStatus::Interrupted && !heeds_signals && !entry.is_forgotten() {
            // Deviation D16: it keeps its place, as one that left and came back would miss an unpark.
            continue;
        }

        // L333-L334: timeout or signal, unless an unparker has us off the queue already.
        let mut queues = Bucket::lock_of(entry);
        // SAFETY: the bucket lock is held.
        let (is_unparking, is_requeued) = unsafe { (entry.is_unparking(), entry.is_requeued()) };
        if entry.is_forgotten() {
            // Deviation D15: this is a child, forked by the detach or by a signal handler. The
            // queue was the parent's, and so was the unparker, which has told us all that it will.
            // Without an unparker, `after_fork` is what woke us.
            return match status {
                _ if is_unparking => ParkStatus::Ok,
                ParkStatus::Ok => ParkStatus::Again,
                timeout_or_signal => timeout_or_signal,
            };
        }
        if is_unparking {
            // L335-L341: the wake is on its way, and it is going to write to `entry`.
            drop(queues);
            await_wake(entry);
            return ParkStatus::Ok;
        }
        if is_requeued {
            // Deviation D16: an unparker has moved us, which was our notification. We keep our
            // place in the new queue, and no deadline or signal ends the wait any more.
            deadline = Deadline::NEVER;
            continue;
        }
        // L343-L347: no unparker has, so off it ourselves.
        // SAFETY: not taken off by another, so still on the queue.
        unsafe { queues.remove(entry) };
        return status;
    }
}

/// Waits for a wake that is on its way.
fn await_wake(entry: &WaitEntry) {
    while entry.parker.wait_until(Deadline::NEVER) != ParkStatus::Ok {}
}

/// A place in the queue of a key, for a thread that has something to do between queueing itself and
/// sleeping: to look at a condition, to give a lock up, to tell another thread.
///
/// It is used in three steps: [`queue`](Self::queue), then [`sleep`](Self::sleep) or
/// [`leave`](Self::leave). An unpark that comes in between finds the thread in its place, and is not
/// lost: the sleep then returns at once. It can be used again when the wait is over. It lies on the
/// stack of its thread, pinned; nothing is allocated. Dropped, also by a panic, it leaves the queue.
///
/// **Fork**: in the child of a fork a waiter that was queued is on no queue.
///
/// C has nothing like it.
///
/// ```
/// # #[cfg(not(any(pysync_loom, pysync_shuttle)))] {
/// use pysync_parking_lot::{
///     Deadline, Key, LockFlags, Native, ParkStatus, Position, Waiter, unpark,
/// };
/// use std::pin::pin;
/// use std::ptr::null_mut;
/// use std::sync::atomic::AtomicU8;
///
/// static WORD: AtomicU8 = AtomicU8::new(0);
///
/// let waiter = pin!(Waiter::new(null_mut()));
/// let waiter = waiter.as_ref();
/// // SAFETY: no code reads the park arguments of this key.
/// assert!(unsafe { waiter.queue(Key::of(&WORD), Position::Back, || true) });
/// unpark(&WORD, |unparked| assert!(unparked.is_some()));
/// assert_eq!(waiter.sleep::<Native>(Deadline::NEVER, LockFlags::empty()), ParkStatus::Ok);
/// # }
/// ```
pub struct Waiter {
    entry: WaitEntry,
    /// Whether the entry is queued, as far as its thread knows.
    queued: Cell<bool>,
    /// Queued, the entry is known by its address, and by its thread.
    _pinned: PhantomPinned,
    not_send: PhantomData<*const ()>,
}

impl Waiter {
    /// A waiter that is on no queue. `park_arg` is what it tells the thread that unparks it.
    pub fn new(park_arg: *mut ()) -> Self {
        Self {
            entry: WaitEntry::new(Key::at(0), park_arg),
            queued: Cell::new(false),
            _pinned: PhantomPinned,
            not_send: PhantomData,
        }
    }

    /// Queues the waiter for `key`, if `validate` says so; says whether it did. Does not block but
    /// for the bucket lock, under which `validate` runs, as in [`park_with`].
    ///
    /// # Aborts
    /// The process, with a message, if `validate` panics.
    ///
    /// # Panics
    /// `the waiter is queued already`.
    ///
    /// # Safety
    /// As for [`park_with`].
    #[track_caller]
    pub unsafe fn queue(
        self: Pin<&Self>,
        key: Key,
        position: Position,
        validate: impl FnOnce() -> bool,
    ) -> bool {
        if self.queued.get() {
            Native::fatal_error("Waiter::queue", "the waiter is queued already");
        }
        self.entry.prepare(key);
        let mut queues = Bucket::of(key).lock();
        if !abort_on_unwind(VALIDATE_PANICKED, validate) {
            return false;
        }
        self.queued.set(true);
        let entry = &raw const self.get_ref().entry;
        // SAFETY: on no queue. It is pinned, so it stays where it is until it is dropped, and
        // `drop` takes it off.
        unsafe {
            match position {
                Position::Back => queues.push_back(entry),
                Position::Front => queues.push_front(entry),
            }
        }
        true
    }

    /// Sleeps until the waiter is unparked, the deadline or a signal. The waiter is on no queue
    /// afterwards, whatever ended the sleep. [`ParkStatus::Ok`] if the waiter has been unparked,
    /// though the deadline may have passed too; [`ParkStatus::Again`] only in the child of a fork.
    ///
    /// | of `flags` | means |
    /// |---|---|
    /// | `DETACH` | the thread detaches before it sleeps, and attaches when it has left the queue |
    /// | `HANDLE_SIGNALS` or `FAIL_IF_INTERRUPTED` | a signal ends the sleep, and the caller does the rest; without, the waiter keeps its place and sleeps on |
    ///
    /// # Aborts
    /// The process, with a message, if `R::detach` or `R::attach` panics.
    ///
    /// # Panics
    /// `the waiter is not queued`.
    #[track_caller]
    pub fn sleep<R: Runtime>(self: Pin<&Self>, deadline: Deadline, flags: LockFlags) -> ParkStatus {
        self.sleep_as::<R>(deadline, Sleep::new(flags, false))
    }

    /// [`sleep`](Self::sleep) that first looks for the unpark for a moment, detached, since it may be
    /// about to come: [`spin_until`] tells how. If `flags` heed signals, it sleeps at once.
    ///
    /// # Aborts
    /// As [`sleep`](Self::sleep).
    ///
    /// # Panics
    /// As [`sleep`](Self::sleep).
    #[track_caller]
    pub fn spin_then_sleep<R: Runtime>(
        self: Pin<&Self>,
        deadline: Deadline,
        flags: LockFlags,
    ) -> ParkStatus {
        self.sleep_as::<R>(deadline, Sleep::new(flags, true))
    }

    #[track_caller]
    fn sleep_as<R: Runtime>(self: Pin<&Self>, deadline: Deadline, how: Sleep) -> ParkStatus {
        if !self.queued.get() {
            Native::fatal_error("Waiter::sleep", "the waiter is not queued");
        }
        let key = self.entry.key();
        trace::park(key.addr());
        let started = trace::now();
        let status = sleep::<R>(&self.entry, deadline, how);
        self.queued.set(false);
        trace::unparked(key.addr(), status, started);
        status
    }

    /// Leaves the queue; says whether an unpark came first. That unpark is the caller's then: if it
    /// was meant for one thread, the caller may have to pass it on. False if the waiter is not
    /// queued. Does not block but for the bucket lock, and for an unparker to finish.
    pub fn leave(self: Pin<&Self>) -> bool {
        self.get_ref().leave_queue()
    }

    /// Whether the waiter has been queued, and its wait is not over: it may have been unparked.
    pub fn is_queued(self: Pin<&Self>) -> bool {
        self.queued.get()
    }

    /// Whether an unpark has taken the waiter off its queue. Blocks for the bucket lock only.
    pub fn is_unparked(self: Pin<&Self>) -> bool {
        if !self.queued.get() || self.entry.is_forgotten() {
            return false;
        }
        let _queues = Bucket::lock_of(&self.entry);
        // SAFETY: the bucket lock is held.
        unsafe { self.entry.is_unparking() }
    }

    fn leave_queue(&self) -> bool {
        // In the child of a fork the queue is the parent's.
        if !self.queued.replace(false) || self.entry.is_forgotten() {
            return false;
        }
        let mut queues = Bucket::lock_of(&self.entry);
        // SAFETY: the bucket lock is held.
        let is_unparking = unsafe { self.entry.is_unparking() };
        if is_unparking {
            drop(queues);
            await_wake(&self.entry);
        } else {
            // SAFETY: not taken off by another, so still on the queue.
            unsafe { queues.remove(&self.entry) };
            drop(queues);
        }
        self.entry.retire();
        is_unparking
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.leave_queue();
    }
}

impl fmt::Debug for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiter").field("queued", &self.queued.get()).finish_non_exhaustive()
    }
}
