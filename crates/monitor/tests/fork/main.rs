//! Children of a process whose threads are inside of monitors, and wait for them: a child inherits the memory and one
//! thread.
#![cfg(all(unix, not(any(pysync_loom, pysync_shuttle))))]

mod after;
mod inherits;
