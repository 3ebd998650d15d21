//! What each primitive costs when nobody is in the way, beside its peers.

#![allow(missing_docs)]

mod mutex;
mod once;
mod parking;
mod rw_lock;
mod section;
mod seq_lock;

use criterion::{criterion_group, criterion_main};

criterion_group!(
    benches,
    mutex::locks,
    mutex::guards,
    mutex::attempts,
    mutex::reentrant,
    rw_lock::read,
    rw_lock::write,
    once::once,
    once::cell,
    once::event,
    seq_lock::read,
    seq_lock::write,
    section::sections,
    section::raw_sections,
    parking::parking,
);
criterion_main!(benches);
