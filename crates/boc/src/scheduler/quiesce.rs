//! How many behaviours are pending, and who waits until none is.

use pysync_parking_lot::{Choice, Key, Position, Wait, park_with, unpark_filter};
use pysync_platform::primitive::atomic::{
    AtomicU8, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release, SeqCst},
    fence,
};
use pysync_platform::primitive::plain;
use pysync_platform::{Deadline, LockFlags, ParkStatus, Runtime};

use super::runtime::Shared;
use super::worker::Worker;

/// The behaviours that the threads outside of a runtime's workers have scheduled and finished. Each word
/// counts in its upper bits, and has a flag in bit 0.
#[derive(Default)]
pub(crate) struct Outside {
    /// Bit 0: [`STOPPED`].
    scheduled: AtomicUsize,
    /// Bit 0: [`CONVERTED`].
    finished: AtomicUsize,
}

/// The runtime has been stopped, and counts nothing more.
const STOPPED: usize = 1;
/// The behaviours that were pending when the last worker ended hold a pin of the runtime each.
const CONVERTED: usize = 1;
/// What one behaviour adds.
const ONE: usize = 2;

impl Outside {
    /// Counts `count` behaviours, unless the runtime has been stopped.
    pub(crate) fn begin(&self, count: usize) -> bool {
        // Ordering: Relaxed. The flag is in the same word, so that a stop comes before or after. What a
        // quiescer concludes rests on the count of finished ones.
        let mut word = self.scheduled.load(Relaxed);
        while word & STOPPED == 0 {
            let new = word.wrapping_add(count.wrapping_mul(ONE));
            match self.scheduled.compare_exchange_weak(word, new, Relaxed, Relaxed) {
                Ok(_) => return true,
                Err(actual) => word = actual,
            }
        }
        false
    }

    /// Counts nothing from now on.
    pub(crate) fn stop(&self) {
        // Ordering: Relaxed; who must see it sees `Shared::stopping`, which is set after it.
        self.scheduled.fetch_or(STOPPED, Relaxed);
    }

    /// Counts a behaviour that is finished; true if it has held a pin of the runtime.
    pub(crate) fn finish(&self) -> bool {
        // Ordering: Release pairs with the Acquire of `Shared::pending`.
        self.finished.fetch_add(ONE, Release) & CONVERTED != 0
    }

    /// From now on each behaviour that is finished gives a pin back. Returns how many have been finished
    /// before.
    pub(crate) fn convert(&self) -> usize {
        // Ordering: Acquire pairs with the Release of `finish`.
        self.finished.fetch_or(CONVERTED, Acquire) / ONE
    }

    pub(crate) fn scheduled(&self) -> usize {
        self.scheduled.load(Relaxed) / ONE
    }

    pub(crate) fn finished(&self) -> usize {
        // Ordering: Acquire, as in `Shared::pending`.
        self.finished.load(Acquire) / ONE
    }
}

/// What a worker has scheduled and finished. It alone writes them.
#[derive(Default)]
pub(crate) struct Counts {
    scheduled: AtomicUsize,
    finished: AtomicUsize,
}

impl Counts {
    #[inline(always)]
    pub(crate) fn begin(&self, count: usize) {
        // Ordering: Relaxed. A thread that sees a behaviour finished sees it scheduled, since it has been handed
        // from one to the other.
        self.scheduled.store(self.scheduled().wrapping_add(count), Relaxed);
    }

    #[inline(always)]
    pub(crate) fn finish(&self) {
        // Ordering: Release pairs with the Acquire of `Shared::pending`.
        self.finished.store(self.finished.load(Relaxed).wrapping_add(1), Release);
    }

    pub(crate) fn scheduled(&self) -> usize {
        self.scheduled.load(Relaxed)
    }

    pub(crate) fn finished(&self) -> usize {
        // Ordering: Acquire, as in `Shared::pending`.
        self.finished.load(Acquire)
    }
}

impl Shared {
    /// How many behaviours are pending, or more. 0 says that there was a moment without any, and that it
    /// came after all that the caller had seen scheduled before.
    ///
    /// All that are finished are counted first, then all that are scheduled. Let F be the behaviours that
    /// the first step has counted. The Acquire of each count makes all visible that happened before those
    /// were finished. So the second step counts at least:
    ///
    /// - each behaviour of F, since it was scheduled before it was finished;
    /// - each that a body of F has scheduled, since that came before its end;
    /// - each that the caller had seen scheduled.
    ///
    /// If both counts are equal, these are all in F. So what was scheduled by then was finished, and had
    /// left nothing behind: that is the moment. (A count may wrap, which would need 2³¹ behaviours between
    /// the two steps, or as many that are pending.)
    pub(crate) fn pending(&self) -> usize {
        let finished = self.sum(Counts::finished, self.outside.finished());
        let scheduled = self.sum(Counts::scheduled, self.outside.scheduled());
        // The counts of other threads have a bit less than those of the workers.
        scheduled.wrapping_sub(finished) & (usize::MAX / ONE)
    }

    pub(crate) fn sum(&self, count: impl Fn(&Counts) -> usize, outside: usize) -> usize {
        let of_worker = |worker: &Worker| count(&worker.counts);
        self.workers.iter().map(of_worker).fold(outside, usize::wrapping_add)
    }

    /// Wakes the quiescers, if there are any and nothing is pending. Called by a thread that has finished
    /// a behaviour, before it goes on to something else for long.
    pub(crate) fn notify_if_quiet(&self) {
        // Ordering: between what this thread has counted and its look at the flag; pairs with the fence in
        // `quiesce`. Of two threads that finish the last behaviours at a time, the one whose fence comes
        // last sees both counts.
        fence(SeqCst);
        self.quiescers.notify(|| self.pending() == 0);
    }
}

/// How a wait has ended.
pub(crate) enum Waited {
    /// There was a moment in which nothing was pending.
    Quiet,
    /// What the caller waits for besides has come.
    Over,
    /// The deadline has passed.
    Late,
}

/// The threads that wait until nothing is pending.
#[derive(Default)]
pub(crate) struct Quiescers {
    /// Whether threads wait. Written under the bucket lock.
    waiting: AtomicU8,
}

impl Quiescers {
    /// Whether threads may wait, by a look without a fence.
    #[inline]
    pub(crate) fn seem_waiting(&self) -> bool {
        self.waiting.load(Relaxed) != 0
    }

    /// Waits until `is_quiet`, or `is_over`, or the deadline. `is_over` is looked at once more after each
    /// [`recheck`](Self::recheck); also under the bucket lock.
    pub(crate) fn wait<R: Runtime>(
        &self,
        deadline: Deadline,
        flags: LockFlags,
        is_quiet: impl Fn() -> bool,
        is_over: impl Fn() -> bool,
    ) -> Result<Waited, super::runtime::Interrupted> {
        loop {
            if is_quiet() {
                return Ok(Waited::Quiet);
            }
            if is_over() {
                return Ok(Waited::Over);
            }
            if deadline.has_passed() {
                return Ok(Waited::Late);
            }
            let was_quiet = plain::AtomicBool::new(false);
            let validate = || {
                // Ordering: Relaxed; the fence orders it.
                self.waiting.store(1, Relaxed);
                // Ordering: between the flag and the look at the counts; pairs with the fence in
                // `notify_if_quiet`, and with the one in `recheck`.
                fence(SeqCst);
                !is_quiet() && !is_over()
            };
            let wait = Wait {
                deadline,
                park_arg: (&raw const was_quiet).cast_mut().cast(),
                detach: flags.contains(LockFlags::DETACH),
                position: Position::Back,
            };
            // SAFETY: the key is this field's, on which threads park only here.
            match unsafe { park_with::<R>(self.key(), wait, validate, || ()) } {
                // It was quiet after the wait had begun: the waker has looked under the bucket lock.
                // Ordering: Relaxed. Written under that lock, before this thread was woken.
                ParkStatus::Ok if was_quiet.load(Relaxed) => return Ok(Waited::Quiet),
                ParkStatus::Interrupted => {
                    if flags.on_interrupt::<R>().is_some() {
                        return Err(super::runtime::Interrupted);
                    }
                }
                ParkStatus::Ok | ParkStatus::Again | ParkStatus::Timeout => {}
            }
        }
    }

    /// Wakes all if `is_quiet`. It looks under the bucket lock: so what a waiter had scheduled before it
    /// was queued counts.
    fn notify(&self, is_quiet: impl Fn() -> bool) {
        if !self.seem_waiting() || !is_quiet() {
            return;
        }
        let mut decided = None;
        self.unpark(|was_quiet| {
            if !*decided.get_or_insert_with(&is_quiet) {
                return Choice::Stop;
            }
            // Ordering: Relaxed, under the bucket lock.
            was_quiet.store(true, Relaxed);
            Choice::Unpark
        });
    }

    /// Has those that wait look once more whether their wait is over. What makes it so comes before.
    pub(crate) fn recheck(&self) {
        // Ordering: between what the caller has changed and its look at the flag; pairs with the fence in
        // `wait`.
        fence(SeqCst);
        if self.seem_waiting() {
            self.unpark(|_| Choice::Unpark);
        }
    }

    /// Unparks those that `choose` names. It is shown where each is told that it was quiet.
    fn unpark(&self, mut choose: impl FnMut(&plain::AtomicBool) -> Choice) {
        // SAFETY: threads park on this key only in `wait`, with a pointer to what they keep until they are
        // off the queue, for which they need the bucket lock.
        let choose = |park_arg: *mut ()| choose(unsafe { &*park_arg.cast::<plain::AtomicBool>() });
        unpark_filter(self.key(), choose, |outcome| {
            if !outcome.has_more_waiters {
                // Ordering: Relaxed. The next waiter writes under the same bucket lock.
                self.waiting.store(0, Relaxed);
            }
        });
    }

    fn key(&self) -> Key {
        Key::of(&raw const self.waiting)
    }
}
