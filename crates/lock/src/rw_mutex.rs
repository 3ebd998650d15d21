use std::fmt;
use std::ptr;

use pysync_parking_lot::{unpark_all, unpark_all_with_args};
use pysync_platform::primitive::Zeroed;
use pysync_platform::primitive::atomic::{
    AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use pysync_platform::spin::{FAITHFUL, Next};
use pysync_platform::{
    Backoff, Deadline, LockFlags, Native, ParkStatus, Runtime, Spin, TIME_TO_BE_FAIR,
};

use crate::wait::announce_and_park;
use crate::{NotLocked, bits};

/// Bit 0. A writer holds the lock.
///
/// CPython: Python/lock.c:L408 _Py_WRITE_LOCKED
const WRITE_LOCKED: usize = 1;
/// Bit 1. A thread is parked at the lock, or about to be, or a writer has been woken to take it.
const HAS_PARKED: usize = bits::HAS_PARKED as usize;
/// The bits from here on count the readers that hold the lock.
///
/// CPython: Python/lock.c:L409 _PyRWMutex_READER_SHIFT
const READER_SHIFT: u32 = 2;
/// What a reader adds to the word, and takes off again.
const ONE_READER: usize = 1 << READER_SHIFT;
/// The greatest count that the word has room for.
///
/// CPython: Python/lock.c:L410 _Py_RWMUTEX_MAX_READERS
const MAX_READERS: usize = usize::MAX >> READER_SHIFT;

/// The park argument of a reader.
const READER: *mut () = ptr::null_mut();
/// The park argument of a writer, by which the last reader knows it.
const WRITER: *mut () = ptr::without_provenance_mut(1);

/// CPython: Python/lock.c:L431 rwmutex_reader_count
fn reader_count(state: usize) -> usize {
    // L433
    state >> READER_SHIFT
}

/// Whether a reader may lock. Where a thread is parked, new readers wait behind it, since it may be
/// a writer.
fn is_read_lockable(state: usize) -> bool {
    state & (WRITE_LOCKED | HAS_PARKED) == 0
}

/// Whether a writer may lock. Where threads are parked, a writer need not wait behind them.
fn is_write_lockable(state: usize) -> bool {
    state & !HAS_PARKED == 0
}

/// Whether only one reader is left, and other threads wait.
fn is_last_reader(state: usize) -> bool {
    state == ONE_READER | HAS_PARKED
}

/// A readers-writer lock of one word that prefers writers.
///
/// | bits | means | are set by | are cleared by |
/// |---|---|---|---|
/// | 0, write-locked | a writer holds the lock | the writer that locks, with an exchange | that writer, with an exchange of the word to 0 |
/// | 1, has parked | a thread is parked at the lock, or about to be, or a writer has been woken | a waiter before it parks, with an exchange | the unlocking writer, with the same exchange; or the last reader, under the bucket lock, if it wakes no writer |
/// | 2 and up | the count of readers that hold the lock | a reader that locks adds one, with an exchange | a reader that unlocks takes one off, with an exchange; the last one under the bucket lock, if threads wait |
///
/// | word | state | who may change it |
/// |---|---|---|
/// | `0…0 00` | unlocked | a reader that locks; a writer that locks |
/// | `n…n 00` | n readers hold it | readers that lock or unlock; a waiting writer that announces itself |
/// | `n…n 10` | n readers hold it, and threads are parked | readers that unlock |
/// | `0…0 10` | unlocked, and a writer has been woken to take it | a writer that locks |
/// | `0…0 01` | a writer holds it | the writer that unlocks; a waiter that announces itself |
/// | `0…0 11` | a writer holds it, and threads are parked | the writer that unlocks |
///
/// 1. A waiter parks only if the word is what it was at the waiter's last look, with bit 1 set. The
///    parking lot compares it under the bucket lock.
/// 2. An unlocking writer and a last reader wake all threads that are parked. Those that still
///    cannot lock announce themselves again, and park.
/// 3. New readers wait while bit 1 is set. So readers cannot starve a parked writer. Writers may
///    starve readers, and each other.
///
/// A thread that finds the lock taken first yields for a while
/// ([`spin`](pysync_platform::spin) tells how), then parks. A wait has no timeout: if a writer gave
/// up, the readers that are parked behind it would not be woken. The lock is not reentrant: a
/// reader that locks again behind a parked writer waits forever.
///
/// The lock can stand in a `static`, and zeroed memory is an unlocked lock. Any thread may unlock
/// it. It guards no data of its own; [`guarded::RwLock`](crate::guarded::RwLock) does.
///
/// **Signals**: no signal ends a wait.
///
/// **Fork**: the child inherits the lock as it stood. If a thread that the child does not have held
/// the lock, or had been woken to take it, [`after_fork`](Self::after_fork) resets it. The child
/// forgets parked threads by [`pysync_parking_lot::after_fork`].
///
/// ```
/// use pysync_lock::RwMutex;
///
/// static LOCK: RwMutex = RwMutex::new();
/// LOCK.read_lock();
/// assert!(LOCK.try_read_lock());
/// assert!(!LOCK.try_write_lock());
/// LOCK.read_unlock();
/// LOCK.read_unlock();
/// LOCK.write_lock();
/// LOCK.write_unlock();
/// ```
///
/// CPython: Include/internal/pycore_lock.h:L192 _PyRWMutex
#[doc(alias = "_PyRWMutex")]
#[derive(Default)]
#[repr(transparent)]
pub struct RwMutex {
    // L193
    state: Zeroed<AtomicUsize>,
}

impl RwMutex {
    /// An unlocked lock.
    pub const fn new() -> Self {
        Self { state: Zeroed::<AtomicUsize>::new() }
    }

    /// Locks for reading. While a writer holds the lock or a thread is parked at it, blocks through
    /// signals, and detached while it sleeps.
    ///
    /// # Panics
    /// `too many readers`, that is a quarter of `usize::MAX`. Nothing has changed then.
    ///
    /// CPython: Python/lock.c:L437 _PyRWMutex_RLock
    #[doc(alias = "_PyRWMutex_RLock")]
    #[inline]
    pub fn read_lock(&self) {
        self.read_lock_in::<Native>();
    }

    /// [`read_lock`](Self::read_lock) in a runtime of the caller's choice, which also decides what
    /// too many readers lead to.
    ///
    /// CPython: Python/lock.c:L437 _PyRWMutex_RLock
    #[inline]
    pub fn read_lock_in<R: Runtime>(&self) {
        // L439
        // Ordering: Relaxed to look; the exchange decides.
        let state = self.state.load(Relaxed);
        if let Err(actual) = self.try_read_lock_from::<R>(state) {
            self.read_lock_slow::<R>(actual);
        }
    }

    /// CPython: Python/lock.c:L437 _PyRWMutex_RLock
    #[cold]
    fn read_lock_slow<R: Runtime>(&self, mut state: usize) {
        let (mut spin, mut backoff) = (None, Backoff::new());
        // L440-L464
        loop {
            // L441-L453: the lock is taken, or another reader was quicker.
            state = if is_read_lockable(state) {
                self.back_off(&mut backoff)
            } else {
                self.wait::<R>(state, READER, &mut spin)
            };
            match self.try_read_lock_from::<R>(state) {
                Ok(()) => return,
                Err(actual) => state = actual,
            }
        }
    }

    /// Locks for reading if no writer holds the lock and no thread is parked at it; true if it has.
    /// Never blocks.
    ///
    /// # Panics
    /// As [`read_lock`](Self::read_lock).
    #[inline]
    pub fn try_read_lock(&self) -> bool {
        // Ordering: Relaxed to look; the exchange decides.
        let mut state = self.state.load(Relaxed);
        loop {
            match self.try_read_lock_from::<Native>(state) {
                Ok(()) => return true,
                Err(actual) if !is_read_lockable(actual) => return false,
                Err(actual) => state = actual,
            }
        }
    }

    /// Locks for reading if the word is `state` and that allows it, or returns the word.
    ///
    /// CPython: Python/lock.c:L437 _PyRWMutex_RLock
    #[inline]
    fn try_read_lock_from<R: Runtime>(&self, state: usize) -> Result<(), usize> {
        if !is_read_lockable(state) {
            return Err(state);
        }
        // L455-L457
        if reader_count(state) >= MAX_READERS {
            R::fatal_error("RwMutex::read_lock", "too many readers");
        }
        // L458-L462
        // Ordering: Acquire pairs with the Release of the writer before this reader.
        self.state.compare_exchange(state, state + ONE_READER, Acquire, Relaxed).map(|_| ())
    }

    /// Unlocks for reading. The last reader wakes all threads that are parked. Does not block, but
    /// for the lock of a bucket of the parking lot.
    ///
    /// # Panics
    /// `lock was not read-locked`. Nothing has changed then.
    ///
    /// CPython: Python/lock.c:L468 _PyRWMutex_RUnlock
    #[doc(alias = "_PyRWMutex_RUnlock")]
    #[inline]
    #[track_caller]
    pub fn read_unlock(&self) {
        // L470-L477
        if self.try_read_unlock().is_err() {
            Native::fatal_error("RwMutex::read_unlock", "lock was not read-locked");
        }
    }

    /// [`read_unlock`](Self::read_unlock) for a caller that decides what a mistake leads to.
    ///
    /// # Errors
    /// [`NotLocked`] if no reader holds the lock. Nothing has changed then.
    ///
    /// CPython: Python/lock.c:L468 _PyRWMutex_RUnlock
    #[inline]
    pub fn try_read_unlock(&self) -> Result<(), NotLocked> {
        // L470
        // Ordering: Relaxed to look; the exchange decides.
        let state = self.state.load(Relaxed);
        self.try_read_unlock_from(state).or_else(|actual| self.read_unlock_slow(actual))
    }

    /// CPython: Python/lock.c:L468 _PyRWMutex_RUnlock
    #[cold]
    fn read_unlock_slow(&self, mut state: usize) -> Result<(), NotLocked> {
        let mut backoff = Backoff::new();
        loop {
            // Deviation D08: this looks before the word is changed, in every build. C asserts it
            // afterwards, in debug builds.
            // L471
            if reader_count(state) == 0 {
                return Err(NotLocked);
            }
            // L474-L477
            if is_last_reader(state) && self.leave_as_last_reader(state) {
                return Ok(());
            }
            state = self.back_off(&mut backoff);
            match self.try_read_unlock_from(state) {
                Ok(()) => return Ok(()),
                Err(actual) => state = actual,
            }
        }
    }

    /// Unlocks for reading if the word is `state` and no thread is to be woken, or returns the
    /// word.
    ///
    /// CPython: Python/lock.c:L468 _PyRWMutex_RUnlock
    #[inline]
    fn try_read_unlock_from(&self, state: usize) -> Result<(), usize> {
        if reader_count(state) == 0 || is_last_reader(state) {
            return Err(state);
        }
        // L472
        // Ordering: Release pairs with the Acquire of the writer that follows the readers.
        self.state.compare_exchange(state, state - ONE_READER, Release, Relaxed).map(|_| ())
    }

    /// Unlocks for the last reader, and wakes the threads that wait; false if the word is not
    /// `state` any more.
    ///
    /// CPython: Python/lock.c:L468 _PyRWMutex_RUnlock
    #[cold]
    fn leave_as_last_reader(&self, state: usize) -> bool {
        // Deviation D06: this stores the word under the bucket lock, when it knows which threads it
        // wakes. It leaves bit 1 set only for a writer among them. C subtracts first and wakes
        // afterwards, and leaves bit 1 set in any case. In the child of a fork that goes wrong:
        //
        // 1. The child has the bit, but not the writer that has set it.
        // 2. The last reader wakes no thread, and leaves the bit.
        // 3. New readers see the bit and park. No thread will wake them.
        //
        // A writer that is about to park finds the word changed, and tries again.
        let mut has_left = false;
        unpark_all_with_args(self.key(), |mut woken| {
            let left = if woken.any(|role| role == WRITER) { HAS_PARKED } else { 0 };
            // While the word is `state`, new readers and writers wait without changing it. So the
            // exchange fails only if a second thread unlocks for reading by mistake, and the
            // caller's loop then reports that.
            // Ordering: Release pairs with the Acquire of the next lock.
            has_left = self.state.compare_exchange(state, left, Release, Relaxed).is_ok();
        });
        has_left
    }

    /// Locks for writing. While any other thread holds the lock, blocks through signals, and
    /// detached while it sleeps.
    ///
    /// CPython: Python/lock.c:L481 _PyRWMutex_Lock
    #[doc(alias = "_PyRWMutex_Lock")]
    #[inline]
    pub fn write_lock(&self) {
        self.write_lock_in::<Native>();
    }

    /// [`write_lock`](Self::write_lock) in a runtime of the caller's choice.
    ///
    /// CPython: Python/lock.c:L481 _PyRWMutex_Lock
    #[inline]
    pub fn write_lock_in<R: Runtime>(&self) {
        // L483: a guess, where C looks. A wrong guess costs no more than a look.
        if let Err(actual) = self.try_write_lock_from(0) {
            self.write_lock_slow::<R>(actual);
        }
    }

    /// CPython: Python/lock.c:L481 _PyRWMutex_Lock
    #[cold]
    fn write_lock_slow<R: Runtime>(&self, mut state: usize) {
        let mut spin = None;
        // L484
        while let Err(actual) = self.try_write_lock_from(state) {
            state = actual;
            // L496-L497
            if !is_write_lockable(state) {
                state = self.wait::<R>(state, WRITER, &mut spin);
            }
        }
    }

    /// Locks for writing if no thread holds the lock; true if it has. Never blocks.
    #[inline]
    pub fn try_write_lock(&self) -> bool {
        // Ordering: Relaxed to look; the exchange decides.
        let mut state = self.state.load(Relaxed);
        loop {
            match self.try_write_lock_from(state) {
                Ok(()) => return true,
                Err(actual) if !is_write_lockable(actual) => return false,
                Err(actual) => state = actual,
            }
        }
    }

    /// Locks for writing if the word is `state` and that allows it, or returns the word.
    ///
    /// CPython: Python/lock.c:L481 _PyRWMutex_Lock
    #[inline]
    fn try_write_lock_from(&self, state: usize) -> Result<(), usize> {
        // L485-L487
        if !is_write_lockable(state) {
            return Err(state);
        }
        // L488-L493: bit 1 stays as it is.
        // Ordering: Acquire pairs with the Release of the writer or readers before this writer.
        self.state.compare_exchange_weak(state, state | WRITE_LOCKED, Acquire, Relaxed).map(|_| ())
    }

    /// Unlocks for writing, and wakes all threads that are parked. Does not block, but for the lock
    /// of a bucket of the parking lot.
    ///
    /// # Panics
    /// `lock was not write-locked`. Nothing has changed then.
    ///
    /// CPython: Python/lock.c:L502 _PyRWMutex_Unlock
    #[doc(alias = "_PyRWMutex_Unlock")]
    #[inline]
    #[track_caller]
    pub fn write_unlock(&self) {
        // L504-L511
        if self.try_write_unlock().is_err() {
            Native::fatal_error("RwMutex::write_unlock", "lock was not write-locked");
        }
    }

    /// [`write_unlock`](Self::write_unlock) for a caller that decides what a mistake leads to.
    ///
    /// # Errors
    /// [`NotLocked`] if no writer holds the lock. Nothing has changed then.
    ///
    /// CPython: Python/lock.c:L502 _PyRWMutex_Unlock
    #[inline]
    pub fn try_write_unlock(&self) -> Result<(), NotLocked> {
        // Another thread may lock, unlock and free the lock as soon as it is unlocked. From then on
        // its address is only a key.
        let key = self.key();
        let mut state = WRITE_LOCKED;
        loop {
            // Deviation D08: this looks before the word is changed, in every build. C asserts it
            // afterwards, in debug builds.
            // L506-L507
            if state & WRITE_LOCKED == 0 {
                return Err(NotLocked);
            }
            // L504: out of order: the look comes first. A woken thread that still has to wait sets
            // bit 1 again.
            // Ordering: Release pairs with the Acquire of the next lock.
            match self.state.compare_exchange_weak(state, 0, Release, Relaxed) {
                Ok(_) => break,
                Err(actual) => state = actual,
            }
        }
        // L509-L511
        if state & HAS_PARKED != 0 {
            unpark_all(key);
        }
        Ok(())
    }

    /// Whether any thread holds the lock. The answer may be out of date when it arrives.
    pub fn is_locked(&self) -> bool {
        // Ordering: Relaxed. Nothing may be concluded from an answer that is out of date.
        !is_write_lockable(self.state.load(Relaxed))
    }

    /// Whether a writer holds the lock. The answer may be out of date when it arrives.
    pub fn is_write_locked(&self) -> bool {
        // Ordering: Relaxed, as above.
        self.state.load(Relaxed) & WRITE_LOCKED != 0
    }

    /// Unlocks the lock in the child of a `fork`, whichever threads held it.
    ///
    /// # Safety
    /// - The calling thread is the only one in the process.
    /// - No guard of this lock is alive.
    pub unsafe fn after_fork(&self) {
        // Ordering: Relaxed. There is no other thread.
        self.state.store(0, Relaxed);
    }

    /// Waits for a moment, or parks, after a look that has found the lock taken, in `state`.
    /// Returns the word as it is then.
    ///
    /// CPython: Python/lock.c:L413 rwmutex_set_parked_and_wait
    fn wait<R: Runtime>(&self, state: usize, role: *mut (), spin: &mut Option<Spin>) -> usize {
        let spin = spin.get_or_insert_with(|| {
            let due = Deadline::after(Some(TIME_TO_BE_FAIR));
            Spin::new(self.key().addr(), due, Deadline::NEVER)
        });
        // Deviation D11: C's waiter does not spin.
        if FAITHFUL || spin.wait(state & HAS_PARKED != 0) == Next::Park {
            // L415-L425
            let status = announce_and_park::<R, _>(
                &*self.state,
                state,
                role,
                Deadline::NEVER,
                LockFlags::DETACH,
            );
            if status == ParkStatus::Ok {
                spin.on_wake();
            }
        }
        // L426: however the wait has ended, the word decides.
        // Ordering: Relaxed to look; the exchange decides.
        self.state.load(Relaxed)
    }

    /// Pauses after an exchange that has failed since another reader was quicker. Returns the word
    /// as it is then.
    fn back_off(&self, backoff: &mut Backoff) -> usize {
        backoff.pause();
        // Ordering: Relaxed to look; the exchange decides.
        self.state.load(Relaxed)
    }

    /// What threads park on.
    #[inline]
    fn key(&self) -> *const AtomicUsize {
        &raw const *self.state
    }
}

impl fmt::Debug for RwMutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.load(Relaxed);
        f.debug_struct("RwMutex")
            .field("writer", &(state & WRITE_LOCKED != 0))
            .field("readers", &reader_count(state))
            .finish()
    }
}
