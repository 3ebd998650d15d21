use crate::primitive::{hint, yield_now};

use crate::spin::FAITHFUL;

/// The first stand-back: some dozens of uncontended operations, so that it pays for the transfer
/// of a cache line that it saves.
const FEWEST_PAUSES: u32 = 16;
/// The longest one, some microseconds.
const MOST_PAUSES: u32 = 128;

/// What a thread does while others change a word that is never locked for long: it stands back,
/// for longer each time, so that they get on with it undisturbed.
pub struct Backoff {
    pauses: u32,
}

impl Backoff {
    /// The first stand-back is the shortest.
    pub const fn new() -> Self {
        Self { pauses: FEWEST_PAUSES }
    }

    /// Stands back.
    pub fn stand_back(&mut self) {
        // Deviation D13: C tries again at once.
        if !FAITHFUL {
            (0..self.pauses).for_each(|_| hint::spin_loop());
            self.pauses = MOST_PAUSES.min(2 * self.pauses);
        }
    }

    /// Stands back while another thread must get somewhere, and yields once that takes long.
    pub fn snooze(&mut self) {
        // Deviation D13: C yields at once.
        if FAITHFUL || self.pauses == MOST_PAUSES {
            yield_now();
        } else {
            self.stand_back();
        }
    }
}

#[cfg(all(test, not(any(pysync_loom, pysync_shuttle, pysync_faithful))))]
mod tests {
    use super::*;

    #[test]
    fn each_time_is_twice_as_long_up_to_a_limit() {
        let mut backoff = Backoff::new();
        let mut pauses = || {
            let pauses = backoff.pauses;
            backoff.stand_back();
            pauses
        };
        assert_eq!([pauses(), pauses(), pauses(), pauses(), pauses()], [16, 32, 64, 128, 128]);
    }
}
