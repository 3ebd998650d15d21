//! Queues: what is sent is received, in order and once, by threads that wait and by threads that look.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod bocpy;
mod common;
mod drops;
mod messages;
mod receives;
mod regressions;
mod seed;
mod tags;
mod wakes;
