//! From a leave to the return of a thread that was parked.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pysync_platform::monotonic_now;

use super::contender::entrants;
use crate::mutex::contender::Contender;
use crate::runner::{Job, Pass, Plan, Sample};
use crate::stats::{median, quantile};

/// How long it was parked. After more than a millisecond pysync's locks are handed over; before that their waiters are
/// woken, and take them.
const WAITS: [(&str, Duration); 2] =
    [("0.3 ms", Duration::from_micros(300)), ("1.5 ms", Duration::from_micros(1500))];

pub(super) fn plan() -> Plan {
    let job = |(name, wait): (&str, Duration)| {
        Job::new([("waited", name.to_owned())], entrants!(measure(wait)))
    };
    Plan {
        name: "deadlock hand-over",
        title: "Monitor: from a leave to the return of the one that was parked",
        unit: "µs",
        higher_is_better: false,
        x: "waited",
        timed_rounds: 0,
        jobs: WAITS.into_iter().map(job).collect(),
    }
}

fn measure<L: Contender>(wait: Duration, pass: Pass) -> Sample {
    let lock = L::new();
    let (begin, end) = (Barrier::new(2), Barrier::new(2));
    let over = AtomicBool::new(false);
    let mut micros = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            loop {
                begin.wait();
                if over.load(Ordering::Relaxed) {
                    break;
                }
                lock.locked(|data| data.last_holder = (monotonic_now() - data.released_at) as u32);
                end.wait();
            }
        });
        let started = Instant::now();
        while micros.is_empty() || started.elapsed() < pass.window {
            lock.locked(|data| {
                begin.wait();
                // From "about to wait" to "asleep" nothing can be seen from outside.
                thread::sleep(wait);
                data.released_at = monotonic_now();
            });
            end.wait();
            micros.push(lock.locked(|data| f64::from(data.last_holder)) / 1e3);
        }
        over.store(true, Ordering::Relaxed);
        begin.wait();
    });
    Sample::new(median(&micros)).with("wait_p90_us", quantile(&micros, 0.9))
}
