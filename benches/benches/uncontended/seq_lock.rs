use std::hint::black_box;
use std::sync::Arc;

use criterion::Criterion;
use pysync_lock::{SeqLock, guarded};

type Value = [u64; 4];

pub(crate) fn read(c: &mut Criterion) {
    let mut group = c.benchmark_group("seqlock: read 32 bytes");
    let lock = guarded::SeqLock::new(Value::default());
    group.bench_function("pysync", |b| b.iter(|| black_box(&lock).read()));
    let lock = seqlock::SeqLock::new(Value::default());
    group.bench_function("seqlock", |b| b.iter(|| black_box(&lock).read()));
    let lock = arc_swap::ArcSwap::from_pointee(Value::default());
    group.bench_function("arc-swap", |b| b.iter(|| **black_box(&lock).load()));
    let lock = parking_lot_0_13::RwLock::new(Value::default());
    group.bench_function("parking_lot 0.13 rwlock", |b| b.iter(|| *black_box(&lock).read()));
    let lock = SeqLock::new();
    group.bench_function("pysync, bare", |b| {
        b.iter(|| {
            let sequence = black_box(&lock).begin_read();
            black_box(&lock).end_read(sequence)
        });
    });
    group.finish();
}

pub(crate) fn write(c: &mut Criterion) {
    let mut group = c.benchmark_group("seqlock: write 32 bytes");
    let lock = guarded::SeqLock::new(Value::default());
    group.bench_function("pysync", |b| b.iter(|| black_box(&lock).write(black_box([1; 4]))));
    let lock = seqlock::SeqLock::new(Value::default());
    group.bench_function("seqlock", |b| {
        b.iter(|| *black_box(&lock).lock_write() = black_box([1; 4]));
    });
    let lock = arc_swap::ArcSwap::from_pointee(Value::default());
    group.bench_function("arc-swap", |b| {
        b.iter(|| black_box(&lock).store(Arc::new(black_box([1; 4]))));
    });
    let lock = parking_lot_0_13::RwLock::new(Value::default());
    group.bench_function("parking_lot 0.13 rwlock", |b| {
        b.iter(|| *black_box(&lock).write() = black_box([1; 4]));
    });
    let lock = SeqLock::new();
    group.bench_function("pysync, bare", |b| {
        b.iter(|| {
            black_box(&lock).lock_write();
            black_box(&lock).unlock_write();
        });
    });
    group.finish();
}
