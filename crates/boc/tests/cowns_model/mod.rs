//! Models of cowns and behaviours, for loom and for shuttle. There are no workers: the thread that makes a
//! behaviour ready executes it. What cowns hold is [`Data`], in which the checkers report two accesses that
//! the cowns should have kept apart.

mod blocked;
mod order;
mod outcome;
mod readers;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

#[cfg(pysync_loom)]
use pysync_testing::model::Explore;
#[cfg(pysync_shuttle)]
use pysync_testing::model::TryOut;

use pysync_boc::{Cown, Runtime, scheduler_model};
use pysync_testing::model::Data;

/// A timeout: a wait so long gives up, unless what it waits for is there.
const SOON: Option<Duration> = Some(Duration::from_millis(5));

/// What the threads of a model share, and a runtime for each, so that they have no counter in common.
struct World<S> {
    runtimes: Vec<Runtime>,
    // The model's own count, and no step of it.
    next: AtomicUsize,
    state: S,
}

/// What a thread of a model does.
type Body<S> = fn(&S, &Runtime);

impl<S> World<S> {
    fn new<const N: usize>(state: fn(&Runtime) -> S) -> Self {
        let runtimes = Vec::from_iter((0..N).map(|_| scheduler_model::runtime(0).0));
        let state = state(&runtimes[0]);
        Self { runtimes, next: AtomicUsize::new(0), state }
    }

    fn run(&self, body: Body<S>) {
        let index = self.next.fetch_add(1, Relaxed);
        body(&self.state, &self.runtimes[index]);
    }

    /// A checker's panic inside a body is the body's, unless it is looked for.
    fn end(&self, after: fn(&S)) {
        let panicked: usize = self.runtimes.iter().map(|runtime| runtime.stats().panicked()).sum();
        assert_eq!(panicked, 0, "a body has panicked");
        after(&self.state);
    }
}

/// Under how many schedules shuttle tries a model out.
#[cfg(pysync_shuttle)]
const SCHEDULES: usize = 8_000;

/// A model, which loom explores with at most so many preemptions, and shuttle tries out.
struct Model {
    name: &'static str,
    #[cfg(pysync_loom)]
    preemptions: usize,
}

impl Model {
    const fn new(name: &'static str) -> Self {
        Self {
            name,
            #[cfg(pysync_loom)]
            preemptions: 2,
        }
    }

    #[cfg(pysync_loom)]
    const fn preemptions(self, most: usize) -> Self {
        Self { preemptions: most, ..self }
    }

    #[cfg(pysync_shuttle)]
    const fn preemptions(self, _: usize) -> Self {
        self
    }

    /// Runs each of `bodies` on a thread of its own, after `state` has been made, and then `after`.
    fn run<S: Send + Sync + 'static, const N: usize>(
        self,
        state: fn(&Runtime) -> S,
        bodies: [Body<S>; N],
        after: fn(&S),
    ) {
        let shared = move || World::new::<N>(state);
        let after = move |world: &World<S>| world.end(after);
        #[cfg(pysync_loom)]
        let model = Explore::new(self.name).preemptions(self.preemptions);
        #[cfg(pysync_shuttle)]
        let model = TryOut::new(self.name, SCHEDULES);
        model.run_in(shared, World::run, bodies, after);
    }
}

/// What has been done with a cown, in order: digits from 1 to 9.
#[derive(Debug, Default)]
struct Log(Data);

impl Log {
    fn add(&self, digit: u32) {
        self.0.update(|log| *log = *log * 10 + digit);
    }

    /// Not to be called while others use the cown.
    fn of(cown: &Cown<Log>) -> u32 {
        cown.try_acquire().expect("the cown is free").0.get()
    }
}

fn log() -> Cown<Log> {
    Cown::new(Log::default())
}

/// Cowns in the order of their addresses, which decides the order of the steps: it must not be another one in
/// another execution.
fn logs<const N: usize>() -> [Cown<Log>; N] {
    let mut logs = [(); N].map(|()| log());
    logs.sort();
    logs
}

/// The digits of `log` of which `keeps` says so.
fn only(log: u32, keeps: fn(u32) -> bool) -> u32 {
    let digits = log.to_string().into_bytes();
    let kept = digits.iter().map(|digit| u32::from(digit - b'0')).filter(|&digit| keeps(digit));
    kept.fold(0, |log, digit| log * 10 + digit)
}

/// Counts its drop, which the checker sees as an access.
struct Dropped(std::sync::Arc<Data>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.add_one();
    }
}

/// What a thread takes out to use it up.
struct Place<T>(Mutex<Option<T>>);

impl<T> Place<T> {
    fn new(value: T) -> Self {
        Self(Mutex::new(Some(value)))
    }

    fn take(&self) -> T {
        self.0.lock().unwrap().take().expect("taken once")
    }
}
