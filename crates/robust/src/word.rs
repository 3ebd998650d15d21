//! The words of a block. In a model each access is a step at which the thread may die.

use pysync_platform::primitive::atomic::{AtomicU32, Ordering};

#[cfg(target_has_atomic = "64")]
use pysync_platform::primitive::atomic::AtomicU64;

use crate::death;

macro_rules! word {
    ($(#[$meta:meta])* $name:ident, $atomic:ty, $value:ty) => {
        $(#[$meta])*
        #[repr(transparent)]
        #[derive(Default)]
        pub(crate) struct $name($atomic);

        #[allow(dead_code)] // Not each width has each operation in each build.
        impl $name {
            #[inline(always)]
            pub(crate) fn load(&self, order: Ordering) -> $value {
                death::may_come();
                self.0.load(order)
            }

            #[inline(always)]
            pub(crate) fn store(&self, value: $value, order: Ordering) {
                death::may_come();
                self.0.store(value, order);
            }

            #[inline(always)]
            pub(crate) fn fetch_and(&self, bits: $value, order: Ordering) -> $value {
                death::may_come();
                self.0.fetch_and(bits, order)
            }

            #[inline(always)]
            pub(crate) fn swap(&self, value: $value, order: Ordering) -> $value {
                death::may_come();
                self.0.swap(value, order)
            }

            #[inline(always)]
            pub(crate) fn fetch_or(&self, bits: $value, order: Ordering) -> $value {
                death::may_come();
                self.0.fetch_or(bits, order)
            }

            #[inline(always)]
            pub(crate) fn compare_exchange(
                &self,
                from: $value,
                to: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                death::may_come();
                self.0.compare_exchange(from, to, success, failure)
            }

            /// The atomic itself, for the kernel.
            #[inline(always)]
            pub(crate) fn atomic(&self) -> &$atomic {
                &self.0
            }
        }
    };
}

word!(
    /// A word of 32 bits.
    Word32, AtomicU32, u32
);
#[cfg(target_has_atomic = "64")]
word!(
    /// A word of 64 bits.
    Word64, AtomicU64, u64
);

/// Stands in where there are no such atomics, and so no robust mutex either.
#[cfg(not(target_has_atomic = "64"))]
#[derive(Default)]
pub(crate) struct Word64([AtomicU32; 2]);

#[cfg(not(target_has_atomic = "64"))]
impl Word64 {
    pub(crate) fn load(&self, order: Ordering) -> u64 {
        self.0[0].load(order).into()
    }

    pub(crate) fn store(&self, value: u64, order: Ordering) {
        self.0[0].store(value as u32, order);
    }

    pub(crate) fn compare_exchange(
        &self,
        from: u64,
        to: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        let result = self.0[0].compare_exchange(from as u32, to as u32, success, failure);
        result.map(u64::from).map_err(u64::from)
    }
}
