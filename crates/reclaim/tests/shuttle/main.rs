//! shuttle: is the protocol right? Random schedules, in which any wait may be cut short by a signal.
//!
//! `RUSTFLAGS="--cfg pysync_shuttle" cargo test --release -p pysync-reclaim --features shuttle --test shuttle
//! -- --nocapture`
#![cfg(pysync_shuttle)]

#[path = "../model/mod.rs"]
mod model;
