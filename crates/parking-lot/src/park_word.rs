use pysync_platform::primitive::atomic;
use pysync_platform::primitive::atomic::Ordering;

mod sealed {
    pub trait Sealed {}
}

/// A word that threads can park on: an atomic of 1, 2, 4 or 8 bytes.
///
/// Sealed; the atomics are std's, or the model checker's under `cfg(pysync_loom)` and `cfg(pysync_shuttle)`.
///
/// CPython: Python/parking_lot.c:L295 atomic_memcmp
#[doc(alias = "atomic_memcmp")]
pub trait ParkWord: sealed::Sealed {
    /// What the word holds.
    type Value: Copy + Eq;

    #[doc(hidden)]
    fn holds(&self, expected: Self::Value) -> bool;
}

/// CPython: Python/parking_lot.c:L295 atomic_memcmp
macro_rules! park_word {
    ($($atomic:ident: $value:ty),*) => {$(
        impl sealed::Sealed for atomic::$atomic {}

        impl ParkWord for atomic::$atomic {
            type Value = $value;

            #[inline]
            fn holds(&self, expected: $value) -> bool {
                // L297-L302: the type says which size it is, so there is no other to rule out.
                // Ordering: Relaxed, where C is SeqCst. Called under the bucket lock, which
                // orders it with every unpark of the address: an unpark that found no waiter came
                // before us, and so did the store that it announces.
                self.load(Ordering::Relaxed) == expected
            }
        }
    )*};
}

park_word! { AtomicU8: u8, AtomicU16: u16, AtomicU32: u32, AtomicUsize: usize }
#[cfg(target_has_atomic = "64")]
park_word! { AtomicU64: u64 }
