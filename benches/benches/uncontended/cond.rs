use std::hint::black_box;

use criterion::Criterion;
use pysync_cond::{Cond, NotifyList, Semaphore};

/// Notifications without a waiter.
pub(crate) fn notify(c: &mut Criterion) {
    let mut group = c.benchmark_group("condition variable: notify one, nobody waits");
    let cond = Cond::new();
    group.bench_function("pysync", |b| b.iter(|| black_box(&cond).notify_one()));
    let list = NotifyList::new();
    group.bench_function("pysync, notify list", |b| b.iter(|| black_box(&list).notify_one()));
    let cond = std::sync::Condvar::new();
    group.bench_function("std", |b| b.iter(|| black_box(&cond).notify_one()));
    let cond = parking_lot_0_12::Condvar::new();
    group.bench_function("parking_lot 0.12", |b| b.iter(|| black_box(&cond).notify_one()));
    let cond = parking_lot_0_13::Condvar::new();
    group.bench_function("parking_lot 0.13", |b| b.iter(|| black_box(&cond).notify_one()));
    let cond = usync::Condvar::new();
    group.bench_function("usync", |b| b.iter(|| black_box(&cond).notify_one()));
    let event = event_listener::Event::<()>::new();
    group.bench_function("event-listener", |b| {
        b.iter(|| black_box(&event).notify_additional(1));
    });
    group.finish();
}

pub(crate) fn semaphore(c: &mut Criterion) {
    let mut group = c.benchmark_group("semaphore: acquire and release");
    let semaphore = Semaphore::new(1);
    group.bench_function("pysync", |b| {
        b.iter(|| {
            black_box(&semaphore).acquire();
            black_box(&semaphore).release(1);
        });
    });
    group.bench_function("pysync, try", |b| {
        b.iter(|| {
            if black_box(&semaphore).try_acquire() {
                black_box(&semaphore).release(1);
            }
        });
    });
    let semaphore = tokio::sync::Semaphore::new(1);
    group.bench_function("tokio, try", |b| {
        b.iter(|| black_box(&semaphore).try_acquire().map(drop).is_ok());
    });
    let semaphore = async_lock::Semaphore::new(1);
    group.bench_function("async-lock", |b| {
        b.iter(|| drop(black_box(&semaphore).acquire_blocking()));
    });
    let semaphore = (parking_lot_0_13::Mutex::new(1), parking_lot_0_13::Condvar::new());
    group.bench_function("parking_lot 0.13, a count with a condition", |b| {
        b.iter(|| {
            let (count, not_zero) = black_box(&semaphore);
            let mut guard = count.lock();
            not_zero.wait_while(&mut guard, |count| *count == 0);
            *guard -= 1;
            drop(guard);
            *count.lock() += 1;
            not_zero.notify_one();
        });
    });
    group.finish();
}
