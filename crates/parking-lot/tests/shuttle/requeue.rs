//! Waiters that are moved to another key, while they give up, leave and come back.

use std::pin::pin;
use std::ptr::null_mut;

use pysync_parking_lot::{
    Choice, Deadline, Key, LockFlags, Native, ParkStatus, Position, Waiter, inspect, unpark_filter,
};
use pysync_testing::model::TryOut;
use shuttle::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use crate::model::{Monitor, Pair, SOON, move_all, park_on};

/// Two keys, and how many waits have ended with a wake, or are owed one.
#[derive(Default)]
struct Keys {
    words: Pair,
    woken: AtomicUsize,
    unparked: AtomicUsize,
    left: AtomicUsize,
}

impl Keys {
    fn low(&self) -> Key {
        Key::of(&self.words.low)
    }

    fn high(&self) -> Key {
        Key::of(self.words.high())
    }

    /// Waits on each key, for good and for a time, and in steps.
    fn wait(&self, first: Key, second: Key) {
        for (key, timeout) in [(first, None), (second, SOON)] {
            let status = park_on(key, timeout, || ());
            self.woken.fetch_add((status == ParkStatus::Ok).into(), SeqCst);
        }
        let waiter = pin!(Waiter::new(null_mut()));
        for (key, sleeps) in [(second, true), (first, false)] {
            let waiter = waiter.as_ref();
            // SAFETY: no code reads the park arguments of a model's own words.
            unsafe { waiter.queue(key, Position::Front, || true) };
            let woken = if sleeps {
                waiter.sleep::<Native>(Deadline::NEVER, LockFlags::empty()) == ParkStatus::Ok
            } else {
                waiter.leave()
            };
            self.woken.fetch_add(woken.into(), SeqCst);
        }
        self.left.fetch_add(1, SeqCst);
    }

    /// Moves and wakes until all are done.
    fn stir(&self, from: Key, to: Key, waiters: usize) {
        while self.left.load(SeqCst) < waiters {
            move_all(from, to);
            let mut turn = 0;
            let every_second = |_| {
                turn += 1;
                if turn % 2 == 1 { Choice::Unpark } else { Choice::Skip }
            };
            let unparked = unpark_filter(to, every_second, |_| ()).unparked;
            self.unparked.fetch_add(unparked, SeqCst);
            shuttle::thread::yield_now();
        }
    }

    fn agree(&self) {
        assert_eq!(self.woken.load(SeqCst), self.unparked.load(SeqCst));
        for key in [self.low(), self.high()] {
            assert_eq!(inspect(key, |args| args.count()), 0, "left behind");
        }
    }
}

#[test]
fn every_wait_that_is_woken_has_been_unparked_once() {
    TryOut::new("moves both ways", 6_000).run(
        Keys::default,
        [
            |k| k.wait(k.low(), k.high()),
            |k| k.wait(k.high(), k.low()),
            |k| k.wait(k.low(), k.low()),
            |k| k.stir(k.low(), k.high(), 3),
            |k| k.stir(k.high(), k.low(), 3),
        ],
        Keys::agree,
    );
}

#[test]
fn a_condition_whose_waiters_are_moved_to_the_lock() {
    fn try_out<const LOCK_IS_LOW: bool>() {
        let name =
            format!("condition, lock in the {} bucket", if LOCK_IS_LOW { "low" } else { "high" });
        TryOut::new(name, 6_000).run(
            Monitor::<LOCK_IS_LOW>::default,
            [
                |m| m.wait_until_ready(None),
                |m| m.wait_until_ready(SOON),
                |m| m.wait_until_ready(None),
                |m| {
                    m.make_ready_and_notify_outside();
                    m.make_ready_inside();
                },
                |m| {
                    m.lock();
                    m.unlock();
                    m.notify_all();
                },
            ],
            |m| {
                m.lock();
                assert_eq!(m.ready.get(), 1);
                m.unlock();
            },
        );
    }
    try_out::<true>();
    if cfg!(pysync_two_buckets) {
        try_out::<false>();
    }
}
