//! The handle of a cown, and where its value lies.

use std::any::TypeId;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::mem::{MaybeUninit, needs_drop};
use std::ptr::NonNull;

use pysync_platform::primitive::UnsafeCell;

use super::header::{Header, Vtable};
use super::held::Held;
use super::word::Word;
use crate::Lane;
use crate::scheduler::lane;

/// A head with the value behind it.
#[repr(C)]
pub(crate) struct Value<T> {
    pub(crate) header: Header,
    /// There is none once it has been disowned, and in an outcome until there is one.
    value: UnsafeCell<MaybeUninit<T>>,
}

impl<T> Value<T> {
    pub(crate) fn new(
        vtable: &'static Vtable,
        word: Word,
        handles: u32,
        value: MaybeUninit<T>,
    ) -> Self {
        Self { header: Header::new(vtable, word, handles), value: UnsafeCell::new(value) }
    }

    /// Where the value is.
    ///
    /// # Safety
    /// The head is that of a cown of this type. The caller holds it as a writer, or is its last handle.
    pub(crate) unsafe fn get_mut(header: NonNull<Header>) -> *mut T {
        // SAFETY: by contract.
        unsafe { header.cast::<Self>().as_ref().value.with_mut(<*mut MaybeUninit<T>>::cast) }
    }

    /// The same for a reader.
    ///
    /// # Safety
    /// The head is that of a cown of this type, and the caller holds it.
    pub(crate) unsafe fn get(header: NonNull<Header>) -> *const T {
        // SAFETY: by contract.
        unsafe { header.cast::<Self>().as_ref().value.with(<*const MaybeUninit<T>>::cast) }
    }
}

/// A cown in an allocation of its own.
#[repr(C)]
pub(crate) struct Place<T> {
    value: Value<T>,
}

/// The same, if it belongs to a lane.
#[repr(C)]
struct PlaceOnLane<T> {
    value: Value<T>,
    lane: Reference,
}

/// A reference to the inside of a lane, which keeps that.
struct Reference(NonNull<lane::Shared>);

impl Drop for Reference {
    fn drop(&mut self) {
        // SAFETY: this one.
        unsafe { lane::Shared::release(self.0) };
    }
}

impl<T: 'static> Place<T> {
    const VTABLE: Vtable = Vtable {
        type_id: TypeId::of::<T>,
        free: Self::free,
        needs_drop: needs_drop::<T>(),
        lane: None,
        outcome: None,
    };

    unsafe fn free(header: NonNull<Header>) {
        // SAFETY: made by `Box::into_raw`, and the last handle is gone.
        let place = unsafe { Box::from_raw(header.cast::<Self>().as_ptr()) };
        drop_value(&place.value);
    }
}

impl<T: 'static> PlaceOnLane<T> {
    const VTABLE: Vtable = Vtable {
        type_id: TypeId::of::<T>,
        free: Self::free,
        needs_drop: needs_drop::<T>(),
        lane: Some(Self::lane),
        outcome: None,
    };

    unsafe fn free(header: NonNull<Header>) {
        // SAFETY: as in `Place`.
        let place = unsafe { Box::from_raw(header.cast::<Self>().as_ptr()) };
        drop_value(&place.value);
    }

    unsafe fn lane(header: NonNull<Header>) -> *const lane::Shared {
        // SAFETY: a handle keeps the cown.
        unsafe { header.cast::<Self>().as_ref() }.lane.0.as_ptr()
    }
}

/// Drops the value of a cown whose last handle is gone. The memory is freed also if that panics.
pub(crate) fn drop_value<T>(value: &Value<T>) {
    if !value.header.word.is_disowned() {
        // SAFETY: the last handle's, and it is there.
        value.value.with_mut(|value| unsafe { (*value).assume_init_drop() });
    }
}

/// A handle of a value that behaviours take in turn: a *concurrent owner*.
///
/// The value can be reached only by a behaviour that has the cown ([`when`](crate::when)), or by a thread
/// that has acquired it. They get it one after the other, in the order in which they asked; readers
/// ([`read`](crate::read)) that follow each other get it together.
///
/// A handle is a pointer, and its clones are handles of the same cown. Handles are equal if they are of the
/// same cown, and are ordered and hashed by its address. The last handle drops the value, on whatever thread
/// that is; a behaviour that waits for the cown has a handle too.
///
/// ```
/// use pysync_boc::{Cown, when};
///
/// let account = Cown::new(100);
/// let outcome = when(&account, |balance| {
///     *balance -= 30;
///     *balance
/// });
/// assert_eq!(outcome.wait(None).unwrap().unwrap(), 70);
/// ```
pub struct Cown<T> {
    header: NonNull<Header>,
    /// A handle writes to the value of all handles. So a cown of a longer lifetime is none of a shorter one.
    value: PhantomData<*mut T>,
}

/// A value that lives as long as the program must not be replaced by one that does not:
///
/// ```compile_fail
/// fn shorten<'a>(cown: pysync_boc::Cown<&'static str>) -> pysync_boc::Cown<&'a str> {
///     cown
/// }
/// ```
#[cfg(doctest)]
struct IsInvariant;

// SAFETY: the value is handed from thread to thread by those that hold the cown. Only readers share it,
// and `read` asks for `Sync`.
unsafe impl<T: Send> Send for Cown<T> {}
// SAFETY: as above; a shared handle can be cloned.
unsafe impl<T: Send> Sync for Cown<T> {}

impl<T: Send + 'static> Cown<T> {
    /// A cown that is free. Allocates.
    pub fn new(value: T) -> Self {
        Self::with_word(value, Word::new())
    }

    /// A cown that the caller holds: what is asked of it from now on waits until the caller lets go. So it
    /// can be used as a promise.
    ///
    /// ```
    /// use pysync_boc::{Cown, when};
    ///
    /// let (answer, mut promise) = Cown::held(None);
    /// let later = when(&answer, |answer| answer.unwrap() + 1);
    /// *promise = Some(41);
    /// drop(promise);
    /// assert_eq!(later.wait(None).unwrap().unwrap(), 42);
    /// ```
    pub fn held(value: T) -> (Self, Held<T>) {
        let cown = Self::with_word(value, Word::held());
        let held = Held::new(cown.clone());
        (cown, held)
    }

    /// A cown whose behaviours run on a lane, that is, on the thread that pumps it.
    pub fn on(lane: &Lane, value: T) -> Self {
        let value = Value::new(&PlaceOnLane::<T>::VTABLE, Word::new(), 1, MaybeUninit::new(value));
        // SAFETY: the lane is borrowed.
        unsafe { lane::Shared::retain(lane.shared()) };
        let place = Box::new(PlaceOnLane { value, lane: Reference(lane.shared()) });
        // SAFETY: a box is not null, and this is the one handle.
        unsafe { Self::from_raw(NonNull::new_unchecked(Box::into_raw(place)).cast()) }
    }

    fn with_word(value: T, word: Word) -> Self {
        let value = Value::new(&Place::<T>::VTABLE, word, 1, MaybeUninit::new(value));
        let place = Box::new(Place { value });
        // SAFETY: a box is not null, and this is the one handle.
        unsafe { Self::from_raw(NonNull::new_unchecked(Box::into_raw(place)).cast()) }
    }
}

impl<T> Cown<T> {
    /// # Safety
    /// The head is that of a cown of this type, and the caller gives a handle.
    pub(crate) unsafe fn from_raw(header: NonNull<Header>) -> Self {
        Self { header, value: PhantomData }
    }

    pub(crate) fn header(&self) -> NonNull<Header> {
        self.header
    }

    /// The handle without its count.
    pub(crate) fn into_raw(self) -> NonNull<Header> {
        let header = self.header;
        std::mem::forget(self);
        header
    }

    /// One handle more, for the caller.
    pub(crate) fn share(&self) -> NonNull<Header> {
        // SAFETY: the handle keeps it.
        unsafe { self.header.as_ref() }.share();
        self.header
    }

    /// Whether a behaviour or a thread has the cown, or waits for it. By the time the caller looks at the
    /// answer that may have changed.
    pub fn is_held(&self) -> bool {
        // SAFETY: the handle keeps it.
        unsafe { self.header.as_ref() }.word.is_held()
    }

    pub(crate) fn try_hold(&self) -> bool {
        // SAFETY: the handle keeps it.
        unsafe { self.header.as_ref() }.word.try_admit()
    }
}

impl<T> Clone for Cown<T> {
    fn clone(&self) -> Self {
        // SAFETY: of the same cown, and one handle more.
        unsafe { Self::from_raw(self.share()) }
    }
}

impl<T> Drop for Cown<T> {
    fn drop(&mut self) {
        // SAFETY: this handle.
        unsafe { Header::give_up(self.header) };
    }
}

impl<T> PartialEq for Cown<T> {
    fn eq(&self, other: &Self) -> bool {
        self.header == other.header
    }
}

impl<T> Eq for Cown<T> {}

impl<T> PartialOrd for Cown<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Cown<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.header.cmp(&other.header)
    }
}

impl<T> Hash for Cown<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.header.hash(state);
    }
}

impl<T> fmt::Debug for Cown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addr = self.header.as_ptr();
        f.debug_struct("Cown").field("addr", &addr).field("is_held", &self.is_held()).finish()
    }
}
