//! Children of a process: a child inherits the memory, and of all threads only the one that forked.
#![cfg(all(unix, not(any(pysync_loom, pysync_shuttle))))]

mod behaviours;
#[path = "../behaviours/common.rs"]
mod behaviours_common;
mod queues;
#[path = "../queues/common.rs"]
mod queues_common;
mod runtime;
