//! The child of a fork that cleans up by itself. In a file of its own: handlers are for good, and
//! for the whole process.
#![cfg(all(unix, not(any(pysync_loom, pysync_shuttle))))]

mod common;

use std::time::Duration;

use common::{BucketMates, fork_with_parked_threads};
use pysync_parking_lot::after_fork;
use pysync_testing::watchdog_for;

static MATES: BucketMates = BucketMates::new();

#[test]
fn a_child_that_calls_after_fork_first_parks_and_unparks_as_it_likes() {
    const FORKS: usize = 300;
    let _watchdog = watchdog_for(Duration::from_secs(120));
    let [a, b, _] = MATES.get(0);
    for hammers in [0, 2] {
        let survivors = fork_with_parked_threads(&[a, b], FORKS, hammers, || {
            // SAFETY: the child has one thread, this one.
            unsafe { after_fork() };
        });
        println!("{survivors} of {FORKS} children");
        assert_eq!(survivors, FORKS);
    }
}
