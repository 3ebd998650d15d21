//! loom: are the orderings enough, is no cycle missed, and is each wait ended once? Two threads, or three within a bound
//! of preemptions.
//!
//! `RUSTFLAGS="--cfg pysync_loom" cargo test --release -p pysync-monitor --test loom -- --nocapture`
//!
//! The value of a monitor is a `Data`, in which loom reports two accesses that nothing orders. A cycle that is missed, and
//! a wake that is lost, show as a deadlock of the model. A timed wait gives up unless a wake has come, so both ends of it
//! are explored.
//!
//! With one bucket the lock of the bucket orders what the fences of two waiters are to order. So `ci/loom.sh` runs these
//! models a second time with `--cfg pysync_two_buckets`.
#![cfg(pysync_loom)]

mod cancel;
mod conditions;
mod cycles;
mod shared;
mod timed;
