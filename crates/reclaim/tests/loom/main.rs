//! loom: are the orderings enough? Two threads, or three within a bound of preemptions.
//!
//! `RUSTFLAGS="--cfg pysync_loom" cargo test --release -p pysync-reclaim --features loom --test loom --
//! --nocapture`
//!
//! A model keeps the memory of objects that are freed, and a use of one fails. The thread that builds the
//! state is the owner of its objects.
#![cfg(pysync_loom)]

#[path = "../model/mod.rs"]
mod model;
