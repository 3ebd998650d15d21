//! How long it takes until an idle worker has begun.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pysync_parking_lot::{ParkStatus, Parker};
use pysync_platform::monotonic_now;

use super::engine::{Engine, arrive, expect, wait};
use super::locks::{Rayon, Std};
use super::ours::Ours;
use super::tasks::Tokio;
use crate::runner::{Entrant, Job, Pass, Plan, Sample};
use crate::stats::{median, quantile};

/// After so long a worker has nothing left to look for, and sleeps.
const IDLE: Duration = Duration::from_micros(500);

pub(super) fn plan() -> Plan {
    let jobs = [1, 2].map(|workers| {
        let entrants = vec![
            Entrant::new("rayon", move |pass| engine::<Rayon<Std>>(workers, pass)),
            Entrant::new("tokio", move |pass| engine::<Tokio>(workers, pass)),
            Entrant::new("channel", channel),
            Entrant::new("pysync", move |pass| engine::<Ours<false>>(workers, pass)),
            // What none can do better than.
            Entrant::new("pysync park", parker),
            Entrant::new("std park", std_park).beside(),
        ];
        Job::new([("workers", workers.to_string())], entrants)
    });
    Plan {
        name: "boc wake",
        title: "Behaviours: until an idle worker has begun with one",
        unit: "µs",
        higher_is_better: false,
        x: "workers",
        timed_rounds: 0,
        jobs: jobs.into(),
    }
}

/// Calls `wake` over and over, with an idle worker each time. What is woken takes the time, and arrives.
fn measure(pass: Pass, mut wake: impl FnMut()) -> Sample {
    let (started, mut micros) = (Instant::now(), Vec::new());
    while micros.is_empty() || started.elapsed() < pass.window {
        expect(1);
        thread::sleep(IDLE);
        let asked = monotonic_now();
        wake();
        wait();
        micros.push(BEGUN.load(Ordering::Relaxed).saturating_sub(asked) as f64 / 1e3);
    }
    Sample::new(median(&micros)).with("p90_us", quantile(&micros, 0.9))
}

/// When what was woken last has begun.
static BEGUN: AtomicU64 = AtomicU64::new(0);

fn begun() {
    BEGUN.store(monotonic_now(), Ordering::Relaxed);
    arrive();
}

fn engine<E: Engine>(workers: usize, pass: Pass) -> Sample {
    let engine = E::new(workers);
    measure(pass, || E::free(Some(&engine), begun))
}

fn channel(pass: Pass) -> Sample {
    let (sender, receiver) = crossbeam_channel::unbounded::<()>();
    let worker = thread::spawn(move || receiver.iter().for_each(|()| begun()));
    let sample = measure(pass, || sender.send(()).expect("the worker receives"));
    drop(sender);
    worker.join().expect("the worker does not panic");
    sample
}

fn parker(pass: Pass) -> Sample {
    let shared = Arc::new((Parker::default(), AtomicBool::new(false)));
    let worker = thread::spawn({
        let shared = shared.clone();
        move || loop {
            while shared.0.wait(None, false) != ParkStatus::Ok {}
            if shared.1.load(Ordering::Acquire) {
                return;
            }
            begun();
        }
    });
    let sample = measure(pass, || shared.0.wakeup());
    shared.1.store(true, Ordering::Release);
    shared.0.wakeup();
    worker.join().expect("the worker does not panic");
    sample
}

fn std_park(pass: Pass) -> Sample {
    const WAKE: u32 = 1;
    const END: u32 = 2;
    let word = Arc::new(AtomicU32::new(0));
    let worker = thread::spawn({
        let word = word.clone();
        move || loop {
            match word.swap(0, Ordering::Acquire) {
                WAKE => begun(),
                END => return,
                _ => thread::park(),
            }
        }
    });
    let wake = |what| {
        word.store(what, Ordering::Release);
        worker.thread().unpark();
    };
    let sample = measure(pass, || wake(WAKE));
    wake(END);
    worker.join().expect("the worker does not panic");
    sample
}
