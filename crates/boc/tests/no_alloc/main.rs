//! What allocates, and how often: least of all a thread that has to wait. Each thread counts its own.
// std's own mutex may allocate in the portable parker, on platforms where it is a boxed one.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod behaviours;
#[path = "../behaviours/common.rs"]
mod behaviours_common;
mod queues;
#[path = "../queues/common.rs"]
mod queues_common;

use pysync_testing::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;
