//! A message there and one back.

use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use core_affinity::CoreId;

use super::ends::{Contender, Receiver, Sender, entrants};
use crate::family::ping_pong::placements;
use crate::harness::switches;
use crate::runner::{Job, Pass, Plan, Sample};

pub(super) fn plan() -> Plan {
    let mut jobs = Vec::new();
    for (place, cores) in placements() {
        for tags in [1, 4] {
            let case = [("placement", place.to_owned()), ("tags", tags.to_string())];
            jobs.push(Job::new(case, entrants!(measure(tags, cores))));
        }
    }
    Plan {
        name: "queues ping-pong",
        title: "Queues: a message there and one back; several tags by a select",
        unit: "µs",
        higher_is_better: false,
        x: "placement",
        timed_rounds: 0,
        jobs,
    }
}

fn measure<C: Contender>(tags: usize, cores: Option<[CoreId; 2]>, pass: Pass) -> Sample {
    const WARM_UP: u32 = 10;

    let (mut to_ponger, mut at_ponger) = C::open(tags);
    let (mut to_pinger, mut at_pinger) = C::open(tags);
    let ready = Barrier::new(2);
    let enter = |side: usize| {
        if let Some(cores) = cores {
            core_affinity::set_for_current(cores[side]);
        }
        ready.wait();
    };
    thread::scope(|scope| {
        let enter = &enter;
        scope.spawn(move || {
            enter(1);
            while let Some(message) = at_ponger.receive(None) {
                if !to_pinger.send(message as usize % tags, message) {
                    break;
                }
            }
        });
        let pinger = scope.spawn(move || {
            enter(0);
            let mut number = 0;
            let mut round_trip = || {
                number += 1;
                assert!(to_ponger.send(number as usize % tags, number), "it is open");
                assert_eq!(at_pinger.receive(None), Some(number));
            };
            (0..WARM_UP).for_each(|_| round_trip());
            let (before, started) = (switches().0, Instant::now());
            let mut count = 0_u32;
            let elapsed = loop {
                round_trip();
                count += 1;
                let elapsed = started.elapsed();
                if elapsed >= pass.window {
                    break elapsed;
                }
            };
            let sleeps = (switches().0 - before) as f64;
            Sample::new(elapsed.as_nanos() as f64 / f64::from(count) / 1e3)
                .with("sleeps_per_1000", sleeps * 1000.0 / f64::from(count))
        });
        pinger.join().expect("the pinger does not panic")
    })
}
