use std::fmt;
use std::panic::UnwindSafe;
use std::ptr;

use crate::latch::Latch;
use pysync_platform::primitive::atomic::AtomicPtr;
use pysync_platform::primitive::atomic::Ordering::{Acquire, Relaxed, Release};
use pysync_platform::primitive::{UnsafeCell, Zeroed};
use pysync_platform::{Native, NotLocked, Runtime as _};

/// A thread holds the mutex. Set by the holder, cleared by its unlock.
const LOCKED: usize = 1;
/// The unlocker is taking a waiter off the list. Set by the unlocker, only together with `LOCKED`,
/// and cleared by the step that unlocks.
const POPPING: usize = 2;
const TAGS: usize = LOCKED | POPPING;

/// A thread that waits, on its own stack. The bits of `TAGS` are free in its address.
///
/// CPython: Python/lock.c:L183 raw_mutex_entry
#[repr(align(4))]
struct Waiter {
    // L184: written by the waiter before it publishes itself, read by the thread that takes it
    // off the list.
    next: UnsafeCell<*mut Waiter>,
    // L185: a latch over a parker, which is C's semaphore: there is one wake, no timeout, no signal.
    latch: Latch,
}

/// A word-sized mutex that keeps its waiters in its own word: the lock of the parking lot's buckets.
///
/// It needs no parking lot and allocates nothing. It is not fair: the thread that began to wait last
/// is woken first, and must then win the mutex in a race.
///
/// | word | state | who brings it about |
/// |---|---|---|
/// | `0` | unlocked, no thread waits | the unlocker |
/// | `0b01` | locked, no thread waits | the holder, from `0` |
/// | pointer + `0b01` | locked, threads wait | a waiter that puts itself before the list; a holder that barges |
/// | pointer + `0b11` | locked, the unlocker is taking a waiter off | the unlocker |
/// | pointer | unlocked, threads wait; one more has been woken, or is about to be | the unlocker |
///
/// Zeroed memory is an unlocked mutex. A wait never detaches the thread, and signals do not end it.
/// A child of `fork` inherits the word as it stood; the parking lot resets its own buckets in
/// [`after_fork`](crate::after_fork).
///
/// ```
/// use pysync_parking_lot::RawMutex;
///
/// static MUTEX: RawMutex = RawMutex::new();
/// MUTEX.lock();
/// assert!(!MUTEX.try_lock());
/// MUTEX.unlock();
/// ```
///
/// CPython: Include/internal/pycore_lock.h:L103 _PyRawMutex
#[doc(alias = "_PyRawMutex")]
#[derive(Default)]
#[repr(transparent)]
pub struct RawMutex {
    // L104: the first waiter and the tags.
    state: Zeroed<AtomicPtr<Waiter>>,
}

impl RawMutex {
    /// An unlocked mutex.
    #[inline]
    pub const fn new() -> Self {
        Self { state: Zeroed::<AtomicPtr<_>>::new() }
    }

    /// Locks the mutex, blocking for as long as it takes.
    ///
    /// Not reentrant: locking twice on one thread never returns. Blocks through signals and
    /// without detaching.
    ///
    /// CPython: Include/internal/pycore_lock.h:L112 _PyRawMutex_Lock
    #[doc(alias = "_PyRawMutex_Lock")]
    #[inline]
    pub fn lock(&self) {
        // L114-L116: uncontended, one compare-exchange.
        // Ordering: Acquire pairs with the Release of the unlock before us; a lock that failed
        // has read nothing that it uses.
        let locked = ptr::without_provenance_mut(LOCKED);
        if self.state.compare_exchange(ptr::null_mut(), locked, Acquire, Relaxed).is_err() {
            // L118
            self.lock_slow();
        }
    }

    /// Locks the mutex if that can be done at once; says whether it did. Never blocks.
    pub fn try_lock(&self) -> bool {
        // Ordering: Relaxed, a hint; the exchange decides.
        let mut v = self.state.load(Relaxed);
        while v.addr() & LOCKED == 0 {
            // Ordering: as in `lock`.
            match self.state.compare_exchange_weak(v, with_tags(v, LOCKED), Acquire, Relaxed) {
                Ok(_) => return true,
                Err(actual) => v = actual,
            }
        }
        false
    }

    /// Unlocks the mutex and wakes the thread that began to wait last, if any. That thread must
    /// still lock the mutex itself.
    ///
    /// Any thread may unlock. Exactly one unlock belongs to each lock, and that is the caller's
    /// part. A second unlock that races with the first either panics, or unlocks the mutex of a
    /// thread that has locked it in between. It never touches a waiter that has gone.
    ///
    /// # Panics
    /// `unlocking mutex that is not locked`.
    ///
    /// CPython: Include/internal/pycore_lock.h:L122 _PyRawMutex_Unlock
    #[doc(alias = "_PyRawMutex_Unlock")]
    #[inline]
    #[track_caller]
    pub fn unlock(&self) {
        if self.try_unlock().is_err() {
            Native::fatal_error("RawMutex::unlock", "unlocking mutex that is not locked");
        }
    }

    /// [`unlock`](Self::unlock), whose caller decides what misuse leads to.
    ///
    /// # Errors
    /// [`NotLocked`] if it is not locked, and then nothing has changed.
    ///
    /// CPython: Include/internal/pycore_lock.h:L122 _PyRawMutex_Unlock
    #[inline]
    pub fn try_unlock(&self) -> Result<(), NotLocked> {
        // L124-L126: no thread waits.
        // Ordering: Release pairs with the Acquire of the next lock.
        let locked = ptr::without_provenance_mut(LOCKED);
        let unlocked = self.state.compare_exchange(locked, ptr::null_mut(), Release, Relaxed);
        // L128
        if unlocked.is_ok() { Ok(()) } else { self.unlock_slow() }
    }

    /// Whether a thread holds the mutex; stale as soon as it returns.
    pub fn is_locked(&self) -> bool {
        // Ordering: Relaxed, nothing may be concluded from the answer.
        self.state.load(Relaxed).addr() & LOCKED != 0
    }

    /// Forgets the holder and the waiters.
    ///
    /// # Safety
    /// No other thread uses the mutex, and those that waited no longer exist.
    pub(crate) unsafe fn reset(&self) {
        // Ordering: Relaxed, there is one thread.
        self.state.store(ptr::null_mut(), Relaxed);
    }

    /// CPython: Python/lock.c:L189 _PyRawMutex_LockSlow
    #[doc(alias = "_PyRawMutex_LockSlow")]
    #[cold]
    fn lock_slow(&self) {
        // Ordering: Relaxed; nothing is read through the pointer here, only written behind it.
        // L194-L195: what the word looks like now, and what to do about it.
        let mut v = self.state.load(Relaxed);
        loop {
            // L196-L202: unlocked. Barging past waiters is allowed, the list stays.
            if v.addr() & LOCKED == 0 {
                // Ordering: as in `lock`.
                match self.state.compare_exchange_weak(v, with_tags(v, LOCKED), Acquire, Relaxed) {
                    Ok(_) => break,
                    Err(actual) => {
                        v = actual;
                        continue;
                    }
                }
            }

            // L191-L192: out of order: a fresh node for each wait, since a wake uses its latch up.
            // C sets one up for each call.
            // L205-L209: locked. Push ourselves in front of the list; the holder's tags stay.
            let waiter = Waiter { next: UnsafeCell::new(head(v)), latch: Latch::new() };
            let pushed = with_tags((&raw const waiter).cast_mut(), v.addr() & TAGS);
            // Ordering: Release publishes `next` and the latch to the thread that pops us
            // (Acquire in `unlock_slow`).
            if let Err(actual) = self.state.compare_exchange_weak(v, pushed, Release, Relaxed) {
                v = actual;
                continue;
            }

            // L219-L222: gh-148820. The unlocker takes us off and wakes us with no handshake, so
            // the node must outlive the wake; the latch returns for nothing else.
            waiter.latch.wait();
            // Ours again: a model in which another thread still reads it fails.
            #[cfg(pysync_loom)]
            waiter.next.with_mut(|_| ());
            // Ordering: Relaxed, as at the start.
            // L193-L194: out of order: a woken thread does not hold the mutex. Look again. C keeps
            // the word that it last saw, and lets the exchange fail.
            v = self.state.load(Relaxed);
        }
        // L225: nothing to destroy.
    }

    /// CPython: Python/lock.c:L229 _PyRawMutex_UnlockSlow
    #[doc(alias = "_PyRawMutex_UnlockSlow")]
    #[cold]
    fn unlock_slow(&self) -> Result<(), NotLocked> {
        // Ordering: Relaxed; nothing is read through the pointer before it is claimed.
        // L231-L232: what the word looks like now.
        let mut v = self.state.load(Relaxed);
        let mut popping = false;
        loop {
            // L233-L235: a holder that is popping is one that has unlocked already.
            if v.addr() & LOCKED == 0 || (v.addr() & POPPING != 0 && !popping) {
                return Err(NotLocked);
            }
            let head = head(v);
            // L245-L249: no thread waits after all.
            if head.is_null() {
                // Ordering: Release as in `unlock`.
                match self.state.compare_exchange_weak(v, ptr::null_mut(), Release, Relaxed) {
                    Ok(_) => return Ok(()),
                    Err(actual) => v = actual,
                }
                continue;
            }
            // Deviation D01: claim the list before reading through it. In C two racing unlocks
            // both follow the head, and the slower one reads a stack that is gone.
            if !popping {
                // Ordering: Acquire pairs with the Release by which the head published itself; we
                // are about to read through it.
                match self.state.compare_exchange_weak(v, with_tags(v, POPPING), Acquire, Relaxed) {
                    Ok(_) => {
                        popping = true;
                        v = with_tags(v, POPPING);
                    }
                    Err(actual) => v = actual,
                }
                continue;
            }
            // L237-L239: out of order: after the empty list. The last to come is the first to go.
            // SAFETY: `head` waits until its latch is set, which only the thread that takes it
            // off the list does, and POPPING is ours.
            let next = unsafe { (*head).next.with(|next| *next) };
            // L240-L243: unlock and drop it from the list in one step, then wake it.
            // Ordering: Release as in `unlock`; Acquire on failure, for the new head's `next`.
            match self.state.compare_exchange_weak(v, next, Release, Acquire) {
                Ok(_) => {
                    // SAFETY: taken off by us, so no other thread sets its latch, and until that
                    // is done the waiter stays where it is.
                    unsafe { Latch::set(&raw const (*head).latch) };
                    return Ok(());
                }
                Err(actual) => v = actual,
            }
        }
    }
}

/// The first waiter of the word, without the tags.
fn head(v: *mut Waiter) -> *mut Waiter {
    v.map_addr(|addr| addr & !TAGS)
}

/// `v` with `tags` set.
fn with_tags(v: *mut Waiter, tags: usize) -> *mut Waiter {
    v.map_addr(|addr| addr | tags)
}

// Guards nothing that a panic could leave half done; not automatic because of `Waiter`'s cell.
impl UnwindSafe for RawMutex {}

impl fmt::Debug for RawMutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawMutex").field("locked", &self.is_locked()).finish()
    }
}
