//! What each primitive costs when nobody is in the way, beside its peers.

#![allow(missing_docs)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use pysync_critical_section::{ThreadState, critical_section, critical_section2};
use pysync_lock::{Event, LockFlags, Mutex, OnceFlag, RawMutex, RecursiveMutex, RwMutex, guarded};

fn mutex(c: &mut Criterion) {
    let mut group = c.benchmark_group("mutex: lock and unlock");
    let lock = Mutex::new();
    group.bench_function("pysync", |b| {
        b.iter(|| {
            black_box(&lock).lock();
            black_box(&lock).unlock();
        });
    });
    group.bench_function("pysync, timed", |b| {
        b.iter(|| {
            let _ = black_box(&lock).lock_timed(Some(Duration::from_secs(1)), LockFlags::DETACH);
            black_box(&lock).unlock();
        });
    });
    let lock = guarded::Mutex::new(0);
    group.bench_function("pysync, guarded", |b| b.iter(|| *black_box(&lock).lock() += 1));
    let lock = RawMutex::new();
    group.bench_function("pysync, raw", |b| {
        b.iter(|| {
            black_box(&lock).lock();
            black_box(&lock).unlock();
        });
    });
    let lock = RecursiveMutex::new();
    group.bench_function("pysync, recursive", |b| {
        b.iter(|| {
            black_box(&lock).lock();
            black_box(&lock).unlock();
        });
    });
    let lock = std::sync::Mutex::new(0);
    group.bench_function("std", |b| b.iter(|| *black_box(&lock).lock().unwrap() += 1));
    let lock = parking_lot::Mutex::new(0);
    group.bench_function("parking_lot", |b| b.iter(|| *black_box(&lock).lock() += 1));
    group.finish();
}

fn rw_lock(c: &mut Criterion) {
    let mut group = c.benchmark_group("rwlock: read lock and unlock");
    let lock = RwMutex::new();
    group.bench_function("pysync", |b| {
        b.iter(|| {
            black_box(&lock).read_lock();
            black_box(&lock).read_unlock();
        });
    });
    let lock = std::sync::RwLock::new(0);
    group.bench_function("std", |b| b.iter(|| *black_box(&lock).read().unwrap()));
    let lock = parking_lot::RwLock::new(0);
    group.bench_function("parking_lot", |b| b.iter(|| *black_box(&lock).read()));
    group.finish();
}

fn once_and_event(c: &mut Criterion) {
    let mut group = c.benchmark_group("once: already done");
    let once = OnceFlag::new();
    once.call_once(|| Ok::<(), ()>(())).unwrap();
    group.bench_function("pysync", |b| b.iter(|| black_box(&once).call_once(|| Err(())).is_ok()));
    let cell = guarded::OnceCell::new();
    cell.set(1).unwrap();
    group.bench_function("pysync, cell", |b| b.iter(|| *black_box(&cell).get_or_init(|| 2)));
    let cell = once_cell::sync::OnceCell::with_value(1);
    group.bench_function("once_cell", |b| b.iter(|| *black_box(&cell).get_or_init(|| 2)));
    let event = Event::new();
    event.notify();
    group.bench_function("pysync, event", |b| b.iter(|| black_box(&event).is_set()));
    group.finish();
}

fn seq_lock(c: &mut Criterion) {
    let mut group = c.benchmark_group("seqlock: 32 bytes");
    let lock = guarded::SeqLock::new([0u64; 4]);
    group.bench_function("read", |b| b.iter(|| black_box(&lock).read()));
    group.bench_function("write", |b| b.iter(|| black_box(&lock).write(black_box([1; 4]))));
    group.finish();
}

fn sections(c: &mut Criterion) {
    let _attached = ThreadState::attach();
    let (one, two) = (Mutex::new(), Mutex::new());
    let mut group = c.benchmark_group("critical section");
    group.bench_function("one mutex", |b| b.iter(|| critical_section(black_box(&one), || ())));
    group.bench_function("two mutexes", |b| {
        b.iter(|| critical_section2(black_box(&one), black_box(&two), || ()));
    });
    group.bench_function("held already", |b| {
        critical_section(&one, || b.iter(|| critical_section(black_box(&one), || ())));
    });
    group.finish();
}

criterion_group!(benches, mutex, rw_lock, once_and_event, seq_lock, sections);
criterion_main!(benches);
