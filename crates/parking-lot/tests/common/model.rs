//! What the models of loom and of shuttle have in common: a lock of one byte with a condition, whose
//! notifier moves the waiters to the lock.

use std::ptr::null_mut;
use std::time::Duration;

use pysync_parking_lot::{
    Choice, Deadline, Key, Native, ParkStatus, Position, UnparkResult, Wait, park, park_with,
    unpark, unpark_requeue,
};
use pysync_platform::primitive::atomic::{AtomicU8, Ordering::*};
use pysync_testing::model::Data;

pub(crate) const SOON: Option<Duration> = Some(Duration::from_millis(1));

/// Two words. In a model with two buckets each has its own: the first one that of the lower index,
/// however large a checker's atomics are.
#[derive(Default)]
#[repr(C, align(128))]
pub(crate) struct Pair {
    pub(crate) low: AtomicU8,
    high: High,
}

#[derive(Default)]
#[repr(C, align(128))]
struct High {
    skipped: [u64; 8],
    word: AtomicU8,
}

impl Pair {
    pub(crate) fn high(&self) -> &AtomicU8 {
        &self.high.word
    }
}

/// Parks on `key` until `deadline` with nothing to tell, having called `before_sleep`.
pub(crate) fn park_on(
    key: Key,
    timeout: Option<Duration>,
    before_sleep: impl FnOnce(),
) -> ParkStatus {
    let wait = Wait {
        deadline: Deadline::after(timeout),
        park_arg: null_mut(),
        detach: false,
        position: Position::Back,
    };
    // SAFETY: no code reads the park arguments of a model's own words.
    unsafe { park_with::<Native>(key, wait, || true, before_sleep) }
}

/// Moves all who wait on `from` to `to`.
pub(crate) fn move_all(from: Key, to: Key) -> UnparkResult {
    // SAFETY: as above.
    unsafe { unpark_requeue(from, |_| Some(to), |_| Choice::Requeue, |_| ()) }
}

const LOCKED: u8 = 1;
const HAS_PARKED: u8 = 2;

/// A lock of one byte, and a condition that it guards. The two words are those of a [`Pair`], either
/// way round.
#[derive(Default)]
pub(crate) struct Monitor<const LOCK_IS_LOW: bool> {
    words: Pair,
    pub(crate) ready: Data,
}

impl<const LOCK_IS_LOW: bool> Monitor<LOCK_IS_LOW> {
    fn lock_word(&self) -> &AtomicU8 {
        if LOCK_IS_LOW { &self.words.low } else { self.words.high() }
    }

    fn condition(&self) -> Key {
        Key::of(if LOCK_IS_LOW { self.words.high() } else { &self.words.low })
    }

    pub(crate) fn lock(&self) {
        let word = self.lock_word();
        let mut state = word.load(Relaxed);
        loop {
            let next = if state & LOCKED == 0 { state | LOCKED } else { LOCKED | HAS_PARKED };
            if next != state
                && let Err(actual) = word.compare_exchange(state, next, Acquire, Relaxed)
            {
                state = actual;
                continue;
            }
            if state & LOCKED == 0 {
                return;
            }
            park(word, LOCKED | HAS_PARKED, None, null_mut(), false);
            state = word.load(Relaxed);
        }
    }

    pub(crate) fn unlock(&self) {
        let word = self.lock_word();
        if word.compare_exchange(LOCKED, 0, Release, Relaxed).is_err() {
            unpark(word, |unparked| {
                let parked = unparked.is_some_and(|unparked| unparked.has_more_waiters);
                // A swap and not a store: loom does not order a store with an exchange that it
                // raced with.
                word.swap(if parked { HAS_PARKED } else { 0 }, Release);
            });
        }
    }

    /// Gives the lock up, waits on the condition, and takes the lock.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> ParkStatus {
        let status = park_on(self.condition(), timeout, || self.unlock());
        self.lock();
        status
    }

    /// Waits until it is ready.
    pub(crate) fn wait_until_ready(&self, timeout: Option<Duration>) {
        self.lock();
        while self.ready.get() == 0 {
            self.wait(timeout);
        }
        self.unlock();
    }

    /// Marks the lock as one that threads are parked on, if it is held.
    fn mark_if_locked(&self) -> bool {
        let word = self.lock_word();
        let mut state = word.load(Relaxed);
        while state & LOCKED != 0 {
            match word.compare_exchange(state, state | HAS_PARKED, Relaxed, Relaxed) {
                Ok(_) => return true,
                Err(actual) => state = actual,
            }
        }
        false
    }

    /// Moves all who wait on the condition to the lock. Where no unlock is to come, the first one
    /// is woken to make it.
    pub(crate) fn notify_all(&self) -> UnparkResult {
        let mut first = true;
        let choose = |_| {
            let is_first = std::mem::replace(&mut first, false);
            if !is_first || self.mark_if_locked() {
                return Choice::Requeue;
            }
            // Those behind it are going to be parked on the lock, which is free now.
            self.lock_word().fetch_or(HAS_PARKED, Relaxed);
            Choice::Unpark
        };
        let lock = Key::of(self.lock_word());
        // SAFETY: no code reads the park arguments of a model's own words.
        unsafe { unpark_requeue(self.condition(), |_| Some(lock), choose, |_| ()) }
    }

    /// Makes it ready and notifies, with the lock held.
    pub(crate) fn make_ready_inside(&self) {
        self.lock();
        self.ready.set(1);
        self.notify_all();
        self.unlock();
    }

    /// Makes it ready, and notifies when the lock may be free.
    pub(crate) fn make_ready_and_notify_outside(&self) {
        self.lock();
        self.ready.set(1);
        self.unlock();
        self.notify_all();
    }
}
