//! Waiters that are moved to another key. Each model runs with one bucket, and with two, where it
//! runs both ways round. Even two threads take millions of executions here, so that all are bounded.

use std::pin::pin;
use std::ptr::null_mut;

use loom::sync::atomic::{AtomicU8, AtomicUsize, Ordering::*};
use pysync_parking_lot::{Key, ParkStatus, Position, Waiter, inspect, unpark};
use pysync_testing::model::{Data, Explore};

use crate::model::{Monitor, Pair, SOON, move_all, park_on};

const TWO_BUCKETS: bool = cfg!(pysync_two_buckets);

/// What the threads of a model do, with the waiters on the word of the lower bucket first, or on
/// that of the higher one.
#[derive(Default)]
struct Moves<const FROM_LOW: bool> {
    words: Pair,
    data: Data,
    told: AtomicUsize,
}

impl<const FROM_LOW: bool> Moves<FROM_LOW> {
    fn words(&self) -> [&AtomicU8; 2] {
        let (low, high) = (&self.words.low, self.words.high());
        if FROM_LOW { [low, high] } else { [high, low] }
    }

    fn keys(&self) -> [Key; 2] {
        self.words().map(|word| Key::of(word))
    }

    fn move_and_wake(&self) {
        let [from, to] = self.keys();
        let moved = move_all(from, to).requeued;
        self.data.set(7);
        for _ in 0..moved {
            unpark(self.words()[1], |unparked| assert!(unparked.is_some(), "moved and not there"));
        }
        self.told.fetch_add(moved, Relaxed);
    }

    /// A waiter that gives up, unless it is moved first. Woken, it has been moved, and sees what its
    /// waker did.
    fn wait(&self) {
        let [from, _] = self.keys();
        match park_on(from, SOON, || ()) {
            ParkStatus::Ok => {
                assert_eq!(self.data.get(), 7);
                self.told.fetch_sub(1, Relaxed);
            }
            status => assert_eq!(status, ParkStatus::Timeout),
        }
    }

    fn none_is_left(&self) {
        assert_eq!(self.told.load(Relaxed), 0, "as many are woken as are moved");
        let parked = self.keys().map(|key| inspect(key, |args| args.count()));
        assert_eq!(parked, [0, 0]);
    }
}

fn a_timeout_and_a_move<const FROM_LOW: bool>() {
    let name = format!("moved or timed out, from {}", if FROM_LOW { "low" } else { "high" });
    let bodies = [Moves::<FROM_LOW>::wait, Moves::move_and_wake];
    Explore::new(&name).bounded().run(Moves::default, bodies, Moves::none_is_left);
    let bodies = [Moves::<FROM_LOW>::wait, Moves::wait, Moves::move_and_wake];
    let name = format!("{name}, 2 waiters");
    Explore::new(name).preemptions(2).run(Moves::default, bodies, Moves::none_is_left);
}

#[test]
fn a_moved_waiter_does_not_time_out() {
    a_timeout_and_a_move::<true>();
    if TWO_BUCKETS {
        a_timeout_and_a_move::<false>();
    }
}

/// A waiter that leaves, while it is moved.
#[test]
fn a_waiter_leaves_the_queue_that_it_has_been_moved_to() {
    fn leave<const FROM_LOW: bool>(s: &Moves<FROM_LOW>) {
        let waiter = pin!(Waiter::new(null_mut()));
        // SAFETY: no code reads the park arguments of a model's own words.
        assert!(unsafe { waiter.as_ref().queue(s.keys()[0], Position::Front, || true) });
        assert!(!waiter.as_ref().leave());
    }
    fn move_all_of<const FROM_LOW: bool>(s: &Moves<FROM_LOW>) {
        let [from, to] = s.keys();
        move_all(from, to);
    }
    fn explore<const FROM_LOW: bool>() {
        let bodies = [leave::<FROM_LOW>, move_all_of];
        Explore::new("left or moved").bounded().run(Moves::default, bodies, Moves::none_is_left);
    }
    explore::<true>();
    if TWO_BUCKETS {
        explore::<false>();
    }
}

/// Two movers that need the same two buckets, and begin with one each.
#[test]
fn moves_in_opposite_directions() {
    fn there_with_waiters(s: &Moves<true>) {
        let waiters = [pin!(Waiter::new(null_mut())), pin!(Waiter::new(null_mut()))];
        let [low, high] = s.keys();
        for (waiter, key) in waiters.iter().zip([low, high]) {
            // SAFETY: no code reads the park arguments of a model's own words.
            assert!(unsafe { waiter.as_ref().queue(key, Position::Back, || true) });
        }
        move_all(low, high);
        waiters.iter().for_each(|waiter| assert!(!waiter.as_ref().leave()));
    }
    fn back(s: &Moves<true>) {
        let [low, high] = s.keys();
        move_all(high, low);
    }
    let bodies = [there_with_waiters, back];
    Explore::new("moves there and back").bounded().run(Moves::default, bodies, Moves::none_is_left);
}

fn condition<const LOCK_IS_LOW: bool>() {
    type M<const LOCK_IS_LOW: bool> = Monitor<LOCK_IS_LOW>;
    let name = |what: &str| {
        format!("{what}, lock in the {} bucket", if LOCK_IS_LOW { "low" } else { "high" })
    };
    let wait: fn(&M<LOCK_IS_LOW>) = |m| m.wait_until_ready(None);
    for (what, make_ready) in [
        ("notified inside", M::make_ready_inside as fn(&M<LOCK_IS_LOW>)),
        ("notified outside", M::make_ready_and_notify_outside),
    ] {
        Explore::new(name(what)).bounded().run(M::default, [wait, make_ready], |_| ());
        let two = format!("{what}, 2 waiters");
        Explore::new(name(&two)).preemptions(2).run(M::default, [wait, wait, make_ready], |_| ());
    }
}

/// A free lock with parked threads is not forgotten: all waiters get it, whether or not a thread holds it
/// when they are notified.
#[test]
fn a_condition_whose_waiters_are_moved_to_the_lock() {
    condition::<true>();
    if TWO_BUCKETS {
        condition::<false>();
    }
}
