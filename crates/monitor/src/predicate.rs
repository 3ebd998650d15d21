//! What a thread waits for a value to be.

use std::fmt;
use std::ptr;

/// What a thread waits for a value to be: a closure `Fn(&T) -> bool`, or a reference to a [`Condition`]. For
/// [`wait_until_in`](crate::Inside::wait_until_in).
///
/// It is evaluated by the thread that waits, before that waits, and then by each thread that leaves the monitor, while
/// that is still inside. So it must be quick, must not block, and must not enter a monitor. If it panics there, the
/// panic goes on in the thread that waits.
pub trait Predicate<T: ?Sized>: Sync + private::Sealed<T> {}

/// A condition over a value, with a name: one that several threads wait for.
///
/// A thread that leaves a monitor evaluates the closures of all that wait there, but a condition once, however many wait
/// for it. (It remembers the last four that it has found false.) Reports give its name.
///
/// ```
/// # #[cfg(not(any(pysync_loom, pysync_shuttle)))] {
/// use pysync_monitor::{Condition, Monitor};
///
/// static NOT_EMPTY: Condition<Vec<u32>> = Condition::new("not empty", |jobs| !jobs.is_empty());
///
/// let jobs = Monitor::new(vec![7]);
/// let job = jobs.enter(|jobs| jobs.wait_for(&NOT_EMPTY).map(|mut jobs| jobs.pop()));
/// assert_eq!(job.unwrap().unwrap(), Some(7));
/// # }
/// ```
pub struct Condition<T: ?Sized> {
    name: &'static str,
    is_true: fn(&T) -> bool,
}

impl<T: ?Sized> Condition<T> {
    /// A condition that is true of a value if `is_true` says so.
    pub const fn new(name: &'static str, is_true: fn(&T) -> bool) -> Self {
        Self { name, is_true }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

impl<T: ?Sized> fmt::Debug for Condition<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condition").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<T: ?Sized, F: Fn(&T) -> bool + Sync> Predicate<T> for F {}
impl<T: ?Sized> Predicate<T> for &Condition<T> {}

pub(crate) mod private {
    use super::{Condition, ptr};

    pub trait Sealed<T: ?Sized> {
        fn is_true(&self, value: &T) -> bool;

        /// Its name in reports.
        fn name(&self) -> Option<&'static str>;

        /// What tells one that several threads wait for from all others, or null.
        fn shared(&self) -> *const ();
    }

    impl<T: ?Sized, F: Fn(&T) -> bool + Sync> Sealed<T> for F {
        #[inline]
        fn is_true(&self, value: &T) -> bool {
            self(value)
        }

        fn name(&self) -> Option<&'static str> {
            None
        }

        fn shared(&self) -> *const () {
            ptr::null()
        }
    }

    impl<T: ?Sized> Sealed<T> for &Condition<T> {
        #[inline]
        fn is_true(&self, value: &T) -> bool {
            (self.is_true)(value)
        }

        fn name(&self) -> Option<&'static str> {
            Some(self.name)
        }

        fn shared(&self) -> *const () {
            ptr::from_ref(*self).cast()
        }
    }
}
