//! Everything at once, for as long as `PYSYNC_STRESS_SECONDS` says. The sanitizers run this.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

#[path = "../behaviours/common.rs"]
mod behaviours_common;
#[path = "../queues/common.rs"]
mod queues_common;

mod behaviours;
mod queues;
