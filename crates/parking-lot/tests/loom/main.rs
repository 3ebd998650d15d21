//! loom: are the orderings enough? Two threads exhaustively, three within a bound of preemptions,
//! 3 unless `LOOM_MAX_PREEMPTIONS` says otherwise.
//!
//! `RUSTFLAGS="--cfg pysync_loom" cargo test --release -p pysync-parking-lot --test loom -- --nocapture`
//!
//! The data that a lock or a wake is to publish is a `Data`, in which loom reports two accesses that
//! nothing orders. A lost wake shows as a deadlock. A timed wait gives up unless a wake has come, so
//! both ends of it are explored.
#![cfg(pysync_loom)]

mod events;
#[path = "../common/model.rs"]
mod model;
mod park_args;
mod protocols;
mod raw_mutex;
mod requeue;
mod timeouts;
mod waiter;

use std::ptr::null_mut;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::time::Duration;

use loom::sync::atomic::{AtomicU8, AtomicU32};
use pysync_parking_lot::{ParkStatus, RawMutex, park, unpark, unpark_all, unpark_all_with};
use pysync_testing::model::{Data, Explore};

const SOON: Option<Duration> = Some(Duration::from_millis(1));

fn no_arg() -> *mut () {
    null_mut()
}
