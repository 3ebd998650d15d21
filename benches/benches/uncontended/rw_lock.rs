use std::hint::black_box;

use criterion::Criterion;
use pysync_lock::{RwMutex, guarded};

pub(crate) fn read(c: &mut Criterion) {
    let mut group = c.benchmark_group("rwlock: read lock and unlock");
    let lock = RwMutex::new();
    group.bench_function("pysync", |b| {
        b.iter(|| {
            black_box(&lock).read_lock();
            black_box(&lock).read_unlock();
        });
    });
    let lock = guarded::RwLock::new(0);
    group.bench_function("pysync, guard", |b| b.iter(|| *black_box(&lock).read()));
    let lock = std::sync::RwLock::new(0);
    group.bench_function("std", |b| b.iter(|| *black_box(&lock).read().unwrap()));
    let lock = parking_lot_0_12::RwLock::new(0);
    group.bench_function("parking_lot 0.12", |b| b.iter(|| *black_box(&lock).read()));
    let lock = parking_lot_0_13::RwLock::new(0);
    group.bench_function("parking_lot 0.13", |b| b.iter(|| *black_box(&lock).read()));
    let lock = usync::RwLock::new(0);
    group.bench_function("usync", |b| b.iter(|| *black_box(&lock).read()));
    group.finish();
}

pub(crate) fn write(c: &mut Criterion) {
    let mut group = c.benchmark_group("rwlock: write lock and unlock");
    let lock = RwMutex::new();
    group.bench_function("pysync", |b| {
        b.iter(|| {
            black_box(&lock).write_lock();
            black_box(&lock).write_unlock();
        });
    });
    let lock = guarded::RwLock::new(0);
    group.bench_function("pysync, guard", |b| b.iter(|| *black_box(&lock).write() += 1));
    let lock = std::sync::RwLock::new(0);
    group.bench_function("std", |b| b.iter(|| *black_box(&lock).write().unwrap() += 1));
    let lock = parking_lot_0_12::RwLock::new(0);
    group.bench_function("parking_lot 0.12", |b| b.iter(|| *black_box(&lock).write() += 1));
    let lock = parking_lot_0_13::RwLock::new(0);
    group.bench_function("parking_lot 0.13", |b| b.iter(|| *black_box(&lock).write() += 1));
    let lock = usync::RwLock::new(0);
    group.bench_function("usync", |b| b.iter(|| *black_box(&lock).write() += 1));
    group.finish();
}
