//! The mutex of models and of Miri: one word that behaves as a robust mutex's does. The model plays
//! the kernel, which marks the word of an owner that dies.

#[cfg(not(any(pysync_loom, pysync_shuttle)))]
use std as checker;

#[cfg(any(pysync_loom, pysync_shuttle))]
use pysync_platform::primitive::checker;

#[cfg(any(pysync_loom, pysync_shuttle))]
use std::{cell::Cell, collections::VecDeque};

#[cfg(not(any(pysync_loom, pysync_shuttle)))]
use checker::sync::Condvar;
use checker::sync::Mutex;
use pysync_platform::primitive::UnsafeCell;
use pysync_platform::primitive::atomic::Ordering::{Acquire, Relaxed, Release};
#[cfg(any(pysync_loom, pysync_shuttle))]
use pysync_platform::primitive::thread::{self, Thread};
use pysync_platform::{Deadline, Native, Runtime};

use super::{Awake, OWNER, OWNER_DIED, TryLock, WAITERS};
use crate::word::Word32;
use crate::{Error, death};

/// There is no library.
pub(crate) const LIBRARY: [usize; 4] = [0; 4];

#[derive(Default)]
#[repr(C, align(8))]
pub(crate) struct Inner {
    word: Word32,
    bed: Bed,
    /// Written by an initialiser and read by all others, so that a checker sees them race.
    made: UnsafeCell<()>,
}

// SAFETY: that `made` is not written and read at a time is what the checkers are to see.
unsafe impl Sync for Inner {}

/// What threads sleep on.
#[cfg(not(any(pysync_loom, pysync_shuttle)))]
#[derive(Default)]
struct Bed {
    lock: Mutex<()>,
    woken: Condvar,
}

/// The threads that sleep, in the order in which they are woken.
#[cfg(any(pysync_loom, pysync_shuttle))]
type Bed = Mutex<VecDeque<(u32, Thread)>>;

#[cfg(any(pysync_loom, pysync_shuttle))]
pysync_platform::primitive::thread_local! {
    /// The calling thread has unlocked and is about to wake another.
    static UNLOCKING: Cell<bool> = Cell::new(false)
}

#[cfg(any(pysync_loom, pysync_shuttle))]
fn set_unlocking(is: bool) {
    UNLOCKING.with(|unlocking| unlocking.set(is));
}

#[cfg(not(any(pysync_loom, pysync_shuttle)))]
fn set_unlocking(_: bool) {}

/// The calling thread's id.
fn me() -> u32 {
    Native::thread_ident() as u32 & OWNER
}

impl Inner {
    /// Makes it an unlocked mutex.
    ///
    /// # Safety
    /// No thread uses it, and no thread holds what it was before.
    pub(crate) unsafe fn initialize(&self) -> Result<(), Error> {
        self.made.with_mut(|_| ());
        self.word.store(0, Relaxed);
        Ok(())
    }

    /// Locks it if it is free. As both libraries, this forgets that threads sleep on the word.
    pub(crate) fn try_lock(&self) -> TryLock {
        self.made.with(|_| ());
        let seen = self.word.load(Relaxed);
        if seen & OWNER == me() {
            return TryLock::Mine;
        }
        if seen & OWNER != 0 {
            return TryLock::Others;
        }
        let died = seen & OWNER_DIED;
        match self.word.compare_exchange(seen, me() | died, Acquire, Relaxed) {
            Ok(_) if died != 0 => TryLock::OwnerDied,
            Ok(_) => TryLock::Locked,
            Err(_) => TryLock::Others,
        }
    }

    /// Unlocks it; false if the caller is not the owner. Wakes one of the threads that sleep on it.
    pub(crate) fn unlock(&self) -> bool {
        self.made.with(|_| ());
        if !self.is_mine() {
            return false;
        }
        let word = self.word.swap(0, Release);
        assert_eq!(word & OWNER_DIED, 0, "unlocked before it was made consistent");
        if word & WAITERS != 0 {
            set_unlocking(true);
            death::may_come();
            self.wake(1);
            set_unlocking(false);
        }
        true
    }

    /// The owner says that the death of the one before is dealt with.
    pub(crate) fn make_consistent(&self) {
        self.word.fetch_and(!OWNER_DIED, Relaxed);
    }

    /// Whether the calling thread is the owner.
    pub(crate) fn is_mine(&self) -> bool {
        self.word.load(Relaxed) & OWNER == me()
    }

    /// What threads sleep on.
    pub(crate) fn word(&self) -> &Word32 {
        &self.word
    }

    /// What the kernel does when the calling thread dies.
    #[cfg(any(pysync_loom, pysync_shuttle))]
    pub(crate) fn owner_dies(&self) {
        let mut seen = self.word.load(Relaxed);
        while seen & OWNER == me() {
            match self.word.compare_exchange(seen, seen & WAITERS | OWNER_DIED, Release, Relaxed) {
                Ok(_) if seen & WAITERS != 0 => return self.wake(1),
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
        // It has died between its unlock and its wake. The libraries tell the kernel which mutex they
        // are about to unlock, and it wakes a thread if the word is zero.
        if UNLOCKING.with(Cell::get) && seen == 0 {
            self.wake(1);
        }
    }

    /// Sleeps while the word is `word`, but for `slice` at most, which never ends after `deadline`.
    #[cfg(not(any(pysync_loom, pysync_shuttle)))]
    pub(crate) fn sleep(&self, word: u32, slice: Deadline, _deadline: Deadline) -> Awake {
        let guard = self.bed.lock.lock().expect("nothing panics with it");
        if self.word.load(Relaxed) != word {
            return Awake::Woken;
        }
        let nanos = slice.as_nanos().saturating_sub(pysync_platform::monotonic_now());
        let slice = std::time::Duration::from_nanos(nanos);
        let (_guard, timeout) =
            self.bed.woken.wait_timeout(guard, slice).expect("nothing panics with it");
        if timeout.timed_out() { Awake::TimedOut } else { Awake::Woken }
    }

    /// Sleeps while the word is `word`. In a model a slice has no end, so that a lost wake shows as
    /// a deadlock; a sleep with a deadline may end at any time; and if the model
    /// [bounds](crate::model::begin) its sleeps, so may each. One that ends so may have been woken
    /// before.
    #[cfg(any(pysync_loom, pysync_shuttle))]
    pub(crate) fn sleep(&self, word: u32, _slice: Deadline, deadline: Deadline) -> Awake {
        let mut bed = self.bed.lock().unwrap();
        // The kernel's look, and no step of the thread.
        if self.word.atomic().load(Relaxed) != word {
            return Awake::Woken;
        }
        bed.push_back((me(), thread::current()));
        drop(bed);
        let ends = crate::model::sleep_ends(!deadline.is_never());
        loop {
            if ends.is_none() {
                thread::park();
            }
            let mut bed = self.bed.lock().unwrap();
            match (bed.iter().position(|sleeper| sleeper.0 == me()), ends) {
                (None, _) => return Awake::Woken,
                (Some(place), Some(awake)) => {
                    bed.remove(place);
                    return awake;
                }
                (Some(_), None) => {}
            }
        }
    }

    /// Wakes up to `most` of the threads that sleep on the word.
    #[cfg(not(any(pysync_loom, pysync_shuttle)))]
    pub(crate) fn wake(&self, most: u32) {
        let _guard = self.bed.lock.lock().expect("nothing panics with it");
        if most == 1 {
            self.bed.woken.notify_one();
        } else {
            self.bed.woken.notify_all();
        }
    }

    /// Wakes up to `most` of the threads that sleep on the word.
    #[cfg(any(pysync_loom, pysync_shuttle))]
    pub(crate) fn wake(&self, most: u32) {
        let mut bed = self.bed.lock().unwrap();
        let count = bed.len().min(most as usize);
        bed.drain(..count).for_each(|(_, sleeper)| sleeper.unpark());
    }
}

/// A model needs no support. Miri plays the systems that have it.
pub(crate) fn supported() -> Result<(), Error> {
    if cfg!(any(pysync_loom, pysync_shuttle)) {
        return Err(Error::Unsupported("a model's mutex is not in a buffer"));
    }
    if cfg!(all(miri, target_os = "linux", target_pointer_width = "64")) {
        return Ok(());
    }
    let why = if cfg!(target_pointer_width = "32") {
        "a 32-bit C library finds a mutex by its address and not by its place in the memory"
    } else if cfg!(target_os = "linux") {
        "the C library is neither glibc nor musl"
    } else if cfg!(target_os = "android") {
        "Android's C library has no robust mutex"
    } else if cfg!(target_vendor = "apple") {
        "Apple's systems have no robust mutex"
    } else if cfg!(target_os = "freebsd") {
        "FreeBSD's robust mutexes cannot be in memory that each process maps by itself"
    } else if cfg!(windows) {
        "Windows waits on an address only within a process, and its mutexes that can be abandoned are \
         not in memory"
    } else {
        "the system has no robust mutex, or it was never tried there"
    };
    Err(Error::Unsupported(why))
}
