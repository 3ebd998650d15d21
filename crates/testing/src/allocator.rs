use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, which counts what each thread asks of it:
/// `#[global_allocator] static ALLOCATOR: CountingAllocator = CountingAllocator;`
#[derive(Debug)]
pub struct CountingAllocator;

/// What a thread has asked of the allocator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// How often it has allocated.
    pub allocated: usize,
    /// How many bytes that were, freed or not.
    pub bytes: usize,
    /// How often it has freed.
    pub freed: usize,
}

thread_local! {
    static ASKED: Cell<Asked> = const { Cell::new(Asked { allocated: 0, bytes: 0, freed: 0 }) };
}

// SAFETY: the system's, and to count does not allocate: the counter is const and has no destructor.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let asked = ASKED.get();
        let bytes = asked.bytes + layout.size();
        ASKED.set(Asked { allocated: asked.allocated + 1, bytes, ..asked });
        // SAFETY: by contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let asked = ASKED.get();
        ASKED.set(Asked { freed: asked.freed + 1, ..asked });
        // SAFETY: by contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// What the calling thread has asked of the allocator so far, in a program of that allocator.
pub fn asked() -> Asked {
    ASKED.get()
}

/// What the calling thread asks of the allocator in `body`.
pub fn measured<R>(body: impl FnOnce() -> R) -> (R, Asked) {
    let before = asked();
    let result = body();
    let after = asked();
    let asked = Asked {
        allocated: after.allocated - before.allocated,
        bytes: after.bytes - before.bytes,
        freed: after.freed - before.freed,
    };
    (result, asked)
}

/// How often the calling thread allocates or frees in `body`.
pub fn allocations(body: impl FnOnce()) -> usize {
    let ((), asked) = measured(body);
    asked.allocated + asked.freed
}
