//! The counts of one thread: a row for each slot, made in blocks when they are first used.

use std::ptr;

use pysync_platform::primitive::atomic::{
    AtomicPtr, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

use super::slots::{SLOTS, SlotId};

const ROWS: usize = if cfg!(any(pysync_loom, pysync_shuttle)) { SLOTS } else { 64 };
const BLOCKS: usize = SLOTS / ROWS;

/// How often a thread has cloned and dropped the objects of some slots, each modulo the range of the number.
/// All only grow. The two counts of a slot lie apart: beside each other, processors take the one for the
/// other for a moment.
struct Block {
    clones: [AtomicUsize; ROWS],
    drops: [AtomicUsize; ROWS],
}

/// The two counts of a slot.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    block: &'static Block,
    place: usize,
}

/// The rows of one thread. It alone writes them; a thread that sums reads them.
pub(crate) struct Rows {
    blocks: [AtomicPtr<Block>; BLOCKS],
}

impl Row {
    #[inline(always)]
    fn of(block: &'static Block, slot: SlotId) -> Self {
        Self { block, place: slot.place() % ROWS }
    }

    #[inline(always)]
    fn clones_word(self) -> &'static AtomicUsize {
        &self.block.clones[self.place]
    }

    #[inline(always)]
    fn drops_word(self) -> &'static AtomicUsize {
        &self.block.drops[self.place]
    }

    /// Counts a clone. Called by the thread of the row.
    #[inline(always)]
    pub(crate) fn retain(self) {
        // Ordering: Relaxed. The handle that is cloned here carries it to the thread that drops it, and the
        // drop to the one that sums.
        let word = self.clones_word();
        let clones = word.load(Relaxed);
        #[cfg(target_pointer_width = "32")]
        if clones.wrapping_sub(self.drops_word().load(Relaxed)) as isize > isize::MAX >> 10 {
            pysync_platform::abort("there are too many handles to an object");
        }
        word.store(clones.wrapping_add(1), Relaxed);
    }

    /// Counts a drop. Called by the thread of the row.
    #[inline(always)]
    pub(crate) fn release(self) {
        // Ordering: Release pairs with the Acquire in `drops`, for what this thread did with the object, and
        // for the clone that this drop belongs to.
        let word = self.drops_word();
        word.store(word.load(Relaxed).wrapping_add(1), Release);
    }

    pub(super) fn clones(self) -> usize {
        // Ordering: Relaxed, as in `retain`.
        self.clones_word().load(Relaxed)
    }

    pub(super) fn drops(self) -> usize {
        // Ordering: Acquire, as in `release`.
        self.drops_word().load(Acquire)
    }
}

impl Rows {
    pub(crate) fn new() -> Self {
        Self { blocks: std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())) }
    }

    /// The row of a slot, for the thread of the rows, if it has been made.
    #[inline(always)]
    pub(super) fn own(&self, slot: SlotId) -> Option<Row> {
        // Ordering: Relaxed, for the thread itself has written it.
        // SAFETY: null or a block, which are never freed.
        let rows = unsafe { self.blocks[slot.place() / ROWS].load(Relaxed).as_ref() };
        rows.map(|rows| Row::of(rows, slot))
    }

    /// The row of a slot, for the thread of the rows.
    pub(super) fn own_or_new(&self, slot: SlotId) -> Row {
        self.own(slot).unwrap_or_else(|| {
            let counts = || std::array::from_fn(|_| AtomicUsize::new(0));
            let rows: &'static Block =
                Box::leak(Box::new(Block { clones: counts(), drops: counts() }));
            // Ordering: Release pairs with the Acquire in `get`.
            self.blocks[slot.place() / ROWS].store(ptr::from_ref(rows).cast_mut(), Release);
            Row::of(rows, slot)
        })
    }

    /// The row of a slot, for a thread that sums, if there is one.
    pub(super) fn get(&self, slot: SlotId) -> Option<Row> {
        let block = &self.blocks[slot.place() / ROWS];
        // Ordering: Acquire pairs with the Release in `own_or_new`. One that is missed has nothing that a
        // counted drop belongs to.
        // SAFETY: as in `own`.
        unsafe { block.load(Acquire).as_ref() }.map(|rows| Row::of(rows, slot))
    }
}
