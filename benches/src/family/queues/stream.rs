//! How many messages go through.

use std::hint::black_box;
use std::sync::Mutex;

use core_affinity::CoreId;

use super::ends::{Contender, Receiver, Sender, entrants};
use crate::family::ping_pong::placements;
use crate::harness::{self, switches};
use crate::runner::{Job, Pass, Plan, Sample};
use crate::stats::jain;

/// Senders, receivers, tags. Each sender sends to all of the tags in turn.
const SHAPES: [(usize, usize, usize); 5] = [(1, 1, 1), (1, 1, 4), (4, 1, 1), (4, 1, 4), (1, 4, 1)];

/// Senders, receivers, and where they run, in turn.
type Case = (usize, usize, Option<[CoreId; 2]>);

pub(super) fn plan() -> Plan {
    let mut jobs = Vec::new();
    for (senders, receivers, tags) in SHAPES {
        for (place, cores) in placements() {
            // The system puts a pair on one processor or on two, with figures that are worlds apart.
            let is_pair = senders + receivers == 2;
            if is_pair == (place == "free") && placements().len() > 1 {
                continue;
            }
            let case = [
                ("senders", senders.to_string()),
                ("receivers", receivers.to_string()),
                ("tags", tags.to_string()),
                ("placement", place.to_owned()),
            ];
            jobs.push(Job::new(case, entrants!(measure(tags, (senders, receivers, cores)))));
        }
    }
    Plan {
        name: "queues stream",
        title: "Queues: messages that go through; several tags by a select",
        unit: "M messages/s",
        higher_is_better: true,
        x: "tags",
        timed_rounds: 0,
        jobs,
    }
}

fn measure<C: Contender>(tags: usize, (senders, receivers, cores): Case, pass: Pass) -> Sample {
    fn copies<E: Clone>(end: E, count: usize) -> Vec<Mutex<Option<E>>> {
        let copies: Vec<E> = (1..count).map(|_| end.clone()).collect();
        copies.into_iter().chain([end]).map(|end| Mutex::new(Some(end))).collect()
    }
    fn taken<E>(end: &Mutex<Option<E>>) -> E {
        end.lock().expect("no thread panics").take().expect("each is taken once")
    }

    let (sender, receiver) = C::open(tags);
    let (sending, receiving) = (copies(sender, senders), copies(receiver, receivers));
    let seen = harness::run(
        senders + receivers,
        cores.as_ref().map_or(&[], |cores| &cores[..]),
        pass.window,
        |worker| {
            let before = switches().0;
            // The window is over when a `repeat` ends. Those who wait see that once the ends of the others
            // are dropped.
            let operations = if let Some(sender) = sending.get(worker.id) {
                let mut sender = taken(sender);
                let mut number = worker.id;
                worker.repeat(|| {
                    number += 1;
                    _ = black_box(sender.send(number % tags, number as u64));
                })
            } else {
                let mut receiver = taken(&receiving[worker.id - senders]);
                worker.repeat(|| _ = black_box(receiver.receive(None)))
            };
            (operations, switches().0 - before)
        },
    );
    let received = &seen.shares[senders..];
    let total = |part: fn(&(u64, u64)) -> u64| seen.results.iter().map(part).sum::<u64>() as f64;
    // A message is sent and received.
    let messages = (total(|result| result.0) / 2.0).max(1.0);
    Sample::new(harness::mops(received, seen.elapsed))
        .with("jain", jain(&seen.shares[..senders]).min(jain(received)))
        .with("sleeps_per_1000", total(|result| result.1) * 1000.0 / messages)
}
