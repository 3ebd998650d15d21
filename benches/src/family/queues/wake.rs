//! From a send to the return of a receiver that was parked.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use core_affinity::CoreId;
use pysync_platform::monotonic_now;

use super::ends::{Contender, HOUR, Park, Receiver, Sender, entrant, entrants};
use crate::family::ping_pong::placements;
use crate::runner::{Entrant, Job, Pass, Plan, Sample};
use crate::stats::{median, quantile};

/// Timeout of the receive, and where the two threads run.
type Case = (Option<Duration>, Option<[CoreId; 2]>);

pub(super) fn plan(full: bool) -> Plan {
    let mut jobs = Vec::new();
    for (place, cores) in placements() {
        // The system puts the two on one processor or on two, with figures that are worlds apart.
        if place == "free" && placements().len() > 1 && !full {
            continue;
        }
        for (wait, timeout) in [("untimed", None), ("timed", Some(HOUR))] {
            for tags in [1, 2, 4, 16] {
                let case = [
                    ("placement", place.to_owned()),
                    ("wait", wait.to_owned()),
                    ("tags", tags.to_string()),
                ];
                jobs.push(Job::new(case, against_park(tags, (timeout, cores))));
            }
        }
    }
    Plan {
        name: "queues wake",
        title: "Queues: from a send to the return of a receiver that was parked; the peer is a bare park \
                and unpark",
        unit: "µs",
        higher_is_better: false,
        x: "tags",
        timed_rounds: 0,
        jobs,
    }
}

/// What is asked is how much the queues add to a park and an unpark, so that the channels stand beside.
fn against_park(tags: usize, case: Case) -> Vec<Entrant> {
    let park = entrant::<Park>(move |pass| measure::<Park>(tags, case, pass));
    let channels = entrants!(measure(tags, case)).into_iter().map(Entrant::beside);
    [park].into_iter().chain(channels).collect()
}

fn measure<C: Contender>(tags: usize, (timeout, cores): Case, pass: Pass) -> Sample {
    /// After so long a receiver sleeps: from "about to wait" on, nothing can be seen from outside.
    const SETTLED: Duration = Duration::from_micros(200);

    let (mut sender, mut receiver) = C::open(tags);
    // What the last wake took; 0 while it is not over.
    let took = AtomicU64::new(0);
    thread::scope(|scope| {
        let took = &took;
        let enter = move |side: usize| {
            if let Some(cores) = cores {
                core_affinity::set_for_current(cores[side]);
            }
        };
        // On a thread of its own, whose processor may be chosen.
        let waker = scope.spawn(move || {
            enter(0);
            let waker = thread::current();
            scope.spawn(move || {
                enter(1);
                while let Some(sent) = receiver.receive(timeout) {
                    took.store((monotonic_now() - sent).max(1), Ordering::Release);
                    waker.unpark();
                }
            });
            let mut turn = 0;
            let mut wake = || {
                thread::sleep(SETTLED);
                turn += 1;
                assert!(sender.send(turn % tags, monotonic_now()), "it is open");
                loop {
                    match took.swap(0, Ordering::Acquire) {
                        0 => thread::park(),
                        took => break took as f64 / 1e3,
                    }
                }
            };
            (0..3).for_each(|_| _ = wake());
            let started = Instant::now();
            let mut micros = vec![wake()];
            while started.elapsed() < pass.window {
                micros.push(wake());
            }
            // The drop of the sender closes the queues, and ends the receiver.
            micros
        });
        let micros = waker.join().expect("the waker does not panic");
        Sample::new(median(&micros)).with("wake_p90_us", quantile(&micros, 0.9))
    })
}
