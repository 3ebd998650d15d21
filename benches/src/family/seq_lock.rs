//! Readers that write nothing, with no writer and with one.

use std::hint::black_box;
use std::sync::Arc;

use crossbeam_utils::CachePadded;

use crate::cli::Matrix;
use crate::harness::{self, mops};
use crate::mutex::cores;
use crate::runner::{Entrant, Job, Pass, Plan, Sample};
use crate::stats::jain;
use crate::work::work;

type Value = [u64; 4];

/// Units of work of the writer between two writes: half a microsecond or so.
const BETWEEN_WRITES: u32 = 200;

trait Snapshot: Sync {
    fn new() -> Self;
    fn read(&self) -> Value;
    fn write(&self, value: Value);
}

impl Snapshot for pysync_lock::guarded::SeqLock<Value> {
    fn new() -> Self {
        Self::new(Value::default())
    }

    #[inline(always)]
    fn read(&self) -> Value {
        self.read()
    }

    #[inline(always)]
    fn write(&self, value: Value) {
        self.write(value);
    }
}

impl Snapshot for seqlock::SeqLock<Value> {
    fn new() -> Self {
        Self::new(Value::default())
    }

    #[inline(always)]
    fn read(&self) -> Value {
        self.read()
    }

    #[inline(always)]
    fn write(&self, value: Value) {
        *self.lock_write() = value;
    }
}

impl Snapshot for arc_swap::ArcSwap<Value> {
    fn new() -> Self {
        Self::from_pointee(Value::default())
    }

    #[inline(always)]
    fn read(&self) -> Value {
        **self.load()
    }

    #[inline(always)]
    fn write(&self, value: Value) {
        self.store(Arc::new(value));
    }
}

impl Snapshot for parking_lot_0_13::RwLock<Value> {
    fn new() -> Self {
        Self::default()
    }

    #[inline(always)]
    fn read(&self) -> Value {
        *self.read()
    }

    #[inline(always)]
    fn write(&self, value: Value) {
        *self.write() = value;
    }
}

pub(crate) fn plan(matrix: &Matrix) -> Plan {
    let mut jobs = Vec::new();
    for &placement in &matrix.placement {
        for writers in [0, 1] {
            for readers in matrix.threads_or(&[1, 2, 4, 8]) {
                let cores = cores(placement);
                macro_rules! entrant {
                    ($name:literal, $lock:ty) => {{
                        let cores = cores.clone();
                        Entrant::new($name, move |pass| {
                            measure::<$lock>(readers, writers, &cores, pass)
                        })
                    }};
                }
                let entrants = vec![
                    entrant!("seqlock", seqlock::SeqLock<Value>),
                    entrant!("arc-swap", arc_swap::ArcSwap<Value>),
                    entrant!("pl-0.13 rw", parking_lot_0_13::RwLock<Value>),
                    entrant!("pysync", pysync_lock::guarded::SeqLock<Value>),
                ];
                let case = [
                    ("placement", placement.to_string()),
                    ("writers", writers.to_string()),
                    ("readers", readers.to_string()),
                ];
                jobs.push(Job::new(case, entrants));
            }
        }
    }
    Plan {
        name: "seqlock",
        title: "Sequence lock: reads of 32 bytes, and a writer every 200 units of work",
        unit: "million reads/s",
        higher_is_better: true,
        x: "readers",
        timed_rounds: 0,
        jobs,
    }
}

/// The writer, if there is one, is the last thread.
fn measure<S: Snapshot>(
    readers: usize,
    writers: usize,
    cores: &[core_affinity::CoreId],
    pass: Pass,
) -> Sample {
    let lock = CachePadded::new(S::new());
    let seen = harness::run(readers + writers, cores, pass.window, |worker| {
        if worker.id < readers {
            worker.repeat(|| {
                black_box(lock.read());
            });
        } else {
            let (mut local, mut next) = (1.0, 0);
            worker.repeat(|| {
                next += 1;
                lock.write([next; 4]);
                local = work(local, BETWEEN_WRITES);
            });
            black_box(local);
        }
    });
    let (reads, writes) = seen.shares.split_at(readers);
    let sample = Sample::new(mops(reads, seen.elapsed)).with("jain", jain(reads));
    if writers == 0 { sample } else { sample.with("million_writes", mops(writes, seen.elapsed)) }
}
