use std::cell::Cell;
use std::hint;
use std::time::Duration;

use pysync_parking_lot::primitive::yield_now;
use pysync_parking_lot::{Deadline, monotonic_now};

/// Whether locks wait just as C's do. Models do, but for the yields: they go straight to the
/// parking lot, where the interesting part is.
pub(crate) const FAITHFUL: bool = cfg!(any(loom, shuttle, pysync_faithful));

/// How often a thread yields before it parks, without a look at the word.
///
/// CPython: Python/lock.c:L28 MAX_SPIN_COUNT
const MAX_SPIN_COUNT: u32 = if cfg!(any(loom, shuttle)) { 0 } else { 40 };

/// How long a thread stands back at least, in nanoseconds: for a short section, and the transfer
/// of the lock's cache line.
const SHORTEST: u64 = 250;

/// How long at most, before it yields: for hundreds of short sections.
const LONGEST: u64 = 64 * SHORTEST;

/// In nanoseconds: a thread that is held up again before that has met a crowd.
const BRIEF: u64 = 1_000;

/// How often a thread yields that was woken and found the mutex taken. It looks every 40.
const MAX_WOKEN_SPIN_COUNT: u32 = 10 * MAX_SPIN_COUNT;

/// A thread that has waited for longer than this sleeps at once, so that it will be handed the
/// mutex: four times what it takes to be due.
const TIME_TO_SPIN: Duration = Duration::from_millis(4);

/// When a thread was held up, and where.
#[derive(Clone, Copy)]
struct HoldUp {
    lock: usize,
    stood_back: u64,
    /// Until when, on the monotonic clock.
    until: u64,
}

impl HoldUp {
    /// The next one, for which it is known how long to stand back at first: longer if it is the
    /// same lock, or just as soon. Such locks are fought over, and best left to one processor for
    /// a while; any other is likely to be free in a moment.
    fn next(self, lock: usize, now: u64) -> Self {
        let again = lock == self.lock || now < self.until.saturating_add(BRIEF);
        let stood_back = if again { LONGEST.min(2 * self.stood_back) } else { SHORTEST };
        Self { lock, stood_back, until: now.saturating_add(stood_back) }
    }
}

thread_local! {
    static LAST: Cell<HoldUp> =
        const { Cell::new(HoldUp { lock: 0, stood_back: SHORTEST, until: 0 }) };
}

/// What a thread does about a locked word before it parks.
pub(crate) struct Spin<const FAITHFUL: bool> {
    /// For how long it has, the last time.
    stood_back: u64,
    yields_left: u32,
    woken: bool,
    until: Deadline,
}

impl<const FAITHFUL: bool> Spin<FAITHFUL> {
    /// Begins a wait for the lock of that address, and stands back for its first moments.
    pub(crate) fn new(lock: usize, now: u64, deadline: Deadline) -> Self {
        let mut spin = Self {
            stood_back: LONGEST,
            yields_left: MAX_SPIN_COUNT,
            woken: false,
            until: deadline.min(Deadline::at(now, Some(TIME_TO_SPIN))),
        };
        // Deviation D10: whoever has the lock needs its cache line more than we do; and the
        // processor is ours, while to yield it to a thread that computes may be to lose it for
        // the rest of a time slice.
        if !FAITHFUL {
            let hold_up = LAST.get().next(lock, now);
            LAST.set(hold_up);
            spin.stand_back(now, hold_up.stood_back);
        }
        spin
    }

    /// Whether to stand back or to yield once more rather than to park.
    pub(crate) fn is_worthwhile(&self, has_parked: bool) -> bool {
        // Somebody has parked: then the lock is slow, as a rule, and the queue is fair.
        self.stood_back < LONGEST || self.yields_left > 0 && (self.woken || !has_parked)
    }

    /// Stands back for twice as long as before, or yields; true if it is time to look at the word
    /// again.
    pub(crate) fn step(&mut self) -> bool {
        if self.stood_back < LONGEST {
            self.stand_back(monotonic_now(), 2 * self.stood_back);
            return true;
        }
        yield_now();
        self.yields_left -= 1;
        let look = self.yields_left.is_multiple_of(MAX_SPIN_COUNT);
        if self.woken && look && self.until.has_passed() {
            self.yields_left = 0;
        }
        look
    }

    /// A wake that was no hand-off: somebody else may have been quicker.
    pub(crate) fn woken(&mut self) {
        // Deviation D10: to sleep again at once would cost the holder another wake, for a lock
        // that changes hands meanwhile.
        if !FAITHFUL {
            self.woken = true;
            self.yields_left = MAX_WOKEN_SPIN_COUNT;
        }
    }

    fn stand_back(&mut self, now: u64, nanos: u64) {
        self.stood_back = nanos;
        let until = self.until.min(Deadline::at(now, Some(Duration::from_nanos(nanos))));
        while !until.has_passed() {
            (0..4).for_each(|_| hint::spin_loop());
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle, pysync_faithful))))]
mod tests {
    use super::*;
    use pysync_testing::watchdog;

    /// How often it yields, and how often it looks.
    fn exhaust<const FAITHFUL: bool>(mut spin: Spin<FAITHFUL>, has_parked: bool) -> (u32, u32) {
        let (mut yields, mut looks) = (0, 0);
        while spin.is_worthwhile(has_parked) {
            yields += u32::from(spin.stood_back == LONGEST);
            looks += u32::from(spin.step());
        }
        (yields, looks)
    }

    fn woken<const FAITHFUL: bool>(until: Deadline) -> Spin<FAITHFUL> {
        let mut spin = Spin { stood_back: LONGEST, yields_left: 0, woken: false, until };
        spin.woken();
        spin
    }

    #[test]
    fn a_wait_stands_back_seven_times_and_yields_forty_times_unless_somebody_has_parked() {
        let begun = |lock| {
            LAST.set(HoldUp { lock: 0, stood_back: SHORTEST, until: 0 });
            Spin::<false>::new(lock, monotonic_now(), Deadline::NEVER)
        };
        // The first of the seven is over by now.
        assert_eq!(exhaust(begun(8), false), (40, 7));
        assert_eq!(exhaust(begun(8), true), (0, 6));
        let faithful = || Spin::<true>::new(8, monotonic_now(), Deadline::NEVER);
        assert_eq!(exhaust(faithful(), false), (40, 1));
        assert_eq!(exhaust(faithful(), true), (0, 0));
    }

    #[test]
    fn a_lock_that_is_fought_over_is_left_alone_for_longer_each_time() {
        let mut last = HoldUp { lock: 8, stood_back: SHORTEST, until: 1_000_000 };
        let mut next = |lock, later| {
            last = last.next(lock, last.until + later);
            last.stood_back / SHORTEST
        };
        // The same lock, however late; then others, soon; and one that is met by chance.
        assert_eq!([next(8, 0), next(8, 1_000_000), next(8, 5)], [2, 4, 8]);
        assert_eq!([next(9, 0), next(8, 999), next(7, 0), next(8, 999)], [16, 32, 64, 64]);
        assert_eq!([next(9, 1_000), next(9, 1_000), next(8, 1_000)], [1, 2, 1]);
    }

    #[test]
    fn who_was_woken_spins_again_until_it_is_late() {
        assert_eq!(exhaust(woken::<false>(Deadline::NEVER), true), (400, 10));
        assert_eq!(exhaust(woken::<false>(Deadline::NEVER), false), (400, 10));
        let passed = Deadline::at(0, Some(Duration::ZERO));
        assert_eq!(exhaust(woken::<false>(passed), true), (40, 1));
        assert_eq!(exhaust(woken::<true>(Deadline::NEVER), false), (0, 0));
    }

    #[test]
    fn a_wait_stands_back_for_so_long_but_not_beyond_its_deadline() {
        let _watchdog = watchdog();
        let now = monotonic_now();
        LAST.set(HoldUp { lock: 8, stood_back: LONGEST, until: 0 });
        let spin = Spin::<false>::new(8, now, Deadline::NEVER);
        assert_eq!(spin.stood_back, LONGEST);
        assert!(Deadline::at(now, Some(Duration::from_nanos(LONGEST))).has_passed());
        // One that began an hour ahead of the clock would stand back for an hour.
        let ahead = monotonic_now() + 3_600_000_000_000;
        let spin = Spin::<false>::new(8, ahead, Deadline::at(now, Some(Duration::ZERO)));
        assert!(spin.until.has_passed());
    }
}
