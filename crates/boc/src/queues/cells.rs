//! The memory of a ring.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr;

use pysync_platform::primitive::UnsafeCell;
use pysync_platform::primitive::plain::{
    AtomicPtr,
    Ordering::{Acquire, Relaxed, Release},
};

use super::word::{AtomicWord, Shape, Word};

/// Room for one message.
pub(super) struct Cell<M> {
    /// What comes next in this cell: see [`Ring`](super::ring::Ring).
    pub(super) stamp: AtomicWord,
    message: UnsafeCell<MaybeUninit<M>>,
}

impl<M> Cell<M> {
    /// Puts a message in.
    ///
    /// # Safety
    /// The calling thread has taken the position of this cell, and the cell is empty.
    #[inline]
    pub(super) unsafe fn fill(&self, message: M) {
        // SAFETY: the cell is this thread's alone, by contract.
        self.message.with_mut(|place| unsafe { (*place).write(message) });
    }

    /// Takes the message out.
    ///
    /// # Safety
    /// The calling thread has taken the position of this cell, and the cell is filled.
    #[inline]
    pub(super) unsafe fn take(&self) -> M {
        // SAFETY: as above; the message is not used again.
        self.message.with(|place| unsafe { (*place).assume_init_read() })
    }
}

/// The cells of a ring, which are allocated at their first use.
pub(super) struct Memory<M> {
    /// Not a model's atomic: it changes once, and the model builds its rings before it starts threads.
    first: AtomicPtr<Cell<M>>,
    shape: Shape,
    owns: PhantomData<Cell<M>>,
}

// SAFETY: the pointer is to cells that belong to this. They hold messages, which go from thread to thread,
// and a message is reached by one thread at a time, by the contracts of `fill` and `take`.
unsafe impl<M: Send> Send for Memory<M> {}
// SAFETY: as above.
unsafe impl<M: Send> Sync for Memory<M> {}

impl<M> Memory<M> {
    pub(super) fn new(shape: Shape) -> Self {
        Self { first: AtomicPtr::new(ptr::null_mut()), shape, owns: PhantomData }
    }

    /// Whether so many cells are no greater than memory can be.
    pub(super) fn fits(capacity: usize) -> bool {
        let bytes = capacity.checked_mul(size_of::<Cell<M>>());
        bytes.is_some_and(|bytes| bytes <= isize::MAX as usize)
    }

    #[inline]
    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    /// The cells, which are allocated if they are not there.
    #[inline]
    pub(super) fn cells(&self) -> Cells<'_, M> {
        // Ordering: Acquire pairs with the Release in `allocate`: the stamps are there.
        let first = self.first.load(Acquire);
        let first = if first.is_null() { self.allocate() } else { first };
        Cells { first, shape: self.shape, memory: PhantomData }
    }

    /// Whether the cells are there, for a caller that has the memory for itself.
    pub(super) fn is_allocated(&self) -> bool {
        !self.first.load(Relaxed).is_null()
    }

    #[cold]
    fn allocate(&self) -> *mut Cell<M> {
        // Nothing has been sent. So both positions of the ring are 0, and these are the stamps of its first
        // lap.
        let cell = |index| Cell {
            stamp: AtomicWord::new(index as Word),
            message: UnsafeCell::new(MaybeUninit::uninit()),
        };
        let cells: Box<[Cell<M>]> = (0..self.shape.capacity()).map(cell).collect();
        let cells = Box::into_raw(cells).cast::<Cell<M>>();
        // Ordering: Release on success, and Acquire on failure, as in `cells`.
        match self.first.compare_exchange(ptr::null_mut(), cells, Release, Acquire) {
            Ok(_) => cells,
            Err(others) => {
                // SAFETY: made above, and no other thread has seen it.
                drop(unsafe { self.boxed(cells) });
                others
            }
        }
    }

    /// # Safety
    /// `cells` has been made by `allocate`, and the caller owns it.
    unsafe fn boxed(&self, cells: *mut Cell<M>) -> Box<[Cell<M>]> {
        let cells = ptr::slice_from_raw_parts_mut(cells, self.shape.capacity());
        // SAFETY: by contract, and of that length.
        unsafe { Box::from_raw(cells) }
    }
}

/// Messages that are left in the cells are leaked.
impl<M> Drop for Memory<M> {
    fn drop(&mut self) {
        // Ordering: Relaxed. There is no other thread.
        let cells = self.first.load(Relaxed);
        if !cells.is_null() {
            // SAFETY: made by `allocate`, and used no more.
            drop(unsafe { self.boxed(cells) });
        }
    }
}

/// All cells of a ring.
pub(super) struct Cells<'a, M> {
    first: *const Cell<M>,
    shape: Shape,
    memory: PhantomData<&'a Memory<M>>,
}

impl<'a, M> Cells<'a, M> {
    /// The cell of a position.
    #[inline]
    pub(super) fn at(&self, position: Word) -> &'a Cell<M> {
        // SAFETY: the cells stay as long as the memory does, and an index is less than the capacity.
        unsafe { &*self.first.add(self.shape.index(position)) }
    }
}
