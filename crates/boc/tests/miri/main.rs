//! Undefined behaviour by the letter: small tests for Miri, which `ci/miri.sh` runs with several seeds. They
//! run natively too, with more rounds.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod cowns;
mod queues;
