//! CPython's mutex, with its own way to wait, on nothing but the parking lot. `pysync_lock::Mutex`
//! waits otherwise (deviation D10), and this is what it is measured against.

use std::cell::Cell;
use std::sync::atomic::{AtomicU8, Ordering::*};
use std::thread;

use pysync_parking_lot::{Deadline, Native, ParkStatus, park_in, unpark};
use pysync_platform::TIME_TO_BE_FAIR;

use super::contender::BareLock;

const LOCKED: u8 = 1;
const HAS_PARKED: u8 = 2;
const MAX_SPIN_COUNT: u32 = 40;

/// A byte with the bits of `PyMutex`.
pub(crate) struct Faithful(AtomicU8);

/// What a waiter parks with.
struct Entry {
    time_to_be_fair: Deadline,
    handed_off: Cell<bool>,
}

impl Faithful {
    #[cold]
    fn lock_slow(&self) {
        let time_to_be_fair = Deadline::after(Some(TIME_TO_BE_FAIR));
        let entry = Entry { time_to_be_fair, handed_off: Cell::new(false) };
        let mut yields_left = MAX_SPIN_COUNT;
        let mut state = self.0.load(Relaxed);
        loop {
            if state & LOCKED == 0 {
                match self.0.compare_exchange_weak(state, state | LOCKED, Acquire, Relaxed) {
                    Ok(_) => return,
                    Err(actual) => state = actual,
                }
            } else if state & HAS_PARKED == 0 && yields_left > 0 {
                // Without a look: `state` stays as it is.
                thread::yield_now();
                yields_left -= 1;
            } else if let Err(actual) = self.announce(state) {
                state = actual;
            } else {
                let (parked, arg) = (LOCKED | HAS_PARKED, (&raw const entry).cast_mut().cast());
                let status = park_in::<Native, _>(&self.0, parked, Deadline::NEVER, arg, true);
                if status == ParkStatus::Ok && entry.handed_off.get() {
                    return;
                }
                state = self.0.load(Relaxed);
            }
        }
    }

    /// The first waiter sets the bit that says so.
    fn announce(&self, state: u8) -> Result<u8, u8> {
        if state & HAS_PARKED != 0 {
            return Ok(state);
        }
        self.0.compare_exchange_weak(state, state | HAS_PARKED, Relaxed, Relaxed)
    }

    #[cold]
    fn unlock_slow(&self) {
        // The callback runs under the bucket lock, before the waiter wakes.
        unpark(&raw const self.0, |unparked| {
            let mut state = 0;
            if let Some(unparked) = unparked {
                // SAFETY: threads park on this byte in `lock_slow` only, with an entry that stays
                // where it is until they wake.
                let entry = unsafe { &*unparked.park_arg.cast::<Entry>() };
                if entry.time_to_be_fair.has_passed() {
                    entry.handed_off.set(true);
                    state |= LOCKED;
                }
                if unparked.has_more_waiters {
                    state |= HAS_PARKED;
                }
            }
            self.0.store(state, Release);
        });
    }
}

impl BareLock for Faithful {
    fn new() -> Self {
        Self(AtomicU8::new(0))
    }

    #[inline(always)]
    fn lock(&self) {
        if self.0.compare_exchange(0, LOCKED, Acquire, Relaxed).is_err() {
            self.lock_slow();
        }
    }

    #[inline(always)]
    fn unlock(&self) {
        if self.0.compare_exchange(LOCKED, 0, Release, Relaxed).is_err() {
            self.unlock_slow();
        }
    }
}
