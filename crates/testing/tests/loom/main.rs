//! What the kit for models finds under loom, and what it does not.
//!
//! `RUSTFLAGS="--cfg pysync_loom" cargo test --release -p pysync-testing --test loom -- --nocapture`
#![cfg(pysync_loom)]

mod data;
mod litmus;
mod starts;
