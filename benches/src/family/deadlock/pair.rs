//! To enter and to leave without contention, one monitor and two.

use std::hint::black_box;
use std::thread;
use std::time::Instant;

use crossbeam_utils::CachePadded;

use super::contender::entrants;
use crate::mutex::contender::Contender;
use crate::runner::{Entrant, Job, Pass, Plan, Sample};
use crate::stats::quantile;

pub(super) fn plan() -> Plan {
    let job = |what: &str, entrants| Job::new([("what", what.to_owned())], entrants);
    Plan {
        name: "deadlock",
        title: "Monitor: enter and leave, uncontended",
        unit: "ns",
        higher_is_better: false,
        x: "what",
        timed_rounds: 0,
        jobs: vec![
            job("one", with_deloxide(entrants!(one()), one::<Deloxide>)),
            job("two nested", with_deloxide(entrants!(nested()), nested::<Deloxide>)),
        ],
    }
}

#[cfg(target_os = "linux")]
type Deloxide = deloxide::Mutex<crate::mutex::contender::Data>;
/// It is there for Linux only.
#[cfg(not(target_os = "linux"))]
type Deloxide = std::sync::Mutex<crate::mutex::contender::Data>;

fn with_deloxide(mut entrants: Vec<Entrant>, measure: fn(Pass) -> Sample) -> Vec<Entrant> {
    if cfg!(target_os = "linux") {
        entrants.insert(0, Entrant::new("deloxide", measure));
    }
    entrants
}

fn one<L: Contender>(pass: Pass) -> Sample {
    let lock = CachePadded::new(L::new());
    cheapest(pass, || {
        black_box(&*lock).locked(|data| _ = black_box(data));
    })
}

fn nested<L: Contender>(pass: Pass) -> Sample {
    let locks = [(); 2].map(|()| CachePadded::new(L::new()));
    cheapest(pass, || {
        let [outer, inner] = black_box(&locks);
        outer.locked(|outer| {
            black_box(outer);
            inner.locked(|inner| _ = black_box(inner));
        });
    })
}

/// What `operation` takes in the batch that a tenth of all are as cheap as: what else the machine does only adds to
/// it. On a thread of its own, as most locks are used in processes with several.
fn cheapest(pass: Pass, operation: impl Fn() + Sync) -> Sample {
    const BATCH: u32 = 2_000;
    let measure = || {
        let (started, mut nanos) = (Instant::now(), Vec::new());
        while nanos.is_empty() || started.elapsed() < pass.window {
            let began = Instant::now();
            (0..BATCH).for_each(|_| operation());
            nanos.push(began.elapsed().as_nanos() as f64 / f64::from(BATCH));
        }
        quantile(&nanos, 0.1)
    };
    let nanos = thread::scope(|scope| scope.spawn(measure).join());
    Sample::new(nanos.expect("an operation does not panic"))
}
