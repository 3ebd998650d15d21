use std::fmt;

use pysync_platform::primitive::atomic::{AtomicU32, Ordering, fence};
use pysync_platform::primitive::{const_fn, yield_now};
use pysync_platform::{Backoff, FAITHFUL, Native, Runtime};

/// A sequence lock: readers write nothing and try again if a writer was there meanwhile.
///
/// The sequence is even while nobody writes and odd while somebody does; each write that is not
/// abandoned makes it grow by two. Readers and writers that find it odd wait until it is not; they
/// pause, then yield, but never sleep, so writes must be short and call no foreign code
/// (gh-119525). A reader that sleeps through exactly 2³¹ writes takes what it read for consistent.
///
/// What it guards must be read and written with atomic operations, `Relaxed` ones suffice, since
/// a reader and a writer may well meet: [`guarded::SeqLock`](crate::guarded::SeqLock) does that.
///
/// Usable in a `static`; zeroed memory is an unlocked lock. Nothing here parks, detaches, or
/// heeds signals. **Fork**: [`after_fork`](Self::after_fork) ends a write that was cut off.
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
#[repr(transparent)]
pub struct SeqLock {
    // L214: all of its state.
    sequence: AtomicU32,
}

/// CPython: Python/lock.c:L514 SEQLOCK_IS_UPDATING
#[doc(alias = "SEQLOCK_IS_UPDATING")]
#[inline]
fn is_updating(sequence: u32) -> bool {
    sequence & 1 != 0
}

impl SeqLock {
    const_fn! {
        /// An unlocked lock.
        pub const fn new() -> Self {
            Self { sequence: AtomicU32::new(0) }
        }
    }

    /// Locks for writing, once nobody else writes.
    ///
    /// CPython: Python/lock.c:L516 _PySeqLock_LockWrite
    #[doc(alias = "_PySeqLock_LockWrite")]
    #[inline]
    pub fn lock_write(&self) {
        if !self.try_lock_write() {
            self.lock_write_slow();
        }
        // L527-L529: before the data is written.
        // Ordering: this Release fence pairs with the Acquire fence in `end_read` (gh-121368): a
        // reader that sees any of our writes also sees the odd sequence from before them.
        fence(Ordering::Release);
    }

    /// CPython: Python/lock.c:L516 _PySeqLock_LockWrite
    #[inline]
    fn try_lock_write(&self) -> bool {
        // L519-L520: what to start from.
        // Ordering: Relaxed, a hint; the exchange decides.
        let previous = self.sequence.load(Ordering::Relaxed);
        // L521, L526: from even to odd.
        // Ordering: Acquire pairs with the Release of the writer before us.
        !is_updating(previous)
            && self
                .sequence
                .compare_exchange(
                    previous,
                    previous.wrapping_add(1),
                    Ordering::Acquire,
                    Ordering::Relaxed,
                )
                .is_ok()
    }

    /// CPython: Python/lock.c:L516 _PySeqLock_LockWrite
    #[cold]
    fn lock_write_slow(&self) {
        let mut backoff = Backoff::new();
        // L521-L525, L531-L533: another writes, which does not take long, or was quicker.
        loop {
            backoff.snooze();
            if self.try_lock_write() {
                return;
            }
        }
    }

    /// Ends a write and publishes it.
    ///
    /// # Panics
    /// If nobody is writing; nothing has changed.
    ///
    /// CPython: Python/lock.c:L544 _PySeqLock_UnlockWrite
    #[doc(alias = "_PySeqLock_UnlockWrite")]
    #[inline]
    #[track_caller]
    pub fn unlock_write(&self) {
        self.unlock_write_in::<Native>();
    }

    /// [`unlock_write`](Self::unlock_write) in another runtime, which decides what misuse leads to.
    ///
    /// CPython: Python/lock.c:L544 _PySeqLock_UnlockWrite
    #[inline]
    #[track_caller]
    pub fn unlock_write_in<R: Runtime>(&self) {
        // L546-L548: on to the next even number.
        let sequence = self.own_sequence::<R>().wrapping_add(1);
        // Ordering: Release pairs with the Acquire of `begin_read` and of the next writer.
        self.sequence.store(sequence, Ordering::Release);
    }

    /// Ends a write that has changed nothing, without disturbing readers that began before it.
    ///
    /// # Panics
    /// If nobody is writing; nothing has changed.
    ///
    /// CPython: Python/lock.c:L537 _PySeqLock_AbandonWrite
    #[doc(alias = "_PySeqLock_AbandonWrite")]
    #[inline]
    #[track_caller]
    pub fn abandon_write(&self) {
        self.abandon_write_in::<Native>();
    }

    /// [`abandon_write`](Self::abandon_write) in another runtime, which decides what misuse leads
    /// to.
    ///
    /// CPython: Python/lock.c:L537 _PySeqLock_AbandonWrite
    #[inline]
    #[track_caller]
    pub fn abandon_write_in<R: Runtime>(&self) {
        // L539-L541: back to the even number before.
        let sequence = self.own_sequence::<R>().wrapping_sub(1);
        // Ordering: Release, as for `unlock_write`.
        self.sequence.store(sequence, Ordering::Release);
    }

    /// The odd sequence of the caller's own write.
    #[inline]
    #[track_caller]
    fn own_sequence<R: Runtime>(&self) -> u32 {
        // Ordering: Relaxed; while we write, nobody else does.
        let sequence = self.sequence.load(Ordering::Relaxed);
        // Deviation D08: in every build.
        if !is_updating(sequence) {
            R::fatal_error("SeqLock", "unlocking a sequence lock that is not write-locked");
        }
        sequence
    }

    /// Begins to read, once nobody writes. The result is for [`end_read`](Self::end_read).
    ///
    /// CPython: Python/lock.c:L551 _PySeqLock_BeginRead
    #[doc(alias = "_PySeqLock_BeginRead")]
    #[inline]
    pub fn begin_read(&self) -> u32 {
        // L553-L554: an even number.
        // Ordering: Acquire pairs with the Release of the last writer.
        let sequence = self.sequence.load(Ordering::Acquire);
        if is_updating(sequence) { self.begin_read_slow() } else { sequence }
    }

    /// CPython: Python/lock.c:L551 _PySeqLock_BeginRead
    #[cold]
    fn begin_read_slow(&self) -> u32 {
        let mut backoff = Backoff::new();
        // L554-L559: wait for one.
        loop {
            backoff.snooze();
            // Ordering: Acquire, as above.
            let sequence = self.sequence.load(Ordering::Acquire);
            if !is_updating(sequence) {
                return sequence;
            }
        }
    }

    /// Whether nothing was written since the `begin_read` that gave `previous`. If not, what was
    /// read is to be thrown away, and read again.
    ///
    /// CPython: Python/lock.c:L562 _PySeqLock_EndRead
    #[doc(alias = "_PySeqLock_EndRead")]
    #[inline]
    pub fn end_read(&self, previous: u32) -> bool {
        // L564-L567: the reads that the caller has done come first.
        // Ordering: this Acquire fence pairs with the Release fence in `lock_write` (gh-121368),
        // and keeps the load below behind the reads of the data.
        fence(Ordering::Acquire);
        // L569-L571: nobody has begun to write since.
        if self.sequence.load(Ordering::Relaxed) == previous {
            return true;
        }
        // L573-L574: let the writer get on with it.
        // Deviation D13: C yields; here the next `begin_read` does if that takes long.
        if FAITHFUL {
            yield_now();
        }
        false
    }

    /// Ends a write that a `fork` cut off, in the child; true says that there was one, and that
    /// what it was writing is to be cleared. The sequence starts over at 0.
    ///
    /// For the child's one thread, before it starts others. A safe function all the same: beside a
    /// writer it lets in a second one, which is an error, but this lock guards no memory of its own.
    ///
    /// CPython: Python/lock.c:L577 _PySeqLock_AfterFork
    #[doc(alias = "_PySeqLock_AfterFork")]
    pub fn after_fork(&self) -> bool {
        // L579-L586: an odd number is a write that nobody will end.
        // Ordering: Relaxed, there is nobody to order with.
        let cut_off = is_updating(self.sequence.load(Ordering::Relaxed));
        if cut_off {
            self.sequence.store(0, Ordering::Relaxed);
        }
        cut_off
    }
}

impl Default for SeqLock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SeqLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sequence = self.sequence.load(Ordering::Relaxed);
        f.debug_struct("SeqLock").field("writing", &is_updating(sequence)).finish()
    }
}
