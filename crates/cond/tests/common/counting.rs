//! A runtime that counts what is asked of it, for each thread by itself.

use std::cell::Cell;

use pysync_parking_lot::{Native, PendingCallError, Runtime, bucket_locks_held};

/// What one thread's waits have asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) detached: usize,
    pub(crate) attached: usize,
    pub(crate) pending: usize,
}

thread_local! {
    static COUNTS: Cell<Counts> = const { Cell::new(Counts { detached: 0, attached: 0, pending: 0 }) };
    static IS_DETACHED: Cell<bool> = const { Cell::new(false) };
    static PENDING: Cell<fn() -> Result<(), PendingCallError>> = const { Cell::new(|| Ok(())) };
}

/// The counts of the calling thread since the last time.
pub(crate) fn take_counts() -> Counts {
    assert!(!IS_DETACHED.get(), "a detach without its attach");
    COUNTS.take()
}

/// What the calling thread's pending calls come to.
pub(crate) fn set_pending_calls(calls: fn() -> Result<(), PendingCallError>) {
    PENDING.set(calls);
}

fn count(change: impl FnOnce(&mut Counts)) {
    assert_eq!(bucket_locks_held(), 0, "called with a bucket lock held");
    let mut counts = COUNTS.get();
    change(&mut counts);
    COUNTS.set(counts);
}

pub(crate) enum Counting {}

/// Not to be forged: an attach needs a detach.
pub(crate) struct Detached(());

impl Runtime for Counting {
    type Detached = Detached;

    fn detach() -> Option<Detached> {
        assert!(!IS_DETACHED.replace(true), "detached twice");
        count(|counts| counts.detached += 1);
        Some(Detached(()))
    }

    fn attach(_: Detached) {
        assert!(IS_DETACHED.replace(false), "attached, but not detached");
        count(|counts| counts.attached += 1);
    }

    fn make_pending_calls() -> Result<(), PendingCallError> {
        assert!(!IS_DETACHED.get(), "pending calls on a detached thread");
        count(|counts| counts.pending += 1);
        PENDING.get()()
    }

    fn thread_ident() -> u64 {
        Native::thread_ident()
    }

    fn fatal_error(function: &'static str, message: &str) -> ! {
        panic!("{function}: {message}")
    }
}
