//! The two counts of an object. What is done with them is in [`super::references`].
//!
//! The object has an *owner*, the thread that made it, and a count for the owner alone, `local`. All other
//! threads share a second one, in the shared word. The sum of both is how many references there are. A handle
//! that one thread has cloned may be dropped by another, so the shared count may be below zero, and `local`
//! may outlive the owner's handles.
//!
//! | bits of the shared word | mean | set by | cleared by |
//! |---|---|---|---|
//! | [`QUEUED`] | the object is, or has been, in the owner's inbox, once; until it is settled it holds a reference to itself there | a dropper that finds no count, or that others get in the way of; a spreader | – |
//! | [`MERGED`] | `local` has been added, and means nothing any more | the owner; while it is away or has ended, a dropper, under the lock of the inbox | – |
//! | [`SLOTTED`] | the object has been spread, so that there are counts in rows too | a spreader | – |
//! | the others | the count, signed | any thread | |
//!
//! The owner word says how a thread that is not the owner counts, and is a hint for all but the owner: a
//! thread that sees an old one counts in the old place, and the sum stays right.
//!
//! | owner word | means |
//! |---|---|
//! | pointer to a node | biased: the thread of that node counts in `local`, the others in the shared word |
//! | the same + [`AWAITS_OWNER`] | biased, and queued: that thread counts as the others, and looks into its inbox when it drops |
//! | [`MERGED_WORD`] | all count in the shared word |
//! | [`TAG`] + [`SPREAD`] + slot × 8 | spread: each thread counts in its own row |
//! | [`TAG`] + [`DRAINS`] + slot × 8 | drains: all count in the shared word, and who drops tests whether the sum is zero |

use std::ptr::{self, NonNull};

use pysync_platform::primitive::UnsafeCell;
use pysync_platform::primitive::atomic::{
    AtomicPtr, AtomicU32, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use super::node::{self, Node};
use crate::spread::SlotId;

/// The object holds a reference to itself, in the inbox of its owner, or has done so.
pub(crate) const QUEUED: usize = 1;
/// `local` is part of the shared count.
pub(crate) const MERGED: usize = 2;
/// Rows have counts of the object too.
pub(crate) const SLOTTED: usize = 4;
/// A reference in the shared count.
pub(crate) const ONE: usize = 8;

/// More than there can be handles, and far from what the words can hold.
pub(super) const COUNT_MAX: isize = isize::MAX >> 5;
/// The most that `local` may be: added to the shared count it must not overflow it.
pub(super) const LOCAL_MAX: u32 = if usize::BITS > 32 { u32::MAX } else { 1 << 26 };

/// The count in a shared word.
pub(crate) fn count(word: usize) -> isize {
    word as isize >> 3
}

pub(super) const TAG: usize = 1;
const SPREAD: usize = 2;
const DRAINS: usize = 4;
/// Without [`TAG`]: the object is on its way to the inbox of its owner, or there.
pub(super) const AWAITS_OWNER: usize = 8;
const MERGED_WORD: usize = TAG;

/// How a thread that is not the owner counts.
pub(super) enum Way {
    /// By the owner's inbox, in the end.
    Biased(NonNull<Node>),
    /// In the shared word.
    Merged,
    /// In its row.
    Spread(SlotId),
    /// In the shared word, and who drops looks at the slot.
    Drains(SlotId),
}

/// Whether the word says that the object is spread. Nodes have more zeros at the end.
#[inline(always)]
pub(super) fn is_spread(word: *mut Node) -> bool {
    word.addr() & SPREAD != 0
}

#[inline(always)]
pub(super) fn slot_of(word: *mut Node) -> SlotId {
    SlotId::at(word.addr() >> 3)
}

#[inline(always)]
pub(super) fn way(word: *mut Node) -> Way {
    let bits = word.addr();
    if bits & TAG == 0 {
        // SAFETY: an owner word is a node, which is aligned to more than this bit, or has a tag.
        Way::Biased(unsafe { NonNull::new_unchecked(word.map_addr(|bits| bits & !AWAITS_OWNER)) })
    } else if is_spread(word) {
        Way::Spread(slot_of(word))
    } else if bits & DRAINS != 0 {
        Way::Drains(slot_of(word))
    } else {
        Way::Merged
    }
}

/// What stands before the value of each object.
pub(crate) struct Header {
    pub(super) owner: AtomicPtr<Node>,
    pub(super) shared: AtomicUsize,
    /// How many references the owner counts. Only the owner changes it, or who merges for it.
    pub(super) local: AtomicU32,
    /// The slot of an object that has been spread, and one more; or 0. Set once.
    slot: AtomicU32,
    /// The next in an inbox. Written by who queues the object, read by who takes it off.
    pub(super) link: UnsafeCell<*mut Header>,
    /// Drops the value and frees the memory.
    pub(super) free: unsafe fn(NonNull<Header>),
    /// The value has been dropped. A model does not free the memory, so that it can look.
    #[cfg(any(pysync_loom, pysync_shuttle))]
    pub(super) is_freed: pysync_platform::primitive::plain::AtomicBool,
}

impl Header {
    /// That of an object with one handle, the caller's.
    #[inline]
    pub(crate) fn new(free: unsafe fn(NonNull<Header>)) -> Self {
        let (owner, shared, local) = match node::acting_or_new() {
            Some(node) => {
                node.owns_one_more();
                (ptr::from_ref(node).cast_mut(), 0, 1)
            }
            // A thread that is away, or about to end, owns nothing.
            None => (ptr::without_provenance_mut(MERGED_WORD), ONE | MERGED, 0),
        };
        Self {
            owner: AtomicPtr::new(owner),
            shared: AtomicUsize::new(shared),
            local: AtomicU32::new(local),
            slot: AtomicU32::new(0),
            link: UnsafeCell::new(ptr::null_mut()),
            free,
            #[cfg(any(pysync_loom, pysync_shuttle))]
            is_freed: false.into(),
        }
    }

    /// # Safety
    /// The caller has a reference to the object, and uses the result for as long at most.
    #[inline(always)]
    pub(crate) unsafe fn of<'a>(this: NonNull<Self>) -> &'a Self {
        // SAFETY: by contract.
        let header = unsafe { this.as_ref() };
        #[cfg(any(pysync_loom, pysync_shuttle))]
        assert!(
            !header.is_freed.load(pysync_platform::primitive::plain::Ordering::Relaxed),
            "used after it was freed"
        );
        header
    }

    /// The shared word, after all that was done before a count in it was given up.
    pub(crate) fn shared_word(&self) -> usize {
        // Ordering: Acquire pairs with the release of a reference.
        self.shared.load(Acquire)
    }

    pub(crate) fn slot(&self) -> Option<SlotId> {
        // Ordering: Acquire pairs with the Release of `set_slot`.
        (self.slot.load(Acquire) as usize).checked_sub(1).map(SlotId::at)
    }

    /// Gives the object a slot, unless it has one; the one that it has.
    pub(crate) fn set_slot(&self, slot: SlotId) -> SlotId {
        // Ordering: Release pairs with the Acquire of `slot`; Acquire, for the slot of another spreader.
        match self.slot.compare_exchange(0, slot.place() as u32 + 1, AcqRel, Acquire) {
            Ok(_) => slot,
            Err(other) => SlotId::at(other as usize - 1),
        }
    }

    /// How threads count from now on. Called under the lock of the slot, for an object that is merged.
    pub(crate) fn set_way(&self, slot: SlotId, is_spread: bool) {
        let bits = TAG | if is_spread { SPREAD } else { DRAINS } | slot.place() << 3;
        // Ordering: Release pairs with the Acquire in `release_foreign`: who sees it sees that the object is
        // merged. Not a store: loom would have that come before the exchange of a merger that found no slot.
        self.owner.swap(ptr::without_provenance_mut(bits), Release);
    }

    /// Says that rows count the object; the shared word before.
    pub(crate) fn mark_slotted(&self) -> usize {
        // Ordering: Release pairs with the Acquire in `merge`: if that comes later it finds the slot, and the
        // base there. If it has come before, all that a spreader needs of it is in the word itself.
        let mut word = self.shared.load(Relaxed);
        loop {
            match self.shared.compare_exchange(word, word | SLOTTED, Release, Relaxed) {
                Ok(_) => return word,
                Err(actual) => word = actual,
            }
        }
    }

    /// The object is merged: from now on all threads count elsewhere than in `local`.
    pub(super) fn settle_way(&self) {
        match self.slot() {
            Some(slot) => {
                // Before a thread counts in a row, the shared word says that rows have counts.
                self.mark_slotted();
                slot.settle_way(self);
            }
            None => {
                let mut owner = self.owner.load(Relaxed);
                // A spreader that has come in between has written a better one.
                while owner.addr() & TAG == 0 {
                    // Ordering: Release, as in `set_way`.
                    let merged = ptr::without_provenance_mut(MERGED_WORD);
                    match self.owner.compare_exchange(owner, merged, Release, Relaxed) {
                        Ok(_) => break,
                        Err(actual) => owner = actual,
                    }
                }
            }
        }
    }

    /// Whether threads that look now count in their rows.
    #[cfg(any(pysync_loom, pysync_shuttle))]
    pub(crate) fn is_spread(&self) -> bool {
        // loom lets a load see an older value than the last one here. An exchange that fails sees that.
        let null = ptr::null_mut();
        self.owner.compare_exchange(null, null, Acquire, Acquire).is_err_and(is_spread)
    }

    /// Has the owner look into its inbox when it drops a handle to this object, which is about to be there.
    pub(super) fn call_owner(&self, owner: NonNull<Node>) {
        let called = owner.as_ptr().map_addr(|bits| bits | AWAITS_OWNER);
        // Ordering: Relaxed, a hint. If it fails the object has been merged.
        _ = self.owner.compare_exchange(owner.as_ptr(), called, Relaxed, Relaxed);
    }
}
