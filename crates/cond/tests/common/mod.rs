//! What the tests of this crate share. Not every test file uses all of it.
#![allow(dead_code, unused_imports)]

mod counting;
mod kinds;
mod queues;
#[cfg(unix)]
mod target;

pub(crate) use counting::*;
pub(crate) use kinds::*;
pub(crate) use queues::*;
#[cfg(unix)]
pub(crate) use target::{Target, alone};
