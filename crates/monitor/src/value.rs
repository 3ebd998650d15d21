//! The place of a value in its monitor.

use std::cell::UnsafeCell;

#[cfg(pysync_loom)]
use pysync_platform::primitive::StaticCell;

/// A value to which one thread at a time gets. A model sees each access.
pub(crate) struct Value<T: ?Sized> {
    /// Is accessed as the value is.
    #[cfg(pysync_loom)]
    shadow: StaticCell<()>,
    value: UnsafeCell<T>,
}

impl<T> Value<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self {
            #[cfg(pysync_loom)]
            shadow: StaticCell::new(()),
            value: UnsafeCell::new(value),
        }
    }

    pub(crate) fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Value<T> {
    /// For the thread that is inside.
    #[inline]
    pub(crate) fn get(&self) -> *mut T {
        #[cfg(pysync_loom)]
        self.shadow.with_mut(|_| ());
        self.value.get()
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}
