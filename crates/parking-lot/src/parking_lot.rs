use std::marker::PhantomData;
use std::ptr;
use std::time::Duration;

use crate::bucket::{Bucket, bucket_locks_held};
use crate::wait_queues::WaitEntry;
use crate::{ParkWord, fork, trace};
use pysync_platform::{Deadline, Native, ParkStatus, Parker, Runtime, abort_on_unwind, detached};

const CALLBACK_PANICKED: &str = "the callback of unpark panicked under a bucket lock";

/// The thread that an [`unpark`] is about to wake.
///
/// CPython: Include/internal/pycore_parking_lot.h:L74 _Py_unpark_fn_t
#[doc(alias = "_Py_unpark_fn_t")]
#[derive(Clone, Copy, Debug)]
pub struct Unparked {
    /// What it passed to [`park`]. What this points to stays valid until the callback returns,
    /// if the parking thread keeps it valid until `park` returns.
    pub park_arg: *mut (),
    /// Other threads remain parked on the address. C counts all in the bucket, whatever they wait
    /// for, so that there only false is certain.
    pub has_more_waiters: bool,
}

/// Blocks until [`unpark`] or [`unpark_all`] is called on the same address, if `word` holds
/// `expected`; otherwise returns [`ParkStatus::Again`] at once. The comparison and the decision
/// to sleep are one step as seen by unparks.
///
/// - `timeout`: `None` waits forever. `Some(ZERO)` still parks, and times out at once. To the
///   nanosecond, on the monotonic clock, and never early.
/// - `park_arg` is handed to the thread that unparks this one, while this one is still blocked.
/// - `detach`: detach the thread from its runtime while it sleeps; see [`Runtime`].
///
/// Threads on one address are unparked in the order in which they parked. Nothing is allocated,
/// but for what std allocates by itself: for a condition variable on Apple's systems, and for a
/// thread's first use of a thread local on windows-gnu and Android.
///
/// **Signals**: a handler that runs on the sleeping thread ends the wait with
/// [`ParkStatus::Interrupted`], unless an unpark was quicker; handlers installed with
/// `SA_RESTART` end only timed waits. The portable parker cannot tell, and sleeps on. A handler
/// itself must neither park nor unpark, nor take or release a lock that does: it may have
/// interrupted a thread that holds the lock of the same bucket, and would wait for it.
/// **Fork**: the child must call [`after_fork`](crate::after_fork) before anything else here.
/// **errno** is left as it was, if the thread's hooks do.
///
/// # Aborts
/// The process, with a message, if one of the thread's hooks panics.
///
/// # Example
/// ```
/// use pysync_parking_lot::{ParkStatus, park};
/// use std::sync::atomic::AtomicU32;
/// use std::time::Duration;
///
/// let word = AtomicU32::new(7);
/// let nothing = std::ptr::null_mut();
/// assert_eq!(park(&word, 8, None, nothing, false), ParkStatus::Again);
/// let soon = Some(Duration::from_millis(1));
/// assert_eq!(park(&word, 7, soon, nothing, false), ParkStatus::Timeout);
/// ```
///
/// CPython: Python/parking_lot.c:L307 _PyParkingLot_Park
#[doc(alias = "_PyParkingLot_Park")]
pub fn park<W: ParkWord>(
    word: &W,
    expected: W::Value,
    timeout: Option<Duration>,
    park_arg: *mut (),
    detach: bool,
) -> ParkStatus {
    park_in::<Native, W>(word, expected, Deadline::after(timeout), park_arg, detach)
}

/// [`park`] in another runtime, until a deadline.
///
/// # Aborts
/// The process, with a message, if `R::detach` or `R::attach` panics.
///
/// CPython: Python/parking_lot.c:L307 _PyParkingLot_Park
#[cold]
pub fn park_in<R: Runtime, W: ParkWord>(
    word: &W,
    expected: W::Value,
    deadline: Deadline,
    park_arg: *mut (),
    detach: bool,
) -> ParkStatus {
    let addr = ptr::from_ref(word).addr();
    let bucket = Bucket::of(addr);
    let entry;

    // L318-L325: compare and queue in one step, as others see it.
    {
        let mut queues = bucket.lock();
        if !word.holds(expected) {
            return ParkStatus::Again;
        }
        // L310-L316: out of order: set up once it is going to be used. The entry is ours to give
        // up only once it is off the bucket's queue.
        entry = WaitEntry::new(addr, park_arg);
        // SAFETY: `entry` stays here until it is off the queue: every way out of this function
        // below has either been woken by the thread that took it off or takes it off itself,
        // and nothing unwinds in between: unlocking the bucket aborts where it cannot.
        unsafe { queues.push_back(&raw const entry) };
    }
    trace::park(addr);
    let started = trace::now();

    // Detaching comes after queueing: it may unlock what we hold, and so unpark ourselves.
    debug_assert_eq!(bucket_locks_held(), 0);
    let status = detached::<R, _>(detach, || {
        let status = fork::while_parked(&entry, || sleep(&entry, bucket, deadline));
        #[cfg(pysync_loom)]
        entry.retire();
        // Deviation D03: attach only now, with the bucket clean (gh-137433). An attach can block
        // for good, at shutdown for one, and must not leave an entry behind.
        debug_assert_eq!(bucket_locks_held(), 0);
        status
    });
    trace::unparked(addr, status, started);
    // L349-L351: nothing to destroy.
    status
}

/// Sleeps until `entry` is woken, the deadline or a signal; the entry is off its queue then.
///
/// CPython: Python/parking_lot.c:L307 _PyParkingLot_Park
fn sleep(entry: &WaitEntry, bucket: &Bucket, deadline: Deadline) -> ParkStatus {
    // L327-L332: `_PySemaphore_Wait`, which in 3.13 also detaches and attaches.
    let status =
        if entry.is_forgotten() { ParkStatus::Ok } else { entry.parker.wait_until(deadline) };
    if status == ParkStatus::Ok && !entry.is_forgotten() {
        return status;
    }

    // L333-L334: timeout or signal, unless an unparker has us off the queue already.
    let mut queues = bucket.lock();
    // SAFETY: the bucket lock is held.
    let is_unparking = unsafe { entry.is_unparking() };
    if entry.is_forgotten() {
        // Deviation D15: this is a child, forked by the detach or by a signal handler. The queue
        // was the parent's, and so was the unparker, which has told us all that it will. Without
        // an unparker, `after_fork` is what woke us.
        return match status {
            _ if is_unparking => ParkStatus::Ok,
            ParkStatus::Ok => ParkStatus::Again,
            timeout_or_signal => timeout_or_signal,
        };
    }
    if is_unparking {
        // L335-L341: the wake is on its way, and it is going to write to `entry`.
        drop(queues);
        while entry.parker.wait_until(Deadline::NEVER) != ParkStatus::Ok {}
        return ParkStatus::Ok;
    }
    // L343-L347: no unparker has, so off it ourselves.
    // SAFETY: not taken off by another, so still on the queue.
    unsafe { queues.remove(entry) };
    status
}

/// Unparks the thread that has been parked longest on `word`'s address, if there is one.
///
/// `f` runs in any case, under the bucket lock, before the thread wakes; `None` says that nobody
/// is parked there. It is the place to change the word such that no thread that parks meanwhile
/// is missed. It must be short and must not park, unpark, or take a lock whose holder might.
///
/// `word` is only a key and need not point to anything. Does not block but for the bucket lock.
///
/// # Aborts
/// The process, with a message, if `f` panics.
///
/// CPython: Python/parking_lot.c:L356 _PyParkingLot_Unpark
#[doc(alias = "_PyParkingLot_Unpark")]
#[cold]
pub fn unpark<W: ParkWord>(word: *const W, f: impl FnOnce(Option<Unparked>)) {
    // L358: the address is only a key.
    let addr = word.addr();
    let bucket = Bucket::of(addr);

    // L361-L370: take one off, and let the caller change its word before anyone can park.
    let waiter = {
        let mut queues = bucket.lock();
        let (waiter, has_more_waiters) = queues.remove_first(addr);
        let unparked = (!waiter.is_null()).then(|| Unparked {
            // SAFETY: off the queue but not yet woken, so valid.
            park_arg: unsafe { (*waiter).park_arg },
            has_more_waiters,
        });
        abort_on_unwind(CALLBACK_PANICKED, || f(unparked));
        waiter
    };

    // L372-L375: outside the lock, which the woken thread may need.
    if !waiter.is_null() {
        // SAFETY: the wake that we owe to the entry that we took off, which is valid until then.
        unsafe { Parker::wakeup_raw(&raw const (*waiter).parker) };
    }
}

/// Unparks all threads that are parked on `word`'s address. On Linux they wake together, by the
/// last of as many system calls as there are threads; those before it each move one thread.
///
/// `word` is only a key and need not point to anything. Does not block but for the bucket lock.
///
/// CPython: Python/parking_lot.c:L379 _PyParkingLot_UnparkAll
#[doc(alias = "_PyParkingLot_UnparkAll")]
pub fn unpark_all<W: ParkWord>(word: *const W) {
    unpark_all_with(word, |_| {});
}

/// [`unpark_all`] with a callback under the bucket lock, as [`unpark`] has it: it learns whether
/// anybody was parked there. C has no callback here.
///
/// # Aborts
/// The process, with a message, if `f` panics.
///
/// CPython: Python/parking_lot.c:L379 _PyParkingLot_UnparkAll
pub fn unpark_all_with<W: ParkWord>(word: *const W, f: impl FnOnce(bool)) {
    unpark_all_with_args(word, |mut park_args| f(park_args.next().is_some()));
}

/// [`unpark_all_with`] whose callback learns who was parked there: what they passed to [`park`],
/// in the order in which they parked.
///
/// # Aborts
/// The process, with a message, if `f` panics.
///
/// CPython: Python/parking_lot.c:L379 _PyParkingLot_UnparkAll
#[cold]
pub fn unpark_all_with_args<W: ParkWord>(word: *const W, f: impl FnOnce(ParkArgs<'_>)) {
    // L381-L382: the entries' own links make the list.
    let addr = word.addr();
    let bucket = Bucket::of(addr);

    // L384-L386: take them all off.
    let first = {
        let mut queues = bucket.lock();
        let first = queues.remove_all(addr);
        abort_on_unwind(CALLBACK_PANICKED, || f(ParkArgs { waiter: first, asleep: PhantomData }));
        first
    };

    if first.is_null() {
        return;
    }
    // SAFETY: in the chain and not yet woken.
    let last = unsafe { WaitEntry::last_unparked(first) };
    // L388-L392: a woken entry is gone, so look past it first.
    let mut waiter = first;
    let others = std::iter::from_fn(|| {
        (waiter != last).then(|| {
            // SAFETY: in the chain and not yet woken.
            unsafe {
                let parker = &raw const (*waiter).parker;
                waiter = WaitEntry::next_unparked(waiter);
                parker
            }
        })
    });
    // SAFETY: the wakes that we owe, of entries that are valid until then.
    unsafe { Parker::wakeup_all(others, &raw const (*last).parker) };
}

/// The park arguments of the threads that an [`unpark_all_with_args`] is about to wake.
#[derive(Debug)]
pub struct ParkArgs<'a> {
    waiter: *const WaitEntry,
    /// None of them wakes before the callback is over.
    asleep: PhantomData<&'a WaitEntry>,
}

impl Iterator for ParkArgs<'_> {
    type Item = *mut ();

    fn next(&mut self) -> Option<*mut ()> {
        let waiter = self.waiter;
        (!waiter.is_null()).then(|| {
            // SAFETY: off the queue but not yet woken, so valid.
            self.waiter = unsafe { WaitEntry::next_unparked(waiter) };
            // SAFETY: as above.
            unsafe { (*waiter).park_arg }
        })
    }
}
