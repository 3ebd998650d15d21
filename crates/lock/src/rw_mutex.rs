use std::fmt;
use std::ptr;

use pysync_parking_lot::{park_in, unpark_all, unpark_all_with_args};
use pysync_platform::primitive::atomic::{AtomicUsize, Ordering};
use pysync_platform::primitive::const_fn;
use pysync_platform::{
    Backoff, Deadline, FAITHFUL, Native, ParkStatus, Runtime, Spin, monotonic_now,
};

/// A writer holds the lock.
///
/// CPython: Python/lock.c:L408 _Py_WRITE_LOCKED
const WRITE_LOCKED: usize = 1;
/// Threads are parked on the word, or about to be.
const HAS_PARKED: usize = crate::bits::HAS_PARKED as usize;
/// CPython: Python/lock.c:L409 _PyRWMutex_READER_SHIFT
const READER_SHIFT: u32 = 2;
const ONE_READER: usize = 1 << READER_SHIFT;
/// CPython: Python/lock.c:L410 _Py_RWMUTEX_MAX_READERS
const MAX_READERS: usize = usize::MAX >> READER_SHIFT;

/// What a thread does about a locked word before it parks.
type Wait = Spin<FAITHFUL>;

/// What a thread parks with, for the last reader to tell who waits.
const READER: *mut () = ptr::null_mut();
const WRITER: *mut () = ptr::without_provenance_mut(1);

/// A readers-writer lock of one word that prefers writers.
///
/// | bits | state |
/// |---|---|
/// | `0…0 00` | unlocked |
/// | `n…n 00` | n readers |
/// | `n…n 10` | n readers, a writer waits; new readers wait behind it |
/// | `0…0 10` | unlocked, a writer has been woken to take it |
/// | `0…0 01` | a writer |
/// | `0…0 11` | a writer, others wait |
///
/// As soon as a writer sleeps, new readers do too, so that readers cannot starve it; writers can
/// starve readers, and one another. Before they sleep both spin for some microseconds. Waits have
/// no timeout: a writer that gave up would leave the readers behind it waiting for nobody. Not
/// reentrant in any combination: a reader that locks again behind a waiting writer never returns.
///
/// Usable in a `static`; zeroed memory is an unlocked lock. It guards no data of its own: see
/// [`guarded::RwLock`](crate::guarded::RwLock).
///
/// **Fork**: the child inherits the lock as it stood, without the threads that waited. If one
/// that no longer exists held it, or was on its way to take it, [`after_fork`](Self::after_fork)
/// resets it.
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
#[repr(transparent)]
pub struct RwMutex {
    // L193: all of its state.
    bits: AtomicUsize,
}

impl RwMutex {
    const_fn! {
        /// An unlocked lock.
        pub const fn new() -> Self {
            Self { bits: AtomicUsize::new(0) }
        }
    }

    /// Locks for reading, blocking while a writer holds the lock or waits for it, through
    /// signals and detached while it sleeps.
    ///
    /// # Panics
    /// `too many readers`, a quarter of `usize::MAX`, and nothing has changed.
    ///
    /// CPython: Python/lock.c:L437 _PyRWMutex_RLock
    #[doc(alias = "_PyRWMutex_RLock")]
    #[inline]
    pub fn read_lock(&self) {
        self.read_lock_in::<Native>();
    }

    /// [`read_lock`](Self::read_lock) in another runtime.
    ///
    /// CPython: Python/lock.c:L437 _PyRWMutex_RLock
    #[inline]
    pub fn read_lock_in<R: Runtime>(&self) {
        // L439: what to start from.
        // Ordering: Relaxed, a hint; the exchange decides.
        let bits = self.bits.load(Ordering::Relaxed);
        if let Err(actual) = self.try_read_lock_from::<R>(bits) {
            self.read_lock_slow::<R>(actual);
        }
    }

    /// CPython: Python/lock.c:L437 _PyRWMutex_RLock
    #[cold]
    fn read_lock_slow<R: Runtime>(&self, mut bits: usize) {
        let (mut spin, mut backoff) = (None, Backoff::new());
        // L440-L464: until it is ours.
        loop {
            // L441-L453: a writer holds the lock or waits for it; wait behind it.
            bits = if bits & (WRITE_LOCKED | HAS_PARKED) != 0 {
                self.wait::<R>(bits, READER, &mut spin)
            } else {
                self.stand_back(&mut backoff)
            };
            match self.try_read_lock_from::<R>(bits) {
                Ok(()) => return,
                Err(actual) => bits = actual,
            }
        }
    }

    /// Locks for reading if no writer holds the lock or waits for it; says whether it did. Never
    /// blocks.
    ///
    /// # Panics
    /// As [`read_lock`](Self::read_lock).
    #[inline]
    pub fn try_read_lock(&self) -> bool {
        // Ordering: Relaxed, a hint; the exchange decides.
        let mut bits = self.bits.load(Ordering::Relaxed);
        loop {
            match self.try_read_lock_from::<Native>(bits) {
                Ok(()) => return true,
                Err(actual) if actual & (WRITE_LOCKED | HAS_PARKED) != 0 => return false,
                Err(actual) => bits = actual,
            }
        }
    }

    /// One step towards a read lock: done, or what the word is instead.
    ///
    /// CPython: Python/lock.c:L437 _PyRWMutex_RLock
    #[inline]
    fn try_read_lock_from<R: Runtime>(&self, bits: usize) -> Result<(), usize> {
        if bits & (WRITE_LOCKED | HAS_PARKED) != 0 {
            return Err(bits);
        }
        // L455-L457: unlocked, or others read.
        if reader_count(bits) >= MAX_READERS {
            R::fatal_error("RwMutex::read_lock", "too many readers");
        }
        // L458-L462: one more.
        // Ordering: Acquire pairs with the Release of the writer before us.
        self.bits
            .compare_exchange(bits, bits + ONE_READER, Ordering::Acquire, Ordering::Relaxed)
            .map(|_| ())
    }

    /// Unlocks for reading; the last reader wakes those who wait.
    ///
    /// # Panics
    /// `lock was not read-locked`, and nothing has changed.
    ///
    /// CPython: Python/lock.c:L468 _PyRWMutex_RUnlock
    #[doc(alias = "_PyRWMutex_RUnlock")]
    #[inline]
    #[track_caller]
    pub fn read_unlock(&self) {
        self.read_unlock_in::<Native>();
    }

    /// [`read_unlock`](Self::read_unlock) in another runtime, which decides what misuse leads to.
    ///
    /// CPython: Python/lock.c:L468 _PyRWMutex_RUnlock
    #[inline]
    #[track_caller]
    pub fn read_unlock_in<R: Runtime>(&self) {
        // L470: what to start from.
        // Ordering: Relaxed, a hint; the exchange decides.
        let bits = self.bits.load(Ordering::Relaxed);
        if let Err(actual) = self.try_read_unlock_from(bits) {
            self.read_unlock_slow::<R>(actual);
        }
    }

    /// CPython: Python/lock.c:L468 _PyRWMutex_RUnlock
    #[cold]
    #[track_caller]
    fn read_unlock_slow<R: Runtime>(&self, mut bits: usize) {
        let mut backoff = Backoff::new();
        loop {
            // Deviation D08: in every build, and before the word is touched; an assert after the
            // fact would leave it corrupted.
            // L471: somebody reads.
            if reader_count(bits) == 0 {
                R::fatal_error("RwMutex::read_unlock", "lock was not read-locked");
            }
            // L474-L477: the last reader, and somebody waits.
            if bits == ONE_READER | HAS_PARKED && self.last_reader_leaves(bits) {
                return;
            }
            bits = self.stand_back(&mut backoff);
            match self.try_read_unlock_from(bits) {
                Ok(()) => return,
                Err(actual) => bits = actual,
            }
        }
    }

    /// One step out of a read lock, for a reader that is not the last with others waiting.
    ///
    /// CPython: Python/lock.c:L468 _PyRWMutex_RUnlock
    #[inline]
    fn try_read_unlock_from(&self, bits: usize) -> Result<(), usize> {
        if reader_count(bits) == 0 || bits == ONE_READER | HAS_PARKED {
            return Err(bits);
        }
        // L472: one reader less, once it is known which.
        // Ordering: Release pairs with the Acquire of the writer that follows the readers.
        self.bits
            .compare_exchange(bits, bits - ONE_READER, Ordering::Release, Ordering::Relaxed)
            .map(|_| ())
    }

    /// The end of the last read lock while others wait, who are woken; false if the word was not
    /// `bits` any more.
    ///
    /// CPython: Python/lock.c:L468 _PyRWMutex_RUnlock
    #[cold]
    fn last_reader_leaves(&self, bits: usize) -> bool {
        // Deviation D06: the last reader leaves under the bucket lock, and only a writer that it
        // wakes is on its way. C subtracts first and wakes second, and where no writer is there to
        // be woken, as in the child of a fork, the word keeps everybody waiting for one. A writer
        // that is about to park finds the word changed and tries again.
        // No one else changes the word: whoever waits has parked or is about to, whoever comes
        // waits, and only a writer clears the bit. So the exchange fails only for a reader too
        // many, and the next turn says so.
        let mut released = false;
        unpark_all_with_args(&raw const self.bits, |mut woken| {
            let left = if woken.any(|who| who == WRITER) { HAS_PARKED } else { 0 };
            // Ordering: Release pairs with the Acquire of the next lock.
            released = self
                .bits
                .compare_exchange(bits, left, Ordering::Release, Ordering::Relaxed)
                .is_ok();
        });
        released
    }

    /// Locks for writing, blocking while anybody else holds the lock, through signals and
    /// detached while it sleeps.
    ///
    /// CPython: Python/lock.c:L481 _PyRWMutex_Lock
    #[doc(alias = "_PyRWMutex_Lock")]
    #[inline]
    pub fn write_lock(&self) {
        self.write_lock_in::<Native>();
    }

    /// [`write_lock`](Self::write_lock) in another runtime.
    ///
    /// CPython: Python/lock.c:L481 _PyRWMutex_Lock
    #[inline]
    pub fn write_lock_in<R: Runtime>(&self) {
        // L483: what to start from. A guess: a wrong one costs no more than a look would.
        if let Err(actual) = self.try_write_lock_from(0) {
            self.write_lock_slow::<R>(actual);
        }
    }

    /// CPython: Python/lock.c:L481 _PyRWMutex_Lock
    #[cold]
    fn write_lock_slow<R: Runtime>(&self, mut bits: usize) {
        let mut spin = None;
        // L484: until it is ours.
        while let Err(actual) = self.try_write_lock_from(bits) {
            bits = actual;
            // L496-L497: readers or a writer hold it.
            if bits & !HAS_PARKED != 0 {
                bits = self.wait::<R>(bits, WRITER, &mut spin);
            }
        }
    }

    /// Locks for writing if nobody holds the lock; says whether it did. Never blocks.
    #[inline]
    pub fn try_write_lock(&self) -> bool {
        // Ordering: Relaxed, a hint; the exchange decides.
        let mut bits = self.bits.load(Ordering::Relaxed);
        loop {
            match self.try_write_lock_from(bits) {
                Ok(()) => return true,
                Err(actual) if actual & !HAS_PARKED != 0 => return false,
                Err(actual) => bits = actual,
            }
        }
    }

    /// One step towards the write lock: done, or what the word is instead.
    ///
    /// CPython: Python/lock.c:L481 _PyRWMutex_Lock
    #[inline]
    fn try_write_lock_from(&self, bits: usize) -> Result<(), usize> {
        // L485-L487: neither readers nor a writer; threads that are parked may stay so.
        if bits & !HAS_PARKED != 0 {
            return Err(bits);
        }
        // L488-L493: the bit of parked threads stays as it is.
        // Ordering: Acquire pairs with the Release of the writer or the readers before us.
        self.bits
            .compare_exchange_weak(bits, bits | WRITE_LOCKED, Ordering::Acquire, Ordering::Relaxed)
            .map(|_| ())
    }

    /// Unlocks for writing and wakes all who wait.
    ///
    /// # Panics
    /// `lock was not write-locked`, and nothing has changed.
    ///
    /// CPython: Python/lock.c:L502 _PyRWMutex_Unlock
    #[doc(alias = "_PyRWMutex_Unlock")]
    #[inline]
    #[track_caller]
    pub fn write_unlock(&self) {
        self.write_unlock_in::<Native>();
    }

    /// [`write_unlock`](Self::write_unlock) in another runtime, which decides what misuse leads
    /// to.
    ///
    /// CPython: Python/lock.c:L502 _PyRWMutex_Unlock
    #[inline]
    #[track_caller]
    pub fn write_unlock_in<R: Runtime>(&self) {
        let key = &raw const self.bits;
        let mut bits = WRITE_LOCKED;
        loop {
            // Deviation D08: as above.
            // L506-L507: a writer is in, and so no reader.
            if bits & WRITE_LOCKED == 0 {
                R::fatal_error("RwMutex::write_unlock", "lock was not write-locked");
            }
            // L504: out of order: after the check. Whoever waits finds an unlocked word and
            // announces itself anew if it must.
            // Ordering: Release pairs with the Acquire of the next lock.
            match self.bits.compare_exchange_weak(bits, 0, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => break,
                Err(actual) => bits = actual,
            }
        }
        // L509-L511: the lock may be gone by now, its address is only a key.
        if bits & HAS_PARKED != 0 {
            unpark_all(key);
        }
    }

    /// Whether anybody holds the lock; stale as soon as it returns.
    pub fn is_locked(&self) -> bool {
        // Ordering: Relaxed, nothing may be concluded from the answer.
        self.bits.load(Ordering::Relaxed) & !HAS_PARKED != 0
    }

    /// Whether a writer holds the lock; stale as soon as it returns.
    pub fn is_write_locked(&self) -> bool {
        // Ordering: Relaxed, as above.
        self.bits.load(Ordering::Relaxed) & WRITE_LOCKED != 0
    }

    /// Unlocks the lock in the child of a `fork`, whoever held it.
    ///
    /// # Safety
    /// The calling thread is the only one in the process, and no guard of this lock is alive.
    pub unsafe fn after_fork(&self) {
        // Ordering: Relaxed, there is nobody to order with.
        self.bits.store(0, Ordering::Relaxed);
    }

    /// Waits for the word to change, spinning first as a mutex does; returns it.
    fn wait<R: Runtime>(&self, bits: usize, who: *mut (), spin: &mut Option<Wait>) -> usize {
        match spin {
            // Deviation D11: C goes to sleep at once.
            _ if FAITHFUL => return self.set_parked_and_wait::<R>(bits, who, None),
            None => {
                let lock = (&raw const self.bits).addr();
                *spin = Some(Spin::new(lock, monotonic_now(), Deadline::NEVER));
            }
            Some(spin) if spin.is_worthwhile(bits & HAS_PARKED != 0) => while !spin.step() {},
            Some(spin) => return self.set_parked_and_wait::<R>(bits, who, Some(spin)),
        }
        // Ordering: Relaxed, a hint; the exchange decides.
        self.bits.load(Ordering::Relaxed)
    }

    /// After an exchange that failed since other readers were quicker: gives them time to go on;
    /// returns the word as it is then.
    fn stand_back(&self, backoff: &mut Backoff) -> usize {
        backoff.stand_back();
        // Ordering: Relaxed, a hint; the exchange decides.
        self.bits.load(Ordering::Relaxed)
    }

    /// Announces a waiter and parks it; returns the word as it is afterwards.
    ///
    /// CPython: Python/lock.c:L413 rwmutex_set_parked_and_wait
    #[doc(alias = "rwmutex_set_parked_and_wait")]
    #[cold]
    fn set_parked_and_wait<R: Runtime>(
        &self,
        bits: usize,
        who: *mut (),
        spin: Option<&mut Wait>,
    ) -> usize {
        // L415-L423: the first to park announces it.
        if bits & HAS_PARKED == 0 {
            // Ordering: Relaxed; it publishes nothing, and the bucket lock orders the park.
            if let Err(actual) = self.bits.compare_exchange(
                bits,
                bits | HAS_PARKED,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                return actual;
            }
        }
        // L425: however the wait ends, look again.
        let expected = bits | HAS_PARKED;
        let status = park_in::<R, _>(&self.bits, expected, Deadline::NEVER, who, true);
        if let (ParkStatus::Ok, Some(spin)) = (status, spin) {
            spin.woken();
        }
        // L426: whoever woke us has changed the word.
        // Ordering: Relaxed, a hint again.
        self.bits.load(Ordering::Relaxed)
    }
}

/// CPython: Python/lock.c:L431 rwmutex_reader_count
fn reader_count(bits: usize) -> usize {
    // L433: above the two bits.
    bits >> READER_SHIFT
}

impl Default for RwMutex {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RwMutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.bits.load(Ordering::Relaxed);
        f.debug_struct("RwMutex")
            .field("writer", &(bits & WRITE_LOCKED != 0))
            .field("readers", &reader_count(bits))
            .finish()
    }
}
