//! How a reference is counted and given up, and who frees the object: by the words of [`super::header`].

use std::ptr::{self, NonNull};

use pysync_platform::abort;
use pysync_platform::primitive::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use super::header::{
    AWAITS_OWNER, COUNT_MAX, Header, LOCAL_MAX, MERGED, ONE, QUEUED, SLOTTED, TAG, Way, count,
    is_spread, slot_of, way,
};
use super::node::{self, Node};
use crate::spread::{self, SlotId};

#[cold]
fn overflow() -> ! {
    abort("there are too many handles to an object")
}

/// Tells the compiler that the code around it need not be quick to come to: it has an atomic
/// read-modify-write.
#[cold]
#[inline(always)]
fn by_the_way() {}

/// Counts another reference.
///
/// # Safety
/// The caller has a reference.
#[inline(always)]
pub(crate) unsafe fn retain(this: NonNull<Header>) {
    // SAFETY: by contract.
    let header = unsafe { Header::of(this) };
    // Ordering: Relaxed. Only the owner itself, and who merges for it while it does not act as one, replaces
    // the node of the owner.
    let owner = header.owner.load(Relaxed);
    if ptr::eq(owner, node::acting()) {
        let local = header.local.load(Relaxed);
        if local == LOCAL_MAX {
            overflow();
        }
        header.local.store(local + 1, Relaxed);
    } else {
        retain_foreign(header, owner);
    }
}

/// Counts another reference, as a thread that is not the owner.
#[inline(always)]
fn retain_foreign(header: &Header, owner: *mut Node) {
    if is_spread(owner) {
        match spread::row(slot_of(owner)) {
            Some(row) => row.retain(),
            None => retain_in_new_row(header, owner),
        }
    } else {
        by_the_way();
        retain_shared(header);
    }
}

/// Counts another reference in the shared word.
#[inline(always)]
fn retain_shared(header: &Header) {
    // Ordering: Relaxed, as for any count that only goes up.
    let before = header.shared.fetch_add(ONE, Relaxed);
    if count(before) > COUNT_MAX {
        overflow();
    }
}

#[cold]
fn retain_in_new_row(header: &Header, owner: *mut Node) {
    match spread::row_or_new(slot_of(owner)) {
        Some(row) => row.retain(),
        None => retain_shared(header),
    }
}

/// Gives a reference up, and drops the object if that was the last one.
///
/// # Safety
/// The caller has a reference, and uses it no more.
#[inline(always)]
pub(crate) unsafe fn release(this: NonNull<Header>) {
    // SAFETY: by contract.
    let header = unsafe { Header::of(this) };
    // Ordering: Relaxed, as in `retain`.
    let owner = header.owner.load(Relaxed);
    if !ptr::eq(owner, node::acting()) {
        // SAFETY: by contract.
        return unsafe {
            if is_spread(owner) {
                release_spread(this, owner);
            } else {
                by_the_way();
                release_foreign(this);
            }
        };
    }
    let local = header.local.load(Relaxed);
    if local == 1 {
        by_the_way();
        // SAFETY: by contract; the calling thread is the owner.
        return unsafe { release_last_local(this) };
    }
    header.local.store(local - 1, Relaxed);
}

/// # Safety
/// As [`release`]; the calling thread is the owner, and `local` is 1.
#[inline(never)]
unsafe fn release_last_local(this: NonNull<Header>) {
    // SAFETY: by contract.
    let header = unsafe { Header::of(this) };
    // With nothing counted elsewhere this is the only reference, and no other thread can make one.
    if header.shared_word() == 0 {
        node::lose_one();
        // SAFETY: the last reference.
        unsafe { free(this) };
    } else {
        // SAFETY: the owner, which has a reference.
        unsafe {
            merge(this);
            release_foreign(this);
        }
    }
    node::empty_inbox();
}

/// Adds `local` to the shared count, if that has not been done.
///
/// # Safety
/// The caller has a reference. It is the owner, or has the lock of the inbox while the owner is not there, or
/// has taken the object off that inbox.
pub(super) unsafe fn merge(this: NonNull<Header>) {
    // SAFETY: by contract.
    let header = unsafe { Header::of(this) };
    if header.shared_word() & MERGED != 0 {
        return;
    }
    if let Way::Biased(owner) = way(header.owner.load(Relaxed)) {
        // SAFETY: nodes are never freed.
        unsafe { owner.as_ref() }.has_merged_one();
    }
    let local = header.local.load(Relaxed);
    header.local.store(0, Relaxed);
    // The owner word is written after this, so that an object is merged for each thread that does not see its
    // owner there any more. The caller's reference keeps it until then.
    // Ordering: Acquire pairs with the Release in `mark_slotted`, for the slot. There is no Release: the
    // caller's reference is given up after this, with one, and until then no thread frees the object.
    header.shared.fetch_add(local as usize * ONE + MERGED, Acquire);
    header.settle_way();
}

/// Gives a reference up, as a thread that is not the owner.
///
/// # Safety
/// As [`release`].
pub(crate) unsafe fn release_foreign(this: NonNull<Header>) {
    // SAFETY: by contract.
    let header = unsafe { Header::of(this) };
    // Ordering: Acquire pairs with the Release of `set_way` and `settle_way`: the object is merged.
    let owner = header.owner.load(Acquire);
    if owner.addr() & (TAG | AWAITS_OWNER) == AWAITS_OWNER {
        // The calling thread may be the owner, and this its last handle.
        // SAFETY: by contract.
        return unsafe { release_queued(this) };
    }
    match way(owner) {
        // SAFETY: by contract.
        Way::Biased(owner) => unsafe { release_biased(this, owner) },
        // SAFETY: as above.
        Way::Merged => unsafe { release_shared(this, None) },
        // In the shared word too, for a thread that has no rows.
        // SAFETY: as above.
        Way::Spread(slot) | Way::Drains(slot) => unsafe { release_shared(this, Some(slot)) },
    }
}

/// Gives a reference up in the row of the calling thread.
///
/// # Safety
/// As [`release`]; the object is spread.
#[inline(never)]
unsafe fn release_spread(this: NonNull<Header>, owner: *mut Node) {
    match spread::row(slot_of(owner)) {
        Some(row) => {
            row.release();
            // The object may be gone by now. Its slot stays.
            slot_of(owner).notice_row();
        }
        // SAFETY: by contract.
        None => unsafe { release_in_new_row(this, owner) },
    }
}

/// # Safety
/// As [`release_spread`].
#[cold]
unsafe fn release_in_new_row(this: NonNull<Header>, owner: *mut Node) {
    match spread::row_or_new(slot_of(owner)) {
        // SAFETY: by contract. The row has been made.
        Some(_) => unsafe { release_spread(this, owner) },
        // SAFETY: by contract.
        None => unsafe { release_foreign(this) },
    }
}

/// Gives up a reference to an object that is, or has been, on its way to its owner.
///
/// # Safety
/// As [`release`].
#[cold]
unsafe fn release_queued(this: NonNull<Header>) {
    // If it is there, it is merged now.
    node::empty_inbox();
    // SAFETY: by contract.
    let owner = unsafe { Header::of(this) }.owner.load(Acquire);
    match way(owner) {
        // SAFETY: by contract.
        Way::Biased(owner) => unsafe { release_biased(this, owner) },
        // SAFETY: as above.
        Way::Merged => unsafe { release_shared(this, None) },
        // SAFETY: as above.
        Way::Spread(slot) | Way::Drains(slot) => unsafe { release_shared(this, Some(slot)) },
    }
}

/// # Safety
/// As [`release`]; the object is merged, or queued.
#[inline(always)]
unsafe fn release_shared(this: NonNull<Header>, slot: Option<SlotId>) {
    // Ordering: Release for what this thread did with the object; Acquire for what all others did, and to see
    // that the object drains.
    // SAFETY: by contract.
    let before = unsafe { Header::of(this) }.shared.fetch_sub(ONE, AcqRel);
    // SAFETY: the reference that was given up has been counted in `before`.
    unsafe { after_release(this, before, slot) };
}

/// # Safety
/// The object was merged or queued with `before`, and a reference has been taken from that.
#[inline(always)]
unsafe fn after_release(this: NonNull<Header>, before: usize, slot: Option<SlotId>) {
    if before & SLOTTED != 0 {
        // The object may be gone by now. Its slot stays.
        match slot {
            Some(slot) => slot.notice(),
            None => spread::test_all(),
        }
    } else if before & MERGED != 0 && count(before) == 1 {
        // SAFETY: that was the last reference, and there are no others elsewhere.
        unsafe { free(this) };
    }
}

/// # Safety
/// As [`release`]; the owner word had `owner` in it.
#[inline(always)]
unsafe fn release_biased(this: NonNull<Header>, owner: NonNull<Node>) {
    // SAFETY: by contract.
    let header = unsafe { Header::of(this) };
    let mut word = header.shared.load(Relaxed);
    // The usual case by itself: with a constant the exchange need not wait for the load.
    // Ordering: as below.
    if word == ONE {
        match header.shared.compare_exchange(ONE, 0, AcqRel, Relaxed) {
            Ok(_) => return,
            Err(actual) => word = actual,
        }
    }
    let mut is_contended = false;
    while word & (QUEUED | MERGED) == 0 {
        // Without a count only the owner knows what is left. The object goes to the owner, and the reference
        // with it: without that, the owner might free an object that is in its inbox. Where other threads get
        // in the way the object goes there too: once it is merged, a subtraction does.
        let is_for_owner = count(word) <= 0 || is_contended;
        let new = if is_for_owner { word | QUEUED } else { word - ONE };
        // Ordering: Release for what this thread did with the object. Acquire, as in `release_shared`.
        match header.shared.compare_exchange(word, new, AcqRel, Relaxed) {
            Ok(_) => {
                if is_for_owner {
                    header.call_owner(owner);
                    // SAFETY: nodes are never freed. `QUEUED` has been set here, and the reference goes
                    // along.
                    unsafe { owner.as_ref().inbox.push(this) };
                }
                return;
            }
            Err(actual) => word = actual,
        }
        is_contended = true;
    }
    // The queue has a reference, or `local` is part of the count. Neither ends.
    // SAFETY: by contract.
    unsafe { release_shared(this, None) };
}

/// Has the owner merge the object, or does it here and now where that can be done.
///
/// # Safety
/// The caller has a reference.
pub(crate) unsafe fn ask_for_merge(this: NonNull<Header>) {
    // SAFETY: by contract.
    let header = unsafe { Header::of(this) };
    let owner = match way(header.owner.load(Acquire)) {
        Way::Biased(owner) => owner,
        _ => return,
    };
    if ptr::eq(owner.as_ptr(), node::acting()) {
        // SAFETY: the owner, which has a reference.
        unsafe { merge(this) };
        return;
    }
    // SAFETY: nodes are never freed; the caller has a reference.
    if unsafe { owner.as_ref().inbox.merge_if_closed(this) } {
        return;
    }
    let mut word = header.shared.load(Relaxed);
    while word & (QUEUED | MERGED) == 0 {
        // With a reference for the queue.
        let new = word.wrapping_add(ONE) | QUEUED;
        match header.shared.compare_exchange_weak(word, new, AcqRel, Relaxed) {
            Ok(_) => {
                header.call_owner(owner);
                // SAFETY: as in `release_biased`.
                unsafe { owner.as_ref().inbox.push(this) };
                return;
            }
            Err(actual) => word = actual,
        }
    }
}

/// Whether the caller has the only reference. Then no other thread can get one.
///
/// # Safety
/// The caller has a reference.
pub(crate) unsafe fn is_unique(this: NonNull<Header>) -> bool {
    // SAFETY: by contract.
    let header = unsafe { Header::of(this) };
    // What waits for the calling thread would count.
    node::empty_inbox();
    if let Way::Biased(owner) = way(header.owner.load(Acquire)) {
        if ptr::eq(owner.as_ptr(), node::acting()) {
            return header.local.load(Relaxed) == 1 && header.shared_word() & !SLOTTED == 0;
        }
        // SAFETY: nodes are never freed; the caller has a reference.
        if !unsafe { owner.as_ref().inbox.merge_if_closed(this) } {
            return false;
        }
    }
    let word = header.shared_word();
    if word & SLOTTED == 0 {
        return word & MERGED != 0 && count(word) == 1;
    }
    header.slot().is_some_and(|slot| slot.count(header) == Some(1))
}

/// Drops the value, and frees the memory.
///
/// # Safety
/// There is no reference any more.
pub(crate) unsafe fn free(this: NonNull<Header>) {
    #[cfg(any(pysync_loom, pysync_shuttle))]
    {
        use pysync_platform::primitive::plain::Ordering;
        // SAFETY: a model does not free the memory.
        let was_freed = unsafe { this.as_ref() }.is_freed.swap(true, Ordering::Relaxed);
        assert!(!was_freed, "freed twice");
    }
    // SAFETY: by contract.
    let free = unsafe { (*this.as_ptr()).free };
    // SAFETY: as above.
    unsafe { free(this) };
}
