use std::hint::black_box;
use std::ptr;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use criterion::Criterion;
use pysync_parking_lot::{Parker, park, unpark, unpark_all};
use pysync_platform::monotonic_now;

/// The ways through the parking lot on which no thread sleeps.
pub(crate) fn parking(c: &mut Criterion) {
    let mut group = c.benchmark_group("parking lot");
    let word = AtomicU32::new(0);
    let key = ptr::from_ref(&word).addr();
    group.bench_function("pysync, park that need not", |b| {
        b.iter(|| park(black_box(&word), 1, None, ptr::null_mut(), false));
    });
    group.bench_function("parking_lot_core, park that need not", |b| {
        let token = parking_lot_core::DEFAULT_PARK_TOKEN;
        b.iter(|| {
            // SAFETY: the key is an address of ours, and the callbacks neither panic nor park.
            unsafe {
                parking_lot_core::park(black_box(key), || false, || {}, |_, _| {}, token, None)
            }
        });
    });
    group.bench_function("pysync, park with timeout 0", |b| {
        b.iter(|| park(black_box(&word), 0, Some(Duration::ZERO), ptr::null_mut(), false));
    });
    group.bench_function("pysync, unpark, no waiter", |b| {
        b.iter(|| unpark(black_box(&word), |_| {}))
    });
    group.bench_function("parking_lot_core, unpark, no waiter", |b| {
        let token = |_| parking_lot_core::DEFAULT_UNPARK_TOKEN;
        // SAFETY: as above.
        b.iter(|| unsafe { parking_lot_core::unpark_one(black_box(key), token) });
    });
    group.bench_function("pysync, unpark all, no waiter", |b| {
        b.iter(|| unpark_all(black_box(&word)));
    });
    let semaphore = Parker::new();
    group.bench_function("pysync, semaphore up and down", |b| {
        b.iter(|| {
            black_box(&semaphore).wakeup();
            black_box(&semaphore).wait(None, false)
        });
    });
    group.bench_function("pysync, clock", |b| b.iter(monotonic_now));
    group.finish();
}
