//! shuttle: is the protocol right? Random schedules of branches, cancels and conditions.
//!
//! `RUSTFLAGS="--cfg pysync_shuttle" cargo test --release -p pysync-monitor --features shuttle --test shuttle -- --nocapture`
//!
//! A lost wake or a missed cycle is a deadlock here, which shuttle reports.
#![cfg(pysync_shuttle)]

mod branches;
mod closed;
mod conditions;
#[path = "../common/error.rs"]
mod error;
mod monitors;
