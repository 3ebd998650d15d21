//! What a handle and an object take.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use pysync_reclaim::{Finalize, Finalized, Shared, Spread};
use pysync_testing::{CountingAllocator, measured};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

struct Core([u8; 24]);

impl Finalize for Core {
    fn finalize(self) {
        assert_eq!(self.0.len(), 24);
    }
}

#[test]
fn handles_are_as_small_as_promised() {
    let word = size_of::<usize>();
    assert_eq!(size_of::<Shared<[u8; 100]>>(), word);
    assert_eq!(size_of::<Option<Shared<u8>>>(), word);
    assert_eq!(size_of::<Finalized<Core>>(), word);
    assert_eq!(size_of::<Option<Finalized<Core>>>(), word);
    assert!(size_of::<Spread<u8>>() <= 2 * word);
}

#[test]
fn an_object_has_five_words_besides_its_value() {
    // The thread's node comes first.
    drop(Shared::new(0));
    let (_handle, asked) = measured(|| Shared::new([0_usize; 4]));
    assert_eq!(asked.allocated, 1);
    assert!(asked.bytes <= 4 * size_of::<usize>() + 32 + 8, "{} bytes", asked.bytes);
}
