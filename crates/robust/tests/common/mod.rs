//! What the in-process tests of this crate share. Not every test file uses all of it.
#![allow(dead_code, unused_imports)]

mod actor;
mod bytes;
mod initialiser;
mod random;

pub(crate) use actor::*;
pub(crate) use bytes::*;
pub(crate) use initialiser::*;
pub(crate) use random::*;

use pysync_robust::{Kind, Ownership, RawMutex, Timeout};

/// A new mutex, in bytes of its own.
pub(crate) fn made(kind: Kind) -> RawMutex {
    let mutex = Bytes::zeroed().mutex();
    mutex.initialize(kind).unwrap();
    mutex
}

/// Acquires it; the owner before has released it.
pub(crate) fn take(mutex: RawMutex) {
    assert_eq!(mutex.acquire(Timeout::Never), Ok(Ownership::Clean));
}
