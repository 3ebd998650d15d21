//! shuttle: is the protocol right? Random schedules in which any wait may be cut short by a
//! signal, any timed wait by its deadline, and any unlock may be a hand-off.
//!
//! `RUSTFLAGS="--cfg pysync_shuttle" cargo test --release -p pysync-lock --test shuttle -- --nocapture`
//!
//! A lost wake is a deadlock here, which shuttle reports.
#![cfg(pysync_shuttle)]

mod event;
mod fork;
mod guarded;
#[path = "../common/monitor.rs"]
mod monitor;
mod mutex;
mod mutex_waiter;
mod once;
mod recursive_mutex;
mod rw_mutex;
