//! How a waiter announces itself in the word of its lock, and parks on it. The mutex, the rwmutex,
//! the event and the once flag do it in the same way; what a waiter does before and after is their
//! own.

use pysync_parking_lot::{ParkWord, park_in};
use pysync_platform::primitive::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};
use pysync_platform::{Deadline, LockFlags, ParkStatus, Runtime};

use crate::bits::HAS_PARKED;

/// A word whose bit 1 says that threads are parked on it, or about to be.
pub(crate) trait WaitWord: ParkWord {
    /// `state` with bit 1 set.
    fn announced(state: Self::Value) -> Self::Value;

    /// Sets bit 1 of a word that is `seen`; false if the word is another by now.
    fn announce(&self, seen: Self::Value) -> bool;
}

macro_rules! wait_word {
    ($($atomic:ty: $value:ty;)*) => {$(
        impl WaitWord for $atomic {
            fn announced(state: $value) -> $value {
                state | <$value>::from(HAS_PARKED)
            }

            fn announce(&self, seen: $value) -> bool {
                // Ordering: Relaxed. It publishes nothing, and the bucket lock orders the park.
                self.compare_exchange(seen, Self::announced(seen), Relaxed, Relaxed).is_ok()
            }
        }
    )*};
}

wait_word! {
    AtomicU8: u8;
    AtomicUsize: usize;
}

/// Announces the calling thread as a waiter in a word that it has `seen`, and parks it.
///
/// - The announcement makes sure that the unlocker looks for the waiter. Where bit 1 is set
///   already, an earlier waiter has made it.
/// - If the word changes before the thread is queued, there is no wait, and this returns
///   [`ParkStatus::Again`].
/// - `park_arg` is for the waker: see [`park`](pysync_parking_lot::park). Of `flags`, only `DETACH`
///   counts here.
///
/// However the wait ends, the caller looks at its word again.
///
/// CPython: Python/lock.c:L413 rwmutex_set_parked_and_wait
#[doc(alias = "rwmutex_set_parked_and_wait")]
pub(crate) fn announce_and_park<R: Runtime, W: WaitWord>(
    word: &W,
    seen: W::Value,
    park_arg: *mut (),
    deadline: Deadline,
    flags: LockFlags,
) -> ParkStatus {
    let announced = W::announced(seen);
    // L416-L423: the first to park sets the bit.
    if seen != announced && !word.announce(seen) {
        return ParkStatus::Again;
    }
    // L425
    park_in::<R, W>(word, announced, deadline, park_arg, flags.contains(LockFlags::DETACH))
}
