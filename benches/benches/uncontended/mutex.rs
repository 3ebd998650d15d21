use std::cell::UnsafeCell;
use std::hint::black_box;
use std::time::Duration;

use criterion::Criterion;
use lock_api_05::RawMutex as _;
use pysync_lock::{LockFlags, Mutex, RawMutex, RecursiveMutex, guarded};

/// Locks that guard no data, without guards.
pub(crate) fn locks(c: &mut Criterion) {
    let mut group = c.benchmark_group("mutex: lock and unlock");
    let lock = Mutex::new();
    group.bench_function("pysync", |b| {
        b.iter(|| {
            black_box(&lock).lock();
            black_box(&lock).unlock();
        });
    });
    group.bench_function("pysync, flags", |b| {
        b.iter(|| {
            let _ = black_box(&lock).lock_flags(black_box(LockFlags::DETACH));
            black_box(&lock).unlock();
        });
    });
    group.bench_function("pysync, timed", |b| {
        b.iter(|| {
            let _ = black_box(&lock).lock_timed(Some(Duration::from_secs(1)), LockFlags::DETACH);
            black_box(&lock).unlock();
        });
    });
    let lock = RawMutex::new();
    group.bench_function("pysync, raw", |b| {
        b.iter(|| {
            black_box(&lock).lock();
            black_box(&lock).unlock();
        });
    });
    let lock = <parking_lot_0_12::RawMutex as lock_api::RawMutex>::INIT;
    group.bench_function("parking_lot 0.12", |b| {
        b.iter(|| {
            lock_api::RawMutex::lock(black_box(&lock));
            // SAFETY: locked above.
            unsafe { lock_api::RawMutex::unlock(black_box(&lock)) };
        });
    });
    let lock = parking_lot_0_13::RawMutex::INIT;
    group.bench_function("parking_lot 0.13", |b| {
        b.iter(|| {
            let guard = black_box(&lock).lock();
            // SAFETY: locked above.
            unsafe { black_box(&lock).unlock(guard) };
        });
    });
    let lock = Box::new(UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER));
    group.bench_function("pthread", |b| {
        b.iter(|| {
            // SAFETY: initialised and in its box; locked, then unlocked.
            unsafe {
                libc::pthread_mutex_lock(black_box(lock.get()));
                libc::pthread_mutex_unlock(black_box(lock.get()));
            }
        });
    });
    group.finish();
}

/// Locks with data and guards.
pub(crate) fn guards(c: &mut Criterion) {
    let mut group = c.benchmark_group("mutex: add one under a guard");
    let lock = guarded::Mutex::new(0);
    group.bench_function("pysync", |b| b.iter(|| *black_box(&lock).lock() += 1));
    let lock = std::sync::Mutex::new(0);
    group.bench_function("std", |b| b.iter(|| *black_box(&lock).lock().unwrap() += 1));
    let lock = parking_lot_0_12::Mutex::new(0);
    group.bench_function("parking_lot 0.12", |b| b.iter(|| *black_box(&lock).lock() += 1));
    let lock = parking_lot_0_13::Mutex::new(0);
    group.bench_function("parking_lot 0.13", |b| b.iter(|| *black_box(&lock).lock() += 1));
    let lock = usync::Mutex::new(0);
    group.bench_function("usync", |b| b.iter(|| *black_box(&lock).lock() += 1));
    group.finish();
}

/// Attempts that succeed, and attempts that fail.
pub(crate) fn attempts(c: &mut Criterion) {
    let mut group = c.benchmark_group("mutex: try_lock");
    let lock = guarded::Mutex::new(0);
    group.bench_function("pysync, free", |b| {
        b.iter(|| black_box(&lock).try_lock().map(|mut guard| *guard += 1));
    });
    let held = lock.lock();
    group.bench_function("pysync, held", |b| b.iter(|| black_box(&lock).try_lock().is_some()));
    group.bench_function("pysync, held, timeout 0", |b| {
        b.iter(|| black_box(&lock).try_lock_for(Duration::ZERO).is_some());
    });
    drop(held);
    let lock = std::sync::Mutex::new(0);
    group.bench_function("std, free", |b| {
        b.iter(|| black_box(&lock).try_lock().map(|mut guard| *guard += 1).is_ok());
    });
    let held = lock.lock();
    group.bench_function("std, held", |b| b.iter(|| black_box(&lock).try_lock().is_ok()));
    drop(held);
    let lock = parking_lot_0_13::Mutex::new(0);
    group.bench_function("parking_lot 0.13, free", |b| {
        b.iter(|| black_box(&lock).try_lock().map(|mut guard| *guard += 1));
    });
    let held = lock.lock();
    group.bench_function("parking_lot 0.13, held", |b| {
        b.iter(|| black_box(&lock).try_lock().is_some());
    });
    drop(held);
    group.finish();
}

pub(crate) fn reentrant(c: &mut Criterion) {
    let mut group = c.benchmark_group("reentrant mutex: lock and unlock");
    let lock = RecursiveMutex::new();
    let lock_once = || {
        black_box(&lock).lock();
        black_box(&lock).unlock();
    };
    group.bench_function("pysync", |b| b.iter(lock_once));
    lock.lock();
    group.bench_function("pysync, held already", |b| b.iter(lock_once));
    lock.unlock();
    let lock = guarded::ReentrantMutex::new(0);
    group.bench_function("pysync, guard", |b| b.iter(|| *black_box(&lock).lock()));
    let lock = parking_lot_0_12::ReentrantMutex::new(0);
    group.bench_function("parking_lot 0.12, guard", |b| b.iter(|| *black_box(&lock).lock()));
    let lock = parking_lot_0_13::ReentrantMutex::new(0);
    group.bench_function("parking_lot 0.13, guard", |b| b.iter(|| *black_box(&lock).lock()));
    let held = lock.lock();
    group.bench_function("parking_lot 0.13, guard, held already", |b| {
        b.iter(|| *black_box(&lock).lock());
    });
    drop(held);
    group.finish();
}
