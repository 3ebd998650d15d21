use std::hint::black_box;

use criterion::Criterion;
use pysync_lock::{Event, OnceFlag, guarded};

pub(crate) fn once(c: &mut Criterion) {
    let mut group = c.benchmark_group("once: already done");
    let once = OnceFlag::new();
    once.call_once(|| Ok::<(), ()>(())).unwrap();
    group.bench_function("pysync", |b| b.iter(|| black_box(&once).call_once(|| Err(())).is_ok()));
    let once = std::sync::Once::new();
    once.call_once(|| ());
    group.bench_function("std", |b| b.iter(|| black_box(&once).call_once(|| ())));
    let once = parking_lot_0_13::Once::new();
    once.call_once(|| ());
    group.bench_function("parking_lot 0.13", |b| b.iter(|| black_box(&once).call_once(|| ())));
    group.finish();

    let mut group = c.benchmark_group("once: first call");
    group.bench_function("pysync", |b| {
        b.iter(|| black_box(&OnceFlag::new()).call_once(|| Ok::<(), ()>(())));
    });
    group.bench_function("std", |b| b.iter(|| black_box(&std::sync::Once::new()).call_once(|| ())));
    group.bench_function("parking_lot 0.13", |b| {
        b.iter(|| black_box(&parking_lot_0_13::Once::new()).call_once(|| ()));
    });
    group.finish();
}

pub(crate) fn cell(c: &mut Criterion) {
    let mut group = c.benchmark_group("once cell: already set");
    let cell = guarded::OnceCell::new();
    cell.set(1).unwrap();
    group.bench_function("pysync", |b| b.iter(|| *black_box(&cell).get_or_init(|| 2)));
    let cell = once_cell::sync::OnceCell::with_value(1);
    group.bench_function("once_cell", |b| b.iter(|| *black_box(&cell).get_or_init(|| 2)));
    let cell = std::sync::OnceLock::from(1);
    group.bench_function("std", |b| b.iter(|| *black_box(&cell).get_or_init(|| 2)));
    group.finish();
}

pub(crate) fn event(c: &mut Criterion) {
    let mut group = c.benchmark_group("event");
    let set = Event::new();
    set.notify();
    group.bench_function("is_set", |b| b.iter(|| black_box(&set).is_set()));
    group.bench_function("wait, set", |b| b.iter(|| black_box(&set).wait()));
    group.bench_function("notify, no waiter", |b| b.iter(|| black_box(&Event::new()).notify()));
    group.finish();
}
