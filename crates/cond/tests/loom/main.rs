//! loom: are the orderings enough, and is no notification lost? Two threads, or three within a bound of
//! preemptions.
//!
//! `RUSTFLAGS="--cfg pysync_loom" cargo test --release -p pysync-cond --test loom -- --nocapture`
//!
//! The data that a wait is to publish is a `Data`, in which loom reports two accesses that nothing
//! orders; a lost notification shows as a deadlock. A timed wait gives up unless a wake has come, so
//! both ends of it are explored.
#![cfg(pysync_loom)]

mod barrier;
mod cancel;
mod cond;
mod notify_list;
mod requeue;
mod semaphore;
mod wait_group;
