use std::cell::Cell;
use std::time::Duration;

use crate::primitive::yield_now;
use crate::{Deadline, primitive};

use crate::backoff::Backoff;

/// Whether locks wait just as C's do. Models do, but for the yields: they go straight to the
/// parking lot, where the interesting part is.
pub const FAITHFUL: bool = cfg!(any(pysync_loom, pysync_shuttle, pysync_faithful));

/// A thread that has waited for longer than this, in nanoseconds, is handed the lock when it is
/// unlocked, instead of having to win a race for it.
///
/// CPython: Python/lock.c:L22 TIME_TO_BE_FAIR_NS
pub const TIME_TO_BE_FAIR_NS: u64 = 1_000_000;

/// How often a thread yields before it parks; in C, without a look at the word meanwhile.
///
/// CPython: Python/lock.c:L28 MAX_SPIN_COUNT
const MAX_SPIN_COUNT: u32 = 40;

/// How often it does: in models, not at all.
const SPIN_COUNT: u32 = if cfg!(any(pysync_loom, pysync_shuttle)) { 0 } else { MAX_SPIN_COUNT };

/// How often a thread yields that was woken and found the mutex taken.
const WOKEN_SPIN_COUNT: u32 = 10 * SPIN_COUNT;

/// Where a thread was held up, and the stride with which it began to wait.
#[derive(Clone, Copy)]
struct HoldUp {
    lock: usize,
    stride: u32,
}

impl HoldUp {
    /// The same lock again is one that is fought over: best left to whoever has its cache line,
    /// for hundreds of short sections. Any other is likely to be free in a moment.
    fn next(self, lock: usize) -> Self {
        let stride = if lock == self.lock { 2 * self.stride } else { self.stride / 2 };
        Self { lock, stride: stride.clamp(1, MAX_SPIN_COUNT) }
    }

    /// Whether thread and lock have met by chance, as far as is known.
    fn is_by_chance(self) -> bool {
        self.stride == 1
    }
}

primitive::thread_local! {
    static LAST: Cell<HoldUp> = Cell::new(HoldUp { lock: 0, stride: 1 })
}

/// What a thread does about a locked word before it parks.
pub struct Spin<const FAITHFUL: bool> {
    yields_left: u32,
    /// How many of them from one look at the word to the next.
    stride: u32,
    before_look: u32,
    woken: bool,
    /// When it sleeps at once: as soon as it is due, since only sleepers are handed a mutex.
    until: Deadline,
}

impl<const FAITHFUL: bool> Spin<FAITHFUL> {
    /// Begins a wait for the lock of that address. It may be free by now.
    pub fn new(lock: usize, now: u64, deadline: Deadline) -> Self {
        // Deviation D10: C leaves each lock alone for all of its yields.
        let stride = if FAITHFUL {
            MAX_SPIN_COUNT
        } else {
            let hold_up = LAST.with(Cell::get).next(lock);
            LAST.with(|cell| cell.set(hold_up));
            // Then whoever has it is about to leave. Who pauses more often keeps a processor that
            // others may need to get there.
            if hold_up.is_by_chance() {
                Backoff::new().stand_back();
            }
            hold_up.stride
        };
        Self {
            yields_left: SPIN_COUNT,
            stride,
            before_look: stride,
            woken: false,
            until: deadline.min(Deadline::at(now, Some(Duration::from_nanos(TIME_TO_BE_FAIR_NS)))),
        }
    }

    /// Whether to yield once more rather than to park.
    pub fn is_worthwhile(&self, has_parked: bool) -> bool {
        // Somebody has parked: then the lock is slow, as a rule, and the queue is fair.
        self.yields_left > 0 && (self.woken || !has_parked)
    }

    /// Yields; true if it is time to look at the word again.
    pub fn step(&mut self) -> bool {
        yield_now();
        self.yields_left -= 1;
        self.before_look -= 1;
        // One yield may take as long as all of them: another thread's time slice.
        if !FAITHFUL && self.until.has_passed() {
            self.yields_left = 0;
        }
        if self.before_look > 0 && self.yields_left > 0 {
            return false;
        }
        self.stride = MAX_SPIN_COUNT.min(2 * self.stride);
        self.before_look = self.stride;
        true
    }

    /// A wake that was no hand-off: somebody else may have been quicker.
    pub fn woken(&mut self) {
        // Deviation D10: to sleep again at once would cost the holder another wake, for a lock
        // that changes hands meanwhile.
        if !FAITHFUL {
            self.woken = true;
            self.yields_left = WOKEN_SPIN_COUNT;
            self.stride = MAX_SPIN_COUNT;
            self.before_look = MAX_SPIN_COUNT;
        }
    }
}

#[cfg(all(test, not(any(pysync_loom, pysync_shuttle, pysync_faithful))))]
mod tests {
    use super::*;

    /// After how many yields each look comes.
    fn looks<const FAITHFUL: bool>(mut spin: Spin<FAITHFUL>, has_parked: bool) -> Vec<u32> {
        let (mut yields, mut looks) = (0, Vec::new());
        while spin.is_worthwhile(has_parked) {
            yields += 1;
            if spin.step() {
                looks.push(yields);
            }
        }
        assert_eq!(looks.last().copied().unwrap_or(0), yields, "it parks without a last look");
        looks
    }

    /// Without the limit of time, which the tests set for themselves.
    fn begun<const FAITHFUL: bool>(last: HoldUp) -> Spin<FAITHFUL> {
        LAST.with(|cell| cell.set(last));
        Spin { until: Deadline::NEVER, ..Spin::new(8, 0, Deadline::NEVER) }
    }

    fn woken<const FAITHFUL: bool>() -> Spin<FAITHFUL> {
        let mut spin = Spin { yields_left: 0, ..begun(HoldUp { lock: 0, stride: 1 }) };
        spin.woken();
        spin
    }

    #[test]
    fn a_wait_yields_forty_times_and_looks_half_as_often_each_time_unless_somebody_has_parked() {
        let elsewhere = HoldUp { lock: 0, stride: 1 };
        assert_eq!(looks(begun::<false>(elsewhere), false), [1, 3, 7, 15, 31, 40]);
        assert_eq!(looks(begun::<false>(elsewhere), true), []);
        assert_eq!(looks(begun::<true>(elsewhere), false), [40]);
        assert_eq!(looks(begun::<true>(elsewhere), true), []);
    }

    #[test]
    fn a_lock_that_is_fought_over_is_left_alone_for_longer_each_time() {
        let mut last = HoldUp { lock: 0, stride: 1 };
        let strides = [8, 8, 8, 8, 8, 8, 8, 8, 16, 24, 24, 8, 8, 16].map(|lock| {
            last = last.next(lock);
            last.stride
        });
        assert_eq!(strides, [1, 2, 4, 8, 16, 32, 40, 40, 20, 10, 20, 10, 20, 10]);
        assert!(!last.is_by_chance());
        assert!((1..5).fold(last, |last, lock| last.next(lock)).is_by_chance());
        assert_eq!(looks(begun::<false>(HoldUp { lock: 8, stride: 1 }), false), [2, 6, 14, 30, 40]);
        // And the next wait knows of it.
        assert_eq!(LAST.with(Cell::get).stride, 2);
        assert_eq!(looks(begun::<false>(HoldUp { lock: 8, stride: 40 }), false), [40]);
    }

    #[test]
    fn who_was_woken_spins_again() {
        let every_forty: Vec<u32> = (1..=10).map(|n| 40 * n).collect();
        assert_eq!(looks(woken::<false>(), true), every_forty);
        assert_eq!(looks(woken::<false>(), false), every_forty);
        assert_eq!(looks(woken::<true>(), false), []);
    }

    #[test]
    fn once_it_is_late_a_wait_looks_and_spins_no_more() {
        let until = Deadline::at(0, Some(Duration::ZERO));
        let fought_over = HoldUp { lock: 8, stride: 40 };
        assert_eq!(looks(Spin { until, ..woken::<false>() }, true), [1]);
        assert_eq!(looks(Spin { until, ..begun::<false>(fought_over) }, false), [1]);
        assert_eq!(looks(Spin { until, ..begun::<true>(fought_over) }, false), [40]);
    }

    #[test]
    fn a_wait_is_late_when_it_is_due_or_at_its_deadline() {
        let late_after = |now, nanos: Option<u64>| {
            let deadline = Deadline::at(now, nanos.map(Duration::from_nanos));
            Spin::<false>::new(8, now, deadline).until.as_nanos() - now
        };
        assert_eq!(late_after(5, None), TIME_TO_BE_FAIR_NS);
        assert_eq!(late_after(5, Some(2 * TIME_TO_BE_FAIR_NS)), TIME_TO_BE_FAIR_NS);
        assert_eq!(late_after(5, Some(7)), 7);
    }
}
