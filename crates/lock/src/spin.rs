use std::hint;
use std::time::Duration;

use pysync_parking_lot::Deadline;
use pysync_parking_lot::primitive::yield_now;

/// Whether locks wait just as C's do. Models do, but for the yields: they go straight to the
/// parking lot, where the interesting part is.
pub(crate) const FAITHFUL: bool = cfg!(any(loom, shuttle, pysync_faithful));

/// How often a thread yields before it parks, without a look at the word.
///
/// CPython: Python/lock.c:L28 MAX_SPIN_COUNT
const MAX_SPIN_COUNT: u32 = if cfg!(any(loom, shuttle)) { 0 } else { 40 };

/// How long a thread stands back before it yields: enough for hundreds of short sections.
const BACK_OFF: Duration = Duration::from_micros(16);

/// How often a thread yields that was woken and found the mutex taken. It looks every 40.
const MAX_WOKEN_SPIN_COUNT: u32 = 10 * MAX_SPIN_COUNT;

/// A thread that has waited for longer than this sleeps at once, so that it will be handed the
/// mutex: four times what it takes to be due.
const TIME_TO_SPIN: Duration = Duration::from_millis(4);

/// What a thread does about a locked word before it parks.
pub(crate) struct Spin<const FAITHFUL: bool> {
    yields_left: u32,
    woken: bool,
    until: Deadline,
}

impl<const FAITHFUL: bool> Spin<FAITHFUL> {
    /// Begins a wait, and stands back for its first microseconds.
    pub(crate) fn new(now: u64, deadline: Deadline) -> Self {
        // Deviation D10: whoever has the lock needs its cache line more than we do; and the
        // processor is ours, while to yield it to a thread that computes may be to lose it for
        // the rest of a time slice.
        if !FAITHFUL {
            stand_back(deadline.min(Deadline::at(now, Some(BACK_OFF))));
        }
        Self {
            yields_left: MAX_SPIN_COUNT,
            woken: false,
            until: deadline.min(Deadline::at(now, Some(TIME_TO_SPIN))),
        }
    }

    /// Whether to yield once more rather than to park.
    pub(crate) fn is_worthwhile(&self, has_parked: bool) -> bool {
        // Somebody has parked: then the lock is slow, as a rule, and the queue is fair.
        self.yields_left > 0 && (self.woken || !has_parked)
    }

    /// Yields; true if it is time to look at the word again.
    pub(crate) fn step(&mut self) -> bool {
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
}

fn stand_back(until: Deadline) {
    while !until.has_passed() {
        for _ in 0..64 {
            hint::spin_loop();
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle, pysync_faithful))))]
mod tests {
    use super::*;
    use pysync_parking_lot::monotonic_now;
    use pysync_testing::watchdog;

    /// How often it yields, and how often it then looks.
    fn exhaust<const FAITHFUL: bool>(mut spin: Spin<FAITHFUL>, has_parked: bool) -> (u32, u32) {
        let (mut yields, mut looks) = (0, 0);
        while spin.is_worthwhile(has_parked) {
            yields += 1;
            looks += u32::from(spin.step());
        }
        (yields, looks)
    }

    fn woken<const FAITHFUL: bool>(until: Deadline) -> Spin<FAITHFUL> {
        let mut spin = Spin { yields_left: 0, woken: false, until };
        spin.woken();
        spin
    }

    #[test]
    fn a_wait_begins_with_forty_yields_unless_somebody_has_parked() {
        let begun = || Spin::<false>::new(monotonic_now(), Deadline::NEVER);
        assert_eq!(exhaust(begun(), false), (40, 1));
        assert_eq!(exhaust(begun(), true), (0, 0));
        let faithful = || Spin::<true>::new(monotonic_now(), Deadline::NEVER);
        assert_eq!(exhaust(faithful(), false), (40, 1));
        assert_eq!(exhaust(faithful(), true), (0, 0));
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
        Spin::<false>::new(now, Deadline::NEVER);
        assert!(Deadline::at(now, Some(BACK_OFF)).has_passed());
        // One that began an hour ahead of the clock would stand back for an hour.
        let ahead = monotonic_now() + 3_600_000_000_000;
        let spin = Spin::<false>::new(ahead, Deadline::at(now, Some(Duration::ZERO)));
        assert!(spin.until.has_passed());
    }
}
