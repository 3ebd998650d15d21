//! A message sent and received by the same thread: what there is to do without a second thread.

use std::hint::black_box;

use super::ends::{Contender, Receiver, Sender, entrants};
use crate::harness;
use crate::runner::{Job, Pass, Plan, Sample};

pub(super) fn plan() -> Plan {
    let job = |tags: usize| Job::new([("tags", tags.to_string())], entrants!(measure(tags, ())));
    Plan {
        name: "queues",
        title: "Queues: a message sent and received by one thread; several tags by a select",
        unit: "ns",
        higher_is_better: false,
        x: "tags",
        timed_rounds: 0,
        jobs: [1, 4, 16].map(job).into(),
    }
}

fn measure<C: Contender>(tags: usize, (): (), pass: Pass) -> Sample {
    /// So many that counting them costs nothing.
    const BATCH: u64 = 64;
    // On a thread of its own: glibc's locks are cheaper in a process with a single one. A busy machine may
    // not let it run within a short window.
    let mops = loop {
        let seen = harness::run(1, &[], pass.window, |worker| {
            let (mut sender, mut receiver) = C::open(tags);
            let mut number = 0;
            worker.repeat(|| {
                for _ in 0..BATCH {
                    number += 1;
                    assert!(
                        black_box(&mut sender).send(number as usize % tags, number),
                        "it is open"
                    );
                    assert!(black_box(&mut receiver).receive(None).is_some(), "there is one");
                }
            })
        });
        if seen.mops() > 0.0 {
            break seen.mops();
        }
    };
    Sample::new(1e3 / (mops * BATCH as f64))
}
