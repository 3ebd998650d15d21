//! An allocator that counts what each thread asks of it, and how much.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

pub(crate) struct Measuring;

thread_local! {
    static ASKED: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

// SAFETY: the system's, and to count does not allocate: the counter is const and has no destructor.
unsafe impl GlobalAlloc for Measuring {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (count, bytes) = ASKED.get();
        ASKED.set((count + 1, bytes + layout.size()));
        // SAFETY: by contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: by contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// How often the calling thread has allocated, and how many bytes.
pub(crate) fn asked() -> (usize, usize) {
    ASKED.get()
}

/// How often the calling thread allocates in `body`, and how many bytes.
pub(crate) fn measured<R>(body: impl FnOnce() -> R) -> (R, usize, usize) {
    let before = asked();
    let result = body();
    let after = asked();
    (result, after.0 - before.0, after.1 - before.1)
}
