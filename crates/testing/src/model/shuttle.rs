//! shuttle: random orders of the steps, with a signal, a deadline or a hand-off at any moment.

use std::sync::Arc;

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Runner, thread};

use super::Runs;

/// How many changes of priority a PCT schedule has: a bug that takes so many delays of a thread is
/// found with a known probability.
const PCT_DEPTHS: [usize; 3] = [2, 3, 5];

/// A model for shuttle, which tries it out under random schedules. Half of them are random
/// throughout. The other half are PCT's: threads have priorities, which change at a few random
/// places, and that finds the orders in which a thread is delayed for long.
#[derive(Debug)]
#[must_use = "`run` tries it out"]
pub struct TryOut {
    name: String,
    schedules: usize,
}

impl TryOut {
    /// A model, and under how many schedules it is to run.
    pub fn new(name: impl Into<String>, schedules: usize) -> Self {
        Self { name: name.into(), schedules }
    }

    /// Runs `bodies`, each on a thread of its own, and checks with `after` what they have shared.
    pub fn run<S: Send + Sync + 'static, const N: usize>(
        self,
        shared: impl Fn() -> S + Send + Sync + 'static,
        bodies: [fn(&S); N],
        after: impl Fn(&S) + Send + Sync + 'static,
    ) {
        self.run_in(shared, |shared, body| body(shared), bodies, after);
    }

    /// [`run`](Self::run) for threads that have something to do around their bodies: `thread` runs a
    /// body on a thread.
    pub fn run_in<S, B, const N: usize>(
        self,
        shared: impl Fn() -> S + Send + Sync + 'static,
        thread: fn(&S, B),
        bodies: [B; N],
        after: impl Fn(&S) + Send + Sync + 'static,
    ) where
        S: Send + Sync + 'static,
        B: Copy + Send + Sync + 'static,
    {
        self.run_model(move || {
            let shared = Arc::new(shared());
            together(&shared, thread, bodies);
            after(&shared);
        });
    }

    /// Runs a model that starts its threads itself, by [`together`].
    pub fn run_model(self, model: impl Fn() + Send + Sync + 'static) {
        let model = Arc::new(model);
        Runs::count(self.name, "schedules", |runs| {
            let check = |scheduler: Box<dyn Scheduler + Send>| {
                // shuttle takes every ordering for the strongest. loom is there for the orderings.
                let mut config = shuttle::Config::new();
                config.silence_warnings = true;
                let (model, runs) = (Arc::clone(&model), Arc::clone(&runs));
                Runner::new(scheduler, config).run(move || {
                    runs.add_one();
                    model();
                });
            };
            let of_each_depth = self.schedules / 2 / PCT_DEPTHS.len();
            let random = self.schedules - of_each_depth * PCT_DEPTHS.len();
            check(Box::new(RandomScheduler::new(random)));
            for depth in PCT_DEPTHS {
                check(Box::new(PctScheduler::new(depth, of_each_depth)));
            }
        });
    }
}

/// Runs each of `bodies` by `thread`, on a thread of its own, and waits for them.
pub fn together<S, B, const N: usize>(shared: &Arc<S>, thread: fn(&S, B), bodies: [B; N])
where
    S: Send + Sync + 'static,
    B: Send + 'static,
{
    let threads = bodies.map(|body| {
        let shared = Arc::clone(shared);
        thread::spawn(move || thread(&shared, body))
    });
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}
