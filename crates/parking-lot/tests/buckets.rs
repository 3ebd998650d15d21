//! What addresses of one bucket have to do with each other. The tests take turns, since they are
//! about who else is in the bucket.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::ptr::null_mut;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, Scope, ScopedJoinHandle};

use common::{BucketMates, NUM_BUCKETS, park_announced, unpark_one};
use pysync_parking_lot::{ParkStatus, unpark_all, unpark_all_with};
use pysync_testing::{wait_until, watchdog};

static MATES: BucketMates = BucketMates::new();

fn my_turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Parks a thread, and returns when it is queued.
fn parked<'s>(
    scope: &'s Scope<'s, '_>,
    word: &'static AtomicU8,
) -> ScopedJoinHandle<'s, ParkStatus> {
    static QUEUED: AtomicUsize = AtomicUsize::new(0);
    let before = QUEUED.load(SeqCst);
    let thread = scope.spawn(move || park_announced(word, 0, None, null_mut(), &QUEUED));
    wait_until(|| QUEUED.load(SeqCst) == before + 1);
    thread
}

#[test]
fn has_more_waiters_is_about_the_address_and_not_the_bucket() {
    let (_turn, _watchdog) = (my_turn(), watchdog());
    let [a, b, c] = MATES.get(0);
    thread::scope(|s| {
        let first = parked(s, a);
        let second = parked(s, a);
        let other = parked(s, b);

        assert!(unpark_one(a).unwrap().has_more_waiters, "another on this address");
        assert_eq!(first.join().unwrap(), ParkStatus::Ok);
        assert!(!unpark_one(a).unwrap().has_more_waiters, "unlike C's: another in this bucket");
        assert_eq!(second.join().unwrap(), ParkStatus::Ok);
        assert!(unpark_one(a).is_none());
        assert!(unpark_one(c).is_none());
        assert!(!unpark_one(b).unwrap().has_more_waiters, "nobody is left");
        assert_eq!(other.join().unwrap(), ParkStatus::Ok);
    });
}

#[test]
fn waiters_in_another_bucket_are_not_more_waiters() {
    let (_turn, _watchdog) = (my_turn(), watchdog());
    let [a, ..] = MATES.get(0);
    let [neighbour, ..] = MATES.get(1);
    thread::scope(|s| {
        let waiter = parked(s, a);
        let other = parked(s, neighbour);
        assert!(!unpark_one(a).unwrap().has_more_waiters);
        assert!(!unpark_one(neighbour).unwrap().has_more_waiters);
        assert_eq!(waiter.join().unwrap(), ParkStatus::Ok);
        assert_eq!(other.join().unwrap(), ParkStatus::Ok);
    });
}

#[test]
fn addresses_of_one_bucket_are_served_in_order_each_for_itself() {
    let (_turn, _watchdog) = (my_turn(), watchdog());
    let [a, b, c] = MATES.get(2);
    thread::scope(|s| {
        let mut waiters = [a, b, c, a, b, c, a, b, c].map(|word| Some(parked(s, word)));
        // From each of three queues, and until each is empty.
        for (word, id) in [(b, 1), (c, 2), (b, 4), (a, 0), (c, 5), (c, 8), (a, 3), (b, 7), (a, 6)] {
            assert!(unpark_one(word).is_some());
            assert_eq!(waiters[id].take().unwrap().join().unwrap(), ParkStatus::Ok);
        }
        for word in [a, b, c] {
            assert!(unpark_one(word).is_none());
        }
    });
}

#[test]
fn unpark_all_wakes_all_of_its_address_and_none_of_another() {
    let (_turn, _watchdog) = (my_turn(), watchdog());
    let [a, b, c] = MATES.get(3);
    thread::scope(|s| {
        let waiters = [a, b, a, c, a, b, a].map(|word| parked(s, word));
        unpark_all(a);
        let mut left = Vec::new();
        for (index, waiter) in waiters.into_iter().enumerate() {
            if [0, 2, 4, 6].contains(&index) {
                assert_eq!(waiter.join().unwrap(), ParkStatus::Ok);
            } else {
                left.push(waiter);
            }
        }
        for _ in 0..200 {
            thread::yield_now();
        }
        assert!(left.iter().all(|waiter| !waiter.is_finished()));
        assert!(unpark_one(a).is_none());

        // The others are still in order: b, c, b.
        let mut left = left.into_iter();
        assert!(unpark_one(b).unwrap().has_more_waiters);
        assert_eq!(left.next().unwrap().join().unwrap(), ParkStatus::Ok);
        assert!(!unpark_one(c).unwrap().has_more_waiters);
        assert_eq!(left.next().unwrap().join().unwrap(), ParkStatus::Ok);
        assert!(!unpark_one(b).unwrap().has_more_waiters);
        assert_eq!(left.next().unwrap().join().unwrap(), ParkStatus::Ok);
    });
}

#[test]
fn unpark_all_with_says_whether_anybody_was_parked_there() {
    let (_turn, _watchdog) = (my_turn(), watchdog());
    let [a, b, _] = MATES.get(4);
    let told = |word: &AtomicU8| {
        let mut told = None;
        unpark_all_with(word, |anybody| told = Some(anybody));
        told
    };
    thread::scope(|s| {
        assert_eq!(told(a), Some(false));
        let waiters = [parked(s, a), parked(s, a)];
        assert_eq!(told(b), Some(false));
        assert_eq!(told(a), Some(true));
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), ParkStatus::Ok);
        }
        assert_eq!(told(a), Some(false));
    });
}

#[test]
fn a_timed_out_thread_leaves_the_queue_from_any_place_in_it() {
    let (_turn, _watchdog) = (my_turn(), watchdog());
    let [a, b, c] = MATES.get(5);
    let queued = AtomicUsize::new(0);
    let zero = Some(std::time::Duration::ZERO);
    let times_out = |word| {
        assert_eq!(park_announced(word, 0, zero, null_mut(), &queued), ParkStatus::Timeout);
    };
    thread::scope(|s| {
        // Alone, behind one, and between none and two.
        times_out(a);
        assert!(unpark_one(a).is_none());
        let first = parked(s, b);
        times_out(a);
        times_out(b);
        let second = parked(s, b);
        times_out(c);
        assert!(unpark_one(a).is_none());
        assert!(unpark_one(c).is_none());
        assert!(unpark_one(b).unwrap().has_more_waiters);
        assert_eq!(first.join().unwrap(), ParkStatus::Ok);
        assert!(!unpark_one(b).unwrap().has_more_waiters, "nothing was left behind");
        assert_eq!(second.join().unwrap(), ParkStatus::Ok);
    });
}

#[test]
fn a_thread_that_times_out_first_in_the_queue_leaves_those_behind_it() {
    let (_turn, _watchdog) = (my_turn(), watchdog());
    let [a, b, _] = MATES.get(6);
    let queued = AtomicUsize::new(0);
    thread::scope(|s| {
        let first = s.spawn(|| {
            let soon = Some(std::time::Duration::from_millis(20));
            park_announced(a, 0, soon, null_mut(), &queued)
        });
        wait_until(|| queued.load(SeqCst) == 1);
        let (second, third) = (parked(s, a), parked(s, b));
        assert_eq!(first.join().unwrap(), ParkStatus::Timeout);
        assert!(unpark_one(a).is_some());
        assert_eq!(second.join().unwrap(), ParkStatus::Ok);
        assert!(!unpark_one(b).unwrap().has_more_waiters);
        assert_eq!(third.join().unwrap(), ParkStatus::Ok);
    });
}

#[test]
fn the_mates_really_are_in_one_bucket() {
    for offset in [0, 1, NUM_BUCKETS - 1] {
        let [a, b, c] = MATES.get(offset).map(|word| (&raw const *word).addr() % NUM_BUCKETS);
        assert!(a == b && b == c);
    }
}
