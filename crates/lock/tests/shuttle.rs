//! shuttle: is the protocol right? Random schedules in which any wait may be cut short by a
//! signal, any timed wait by its deadline, and any unlock may be a hand-off.
//!
//! `RUSTFLAGS="--cfg pysync_shuttle" cargo test --release -p pysync-lock --test shuttle -- --nocapture`
//!
//! A lost wake is a deadlock here, which shuttle reports.
#![cfg(pysync_shuttle)]

#[path = "shuttle/event.rs"]
mod event;
#[path = "shuttle/fork.rs"]
mod fork;
#[path = "shuttle/guarded.rs"]
mod guarded;
#[path = "shuttle/mutex.rs"]
mod mutex;
#[path = "shuttle/once.rs"]
mod once;
#[path = "shuttle/recursive_mutex.rs"]
mod recursive_mutex;
#[path = "shuttle/rw_mutex.rs"]
mod rw_mutex;
#[path = "shuttle/try_out.rs"]
mod try_out;
