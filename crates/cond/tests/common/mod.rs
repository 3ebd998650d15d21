//! What the tests of this crate share. Not every test file uses all of it.
#![allow(dead_code, unused_imports)]

// The runtime that the locks are tested with.
#[path = "../../../lock/tests/common/counting.rs"]
mod counting;
mod kinds;
mod queues;

pub(crate) use counting::*;
pub(crate) use kinds::*;
#[cfg(unix)]
pub(crate) use pysync_testing::{Target, alone};
pub(crate) use queues::*;
