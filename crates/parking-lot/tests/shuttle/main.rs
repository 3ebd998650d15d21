//! shuttle: is the protocol right when waits end by timeouts and signals, at any moment?
//!
//! `RUSTFLAGS="--cfg pysync_shuttle" cargo test --release -p pysync-parking-lot --test shuttle -- --nocapture`
//!
//! Each wait may be interrupted by a signal, and each timed one by its deadline, at random. A lost
//! wake shows as a deadlock; a wake too many as a letter without an answer.
#![cfg(pysync_shuttle)]

mod letters;
#[path = "../common/model.rs"]
mod model;
mod raw_mutex;
mod requeue;
mod runtimes;
mod timeouts;

use std::cell::Cell;
use std::ptr::null_mut;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use pysync_parking_lot::{
    Deadline, Native, ParkStatus, PendingCallError, RawMutex, Runtime, park, park_in, unpark,
    unpark_all, unpark_all_with,
};
use pysync_testing::model::{Section, TryOut};
use shuttle::sync::atomic::{AtomicU8, AtomicU32, AtomicUsize};
use shuttle::thread;

const SOON: Option<Duration> = Some(Duration::from_millis(1));

/// A model under as many schedules as all of these have.
fn try_out(name: &str) -> TryOut {
    TryOut::new(name, 20_000)
}

fn no_arg() -> *mut () {
    null_mut()
}
