//! Cowns, behaviours and the runtimes that run them.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod batches;
mod bindings;
mod bocpy;
mod chains;
mod common;
mod cowns;
mod cowns_any;
mod cowns_twice;
mod guarantees;
mod lane;
mod outcomes;
mod regressions;
mod runtime;
mod seed;
mod stop;
mod verona;
mod verona_workers;
