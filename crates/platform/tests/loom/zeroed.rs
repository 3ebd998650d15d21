//! The state of a lock in a static, and outside of one.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use pysync_platform::primitive::atomic::AtomicU32;
use pysync_platform::primitive::{StaticCell, Zeroed};
use pysync_testing::model::{Data, Explore};

#[test]
fn a_static_begins_at_zero_in_each_execution() {
    static WORD: Zeroed<AtomicU32> = Zeroed::<AtomicU32>::new();

    fn add_one(_: &()) {
        assert!(WORD.fetch_add(1, AcqRel) < 2);
    }
    Explore::new("zeroed, static").run(
        || (),
        [add_one, add_one],
        |()| {
            assert_eq!(WORD.load(Acquire), 2);
        },
    );
}

#[test]
fn a_static_cell_is_watched() {
    /// A cell that threads may share, if something orders their accesses.
    struct Shared(StaticCell<u32>);

    // SAFETY: loom reports accesses that nothing orders.
    unsafe impl Sync for Shared {}

    static READY: Zeroed<AtomicU32> = Zeroed::<AtomicU32>::new();
    static CELL: Shared = Shared(StaticCell::new(0));

    fn publish(_: &()) {
        // SAFETY: the other thread reads once this one has said that it may.
        CELL.0.with_mut(|value| unsafe { *value = 7 });
        READY.store(1, Release);
    }
    fn look(_: &()) {
        if READY.load(Acquire) == 1 {
            // SAFETY: the other thread has written, and does so no more.
            assert_eq!(CELL.0.with(|value| unsafe { *value }), 7);
        }
    }
    Explore::new("static cell").run(|| (), [publish, look], |()| {});
}

#[derive(Default)]
struct Shared {
    word: Zeroed<AtomicU32>,
    data: Data,
}

fn publish_relaxed(s: &Shared) {
    s.data.set(7);
    s.word.store(1, Relaxed);
}

fn look(s: &Shared) {
    if s.word.load(Relaxed) == 1 {
        s.data.get();
    }
}

/// What is made at once gives no edge of its own, so that a missing ordering shows.
#[test]
#[should_panic(expected = "Causality violation")]
fn a_default_hides_no_ordering() {
    Explore::new("zeroed, default").run(Shared::default, [publish_relaxed, look], |_| {});
}
