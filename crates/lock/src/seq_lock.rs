use std::fmt;

use pysync_platform::primitive::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};
use pysync_platform::primitive::{Zeroed, yield_now};
use pysync_platform::spin::FAITHFUL;
use pysync_platform::{Backoff, Native, Runtime};

use crate::NotLocked;

/// A sequence lock of four bytes: its readers write nothing, and read again if a writer has written
/// meanwhile.
///
/// The sequence is a count of writes, times two; it is odd while a writer writes:
///
/// | step | the sequence | by |
/// |---|---|---|
/// | [`lock_write`](Self::lock_write) | even to odd: grows by 1 | an exchange, so that one writer wins |
/// | [`unlock_write`](Self::unlock_write) | odd to even: grows by 1 | a store of the writer |
/// | [`abandon_write`](Self::abandon_write) | odd to even: shrinks by 1, to what it was before | a store of the writer |
/// | [`begin_read`](Self::begin_read) | is looked at until it is even | |
/// | [`end_read`](Self::end_read) | is compared with what `begin_read` has returned | |
///
/// A reader or writer that finds the sequence odd pauses and then yields
/// ([`Backoff::snooze`](pysync_platform::Backoff::snooze)) until it is even. It never sleeps. So a
/// write must be short and must not call foreign code (gh-119525). A reader that sleeps during
/// exactly 2³¹ writes takes what it has read for consistent.
///
/// A reader and a writer may meet in the data, so the data must be read and written with atomic
/// operations. `Relaxed` ones suffice. [`guarded::SeqLock`](crate::guarded::SeqLock) does that.
///
/// The lock can stand in a `static`, and zeroed memory is an unlocked lock. No method parks,
/// detaches, or heeds signals.
///
/// **Fork**: [`after_fork`](Self::after_fork) ends a write of a thread that the child does not
/// have.
///
/// ```
/// use pysync_lock::SeqLock;
/// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
///
/// let (lock, value) = (SeqLock::new(), AtomicU32::new(0));
/// lock.lock_write();
/// value.store(7, Relaxed);
/// lock.unlock_write();
/// let read = loop {
///     let sequence = lock.begin_read();
///     let read = value.load(Relaxed);
///     if lock.end_read(sequence) {
///         break read;
///     }
/// };
/// assert_eq!(read, 7);
/// ```
///
/// CPython: Include/internal/pycore_lock.h:L213 _PySeqLock
#[doc(alias = "_PySeqLock")]
#[derive(Default)]
#[repr(transparent)]
pub struct SeqLock {
    // L214
    sequence: Zeroed<AtomicU32>,
}

/// CPython: Python/lock.c:L514 SEQLOCK_IS_UPDATING
#[doc(alias = "SEQLOCK_IS_UPDATING")]
#[inline]
fn is_updating(sequence: u32) -> bool {
    sequence & 1 != 0
}

const NOT_WRITE_LOCKED: &str = "unlocking a sequence lock that is not write-locked";

impl SeqLock {
    /// An unlocked lock.
    pub const fn new() -> Self {
        Self { sequence: Zeroed::<AtomicU32>::new() }
    }

    /// Locks for writing. While another thread writes, pauses and yields, but does not sleep.
    ///
    /// CPython: Python/lock.c:L516 _PySeqLock_LockWrite
    #[doc(alias = "_PySeqLock_LockWrite")]
    #[inline]
    pub fn lock_write(&self) {
        if !self.try_lock_write() {
            self.lock_write_slow();
        }
        // L527-L529: before the data is written.
        // Ordering: this Release fence pairs with the Acquire fence in `end_read` (gh-121368). A
        // reader that sees one of our writes then sees the odd sequence too, which came first.
        fence(Release);
    }

    /// CPython: Python/lock.c:L516 _PySeqLock_LockWrite
    #[inline]
    fn try_lock_write(&self) -> bool {
        // L519-L520
        // Ordering: Relaxed to look; the exchange decides.
        let even = self.sequence.load(Relaxed);
        // L521, L526
        // Ordering: Acquire pairs with the Release of the writer before this one.
        !is_updating(even)
            && self.sequence.compare_exchange(even, even.wrapping_add(1), Acquire, Relaxed).is_ok()
    }

    /// CPython: Python/lock.c:L516 _PySeqLock_LockWrite
    #[cold]
    fn lock_write_slow(&self) {
        let mut backoff = Backoff::new();
        // L521-L525, L531-L533: another writer writes, or was quicker.
        loop {
            backoff.snooze();
            if self.try_lock_write() {
                return;
            }
        }
    }

    /// Ends a write and publishes it. Never blocks.
    ///
    /// # Panics
    /// `unlocking a sequence lock that is not write-locked`. Nothing has changed then.
    ///
    /// CPython: Python/lock.c:L544 _PySeqLock_UnlockWrite
    #[doc(alias = "_PySeqLock_UnlockWrite")]
    #[inline]
    #[track_caller]
    pub fn unlock_write(&self) {
        // L546-L548
        if self.try_unlock_write().is_err() {
            Native::fatal_error("SeqLock::unlock_write", NOT_WRITE_LOCKED);
        }
    }

    /// [`unlock_write`](Self::unlock_write) for a caller that decides what a mistake leads to.
    ///
    /// # Errors
    /// [`NotLocked`] if no thread is writing. Nothing has changed then.
    ///
    /// CPython: Python/lock.c:L544 _PySeqLock_UnlockWrite
    #[inline]
    pub fn try_unlock_write(&self) -> Result<(), NotLocked> {
        // L546-L548: on to the next even number.
        let sequence = self.odd_sequence()?.wrapping_add(1);
        // Ordering: Release pairs with the Acquire of `begin_read` and of the next writer.
        self.sequence.store(sequence, Release);
        Ok(())
    }

    /// Ends a write that has changed nothing. Readers that began before it need not read again.
    /// Never blocks.
    ///
    /// # Panics
    /// `unlocking a sequence lock that is not write-locked`. Nothing has changed then.
    ///
    /// CPython: Python/lock.c:L537 _PySeqLock_AbandonWrite
    #[doc(alias = "_PySeqLock_AbandonWrite")]
    #[inline]
    #[track_caller]
    pub fn abandon_write(&self) {
        // L539-L541
        if self.try_abandon_write().is_err() {
            Native::fatal_error("SeqLock::abandon_write", NOT_WRITE_LOCKED);
        }
    }

    /// [`abandon_write`](Self::abandon_write) for a caller that decides what a mistake leads to.
    ///
    /// # Errors
    /// [`NotLocked`] if no thread is writing. Nothing has changed then.
    ///
    /// CPython: Python/lock.c:L537 _PySeqLock_AbandonWrite
    #[inline]
    pub fn try_abandon_write(&self) -> Result<(), NotLocked> {
        // L539-L541: back to the even number from before.
        let sequence = self.odd_sequence()?.wrapping_sub(1);
        // Ordering: Release, as in `try_unlock_write`.
        self.sequence.store(sequence, Release);
        Ok(())
    }

    /// The sequence of the calling thread's own write.
    #[inline]
    fn odd_sequence(&self) -> Result<u32, NotLocked> {
        // Ordering: Relaxed. While this thread writes, no other changes the sequence.
        let sequence = self.sequence.load(Relaxed);
        // Deviation D08: C asserts it, in debug builds.
        if is_updating(sequence) { Ok(sequence) } else { Err(NotLocked) }
    }

    /// Begins to read, and returns the even sequence that [`end_read`](Self::end_read) is to
    /// compare. While a thread writes, pauses and yields, but does not sleep.
    ///
    /// CPython: Python/lock.c:L551 _PySeqLock_BeginRead
    #[doc(alias = "_PySeqLock_BeginRead")]
    #[inline]
    pub fn begin_read(&self) -> u32 {
        // L553-L554
        // Ordering: Acquire pairs with the Release of the last writer.
        let sequence = self.sequence.load(Acquire);
        if is_updating(sequence) { self.begin_read_slow() } else { sequence }
    }

    /// CPython: Python/lock.c:L551 _PySeqLock_BeginRead
    #[cold]
    fn begin_read_slow(&self) -> u32 {
        let mut backoff = Backoff::new();
        // L554-L559
        loop {
            backoff.snooze();
            // Ordering: Acquire, as above.
            let sequence = self.sequence.load(Acquire);
            if !is_updating(sequence) {
                return sequence;
            }
        }
    }

    /// Whether no writer has written since the `begin_read` that returned `previous`. If false, the
    /// caller throws away what it has read, and reads again. Never blocks.
    ///
    /// CPython: Python/lock.c:L562 _PySeqLock_EndRead
    #[doc(alias = "_PySeqLock_EndRead")]
    #[inline]
    pub fn end_read(&self, previous: u32) -> bool {
        // L564-L567: the caller's reads of the data come first.
        // Ordering: this Acquire fence pairs with the Release fence in `lock_write` (gh-121368). It
        // keeps the load below behind the reads of the data.
        fence(Acquire);
        // L569-L571
        if self.sequence.load(Relaxed) == previous {
            return true;
        }
        // Deviation D13: the next `begin_read` yields if that is of use. C yields here.
        // L573-L574
        if FAITHFUL {
            yield_now();
        }
        false
    }

    /// Ends a write in the child of a `fork`, if a thread that the child does not have was writing.
    /// True if there was such a write; the caller then clears what that thread was writing. The
    /// sequence begins anew at 0.
    ///
    /// It is to be called by the only thread of the child. It is a safe function all the same:
    /// called beside a writer, it lets a second writer in, which is a mistake, but this lock guards
    /// no memory of its own.
    ///
    /// CPython: Python/lock.c:L577 _PySeqLock_AfterFork
    #[doc(alias = "_PySeqLock_AfterFork")]
    pub fn after_fork(&self) -> bool {
        // L579-L586
        // Ordering: Relaxed. There is no other thread.
        let was_cut_off = is_updating(self.sequence.load(Relaxed));
        if was_cut_off {
            self.sequence.store(0, Relaxed);
        }
        was_cut_off
    }
}

impl fmt::Debug for SeqLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sequence = self.sequence.load(Relaxed);
        f.debug_struct("SeqLock").field("writing", &is_updating(sequence)).finish()
    }
}
