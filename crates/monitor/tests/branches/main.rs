//! Branches: their threads, their results and their failures.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

#[path = "../common/error.rs"]
mod error;
mod failures;
mod joins;
mod results;

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

/// A thread fails with a number.
type Error = error::Error<i32>;

const LONG: Duration = Duration::from_secs(3600);

fn number(number: i32) -> Result<(), Error> {
    Err(Error::Failed(number))
}

/// Counts its drop.
struct Told<'a>(&'a AtomicUsize);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}
