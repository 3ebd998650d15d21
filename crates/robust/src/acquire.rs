//! To acquire, to wait, and to release.
//!
//! 1. An acquirer looks whether the state is clean, tries to lock the inner mutex, and looks again.
//! 2. If it is another's, the waiter watches the word for a moment, then sets [`WAITERS`] in it, as
//!    the waiters of the C library do, and sleeps while the word stays so.
//! 3. The C library's unlock clears the word, and wakes one thread if the bit was set. So does the
//!    kernel when an owner dies. The wakes of both are for the same word, so a waiter sleeps through
//!    neither.
//! 4. A waiter that has slept and then locks sets the bit again, since others may sleep. One that has
//!    slept and gives up wakes another in its place.
//! 5. A waiter that is killed between its wake and step 4 takes the wake with it. So no sleep is
//!    unbounded: it lasts a quarter of the time that the waiter has waited, 1 ms at least and 250 ms
//!    at most. That is the whole argument for liveness. It needs no thread to be alive but the waiter.

use std::mem;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

use pysync_platform::spin::spin_until;
use pysync_platform::{Deadline, LockFlags, Runtime, detached, monotonic_now};

use crate::block::Block;
use crate::inner::{Awake, Inner, OWNER, TryLock, WAITERS};
use crate::layout::{Phase, Word};
use crate::{Error, Kind, Ownership, Timeout};

/// The shortest sleep.
const SHORTEST: u64 = 1_000_000;
/// The longest sleep.
const LONGEST: u64 = 250_000_000;
/// The longest sleep of a waiter that runs pending calls, since a signal may have come to another
/// thread, or just before the sleep.
const LONGEST_WITH_SIGNALS: u64 = 32_000_000;

/// For how long a waiter yields before its sleeps. With more threads than processors its yields give their
/// time to the others, and it would wait for long between them.
const PATIENCE: Duration = Duration::from_millis(1);

/// How an attempt has ended.
enum Attempt {
    Ended(Result<Ownership, Error>),
    /// Another thread holds the mutex.
    Busy,
}

/// Wakes another waiter in place of this one, if a pending call panics.
struct PassOn<'a>(&'a Inner);

impl Drop for PassOn<'_> {
    fn drop(&mut self) {
        self.0.wake(1);
    }
}

impl Block {
    /// Acquires the mutex.
    #[inline]
    pub(crate) fn acquire<R: Runtime>(
        &self,
        timeout: Timeout,
        flags: LockFlags,
    ) -> Result<Ownership, Error> {
        // Ordering: Acquire, with the Release of the initialiser: the inner mutex is made.
        if !Word(self.state.load(Acquire)).is_clean() {
            return self.acquire_slowly::<R>(self.attempt(), timeout, flags);
        }
        let locked = self.inner.try_lock();
        // Ordering: Relaxed; only a thread that has locked the inner mutex stores to the state.
        if locked == TryLock::Locked && Word(self.state.load(Relaxed)).is_clean() {
            return Ok(Ownership::Clean);
        }
        self.acquire_slowly::<R>(self.judge(locked), timeout, flags)
    }

    #[cold]
    fn acquire_slowly<R: Runtime>(
        &self,
        attempt: Attempt,
        timeout: Timeout,
        flags: LockFlags,
    ) -> Result<Ownership, Error> {
        match attempt {
            Attempt::Ended(result) => result,
            Attempt::Busy if timeout == Timeout::Try => Err(Error::Busy),
            Attempt::Busy => self.wait::<R>(timeout.deadline(), flags),
        }
    }

    /// One attempt to acquire it.
    #[inline(never)]
    fn attempt(&self) -> Attempt {
        // Ordering: Acquire, as in `acquire`.
        match Word(self.state.load(Acquire)).phase() {
            Phase::Ready => self.judge(self.inner.try_lock()),
            phase => Attempt::Ended(Err(phase.error())),
        }
    }

    /// What it means that an attempt to lock the inner mutex has ended so.
    #[inline(never)]
    fn judge(&self, locked: TryLock) -> Attempt {
        Attempt::Ended(match locked {
            TryLock::Locked => self.look_again(),
            TryLock::OwnerDied => {
                self.note_death();
                self.look_again()
            }
            TryLock::Mine => self.acquire_again(),
            TryLock::Others => return Attempt::Busy,
            TryLock::TooMany => Err(Error::TooManyHeld),
            TryLock::Refused(errno) => Err(Error::Os(errno)),
        })
    }

    /// The inner mutex is locked. The state may have changed before it was.
    fn look_again(&self) -> Result<Ownership, Error> {
        // Ordering: Relaxed, as in `acquire`.
        let word = Word(self.state.load(Relaxed));
        match word.phase() {
            Phase::Ready if word.is_inconsistent() => Ok(Ownership::OwnerDied),
            Phase::Ready => Ok(Ownership::Clean),
            phase => {
                self.inner.unlock();
                Err(phase.error())
            }
        }
    }

    /// The caller holds the mutex already.
    fn acquire_again(&self) -> Result<Ownership, Error> {
        // Ordering: Relaxed, as all of the owner's; it holds the lock that orders them.
        let word = Word(self.state.load(Relaxed));
        if word.phase() != Phase::Ready {
            return Err(word.phase().error());
        }
        if word.kind() == Kind::Plain {
            return Err(Error::Deadlock);
        }
        let depth = self.depth.load(Relaxed).checked_add(1).ok_or(Error::DepthOverflow)?;
        self.depth.store(depth, Relaxed);
        Ok(if word.is_inconsistent() { Ownership::OwnerDied } else { Ownership::Clean })
    }

    #[cold]
    fn wait<R: Runtime>(&self, deadline: Deadline, flags: LockFlags) -> Result<Ownership, Error> {
        let began = monotonic_now();
        let heeds_signals = flags.contains(LockFlags::HANDLE_SIGNALS);
        let longest = if heeds_signals { LONGEST_WITH_SIGNALS } else { LONGEST };
        let patience = Deadline::at(began, Some(PATIENCE)).min(deadline);
        let detach = flags.contains(LockFlags::DETACH);
        let mut has_slept = false;
        let ended = loop {
            let is_free = || self.inner.word().load(Relaxed) & OWNER == 0;
            // Detached too: the holder may have to attach before it can unlock.
            let is_free = detached::<R, _>(detach && !patience.has_passed(), || {
                spin_until(patience, is_free)
            });
            let announced = if is_free { None } else { self.announce() };
            if let Some(word) = announced {
                let now = monotonic_now();
                let length = ((now - began) / 4).clamp(SHORTEST, longest);
                let slice = Deadline::at(now, Some(Duration::from_nanos(length))).min(deadline);
                let awake = detached::<R, _>(detach, || self.inner.sleep(word, slice, deadline));
                has_slept = true;
                let pass_on = PassOn(&self.inner);
                let ends = match awake {
                    Awake::Interrupted => flags.on_interrupt::<R>().is_some(),
                    _ => heeds_signals && R::make_pending_calls().is_err(),
                };
                mem::forget(pass_on);
                if ends {
                    break Err(Error::Interrupted);
                }
                if slice == deadline && (awake == Awake::TimedOut || deadline.has_passed()) {
                    break match self.attempt() {
                        Attempt::Ended(result) => result,
                        Attempt::Busy => Err(Error::TimedOut),
                    };
                }
            }
            if let Attempt::Ended(result) = self.attempt() {
                break result;
            }
        };
        if has_slept {
            match ended {
                // Ordering: Relaxed; it is the owner's own word, and unlocking reads it.
                Ok(_) => drop(self.inner.word().fetch_or(WAITERS, Relaxed)),
                Err(_) => self.inner.wake(1),
            }
        }
        ended
    }

    /// Says in the word that threads sleep on it, and returns the word as it is then; `None` if the
    /// mutex is free.
    fn announce(&self) -> Option<u32> {
        let seen = self.inner.word().load(Relaxed);
        if seen & OWNER == 0 {
            return None;
        }
        if seen & WAITERS != 0 {
            return Some(seen);
        }
        // Ordering: Relaxed; the kernel compares the word again before the thread sleeps, and what the
        // mutex guards is ordered by locking it.
        let set = self.inner.word().compare_exchange(seen, seen | WAITERS, Relaxed, Relaxed);
        set.is_ok().then_some(seen | WAITERS)
    }

    /// Releases the mutex once. An owner that has not repaired what a death has left
    /// makes it not recoverable.
    #[inline]
    pub(crate) fn release(&self) -> Result<(), Error> {
        // Ordering: Acquire, as in `acquire`, for a thread that is not the owner and has never looked: the
        // inner mutex that it is about to try is made.
        let word = Word(self.state.load(Acquire));
        if word.is_clean() && self.depth.load(Relaxed) == 0 {
            return self.unlock();
        }
        self.release_otherwise(word)
    }

    #[inline]
    fn unlock(&self) -> Result<(), Error> {
        // The last access to the block: once it is unlocked it may be gone.
        if self.inner.unlock() { Ok(()) } else { Err(Error::NotOwner) }
    }

    /// How often the owner has acquired the mutex beyond the first time.
    #[inline]
    pub(crate) fn depth(&self) -> u32 {
        // Ordering: Relaxed; the owner's own, and no other thread's business.
        self.depth.load(Relaxed)
    }

    /// The owner takes an acquisition back, as if it had not been: the death of an owner is still to be
    /// repaired.
    pub(crate) fn put_back(&self) -> Result<(), Error> {
        self.owned()?;
        let depth = self.depth.load(Relaxed);
        if depth == 0 {
            return self.unlock();
        }
        self.depth.store(depth - 1, Relaxed);
        Ok(())
    }

    #[cold]
    fn release_otherwise(&self, word: Word) -> Result<(), Error> {
        match word.phase() {
            Phase::Ready | Phase::Lost => {}
            phase => return Err(phase.error()),
        }
        if word.is_inconsistent() {
            return self.give_up();
        }
        let depth = self.depth.load(Relaxed);
        if depth == 0 {
            return self.unlock();
        }
        if !self.inner.is_mine() {
            return Err(Error::NotOwner);
        }
        self.depth.store(depth - 1, Relaxed);
        Ok(())
    }

    /// The owner says that the data is repaired.
    pub(crate) fn make_consistent(&self) -> Result<(), Error> {
        let word = self.owned()?;
        if word.phase() != Phase::Ready {
            return Err(word.phase().error());
        }
        self.state.store(word.consistent().0, Relaxed);
        Ok(())
    }

    /// The owner says that the data cannot be repaired, and releases the mutex once.
    pub(crate) fn give_up(&self) -> Result<(), Error> {
        let word = self.owned()?;
        // First the state: if the owner dies after that, the next one sees it.
        // Ordering: Release, with the load in `read`.
        self.state.store(word.lost().0, Release);
        let depth = self.depth.load(Relaxed);
        if depth > 0 {
            self.depth.store(depth - 1, Relaxed);
            return Ok(());
        }
        self.unlock()?;
        // All waiters get the same answer.
        self.inner.wake(u32::MAX);
        Ok(())
    }

    /// The state, if the caller holds the mutex.
    fn owned(&self) -> Result<Word, Error> {
        // Ordering: Acquire, as in `acquire`.
        let word = Word(self.state.load(Acquire));
        match word.phase() {
            Phase::Ready | Phase::Lost if self.inner.is_mine() => {
                // Ordering: Relaxed; it is the owner's.
                Ok(Word(self.state.load(Relaxed)))
            }
            Phase::Ready | Phase::Lost => Err(Error::NotOwner),
            phase => Err(phase.error()),
        }
    }
}
