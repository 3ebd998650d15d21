//! The slots of spread objects, and the sum of their counts.
//!
//! A slot is a number by which each thread finds its row for an object. Slots are never freed. So a dropper
//! may look at the slot when it has given its reference up and the object may be gone.
//!
//! | state of a slot | how threads count its object | ends |
//! |---|---|---|
//! | free | – | a spreader takes it |
//! | spread: there are bases | in rows | the last base is dropped |
//! | drains | in the shared word; a thread that looked before may still count in its row, once | the sum is zero, or there is a base again |
//!
//! # Why a sum of zero is zero
//! A thread sums all drops first, then reads the shared word, and then sums all clones, under the lock of the
//! slot. At the moment at which it reads the shared word there are no fewer drops than it has summed, and no
//! more clones than it is going to sum, for both only grow, and each drop that it has seen brings the clone
//! along that it belongs to. So the sum is not less than the number of references at that moment; and that
//! number is not below zero. A sum of zero is therefore exact, and it stays zero: without a reference no
//! thread can clone one.

use std::ptr::{self, NonNull};

use pysync_platform::primitive;
use pysync_platform::primitive::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use super::barrier;
use super::rows::Row;
use crate::locked::Locked;
use crate::padded::Padded;
use crate::shared::header::{self, Header, MERGED};
use crate::shared::node::{self, Node};
use crate::shared::references;

/// How many objects can be spread at a time.
pub(crate) const SLOTS: usize = if cfg!(any(pysync_loom, pysync_shuttle)) { 1 } else { 512 };

/// The number of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotId(u32);

struct Slot {
    /// The object has no base any more. Written under the lock.
    drains: AtomicBool,
    state: Locked<State>,
}

struct State {
    /// The object whose slot it is, or null.
    object: *mut Header,
    /// How many bases the object has.
    bases: usize,
    /// What the rows of the slot summed up to when it was taken: those of the object before.
    outset: usize,
}

// SAFETY: objects may be used by any thread that has a reference, and dropped by any: see `Shared::new`.
unsafe impl Send for State {}

struct Slots {
    slots: [Padded<Slot>; SLOTS],
    /// How many of them drain.
    draining: AtomicUsize,
    /// Where to look for a free one first.
    next: primitive::plain::AtomicUsize,
}

primitive::model_static! {
    static TABLE: Slots = Slots::new()
}

impl Slot {
    primitive::const_fn! {
        const fn new() -> Self {
            Self {
                drains: AtomicBool::new(false),
                state: Locked::new(State { object: ptr::null_mut(), bases: 0, outset: 0 }),
            }
        }
    }
}

impl Slots {
    #[cfg(not(any(pysync_loom, pysync_shuttle)))]
    const fn new() -> Self {
        Self {
            slots: [const { Padded(Slot::new()) }; SLOTS],
            draining: AtomicUsize::new(0),
            next: primitive::plain::AtomicUsize::new(0),
        }
    }

    #[cfg(any(pysync_loom, pysync_shuttle))]
    fn new() -> Self {
        Self {
            slots: std::array::from_fn(|_| Padded(Slot::new())),
            draining: AtomicUsize::new(0),
            next: primitive::plain::AtomicUsize::new(0),
        }
    }
}

impl SlotId {
    #[inline(always)]
    pub(crate) fn at(place: usize) -> Self {
        Self(place as u32)
    }

    /// Its place in a table.
    #[inline(always)]
    pub(crate) fn place(self) -> usize {
        // The remainder is the number itself. It spares a test.
        self.0 as usize % SLOTS
    }

    fn all() -> impl Iterator<Item = Self> {
        (0..SLOTS as u32).map(Self)
    }

    #[inline(always)]
    fn slot(self) -> &'static Slot {
        let slots: &'static Slots = &TABLE;
        &slots.slots[self.place()]
    }

    /// A free slot, for `object`; none if there is none.
    pub(super) fn take(object: NonNull<Header>) -> Option<Self> {
        let next = TABLE.next.fetch_add(1, primitive::plain::Ordering::Relaxed);
        let taken = |slot: &Self| {
            slot.slot().state.with(|state| {
                let is_free = state.object.is_null();
                if is_free {
                    state.object = object.as_ptr();
                }
                is_free
            })
        };
        Self::all().map(|slot| Self::at((slot.place() + next) % SLOTS)).find(taken)
    }

    /// Gives a slot back that no thread has seen.
    pub(super) fn give_back(self) {
        self.slot().state.with(|state| state.object = ptr::null_mut());
    }

    /// The object has another base.
    pub(super) fn add_base(self) {
        self.slot().state.with(|state| {
            state.bases += 1;
            self.set_drains(false);
        });
    }

    /// The object has a base less; says whether it drains now.
    pub(super) fn remove_base(self, object: &Header) -> bool {
        self.slot().state.with(|state| {
            state.bases -= 1;
            if state.bases > 0 {
                return false;
            }
            self.set_drains(true);
            if object.shared_word() & MERGED != 0 {
                object.set_way(self, false);
            }
            true
        })
    }

    /// Under the lock.
    fn set_drains(self, drains: bool) {
        if self.slot().drains.load(Relaxed) == drains {
            return;
        }
        // Ordering: Relaxed. A dropper that counts in the shared word sees it by way of that word; for one
        // that counts in a row there is the barrier.
        self.slot().drains.store(drains, Relaxed);
        if drains {
            TABLE.draining.fetch_add(1, Relaxed);
        } else {
            TABLE.draining.fetch_sub(1, Relaxed);
        }
    }

    /// Tells the threads how to count an object that has been merged.
    pub(crate) fn settle_way(self, object: &Header) {
        self.slot().state.with(|state| object.set_way(self, state.bases > 0));
    }

    /// How many references the object has at least, and exactly if that is 0, or if the caller has the only
    /// one; none if it has not been merged.
    pub(crate) fn count(self, object: &Header) -> Option<isize> {
        self.slot().state.with(|state| self.sum(state, object))
    }

    /// Under the lock.
    fn sum(self, state: &State, object: &Header) -> Option<isize> {
        let mut sum = state.outset.wrapping_neg();
        for row in Node::all().filter_map(|node| node.rows.get(self)) {
            sum = sum.wrapping_sub(row.drops());
        }
        let word = object.shared_word();
        if word & MERGED == 0 {
            return None;
        }
        sum = sum.wrapping_add(header::count(word) as usize);
        for row in Node::all().filter_map(|node| node.rows.get(self)) {
            sum = sum.wrapping_add(row.clones());
        }
        Some(sum as isize)
    }

    /// The object is going to be freed, and the slot is free. The sum is zero, or the caller has the only
    /// reference, which it takes with it. Under the lock.
    fn leave(self, state: &mut State, object: &Header, references: usize) {
        // The sum of the rows is what remains.
        let shared = header::count(object.shared_word()) as usize;
        state.outset = state.outset.wrapping_add(references).wrapping_sub(shared);
        state.object = ptr::null_mut();
        self.set_drains(false);
    }

    /// A reference of an object that may be of this slot has been given up, in a row.
    #[inline(always)]
    pub(crate) fn notice_row(self) {
        // The count is there for the drainer, or this thread sees that the object drains.
        barrier::light();
        self.notice();
    }

    /// A reference of an object that may be of this slot has been given up.
    #[inline(always)]
    pub(crate) fn notice(self) {
        if self.slot().drains.load(Relaxed) {
            self.test();
        }
    }

    /// Frees the object of the slot if it drains and the sum of its counts is zero.
    #[cold]
    #[inline(never)]
    pub(super) fn test(self) {
        let free = self.slot().state.with(|state| {
            let object = NonNull::new(state.object)?;
            if !self.slot().drains.load(Relaxed) {
                return None;
            }
            // SAFETY: an object is freed when it has left its slot, under this lock.
            let header = unsafe { Header::of(object) };
            (self.sum(state, header) == Some(0)).then(|| {
                self.leave(state, header, 0);
                object
            })
        });
        if let Some(object) = free {
            // SAFETY: there is no reference any more, and the slot has been left by this thread.
            unsafe { references::free(object) };
        }
    }

    /// The slot is free: the caller has the only reference to the object, and does not give it up.
    pub(crate) fn forget(self, object: &Header) {
        self.slot().state.with(|state| self.leave(state, object, 1));
    }
}

/// The calling thread's row for a slot, if it has been made.
#[inline(always)]
pub(crate) fn row(slot: SlotId) -> Option<Row> {
    node::acting_node()?.rows.own(slot)
}

/// The calling thread's row for a slot; none if the thread is away or about to end.
pub(crate) fn row_or_new(slot: SlotId) -> Option<Row> {
    node::acting_or_new().map(|node| node.rows.own_or_new(slot))
}

/// Tests all objects that drain.
#[inline(never)]
pub(crate) fn test_all() {
    // Ordering: Relaxed. An object is seen to drain by who drops it; the others come to help.
    if TABLE.draining.load(Relaxed) > 0 {
        SlotId::all().filter(|slot| slot.slot().drains.load(Relaxed)).for_each(SlotId::test);
    }
}

/// # Safety
/// The calling thread is the only one in the process.
pub(crate) unsafe fn after_fork() {
    barrier::after_fork();
    // SAFETY: by contract; no lock is held across a call of a user's.
    SlotId::all().for_each(|slot| unsafe { slot.slot().state.after_fork() });
}
