//! What a signal comes to by the flags of a wait, and threads that wait under fire.

use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use pysync_boc::LockFlags;
use pysync_parking_lot::PendingCallError;
use pysync_testing::{Sleeper, Target, rain, rain_until, wait_until, watchdog};

use crate::counting::{Counts, set_pending_calls, take_counts};

pub(crate) const DETACH: LockFlags = LockFlags::DETACH;
pub(crate) const HANDLE: LockFlags = LockFlags::HANDLE_SIGNALS;
pub(crate) const FAIL: LockFlags = LockFlags::FAIL_IF_INTERRUPTED;
pub(crate) const NONE: LockFlags = LockFlags::empty();

/// Whether signals are sent, so that there may be pending calls.
static IS_RAINING: AtomicBool = AtomicBool::new(false);

pub(crate) fn is_raining() -> bool {
    IS_RAINING.load(SeqCst)
}

/// Signals are sent in `body`.
pub(crate) fn raining<R>(body: impl FnOnce() -> R) -> R {
    IS_RAINING.store(true, SeqCst);
    let result = body();
    IS_RAINING.store(false, SeqCst);
    result
}

/// A thread's pending calls.
pub(crate) type Calls = fn() -> Result<(), PendingCallError>;

pub(crate) fn succeed() -> Result<(), PendingCallError> {
    Ok(())
}

pub(crate) fn fail() -> Result<(), PendingCallError> {
    if is_raining() { Err(PendingCallError) } else { Ok(()) }
}

/// The flags of a wait, what the pending calls of its thread come to, and whether a signal ends it.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) flags: LockFlags,
    pub(crate) calls: Calls,
    pub(crate) is_ended: bool,
}

impl Case {
    pub(crate) const fn new(flags: LockFlags, calls: Calls, is_ended: bool) -> Self {
        Self { flags, calls, is_ended }
    }

    /// What the thread of such a wait has asked of its runtime.
    pub(crate) fn check(self, counts: Counts, context: impl Debug) {
        let flags = self.flags;
        assert_eq!(counts.detached, counts.attached, "{flags:?} {context:?}");
        assert_eq!(counts.detached > 0, flags.contains(DETACH), "{flags:?} {context:?}");
        assert_eq!(counts.pending > 0, self.runs_calls(), "{flags:?} {context:?}");
    }

    /// Whether a signal has the pending calls run.
    pub(crate) fn runs_calls(self) -> bool {
        self.flags.contains(HANDLE) && !self.flags.contains(FAIL)
    }
}

/// Waits that a signal ends, and waits that go on, each without a detach and with one.
pub(crate) fn cases() -> impl Iterator<Item = Case> {
    const CASES: [Case; 5] = [
        Case::new(NONE, fail, false),
        // The wait goes on.
        Case::new(HANDLE, succeed, false),
        Case::new(HANDLE, fail, true),
        Case::new(FAIL, succeed, true),
        // The stronger of the two.
        Case::new(FAIL.union(HANDLE), fail, true),
    ];
    let detaching = |case: Case| Case { flags: case.flags | DETACH, ..case };
    CASES.into_iter().flat_map(move |case| [case, detaching(case)])
}

/// A thread waits by `wait` under fire once `is_parked`: until that ends or, if no signal ends it, for many
/// signals and then until `wake`. Returns what the wait comes to, and what it has asked of its runtime.
pub(crate) fn under_fire<T: Send>(
    case: Case,
    wait: impl FnOnce() -> T + Send,
    is_parked: impl Fn(&Sleeper) -> bool,
    wake: impl FnOnce(),
) -> (T, Counts) {
    let _watchdog = watchdog();
    let target = Target::default();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            set_pending_calls(case.calls);
            target.enter();
            let ended = wait();
            (ended, take_counts())
        });
        let threads = [target.thread()];
        wait_until(|| is_parked(&target.sleeper));
        raining(|| {
            // SAFETY: joined below.
            unsafe {
                if case.is_ended {
                    rain_until(&threads, || waiter.is_finished());
                } else {
                    rain(&threads, 200);
                    assert!(!waiter.is_finished());
                    wake();
                }
            }
        });
        waiter.join().unwrap()
    })
}
