//! The handle to an object that is counted.

pub(crate) mod header;
mod inbox;
pub(crate) mod node;
pub(crate) mod references;

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::ops::Deref;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr::NonNull;

use crate::Spread;
use header::Header;

#[repr(C)]
struct Object<T> {
    /// First, so that a pointer to it is one to the object.
    header: Header,
    value: T,
}

/// A counted reference to an object that threads share, as [`Arc`](std::sync::Arc) is one, with cheaper
/// counts.
///
/// The thread that makes an object is its *owner*: it clones and drops handles without an atomic
/// read-modify-write. Other threads share a second count. When that would go below zero, only the owner knows
/// whether the handle was the last one, and so the dropper puts the object into the owner's *inbox*. The
/// owner empties its inbox in [`new`](Self::new), when it drops a handle to an object that is there, or the
/// last handle that it counts of any object, in [`collect`](Self::collect), when it goes [away](crate::away),
/// and when it ends. An owner that is away or has ended is not waited for: the dropper does its part.
///
/// For an object that many threads clone and drop at a time, see [`spread`](Self::spread).
///
/// # When and where the value is dropped
/// After the last handle, by its dropper or by the owner, which may do it later and at any of the moments
/// above. So the value is `Send + Sync + 'static`, and its destructor runs where its thread may hold locks:
/// one that takes a lock must not be run by a thread that holds that lock. An owner that runs on without any
/// of these calls, or blocks elsewhere without [`away`](crate::away), delays it for as long.
///
/// A destructor that panics does so in the call that ran it. The rest of the inbox is settled first.
///
/// # What it has not
/// There are no weak references, and `T` is sized. A cycle of handles is never dropped.
///
/// **Overflow**: too many handles to an object, 2³² of the owner or 2⁵⁸ of others, abort the process. With 32
/// bits it is 2²⁶.
///
/// **Signals**: a handler must neither clone nor drop a handle: it may have interrupted its thread between the
/// two steps of a count. A signal whose handler does not has no effect on counts.
///
/// **Fork**: the child has its own copy of all objects. See [`after_fork`](crate::after_fork).
///
/// ```
/// use pysync_reclaim::Shared;
///
/// let mut names = Shared::new(vec!["a"]);
/// let reader = std::thread::spawn({
///     let names = names.clone();
///     move || names.len()
/// });
/// assert_eq!(reader.join().unwrap(), 1);
/// // The reader's handle may be in the inbox of this thread; `get_mut` looks.
/// Shared::get_mut(&mut names).unwrap().push("b");
/// ```
pub struct Shared<T> {
    object: NonNull<Object<T>>,
    /// The last handle drops the value.
    value: PhantomData<T>,
}

// SAFETY: a handle gives shared access to the value, and its drop may drop the value.
unsafe impl<T: Send + Sync> Send for Shared<T> {}
// SAFETY: as above; a clone of the handle may be sent.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

// As of `Arc`: what a handle gives access to is shared.
impl<T: RefUnwindSafe> UnwindSafe for Shared<T> {}
impl<T: RefUnwindSafe> RefUnwindSafe for Shared<T> {}

impl<T: Send + Sync + 'static> Shared<T> {
    /// An object with one handle. The calling thread is its owner; a thread that is [away](crate::away), or
    /// runs the destructors of its thread locals, owns nothing, and then all threads count as `Arc` does.
    ///
    /// Empties the inbox of the calling thread, and so may run destructors, whose panics it passes on.
    ///
    /// The value may be dropped by a thread that has never had a handle, and after the last handle. That is
    /// why it must be `Send + Sync + 'static`, even if its handles stay on one thread:
    ///
    /// ```compile_fail
    /// // The value of a thread-bound handle might be dropped by another thread.
    /// _ = pysync_reclaim::Shared::new(std::rc::Rc::new(0));
    /// ```
    #[inline]
    pub fn new(value: T) -> Self {
        node::empty_inbox();
        let object = Box::new(Object { header: Header::new(free::<T>), value });
        Self { object: NonNull::from(Box::leak(object)), value: PhantomData }
    }

    /// Spreads the object: from now on, and until the last [base](Spread) is dropped, each thread counts its
    /// clones and drops in memory of its own, and disturbs no other. `this` may be dropped or kept; it is not
    /// the base.
    ///
    /// An owner that runs elsewhere has to take part: until it empties its inbox the object stays as it is.
    /// At most 512 objects are spread at a time; one more stays as it is too, which changes no result. A
    /// thread's first clone or drop of one allocates 1 KiB.
    ///
    /// The object is freed without stopping a thread: see [`Spread`] for what the end costs.
    pub fn spread(this: &Self) -> Spread<T> {
        Spread::new(this.clone())
    }
}

impl<T> Shared<T> {
    /// The value, if this is the only handle: `None` while there are others, in the inbox of an owner that
    /// runs elsewhere too.
    ///
    /// Empties the inbox of the calling thread, and so may run destructors of other objects.
    pub fn get_mut(this: &mut Self) -> Option<&mut T> {
        // SAFETY: this handle. Alone, it gives access to the value that no other one has.
        unsafe { references::is_unique(this.header()).then(|| &mut (*this.object.as_ptr()).value) }
    }

    /// The value itself, if this is the only handle.
    ///
    /// Of two threads that try at a time, none may succeed.
    ///
    /// # Errors
    /// The handle, if there are others.
    pub fn try_unwrap(this: Self) -> Result<T, Self> {
        // SAFETY: this handle.
        if !unsafe { references::is_unique(this.header()) } {
            return Err(this);
        }
        // SAFETY: as above.
        unsafe { references::ask_for_merge(this.header()) };
        // SAFETY: as above.
        let header = unsafe { Header::of(this.header()) };
        // Merged, it has all counts in one place but those of its rows, and no owner.
        if let Some(slot) = header.slot() {
            slot.forget(header);
        }
        let object = this.object.as_ptr();
        std::mem::forget(this);
        // SAFETY: the only handle, which has been forgotten, to an object that came from a box.
        Ok(unsafe { Box::from_raw(object) }.value)
    }

    /// Whether two handles are of the same object.
    #[inline]
    pub fn ptr_eq(this: &Self, other: &Self) -> bool {
        this.object == other.object
    }

    /// Where the value lies. It stays there for as long as there is a handle.
    #[inline]
    pub fn as_ptr(this: &Self) -> *const T {
        // SAFETY: there is a handle.
        unsafe { &raw const (*this.object.as_ptr()).value }
    }

    #[inline(always)]
    pub(crate) fn header(&self) -> NonNull<Header> {
        self.object.cast()
    }
}

impl Shared<()> {
    /// Empties the inbox of the calling thread: drops the objects that it owns and whose last handle another
    /// thread has dropped. Helps objects to their end that [drain](Spread). For a thread that goes on for
    /// long without making an object. Does nothing if the thread is [away](crate::away).
    ///
    /// Does not block but for the locks of objects that drain. Runs destructors, whose panics it passes on.
    ///
    /// ```
    /// pysync_reclaim::Shared::collect();
    /// ```
    pub fn collect() {
        node::empty_inbox();
        crate::spread::test_all();
    }
}

/// # Safety
/// The header of an object of `T`, to which there is no reference any more.
unsafe fn free<T>(header: NonNull<Header>) {
    let object = header.cast::<Object<T>>();
    #[cfg(not(any(pysync_loom, pysync_shuttle)))]
    // SAFETY: from the box of `new`, and the last reference is gone.
    drop(unsafe { Box::from_raw(object.as_ptr()) });
    // A model keeps the memory, to see who uses it.
    #[cfg(any(pysync_loom, pysync_shuttle))]
    // SAFETY: as above.
    unsafe {
        std::ptr::drop_in_place(&raw mut (*object.as_ptr()).value);
    }
}

impl<T> Clone for Shared<T> {
    /// Another handle. Never blocks.
    #[inline]
    fn clone(&self) -> Self {
        // SAFETY: this handle.
        unsafe { references::retain(self.header()) };
        Self { object: self.object, value: PhantomData }
    }
}

impl<T> Drop for Shared<T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: this handle, which is gone after this.
        unsafe { references::release(self.header()) };
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: there is a handle, and while it is borrowed no `get_mut`.
        unsafe { &(*self.object.as_ptr()).value }
    }
}

impl<T> AsRef<T> for Shared<T> {
    fn as_ref(&self) -> &T {
        self
    }
}

impl<T> std::borrow::Borrow<T> for Shared<T> {
    fn borrow(&self) -> &T {
        self
    }
}

impl<T: Send + Sync + 'static> From<T> for Shared<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: Send + Sync + Default + 'static> Default for Shared<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: PartialEq> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq> Eq for Shared<T> {}

impl<T: PartialOrd> PartialOrd for Shared<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (**self).partial_cmp(&**other)
    }
}

impl<T: Ord> Ord for Shared<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl<T: Hash> Hash for Shared<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Display> fmt::Display for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
