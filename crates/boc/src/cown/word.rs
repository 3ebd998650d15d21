//! The state word of a cown: who holds it, and the lock of its queue.

use std::ptr;

use pysync_parking_lot::{park, unpark_all};
use pysync_platform::Backoff;
use pysync_platform::primitive::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};
use pysync_platform::spin::FAITHFUL;

/// How a request wants a cown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Alone.
    Write,
    /// Together with other readers.
    Read,
}

/// A thread changes the queue.
const LOCKED: u32 = 1;
/// Threads are parked until it has, or about to be.
const PARKED: u32 = 2;
/// A writer holds the cown.
const WRITER: u32 = 4;
/// Requests are queued. The first of them cannot be admitted yet.
const QUEUED: u32 = 8;
/// There is no value any more.
const DISOWNED: u32 = 16;
/// One reader that holds the cown. The bits from here on are their number.
const READER: u32 = 32;

/// How often a thread looks before it parks. The lock is held for some ten nanoseconds, unless its holder
/// has lost its processor.
const LOOKS: u32 = if FAITHFUL { 0 } else { 12 };

/// What a word says besides the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State(u32);

impl State {
    /// The state once a request has been admitted, unless it has to wait: a request never passes those
    /// that are queued.
    #[inline]
    pub(crate) fn admit(self, mode: Mode) -> Option<Self> {
        match mode {
            Mode::Write if self.0 & !DISOWNED == 0 => Some(Self(self.0 | WRITER)),
            Mode::Read if self.0 & (WRITER | QUEUED) == 0 => {
                let more = self.0.checked_add(READER);
                // Each of them is a behaviour of a hundred bytes.
                Some(Self(more.unwrap_or_else(|| pysync_platform::abort("2^27 readers of a cown"))))
            }
            _ => None,
        }
    }

    /// The state once one that holds the cown has left it.
    #[inline]
    pub(crate) fn leave(self, mode: Mode) -> Self {
        match mode {
            Mode::Write => Self(self.0 & !WRITER),
            Mode::Read => Self(self.0 - READER),
        }
    }

    #[inline]
    pub(crate) fn queued(self) -> Self {
        Self(self.0 | QUEUED)
    }

    #[inline]
    pub(crate) fn without_queue(self) -> Self {
        Self(self.0 & !QUEUED)
    }

    /// A request that is queued may be admitted now.
    #[inline]
    fn is_served(self) -> bool {
        self.0 & QUEUED != 0 && self.0 & !(QUEUED | DISOWNED) == 0
    }
}

/// | bits | say | changed by |
/// |---|---|---|
/// | 0 | locked: a thread changes the queue | that thread |
/// | 1 | threads are parked until it has | each that parks; the unlock |
/// | 2 | a writer holds the cown | its admission and its release |
/// | 3 | requests are queued | a thread that has the lock |
/// | 4 | there is no value any more | the writer that has dropped it, with the lock |
/// | 5 to 31 | how many readers hold the cown | their admissions and releases |
///
/// A request that need not wait is admitted by one exchange, and one behind which no other waits is
/// released by one. Both leave a locked word alone, so that all that a thread finds under the lock stays.
pub(crate) struct Word(AtomicU32);

impl Word {
    #[inline]
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// The word of a cown that a writer holds.
    #[inline]
    pub(crate) fn held() -> Self {
        Self(AtomicU32::new(WRITER))
    }

    /// Admits a writer by one exchange, unless it has to wait or the word is locked.
    #[inline]
    pub(crate) fn try_admit(&self) -> bool {
        let mut seen = 0;
        while let Some(admitted) = State(seen).admit(Mode::Write) {
            // Ordering: Acquire pairs with the Release of every release before it.
            match self.0.compare_exchange_weak(seen, admitted.0, Acquire, Relaxed) {
                Ok(_) => return true,
                Err(actual) => seen = actual,
            }
        }
        false
    }

    /// Admits a request by one exchange; `None` then. If it has to wait, [locks](Self::lock) the queue.
    #[inline]
    pub(crate) fn admit_or_lock(&self, mode: Mode) -> Option<State> {
        // The first exchange is a guess: to look before it would fetch the line twice.
        let mut seen = 0;
        loop {
            if seen & LOCKED != 0 {
                return Some(self.lock());
            }
            let admitted = State(seen).admit(mode);
            let new = admitted.map_or(seen | LOCKED, |state| state.0);
            // Ordering: Acquire pairs with the Release of every release before it, or of the unlock.
            match self.0.compare_exchange_weak(seen, new, Acquire, Relaxed) {
                Ok(_) if admitted.is_some() => return None,
                Ok(_) => return Some(State(seen)),
                Err(actual) => seen = actual,
            }
        }
    }

    /// Releases by one exchange; `None` then. If a queued request is to be admitted by that,
    /// [locks](Self::lock) the queue, and leaves the release to the caller.
    #[inline]
    pub(crate) fn leave_or_lock(&self, mode: Mode) -> Option<State> {
        // A guess, as above.
        let mut seen = match mode {
            Mode::Write => WRITER,
            Mode::Read => READER,
        };
        loop {
            if seen & LOCKED != 0 {
                return Some(self.lock());
            }
            let left = State(seen).leave(mode);
            let exchanged = if left.is_served() {
                // Ordering: Acquire, as in `lock`.
                self.0.compare_exchange_weak(seen, seen | LOCKED, Acquire, Relaxed)
            } else {
                // Ordering: Release pairs with the Acquire of the next admission, or of the next lock.
                self.0.compare_exchange_weak(seen, left.0, Release, Relaxed)
            };
            match exchanged {
                Ok(_) => return left.is_served().then_some(State(seen)),
                Err(actual) => seen = actual,
            }
        }
    }

    /// Locks the queue. Blocks while another thread has it locked, through signals and without detaching:
    /// that thread waits for nothing but the locks of cowns at higher addresses.
    #[inline]
    pub(crate) fn lock(&self) -> State {
        // Ordering: Relaxed, a hint; the exchange decides.
        let seen = self.0.load(Relaxed);
        if seen & LOCKED == 0 {
            // Ordering: Acquire pairs with the Release of the unlock before, and with those of
            // `leave_or_lock`, each of which is part of the word's release sequence.
            if self.0.compare_exchange(seen, seen | LOCKED, Acquire, Relaxed).is_ok() {
                return State(seen);
            }
        }
        self.lock_slow()
    }

    #[cold]
    fn lock_slow(&self) -> State {
        let mut backoff = Backoff::new();
        let mut looks = 0;
        // Ordering: Relaxed, as above.
        let mut seen = self.0.load(Relaxed);
        loop {
            if seen & LOCKED == 0 {
                // Ordering: Acquire, as above.
                match self.0.compare_exchange_weak(seen, seen | LOCKED, Acquire, Relaxed) {
                    Ok(_) => return State(seen),
                    Err(actual) => seen = actual,
                }
                continue;
            }
            if looks != LOOKS {
                looks += 1;
                backoff.snooze();
                // Ordering: Relaxed, as above.
                seen = self.0.load(Relaxed);
                continue;
            }
            if seen & PARKED == 0 {
                // Ordering: Relaxed. It publishes nothing, and the bucket lock orders the park.
                if let Err(actual) =
                    self.0.compare_exchange_weak(seen, seen | PARKED, Relaxed, Relaxed)
                {
                    seen = actual;
                    continue;
                }
                seen |= PARKED;
            }
            // It returns at once unless the word is still as seen.
            park(&self.0, seen, None, ptr::null_mut(), false);
            // Ordering: Relaxed, as above.
            seen = self.0.load(Relaxed);
        }
    }

    /// The state of a word that the caller has locked.
    #[inline]
    pub(crate) fn locked_state(&self) -> State {
        // Ordering: Relaxed. None but the caller changes what is left of it.
        State(self.0.load(Relaxed) & !(LOCKED | PARKED))
    }

    /// Unlocks the queue, with what has become of the cown. From here on it may be gone.
    #[inline]
    pub(crate) fn unlock(&self, state: State) {
        let key = &raw const self.0;
        // Ordering: Release pairs with the Acquire of the next lock or admission.
        if self.0.swap(state.0, Release) & PARKED != 0 {
            // Each looks again, and parks again if another was quicker. There are few: the lock is short.
            unpark_all(key);
        }
    }

    /// Says that there is no value any more. The caller holds the cown as a writer.
    pub(crate) fn disown(&self) {
        // Ordering: Relaxed. It is published by the caller's release of the cown.
        if self.0.compare_exchange(WRITER, WRITER | DISOWNED, Relaxed, Relaxed).is_err() {
            // Under the lock, since an unlock writes the whole state, as it was found.
            let state = self.lock();
            self.unlock(State(state.0 | DISOWNED));
        }
    }

    /// Whether there is a value, for one that holds the cown or is its last handle.
    #[inline]
    pub(crate) fn is_disowned(&self) -> bool {
        // Ordering: Relaxed. The admission has ordered it, or the last handle's load.
        self.0.load(Relaxed) & DISOWNED != 0
    }

    /// Whether one holds the cown or waits for it: a hint.
    #[inline]
    pub(crate) fn is_held(&self) -> bool {
        // Ordering: Acquire pairs with the Release of the release that is seen.
        self.0.load(Acquire) & !DISOWNED != 0
    }
}
