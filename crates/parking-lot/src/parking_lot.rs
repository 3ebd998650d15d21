use std::marker::PhantomData;
use std::time::Duration;

use pysync_platform::{Deadline, Native, ParkStatus, Parker, Runtime, abort_on_unwind};

use crate::bucket::Bucket;
use crate::wait_queues::{Chain, WaitEntry};
use crate::waiter::{Position, Wait, park_with};
use crate::{Key, ParkWord};

pub(crate) const CALLBACK_PANICKED: &str = "the callback of unpark panicked under a bucket lock";

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

/// [`park`] in any runtime, until a deadline.
///
/// # Aborts
/// The process, with a message, if `R::detach` or `R::attach` panics.
///
/// CPython: Python/parking_lot.c:L307 _PyParkingLot_Park
#[inline]
pub fn park_in<R: Runtime, W: ParkWord>(
    word: &W,
    expected: W::Value,
    deadline: Deadline,
    park_arg: *mut (),
    detach: bool,
) -> ParkStatus {
    let wait = Wait { deadline, park_arg, detach, position: Position::Back };
    // L320: the comparison, under the bucket lock.
    // SAFETY: the caller borrows the word, so that it belongs to the caller's own code, as does what
    // reads the park arguments of the threads on it. No other type's word can be borrowed here.
    unsafe { park_with::<R>(Key::of(word), wait, || word.holds(expected), || ()) }
}

/// Unparks the thread that has been parked longest on `word`'s address, if there is one.
///
/// `f` runs in any case, under the bucket lock, before the thread wakes; `None` says that no thread is
/// parked there. It is the place to change the word such that no thread that parks meanwhile
/// is missed. It must be short and must not park, unpark, or take a lock whose holder might.
///
/// `word` is only a key and need not point to anything. Does not block but for the bucket lock.
///
/// # Aborts
/// The process, with a message, if `f` panics, or parks or unparks.
///
/// CPython: Python/parking_lot.c:L356 _PyParkingLot_Unpark
#[doc(alias = "_PyParkingLot_Unpark")]
#[cold]
pub fn unpark<W: ParkWord>(word: *const W, f: impl FnOnce(Option<Unparked>)) {
    // L358: the address is only a key.
    let key = Key::of(word);
    let bucket = Bucket::of(key);

    // L361-L370: take one off, and let the caller change its word before any thread can park.
    let waiter = {
        let mut queues = bucket.lock();
        let (waiter, has_more_waiters) = queues.remove_first(key);
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
/// a thread was parked there. C has no callback here.
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
    let key = Key::of(word);
    let bucket = Bucket::of(key);

    // L384-L386: take them all off.
    let chain = {
        let mut queues = bucket.lock();
        let chain = queues.remove_all(key);
        // SAFETY: they stay asleep, and off every queue, for as long as the callback runs.
        let park_args = unsafe { ParkArgs::new(chain.first) };
        abort_on_unwind(CALLBACK_PANICKED, || f(park_args));
        chain
    };
    // L388-L392: wake them.
    // SAFETY: marked as about to be woken, and the bucket is unlocked.
    unsafe { wake(chain) };
}

/// Gives each of a chain the wake that we owe it.
///
/// # Safety
/// They are off their queue, and marked as about to be woken.
///
/// CPython: Python/parking_lot.c:L379 _PyParkingLot_UnparkAll
pub(crate) unsafe fn wake(chain: Chain) {
    let Chain { first: mut waiter, last } = chain;
    if chain.is_empty() {
        return;
    }
    // L388-L392: a woken entry is gone, so look past it first.
    let others = std::iter::from_fn(|| {
        (waiter != last).then(|| {
            // SAFETY: in the chain and not yet woken.
            unsafe {
                let parker = &raw const (*waiter).parker;
                waiter = WaitEntry::next_in_chain(waiter);
                parker
            }
        })
    });
    // SAFETY: the wakes that we owe, of entries that are valid until then.
    unsafe { Parker::wakeup_all(others, &raw const (*last).parker) };
}

/// The park arguments of threads that are parked, in the order of their queue.
#[derive(Debug)]
pub struct ParkArgs<'a> {
    waiter: *const WaitEntry,
    /// No thread that is named here wakes before the callback is over.
    asleep: PhantomData<&'a WaitEntry>,
}

impl ParkArgs<'_> {
    /// # Safety
    /// The entries from `first` on are valid, and stay linked as they are, for the lifetime.
    pub(crate) unsafe fn new(first: *const WaitEntry) -> Self {
        Self { waiter: first, asleep: PhantomData }
    }
}

impl Iterator for ParkArgs<'_> {
    type Item = *mut ();

    fn next(&mut self) -> Option<*mut ()> {
        let waiter = self.waiter;
        (!waiter.is_null()).then(|| {
            // SAFETY: valid and linked, by the contract of `new`.
            self.waiter = unsafe { WaitEntry::next_in_chain(waiter) };
            // SAFETY: as above.
            unsafe { (*waiter).park_arg }
        })
    }
}
