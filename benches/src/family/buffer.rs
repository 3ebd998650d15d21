//! A bounded buffer between producers and consumers, as the textbook has it.

use std::collections::VecDeque;

use super::monitor::{Monitor, Notify, monitors};
use crate::harness::{self, switches};
use crate::runner::{Job, Pass, Plan, Sample};
use crate::stats::jain;

/// Producers, consumers, slots.
const SHAPES: [(usize, usize, usize); 5] =
    [(1, 1, 1), (1, 1, 64), (4, 4, 1), (4, 4, 64), (8, 8, 16)];

pub(crate) fn plan() -> Plan {
    let mut jobs = Vec::new();
    for notify in Notify::BOTH {
        for (producers, consumers, slots) in SHAPES {
            let case = [
                ("notify", notify.to_string()),
                ("producers", producers.to_string()),
                ("consumers", consumers.to_string()),
                ("slots", slots.to_string()),
            ];
            jobs.push(Job::new(case, monitors!(measure(producers, consumers, slots, notify))));
        }
    }
    Plan {
        name: "buffer",
        title: "Bounded buffer: a mutex, and conditions for \"not empty\" and \"not full\"",
        unit: "kitems/s",
        higher_is_better: true,
        x: "slots",
        timed_rounds: 0,
        jobs,
    }
}

struct Buffer<M: Monitor> {
    state: M::Mutex<State>,
    not_empty: M::Condvar,
    not_full: M::Condvar,
    slots: usize,
    notify: Notify,
}

struct State {
    items: VecDeque<u64>,
    /// Producers and consumers wait no more.
    over: bool,
}

impl<M: Monitor> Buffer<M> {
    fn new(slots: usize, notify: Notify) -> Self {
        Self {
            state: M::mutex(State { items: VecDeque::with_capacity(slots), over: false }),
            not_empty: M::Condvar::default(),
            not_full: M::Condvar::default(),
            slots,
            notify,
        }
    }

    fn put(&self, item: u64) {
        let mut state = M::lock(&self.state);
        while state.items.len() == self.slots && !state.over {
            state = M::wait(&self.not_full, state);
        }
        if !state.over {
            state.items.push_back(item);
        }
        self.notify.unlock(state, || M::notify_one(&self.not_empty));
    }

    fn take(&self) -> Option<u64> {
        let mut state = M::lock(&self.state);
        while state.items.is_empty() && !state.over {
            state = M::wait(&self.not_empty, state);
        }
        let item = state.items.pop_front();
        self.notify.unlock(state, || M::notify_one(&self.not_full));
        item
    }

    fn close(&self) {
        M::lock(&self.state).over = true;
        M::notify_all(&self.not_empty);
        M::notify_all(&self.not_full);
    }
}

fn measure<M: Monitor>(
    producers: usize,
    consumers: usize,
    slots: usize,
    notify: Notify,
    pass: Pass,
) -> Sample {
    let buffer = Buffer::<M>::new(slots, notify);
    let seen = harness::run(producers + consumers, &[], pass.window, |worker| {
        let before = switches().0;
        let operations = if worker.id < producers {
            let mut item = 0;
            worker.repeat(|| {
                buffer.put(item);
                item += 1;
            })
        } else {
            worker.repeat(|| _ = std::hint::black_box(buffer.take()))
        };
        // The window is over. Those who wait see that only if they are woken.
        buffer.close();
        (operations, switches().0 - before)
    });
    let (put, taken) = seen.shares.split_at(producers);
    let total = |part: fn(&(u64, u64)) -> u64| seen.results.iter().map(part).sum::<u64>() as f64;
    // An item is put and taken.
    let items = (total(|result| result.0) / 2.0).max(1.0);
    Sample::new(harness::mops(taken, seen.elapsed) * 1e3)
        .with("jain", jain(put).min(jain(taken)))
        .with("sleeps_per_1000", total(|result| result.1) * 1000.0 / items)
}
