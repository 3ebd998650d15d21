use criterion::Criterion;

/// A mutex between processes: the raw one, guards, and what it stands on.
#[cfg(all(
    target_os = "linux",
    any(target_env = "gnu", target_env = "musl"),
    target_pointer_width = "64"
))]
pub(crate) fn robust(c: &mut Criterion) {
    use std::cell::UnsafeCell;
    use std::hint::black_box;
    use std::mem;
    use std::time::Duration;

    use posix_sync::mutex::robustness_markers::Robust;
    use posix_sync::mutex::{MutexBuilder, MutexSharing, MutexType};
    use pysync_robust::{Kind, Private, RawMutex, RobustMutex, SIZE, Timeout};

    let mut group = c.benchmark_group("mutex between processes: acquire and release");
    let raw = |kind| {
        let bytes: &'static mut [u64] = Box::leak(Box::new([0; SIZE / 8]));
        // SAFETY: the bytes live for ever, are aligned, and nothing else uses them.
        let mutex = unsafe { RawMutex::at(bytes.as_mut_ptr().cast()) }.expect("supported here");
        mutex.initialize(kind).expect("the bytes are zeroes");
        mutex
    };
    let mutex = raw(Kind::Plain);
    for (name, timeout) in [
        ("pysync, raw", Timeout::Never),
        ("pysync, raw, try", Timeout::Try),
        ("pysync, raw, timed", Timeout::After(Duration::from_secs(1))),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| {
                let ownership = black_box(&mutex).acquire(timeout);
                (ownership, black_box(&mutex).release())
            });
        });
    }
    let mutex = raw(Kind::Recursive);
    let _ = mutex.acquire(Timeout::Never);
    group.bench_function("pysync, raw, held already", |b| {
        b.iter(|| {
            let ownership = black_box(&mutex).acquire(Timeout::Never);
            (ownership, black_box(&mutex).release())
        });
    });
    let mutex =
        RobustMutex::initialize(Private::new(SIZE), Kind::Plain).expect("the bytes are zeroes");
    group.bench_function("pysync, guard", |b| {
        b.iter(|| black_box(&mutex).acquire(Timeout::Never).map(drop));
    });
    let mutex = MutexBuilder::<Robust>::new()
        .with_type(MutexType::ErrorCheck)
        .with_sharing(MutexSharing::Shared)
        .build_owned();
    // Sound as long as each guard is dropped before the mutex.
    group.bench_function("posix-sync", |b| b.iter(|| black_box(&mutex).lock().map(drop).is_ok()));

    // libc does not have it.
    unsafe extern "C" {
        fn pthread_mutexattr_setrobust(
            attributes: *mut libc::pthread_mutexattr_t,
            robust: libc::c_int,
        ) -> libc::c_int;
    }
    for is_robust in [false, true] {
        let mutex = Box::new(UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER));
        // SAFETY: zeroes are attributes as good as any; the mutex is in its box.
        unsafe {
            let mut attributes: libc::pthread_mutexattr_t = mem::zeroed();
            let attributes = &raw mut attributes;
            libc::pthread_mutexattr_init(attributes);
            libc::pthread_mutexattr_setpshared(attributes, libc::PTHREAD_PROCESS_SHARED);
            if is_robust {
                libc::pthread_mutexattr_settype(attributes, libc::PTHREAD_MUTEX_ERRORCHECK);
                pthread_mutexattr_setrobust(attributes, libc::PTHREAD_MUTEX_ROBUST);
            }
            libc::pthread_mutex_init(mutex.get(), attributes);
        }
        let name = if is_robust { "pthread, robust" } else { "pthread, shared" };
        group.bench_function(name, |b| {
            b.iter(|| {
                // SAFETY: initialised and in its box; locked, then unlocked.
                unsafe {
                    libc::pthread_mutex_lock(black_box(mutex.get()));
                    libc::pthread_mutex_unlock(black_box(mutex.get()));
                }
            });
        });
        group.bench_function(format!("{name}, try"), |b| {
            b.iter(|| {
                // SAFETY: as above; no other thread locks it.
                unsafe {
                    libc::pthread_mutex_trylock(black_box(mutex.get()));
                    libc::pthread_mutex_unlock(black_box(mutex.get()));
                }
            });
        });
    }
    group.finish();
}

/// There are no robust mutexes on this system.
#[cfg(not(all(
    target_os = "linux",
    any(target_env = "gnu", target_env = "musl"),
    target_pointer_width = "64"
)))]
pub(crate) fn robust(_: &mut Criterion) {}
