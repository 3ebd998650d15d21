//! What lies on cache lines of its own.

use std::ops::Deref;

/// A value whose writers disturb no reader of its neighbours: processors fetch lines of 64 bytes in pairs.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct Padded<T>(pub(crate) T);

impl<T> Deref for Padded<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        &self.0
    }
}
