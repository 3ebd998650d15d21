use std::hint::black_box;
use std::pin::pin;

use criterion::Criterion;
use pysync_critical_section::{
    CriticalSection, CriticalSection2, ThreadState, critical_section, critical_section2,
};
use pysync_lock::Mutex;

/// There is no peer but the locks that a section is made of.
pub(crate) fn sections(c: &mut Criterion) {
    let attached = ThreadState::attach();
    let (one, two) = (Mutex::new(), Mutex::new());
    let mut group = c.benchmark_group("critical section");
    group.bench_function("bare mutex, for comparison", |b| {
        b.iter(|| {
            black_box(&one).lock();
            black_box(&one).unlock();
        });
    });
    group.bench_function("one mutex", |b| b.iter(|| critical_section(black_box(&one), || ())));
    group.bench_function("two mutexes", |b| {
        b.iter(|| critical_section2(black_box(&one), black_box(&two), || ()));
    });
    group.bench_function("one mutex twice", |b| {
        b.iter(|| critical_section2(black_box(&one), black_box(&one), || ()));
    });
    group.bench_function("held already", |b| {
        critical_section(&one, || b.iter(|| critical_section(black_box(&one), || ())));
    });
    group.bench_function("detach and attach", |b| b.iter(|| attached.detached(|| ())));
    group.bench_function("detach and attach in a section", |b| {
        critical_section(&one, || b.iter(|| attached.detached(|| ())));
    });
    group.finish();
}

/// Begin and end as a macro would call them.
pub(crate) fn raw_sections(c: &mut Criterion) {
    let _attached = ThreadState::attach();
    let (one, two) = (Mutex::new(), Mutex::new());
    let mut group = c.benchmark_group("critical section, raw");
    group.bench_function("one mutex", |b| {
        b.iter(|| {
            let section = pin!(CriticalSection::new());
            let section = section.as_ref();
            // SAFETY: begun and ended here, in order, while the mutex is there.
            unsafe {
                section.begin(black_box(&one));
                section.end();
            }
        });
    });
    group.bench_function("two mutexes", |b| {
        b.iter(|| {
            let section = pin!(CriticalSection2::new());
            let section = section.as_ref();
            // SAFETY: as above.
            unsafe {
                section.begin(black_box(&one), black_box(&two));
                section.end();
            }
        });
    });
    group.finish();
}
