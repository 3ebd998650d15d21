//! shuttle: is no wakeup lost or made up when signals and deadlines come at any moment?
//!
//! `RUSTFLAGS="--cfg pysync_shuttle" cargo test --release -p pysync-platform --test shuttle -- --nocapture`
#![cfg(pysync_shuttle)]

mod parker;
