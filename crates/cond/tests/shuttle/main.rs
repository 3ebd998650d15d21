//! shuttle: is the protocol right? Random schedules in which any wait may be cut short by a signal,
//! any timed wait by its deadline, and any unlock may be a hand-off.
//!
//! `RUSTFLAGS="--cfg pysync_shuttle" cargo test --release -p pysync-cond --test shuttle -- --nocapture`
//!
//! A lost notification is a deadlock here, which shuttle reports.
#![cfg(pysync_shuttle)]

mod barrier;
mod cancel;
mod cond;
mod notify_list;
mod semaphore;
mod wait_group;
