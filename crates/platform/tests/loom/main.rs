//! loom: does a wakeup publish what came before it, and is none lost? Two threads exhaustively,
//! three within a bound of preemptions, 3 unless `LOOM_MAX_PREEMPTIONS` says otherwise.
//!
//! `RUSTFLAGS="--cfg pysync_loom" cargo test --release -p pysync-platform --test loom -- --nocapture`
//!
//! The parker is the models' own, a mutex and a condition variable. A lost wakeup shows as a
//! deadlock. A timed wait gives up unless a wakeup has come, so both ends of it are explored.
#![cfg(pysync_loom)]

mod parker;
mod zeroed;
