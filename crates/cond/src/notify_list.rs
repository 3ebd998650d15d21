use std::fmt;
use std::pin::{Pin, pin};

use pysync_parking_lot::{Choice, Key, Position, Waiter, unpark_filter};
use pysync_platform::primitive::atomic::{
    AtomicU8,
    Ordering::{Relaxed, SeqCst},
    fence,
};
use pysync_platform::primitive::{UnsafeCell, Zeroed};
use pysync_platform::{Deadline, LockFlags, Native, Runtime};

use crate::status::Woken;
use crate::{WaitStatus, trace};

/// Threads that wait for something, whatever it is. What Go's runtime has below its condition
/// variable; others call it an eventcount.
///
/// A waiter takes three steps, and a notifier two:
///
/// | waiter | notifier |
/// |---|---|
/// | [`register`](Self::register)s, which queues it | makes the condition true |
/// | looks at the condition | notifies |
/// | waits, or leaves | |
///
/// The waiter is queued before it looks. So either it finds the condition true, or the notifier finds
/// it queued: no notification falls in between. The condition may be anything: an atomic, data behind
/// any lock, a file.
///
/// # Fences
/// Where the condition is an **atomic**, each side writes first and looks afterwards, at what the other
/// has written: the waiter at the condition, the notifier at the list. Without more, a processor may
/// look before its own write can be seen, and then both find nothing. Therefore
/// [`register`](Self::register), [`notify_one`](Self::notify_one) and
/// [`notify_all`](Self::notify_all) have a sequentially consistent fence between the two.
///
/// Where the condition is changed and looked at **under a lock**, the lock orders the two, and the
/// notifier can do without the fence: [`notify_one_relaxed`](Self::notify_one_relaxed) and its like
/// are one load if nobody waits. They are right also where the notifier has synchronised with the
/// waiter in another way since that one registered.
///
/// # Guarantees
/// First in, first out, in the order in which threads registered, whenever they fall asleep. Counts
/// are exact. A wait never ends by itself. A ticket that is dropped passes its notification on to the
/// next waiter, if it was for one thread alone.
///
/// It can stand in a `static`, and zeroed memory is an empty list. A waiter that is notified may free
/// it.
///
/// **Fork**: a child inherits it with nobody registered, once [`pysync_parking_lot::after_fork`] has
/// run there.
///
/// ```
/// use pysync_cond::NotifyList;
/// use std::sync::atomic::{AtomicBool, Ordering::*};
///
/// static READY: AtomicBool = AtomicBool::new(false);
/// static WAITERS: NotifyList = NotifyList::new();
///
/// let waiter = std::thread::spawn(|| {
///     while !READY.load(Acquire) {
///         WAITERS.register(|ticket| {
///             if !READY.load(Acquire) {
///                 ticket.wait();
///             }
///         });
///     }
/// });
/// READY.store(true, Release);
/// WAITERS.notify_all();
/// waiter.join().unwrap();
/// ```
#[derive(Default)]
#[repr(transparent)]
pub struct NotifyList {
    /// Whether threads are registered; written under the bucket lock, as that of
    /// [`Cond`](crate::Cond).
    state: Zeroed<AtomicU8>,
}

const REGISTERED: u8 = 1;
const EMPTY: u8 = 0;

/// Whether a notification was for its waiter alone. It lies on the waiter's stack, and its address is
/// the waiter's park argument. The notifier writes it under the bucket lock, before the waiter wakes.
struct Alone(UnsafeCell<bool>);

/// A thread's place in the list. It lies in the frame of [`NotifyList::register`], so that the thread
/// is off the list whatever becomes of its [`Ticket`].
struct Place<'a> {
    list: &'a NotifyList,
    waiter: Pin<&'a Waiter>,
    alone: &'a Alone,
}

impl Place<'_> {
    /// Leaves the list, and passes on what was for one thread alone.
    fn give_back(&self) {
        // SAFETY: off the list, so that no notifier writes to it.
        if self.waiter.leave() && self.alone.0.with(|alone| unsafe { *alone }) {
            self.list.notify_slow(1, true);
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.give_back();
    }
}

impl NotifyList {
    /// A list with nobody on it.
    #[inline]
    pub const fn new() -> Self {
        Self { state: Zeroed::<AtomicU8>::new() }
    }

    /// Registers the calling thread, and runs `f` with its ticket. From then on the place in the list
    /// is the thread's own: a notification that chooses it is not lost, though it comes before
    /// [`Ticket::wait`]. Whatever `f` does, the thread is off the list afterwards.
    ///
    /// Does not block, but for the lock of a bucket of the parking lot. Nothing is allocated: the
    /// place lies in this function's frame. To wait without a look is `register(|ticket| ticket.wait())`.
    pub fn register<T>(&self, f: impl FnOnce(Ticket<'_>) -> T) -> T {
        self.register_at(Position::Back, f)
    }

    /// [`register`](Self::register) before all others, so that the next notification is this thread's:
    /// for a pool of threads that keeps few of them busy, and lets the others time out.
    pub fn register_first<T>(&self, f: impl FnOnce(Ticket<'_>) -> T) -> T {
        self.register_at(Position::Front, f)
    }

    fn register_at<T>(&self, position: Position, f: impl FnOnce(Ticket<'_>) -> T) -> T {
        let alone = Alone(UnsafeCell::new(false));
        let waiter = pin!(Waiter::new((&raw const alone).cast_mut().cast()));
        let waiter = waiter.as_ref();
        let validate = || {
            // Ordering: Relaxed. The fence below, or the lock of the condition, is what orders it.
            self.state.store(REGISTERED, Relaxed);
            true
        };
        // SAFETY: threads park on this key only here, with an `Alone`, which outlives the waiter.
        let is_queued = unsafe { waiter.queue(self.key(), position, validate) };
        debug_assert!(is_queued);
        let place = Place { list: self, waiter, alone: &alone };
        // Ordering: between the store above and the look of `f`; pairs with the fence in `notify_one`
        // and its like.
        fence(SeqCst);
        f(Ticket { place: &place })
    }

    /// Notifies the thread that registered first; true if there was one. Does not block, but for the
    /// lock of a bucket of the parking lot.
    #[inline]
    pub fn notify_one(&self) -> bool {
        Self::fence();
        self.notify_one_relaxed()
    }

    /// Notifies the `n` threads that registered first, or all that there are; returns how many.
    #[inline]
    pub fn notify(&self, n: usize) -> usize {
        Self::fence();
        self.notify_relaxed(n)
    }

    /// Notifies all threads that are registered; returns how many.
    #[inline]
    pub fn notify_all(&self) -> usize {
        Self::fence();
        self.notify_all_relaxed()
    }

    /// [`notify_one`](Self::notify_one) for a condition that a lock guards: see [above](Self#fences).
    #[inline]
    pub fn notify_one_relaxed(&self) -> bool {
        self.notify_relaxed(1) > 0
    }

    /// [`notify`](Self::notify) for a condition that a lock guards: see [above](Self#fences).
    #[inline]
    pub fn notify_relaxed(&self, n: usize) -> usize {
        if self.has_registered() { self.notify_slow(n, true) } else { 0 }
    }

    /// [`notify_all`](Self::notify_all) for a condition that a lock guards: see
    /// [above](Self#fences).
    #[inline]
    pub fn notify_all_relaxed(&self) -> usize {
        if self.has_registered() { self.notify_slow(usize::MAX, false) } else { 0 }
    }

    #[inline]
    fn fence() {
        // Ordering: between the caller's change of the condition and the look at the list; pairs with
        // the fence in `register`.
        fence(SeqCst);
    }

    #[inline]
    fn has_registered(&self) -> bool {
        // Ordering: Relaxed. The fence before it orders it, or the lock of the condition.
        self.state.load(Relaxed) != EMPTY
    }

    #[cold]
    fn notify_slow(&self, most: usize, alone: bool) -> usize {
        let mut left = most;
        let key = self.key();
        let outcome = unpark_filter(
            key,
            |park_arg| {
                if left == 0 {
                    return Choice::Stop;
                }
                left -= 1;
                // SAFETY: all who park on this key do so with an `Alone`, which is there as long as
                // they are queued. The bucket lock orders its writers.
                unsafe { (*park_arg.cast::<Alone>()).0.with_mut(|field| *field = alone) };
                Choice::Unpark
            },
            |outcome| {
                if !outcome.has_more_waiters {
                    // Ordering: Relaxed. The next waiter writes under the same bucket lock.
                    self.state.store(EMPTY, Relaxed);
                }
            },
        );
        // From here on a waiter may have freed the list.
        trace::notify(key.addr(), outcome.unparked, 0);
        outcome.unparked
    }

    /// What threads park on.
    #[inline]
    fn key(&self) -> Key {
        Key::of(&raw const *self.state)
    }
}

impl fmt::Debug for NotifyList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotifyList").field("registered", &self.has_registered()).finish()
    }
}

/// The place of a thread in a [`NotifyList`].
///
/// Dropped, it leaves the list. A notification that had come first is passed on to the next thread, if
/// it was for one alone: a dropped ticket takes no notification with it.
pub struct Ticket<'a> {
    place: &'a Place<'a>,
}

impl Ticket<'_> {
    /// Blocks until the thread is notified, through signals, and detached while it sleeps. Returns at
    /// once if it has been notified already.
    ///
    /// Inside a critical section this is the section's condition variable: the thread is queued, then
    /// detaches, which suspends the section, and has the section again when this returns.
    pub fn wait(self) {
        // Not notified only in the child of a fork, which is to look.
        _ = self.wait_in::<Native>(Deadline::NEVER, LockFlags::DETACH);
    }

    /// Blocks until the thread is notified, until `deadline` at most, or until a signal, if `flags` let
    /// it end the wait: [`WaitStatus::Interrupted`], whether or not the pending calls have succeeded.
    /// A notification that has come first counts.
    ///
    /// # Panics
    /// If a pending call panics.
    pub fn wait_flags(self, deadline: Deadline, flags: LockFlags) -> WaitStatus {
        self.wait_in::<Native>(deadline, flags)
    }

    /// [`wait_flags`](Self::wait_flags) in a runtime of the caller's choice.
    pub fn wait_in<R: Runtime>(self, deadline: Deadline, flags: LockFlags) -> WaitStatus {
        let status = self.place.waiter.spin_then_sleep::<R>(deadline, flags);
        Woken::after::<R>(status, flags).status()
    }

    /// Leaves the list; true if a notification had come first. It is the caller's then, and is not
    /// passed on.
    #[must_use = "a notification that had come first is the caller's"]
    pub fn cancel(self) -> bool {
        self.place.waiter.leave()
    }

    /// Whether the thread has been notified. Does not block, but for the lock of a bucket of the
    /// parking lot.
    pub fn is_notified(&self) -> bool {
        self.place.waiter.is_unparked()
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.place.give_back();
    }
}

impl fmt::Debug for Ticket<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("notified", &self.is_notified()).finish()
    }
}
