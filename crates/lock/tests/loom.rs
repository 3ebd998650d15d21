//! loom: are the orderings enough? Two threads exhaustively, three within a bound of preemptions.
//!
//! `RUSTFLAGS="--cfg pysync_loom" cargo test --release -p pysync-lock --test loom -- --nocapture`
//!
//! The data that a lock is to publish is a `loom::cell::UnsafeCell`, which reports two accesses
//! that nothing orders; a lost wake shows as a deadlock. A timed wait gives up unless a wake has
//! come, so both ends of it are explored.
#![cfg(pysync_loom)]

#[path = "loom/explore.rs"]
mod explore;

#[path = "loom/event.rs"]
mod event;
#[path = "loom/guarded.rs"]
mod guarded;
#[path = "loom/mutex.rs"]
mod mutex;
#[path = "loom/once.rs"]
mod once;
#[path = "loom/recursive_mutex.rs"]
mod recursive_mutex;
#[path = "loom/rw_mutex.rs"]
mod rw_mutex;
#[path = "loom/seq_lock.rs"]
mod seq_lock;
