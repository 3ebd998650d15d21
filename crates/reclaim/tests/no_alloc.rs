//! What allocates: `new`, and the first use of this crate by a thread. A clone or a drop does not, wherever
//! it happens.
#![cfg(not(any(pysync_loom, pysync_shuttle, pysync_portable)))]

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use pysync_reclaim::{Deadline, Finalize, Finalized, Finalizer, Shared, Spread, away};
use pysync_testing::{CountingAllocator, allocations, asked, measured, watchdog};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

static FINALIZED: AtomicUsize = AtomicUsize::new(0);

struct Core;

impl Finalize for Core {
    fn finalize(self) {
        FINALIZED.fetch_add(1, SeqCst);
    }
}

/// On a thread that has ended when this returns.
fn elsewhere<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    std::thread::scope(|s| s.spawn(f).join().unwrap())
}

#[test]
fn clones_and_drops_allocate_nothing() {
    let _watchdog = watchdog();
    let shared = Shared::new(1);
    assert_eq!(allocations(|| drop(shared.clone())), 0);
    let own = [shared.clone(), shared.clone()];
    elsewhere(|| {
        // The other thread has no node, and needs none.
        assert_eq!(allocations(|| drop(shared.clone())), 0);
        assert_eq!(allocations(|| drop(own)), 0);
    });
    let ((), asked) = measured(|| drop(shared));
    assert_eq!((asked.allocated, asked.freed), (0, 1));

    let base = Shared::spread(&Shared::new(1));
    // The rows.
    drop(Spread::share(&base));
    assert_eq!(allocations(|| drop(Spread::share(&base))), 0);
    assert_eq!(allocations(|| away(|| drop(Spread::share(&base)))), 0);
}

#[test]
fn a_core_is_queued_without_an_allocation() {
    let _watchdog = watchdog();
    let finalizer = Finalizer::new("no_alloc").unwrap();
    for round in 1..=100 {
        let core = Finalized::new_on(&finalizer, Core);
        let before = asked();
        drop(core);
        // The thread may be asleep, and the next core finds it awake or not.
        assert_eq!(asked(), before, "round {round}");
        if round % 10 == 0 {
            assert_eq!(finalizer.drain(Deadline::NEVER).left, 0);
            assert_eq!(FINALIZED.load(SeqCst), round);
        }
    }
    assert_eq!(finalizer.shutdown(Deadline::NEVER).left, 0);
}
