//! What the tests of this crate share. Not every test file uses all of it.
#![allow(dead_code, unused_imports)]

mod bits;
mod counting;
mod exercise;

pub(crate) use bits::*;
pub(crate) use counting::*;
pub(crate) use exercise::*;
pub(crate) use pysync_testing::{Sleeper, sleeping};
#[cfg(unix)]
pub(crate) use pysync_testing::{Target, alone};
