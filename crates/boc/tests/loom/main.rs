//! loom: are the orderings enough, and is no wake lost? Two threads, or three within a bound of
//! preemptions.
//!
//! `RUSTFLAGS="--cfg pysync_loom" cargo test --release -p pysync-boc --features loom --test loom -- --nocapture`
//!
//! A lost wake shows as a deadlock. A timed wait gives up unless a wake has come, so both ends of it are
//! explored.
#![cfg(pysync_loom)]

#[path = "../cowns_model/mod.rs"]
mod cowns;
mod queues;
mod queues_changes;
mod queues_model;
mod scheduler;
