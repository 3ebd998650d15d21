//! Objects that many threads clone and drop: each thread has a count of its own.

mod barrier;
mod rows;
mod slots;

use std::fmt;
use std::ops::Deref;
use std::ptr::NonNull;

use crate::Shared;
use crate::shared::header::{Header, MERGED};
use crate::shared::references;

pub(crate) use rows::Rows;
pub(crate) use slots::{SlotId, after_fork, row, row_or_new, test_all};

/// The base of an object that is spread: a handle, for as long as which each thread counts the object's other
/// handles in memory of its own. From [`Shared::spread`].
///
/// A base is counted as a handle: while there is one, the object is not dropped. With the last base the
/// object
/// *drains*: its handles remain good, but are counted in one place again, as `Arc`'s are, and each drop looks
/// whether that was the last, which costs more than `Arc`'s with each thread that has ever been. So keep a
/// base for as long as the object is in demand. An object that drains may be spread again.
///
/// **Fork**: as for [`Shared`].
///
/// ```
/// use pysync_reclaim::{Shared, Spread};
///
/// let table: Spread<Vec<u32>> = Shared::spread(&Shared::new(vec![1, 2, 3]));
/// std::thread::scope(|s| {
///     for _ in 0..4 {
///         s.spawn(|| {
///             let mine = Spread::share(&table);
///             assert_eq!(mine.len(), 3);
///         });
///     }
/// });
/// ```
#[must_use = "the object is spread for as long as this handle lives"]
pub struct Spread<T: Send + Sync + 'static> {
    shared: Shared<T>,
    /// None if there was no slot left.
    slot: Option<SlotId>,
}

impl<T: Send + Sync + 'static> Spread<T> {
    pub(crate) fn new(shared: Shared<T>) -> Self {
        // SAFETY: the handle that goes into the base.
        let slot = unsafe { begin(shared.header()) };
        Self { shared, slot }
    }

    /// Another handle. That of [`Shared::clone`].
    #[inline]
    pub fn share(this: &Self) -> Shared<T> {
        this.shared.clone()
    }
}

/// The object has another base; its slot, if it has got one.
///
/// # Safety
/// The caller has a reference.
unsafe fn begin(object: NonNull<Header>) -> Option<SlotId> {
    barrier::prepare();
    // SAFETY: by contract.
    let header = unsafe { Header::of(object) };
    let slot = match header.slot() {
        Some(slot) => slot,
        None => {
            let new = SlotId::take(object)?;
            let slot = header.set_slot(new);
            if slot != new {
                new.give_back();
            }
            slot
        }
    };
    slot.add_base();
    // Of this step and the one that merges, the later one tells the threads how to count.
    if header.mark_slotted() & MERGED != 0 {
        slot.settle_way(header);
    } else {
        // SAFETY: by contract.
        unsafe { references::ask_for_merge(object) };
    }
    Some(slot)
}

impl<T: Send + Sync + 'static> Drop for Spread<T> {
    fn drop(&mut self) {
        let Some(slot) = self.slot else { return };
        // SAFETY: the base's own handle.
        let drains = slot.remove_base(unsafe { Header::of(self.shared.header()) });
        if drains {
            // A thread that has counted a drop in its row has looked before that whether the object drains,
            // or its count is seen from here on. The base's own handle goes after that.
            barrier::heavy();
        }
    }
}

impl<T: Send + Sync + 'static> Deref for Spread<T> {
    type Target = Shared<T>;

    #[inline]
    fn deref(&self) -> &Shared<T> {
        &self.shared
    }
}

impl<T: Send + Sync + fmt::Debug + 'static> fmt::Debug for Spread<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spread").field("value", &*self.shared).finish_non_exhaustive()
    }
}
