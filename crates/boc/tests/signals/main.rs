//! Signals on threads that wait: which flags make them heard, and what runs meanwhile.
// The portable parker sleeps through signals, so there is nothing to see.
#![cfg(all(target_os = "linux", not(any(pysync_loom, pysync_shuttle, pysync_portable))))]

mod behaviours;
#[path = "../behaviours/common.rs"]
mod behaviours_common;
mod cases;
// The runtime that the locks are tested with.
#[path = "../../../lock/tests/common/counting.rs"]
#[allow(dead_code)]
mod counting;
mod queues;
#[path = "../queues/common.rs"]
mod queues_common;
