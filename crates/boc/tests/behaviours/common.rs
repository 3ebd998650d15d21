//! What the tests of cowns and behaviours share. Not every file uses all of it.
#![allow(dead_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use pysync_boc::{Failed, Outcome, Runtime};
use pysync_lock::Event;

/// The numbers of workers with which most tests run.
pub(crate) const WORKERS: [usize; 4] = [1, 2, 4, 8];

/// A runtime of its own, so that tests that run at the same time do not meet.
pub(crate) fn runtime(workers: usize) -> Runtime {
    Runtime::builder().workers(workers).build().expect("threads")
}

/// Runs `test` with a runtime of each number of workers.
pub(crate) fn with_workers(test: impl Fn(&Runtime)) {
    for workers in WORKERS {
        let runtime = runtime(workers);
        test(&runtime);
        assert_eq!(runtime.quiesce(None), Ok(()));
        let stats = runtime.stats();
        assert_eq!(stats.scheduled(), stats.finished(), "{workers} workers");
    }
}

/// Less for an unoptimised build.
pub(crate) const fn scaled(count: usize) -> usize {
    if cfg!(debug_assertions) { count / 10 } else { count }
}

/// The result of a behaviour that has one.
#[track_caller]
pub(crate) fn result<R: Send + 'static>(outcome: Outcome<R>) -> R {
    match finished(outcome) {
        Ok(result) => result,
        Err(error) => panic!("{error}"),
    }
}

/// How a behaviour has ended, once it has.
#[track_caller]
pub(crate) fn finished<R: Send + 'static>(outcome: Outcome<R>) -> Result<R, Failed> {
    outcome.wait(None).expect("there is no deadline")
}

/// The message of the panic by which a behaviour has ended.
#[track_caller]
pub(crate) fn panicked<R: Send + 'static>(outcome: Outcome<R>) -> String {
    match finished(outcome) {
        Err(failed @ Failed::Panicked(_)) => failed.message().expect("a text").to_owned(),
        Err(other) => panic!("it has not panicked: {other}"),
        Ok(_) => panic!("it has a result"),
    }
}

/// Values and closures that are alive.
#[derive(Clone, Debug, Default)]
pub(crate) struct Census(Arc<AtomicUsize>);

/// One that the [`Census`] counts.
#[derive(Debug)]
pub(crate) struct Counted(Arc<AtomicUsize>);

impl Census {
    pub(crate) fn one(&self) -> Counted {
        self.0.fetch_add(1, SeqCst);
        Counted(self.0.clone())
    }

    pub(crate) fn alive(&self) -> usize {
        self.0.load(SeqCst)
    }
}

impl Counted {
    /// One more, of the same census.
    pub(crate) fn another(&self) -> Self {
        Census(self.0.clone()).one()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// A body waits at it, as at a slow device, until the test lets it go on.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Event, Event)>);

impl Gate {
    /// Called by the body.
    pub(crate) fn pass(&self) {
        self.0.0.notify();
        self.0.1.wait();
    }

    /// Returns once the body has come to the gate.
    pub(crate) fn wait_until_reached(&self) {
        self.0.0.wait();
    }

    pub(crate) fn open(&self) {
        self.0.1.notify();
    }
}

/// A list of what has happened, which outlives its writers.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<pysync_lock::guarded::Mutex<Vec<usize>>>);

impl Log {
    pub(crate) fn add(&self, event: usize) {
        self.0.lock().push(event);
    }

    pub(crate) fn take(&self) -> Vec<usize> {
        std::mem::take(&mut *self.0.lock())
    }
}

/// Numbers that look random, the same for the same seed.
pub(crate) struct Seeded(u64);

impl Seeded {
    pub(crate) fn new(seed: usize) -> Self {
        Self((seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % end
    }

    /// So many different numbers below `end`.
    pub(crate) fn different<const N: usize>(&mut self, end: usize) -> [usize; N] {
        let mut found = [usize::MAX; N];
        for index in 0..N {
            found[index] = loop {
                let number = self.below(end);
                if !found.contains(&number) {
                    break number;
                }
            };
        }
        found
    }
}
