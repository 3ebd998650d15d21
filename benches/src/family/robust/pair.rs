//! To acquire and to release without contention.

use std::hint::black_box;

use super::contender::{
    Arena, Contender, FileLock, Futex, Guarded, PosixSync, PthreadRobust, PthreadShared,
    PthreadTried, Raw, entrants,
};
use crate::harness;
use crate::runner::{Job, Pass, Plan, Sample};

pub(super) fn plan() -> Plan {
    let entrants = entrants!(measure(()):
        PthreadTried, PthreadRobust, PosixSync, FileLock, PthreadShared, Futex, Raw, Guarded);
    Plan {
        name: "robust",
        title: "Mutex between processes: acquire and release, uncontended",
        unit: "ns",
        higher_is_better: false,
        x: "what",
        timed_rounds: 0,
        jobs: vec![Job::new([("what", "a pair".to_owned())], entrants)],
    }
}

fn measure<C: Contender>((): (), pass: Pass) -> Sample {
    /// So many that counting them costs nothing.
    const BATCH: u64 = 64;
    let mutex = C::new(Arena::new());
    // On a thread of its own: glibc's locks are cheaper in a process with a single one. A busy machine may
    // not let it run within a short window.
    let mops = loop {
        let seen = harness::run(1, &[], pass.window, |worker| {
            worker.repeat(|| {
                for _ in 0..BATCH {
                    black_box(&mutex).with(|| ());
                }
            })
        });
        if seen.mops() > 0.0 {
            break seen.mops();
        }
    };
    Sample::new(1e3 / (mops * BATCH as f64))
}
