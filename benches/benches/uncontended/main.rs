//! What each primitive costs when nobody is in the way, beside its peers.

#![allow(missing_docs)]

mod cond;
mod mutex;
mod once;
mod parking;
mod robust;
mod rw_lock;
mod section;
mod seq_lock;

use std::thread;

use criterion::{Criterion, criterion_group, criterion_main};

/// With a second thread in the process, as locks have it: glibc's take no atomic step without.
fn config() -> Criterion {
    thread::spawn(thread::park);
    Criterion::default()
}

criterion_group!(
    name = benches;
    config = config();
    targets =
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
    cond::notify,
    cond::semaphore,
    robust::robust,
);
criterion_main!(benches);
