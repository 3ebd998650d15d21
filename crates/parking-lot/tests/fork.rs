//! The child of a fork, with the handler that cleans up in it.
#![cfg(all(unix, not(any(pysync_loom, pysync_shuttle))))]

mod common;

use std::ptr::null_mut;
use std::sync::atomic::AtomicU8;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::{BucketMates, fork_with_parked_threads};
use pysync_parking_lot::{ParkStatus, park, register_fork_handler, unpark};
use pysync_testing::{Watchdog, fork, watchdog_for};

static MATES: BucketMates = BucketMates::new();

fn my_turn() -> (MutexGuard<'static, ()>, Watchdog) {
    static TURN: Mutex<()> = Mutex::new(());
    register_fork_handler();
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    (turn, watchdog_for(Duration::from_secs(120)))
}

#[test]
fn a_child_parks_and_unparks_where_its_parents_threads_are_parked() {
    const FORKS: usize = 1_000;
    let (_turn, _watchdog) = my_turn();
    let [a, b, _] = MATES.get(0);
    let [c, ..] = MATES.get(9);
    let survivors = fork_with_parked_threads(&[a, b, c], FORKS, 0, || {});
    println!("{survivors} of {FORKS} children");
    assert_eq!(survivors, FORKS);
}

#[test]
fn a_child_is_born_while_other_threads_hold_bucket_locks() {
    const FORKS: usize = 500;
    let (_turn, _watchdog) = my_turn();
    let [a, b, _] = MATES.get(30);
    let survivors = fork_with_parked_threads(&[a, b], FORKS, 3, || {});
    println!("{survivors} of {FORKS} children");
    assert_eq!(survivors, FORKS);
}

#[test]
fn a_child_of_a_child_does_too() {
    let (_turn, _watchdog) = my_turn();
    static WORD: AtomicU8 = AtomicU8::new(0);
    register_fork_handler(); // Again has no effect.
    for _ in 0..20 {
        fork(|| {
            fork(|| {
                unpark(&WORD, |unparked| assert!(unparked.is_none()));
                let zero = Some(Duration::ZERO);
                park(&WORD, 0, zero, null_mut(), false) == ParkStatus::Timeout
            });
            let zero = Some(Duration::ZERO);
            park(&WORD, 0, zero, null_mut(), false) == ParkStatus::Timeout
        });
    }
}
