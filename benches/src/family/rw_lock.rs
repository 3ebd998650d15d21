//! Readers-writer locks by their share of reads.

use std::cell::UnsafeCell;
use std::hint::black_box;

use crossbeam_utils::CachePadded;

use crate::cli::Matrix;
use crate::harness::{self, random, seed};
use crate::mutex::cores;
use crate::runner::{Entrant, Job, Pass, Plan, Sample};
use crate::stats::{jain, min_by_max};
use crate::work::work;

const READ_PERCENT: [u32; 5] = [0, 50, 90, 99, 100];
/// Units of work under the lock, by readers as by writers.
const INSIDE: u32 = 5;

trait RwContender: Sync {
    fn new() -> Self;
    fn read(&self, f: impl FnOnce(&f64));
    fn write(&self, f: impl FnOnce(&mut f64));
}

impl RwContender for std::sync::RwLock<f64> {
    fn new() -> Self {
        Self::default()
    }

    #[inline(always)]
    fn read(&self, f: impl FnOnce(&f64)) {
        f(&self.read().unwrap());
    }

    #[inline(always)]
    fn write(&self, f: impl FnOnce(&mut f64)) {
        f(&mut self.write().unwrap());
    }
}

macro_rules! with_guards {
    ($($lock:ty),*) => {$(
        impl RwContender for $lock {
            fn new() -> Self {
                Self::default()
            }

            #[inline(always)]
            fn read(&self, f: impl FnOnce(&f64)) {
                f(&self.read());
            }

            #[inline(always)]
            fn write(&self, f: impl FnOnce(&mut f64)) {
                f(&mut self.write());
            }
        }
    )*};
}

with_guards! {
    parking_lot_0_12::RwLock<f64>, parking_lot_0_13::RwLock<f64>, usync::RwLock<f64>
}

#[repr(C)]
struct Bare<L> {
    lock: L,
    data: UnsafeCell<f64>,
}

// SAFETY: the data is reached with the lock held in the right way only.
unsafe impl<L: Sync> Sync for Bare<L> {}

impl RwContender for Bare<pysync_lock::RwMutex> {
    fn new() -> Self {
        Self { lock: pysync_lock::RwMutex::new(), data: UnsafeCell::default() }
    }

    #[inline(always)]
    fn read(&self, f: impl FnOnce(&f64)) {
        self.lock.read_lock();
        // SAFETY: locked for reading.
        f(unsafe { &*self.data.get() });
        self.lock.read_unlock();
    }

    #[inline(always)]
    fn write(&self, f: impl FnOnce(&mut f64)) {
        self.lock.write_lock();
        // SAFETY: locked for writing.
        f(unsafe { &mut *self.data.get() });
        self.lock.write_unlock();
    }
}

struct Pthread(UnsafeCell<libc::pthread_rwlock_t>);

// SAFETY: a lock is for many threads, and `measure` does not move it.
unsafe impl Sync for Pthread {}

impl RwContender for Bare<Pthread> {
    fn new() -> Self {
        let lock = Pthread(UnsafeCell::new(libc::PTHREAD_RWLOCK_INITIALIZER));
        Self { lock, data: UnsafeCell::default() }
    }

    #[inline(always)]
    fn read(&self, f: impl FnOnce(&f64)) {
        // SAFETY: initialised, and not moved once it is in use.
        unsafe { libc::pthread_rwlock_rdlock(self.lock.0.get()) };
        // SAFETY: locked for reading.
        f(unsafe { &*self.data.get() });
        // SAFETY: as above, and locked by this thread.
        unsafe { libc::pthread_rwlock_unlock(self.lock.0.get()) };
    }

    #[inline(always)]
    fn write(&self, f: impl FnOnce(&mut f64)) {
        // SAFETY: initialised, and not moved once it is in use.
        unsafe { libc::pthread_rwlock_wrlock(self.lock.0.get()) };
        // SAFETY: locked for writing.
        f(unsafe { &mut *self.data.get() });
        // SAFETY: as above, and locked by this thread.
        unsafe { libc::pthread_rwlock_unlock(self.lock.0.get()) };
    }
}

pub(crate) fn plan(matrix: &Matrix) -> Plan {
    let mut jobs = Vec::new();
    for &placement in &matrix.placement {
        for threads in matrix.threads_or(&[2, 8]) {
            for percent in READ_PERCENT {
                let cores = cores(placement);
                macro_rules! entrant {
                    ($name:literal, $lock:ty) => {{
                        let cores = cores.clone();
                        Entrant::new($name, move |pass| {
                            measure::<$lock>(threads, percent, &cores, pass)
                        })
                    }};
                }
                let entrants = vec![
                    entrant!("std", std::sync::RwLock<f64>),
                    entrant!("pl-0.12", parking_lot_0_12::RwLock<f64>),
                    entrant!("pl-0.13", parking_lot_0_13::RwLock<f64>),
                    entrant!("usync", usync::RwLock<f64>),
                    entrant!("pthread", Bare<Pthread>),
                    entrant!("pysync", Bare<pysync_lock::RwMutex>),
                ];
                let case = [
                    ("placement", placement.to_string()),
                    ("threads", threads.to_string()),
                    ("% reads", percent.to_string()),
                ];
                jobs.push(Job::new(case, entrants));
            }
        }
    }
    Plan {
        name: "rwlock",
        title: "Readers-writer lock: lock, 5 units of work, unlock",
        unit: "Mops/s",
        higher_is_better: true,
        x: "% reads",
        timed_rounds: 0,
        jobs,
    }
}

fn measure<L: RwContender>(
    threads: usize,
    percent: u32,
    cores: &[core_affinity::CoreId],
    pass: Pass,
) -> Sample {
    let lock = CachePadded::new(L::new());
    let seen = harness::run(threads, cores, pass.window, |worker| {
        let mut state = seed(worker.id);
        let mut local = 1.0;
        worker.repeat(|| {
            if random(&mut state) % 100 < percent {
                lock.read(|data| local = work(local + data, INSIDE));
            } else {
                lock.write(|data| *data = work(*data, INSIDE));
            }
        });
        black_box(local);
    });
    Sample::new(seen.mops())
        .with("jain", jain(&seen.shares))
        .with("min_by_max", min_by_max(&seen.shares))
}
