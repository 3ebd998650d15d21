//! shuttle: is the protocol right? Random schedules in which any wait may be cut short by a signal, and
//! any timed wait by its deadline.
//!
//! `RUSTFLAGS="--cfg pysync_shuttle" cargo test --release -p pysync-boc --features shuttle --test shuttle -- --nocapture`
//!
//! A lost wake is a deadlock here, which shuttle reports.
#![cfg(pysync_shuttle)]

#[path = "../cowns_model/mod.rs"]
mod cowns;
mod queues;
mod scheduler;
