//! loom: are the orderings enough? Two threads without a bound of preemptions, three within one.
//!
//! `RUSTFLAGS="--cfg pysync_loom" cargo test --release -p pysync-lock --test loom -- --nocapture`
//!
//! The data that a lock is to publish is a `Data`, in which loom reports two accesses that nothing
//! orders; a lost wake shows as a deadlock. A timed wait gives up unless a wake has come, so both
//! ends of it are explored.
#![cfg(pysync_loom)]

mod event;
mod guarded;
#[path = "../common/monitor.rs"]
mod monitor;
mod mutex;
mod mutex_waiter;
mod once;
mod recursive_mutex;
mod rw_mutex;
mod seq_lock;
mod statics;
