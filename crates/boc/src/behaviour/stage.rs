//! How far a behaviour has come.

use pysync_platform::Backoff;
use pysync_platform::primitive::atomic::{
    AtomicU8,
    Ordering::{Acquire, Relaxed, Release},
};

/// It waits for its cowns, or to be run. A canceller and its executor may want it at the same time.
const PENDING: u8 = 0;
/// Its executor has it: the body and the output are that one's.
const TAKEN: u8 = 1;
/// A canceller has it.
const CANCELLED: u8 = 2;
/// The outcome has its result, and is about to be released.
const COMPLETE: u8 = 3;
/// The outcome has been released.
const DONE: u8 = 4;

/// How far a behaviour has come: pending, then taken or cancelled, then complete, then done.
pub(crate) struct Stage(AtomicU8);

impl Stage {
    pub(crate) fn new() -> Self {
        Self(AtomicU8::new(PENDING))
    }

    /// Claims the behaviour for its executor; false if it has been cancelled.
    #[inline]
    pub(crate) fn take(&self) -> bool {
        self.claim(TAKEN)
    }

    /// Claims the behaviour for a canceller; false if it is another's already.
    pub(crate) fn cancel(&self) -> bool {
        self.claim(CANCELLED)
    }

    #[inline]
    fn claim(&self, taker: u8) -> bool {
        // Ordering: Relaxed. The winner hands nothing to the loser; the body was published by the queues of
        // the scheduler, or with the handle of the outcome.
        self.0.compare_exchange(PENDING, taker, Relaxed, Relaxed).is_ok()
    }

    /// Calls `release`, which releases the outcome: its result is there.
    #[inline]
    pub(crate) fn complete(&self, release: impl FnOnce()) {
        // Ordering: Relaxed. A thread that has the outcome has this from the release.
        self.0.store(COMPLETE, Relaxed);
        release();
        // Ordering: Release pairs with the Acquire of `is_done`, whose caller is to find the outcome free.
        self.0.store(DONE, Release);
    }

    /// Whether the outcome has been released.
    pub(crate) fn is_done(&self) -> bool {
        let mut backoff = Backoff::new();
        loop {
            // Ordering: Acquire pairs with the Release in `complete`.
            match self.0.load(Acquire) {
                DONE => return true,
                // The caller may have the outcome already, or may be about to look whether it is free. So it
                // waits for the end of the release.
                COMPLETE => backoff.snooze(),
                _ => return false,
            }
        }
    }
}
