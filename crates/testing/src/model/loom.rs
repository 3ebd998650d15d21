//! loom: every order of the steps, and every value that the orderings let a load see.

use std::sync::Arc;

use loom::model::Builder;
use loom::thread;
use pysync_platform::model::set_clock_step;

use super::Runs;

/// What an unlock does for a thread that waits, in locks that hand themselves off once a waiter has
/// waited for a millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlock {
    /// Wakes it to race for the lock: no time passes.
    Wakes,
    /// Hands the lock to it: each reading of the clock is two milliseconds after the one before.
    HandsOff,
}

/// A model for loom, which explores every order of the steps of its threads, or every one with at
/// most so many preemptions.
///
/// loom 0.7 takes one thread at a time as far as it goes and then goes back to where another could
/// have come first. It finds these places by the last access to each atomic, and that is too few:
/// once a first thread has loaded an atomic, and a second one loads it and then stores to it, the
/// last access before the store is the second thread's own load. loom then never tries the store
/// before the first thread's load. So each model is explored once for every order in which its
/// threads can start, and a start finds what another hides. What it hides behind a wait that only
/// one order ends stays hidden: `tests/loom/main.rs` of this crate shows both.
#[derive(Debug)]
#[must_use = "`run` explores it"]
pub struct Explore {
    name: String,
    preemptions: Option<usize>,
    unlock: Unlock,
}

impl Explore {
    /// A model that is explored exhaustively and in which an unlock wakes.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), preemptions: None, unlock: Unlock::Wakes }
    }

    /// Explores orders with at most `most` preemptions: three threads have too many orders.
    pub fn preemptions(self, most: usize) -> Self {
        Self { preemptions: Some(most), ..self }
    }

    /// [`preemptions`](Self::preemptions) with the bound of `LOOM_MAX_PREEMPTIONS`, or else with 3.
    pub fn bounded(self) -> Self {
        self.preemptions(Builder::new().preemption_bound.unwrap_or(3))
    }

    /// What an unlock does. The name of a model whose unlocks hand off says so.
    pub fn unlock(mut self, unlock: Unlock) -> Self {
        self.unlock = unlock;
        if unlock == Unlock::HandsOff {
            self.name.push_str(", hand-offs");
        }
        self
    }

    /// Explores `bodies`, each on a thread of its own, and checks with `after` what they have shared.
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
        B: Copy + PartialEq + Send + Sync + 'static,
    {
        self.explore(orders(&bodies), move |order| {
            let (&first, rest) = order.split_first().expect("a body");
            let shared = Arc::new(shared());
            let threads = start(&shared, thread, rest);
            thread(&shared, first);
            join(threads);
            after(&shared);
        });
    }

    /// [`run`](Self::run) with one body, `own`, on the thread that builds the state, for what is bound
    /// to a thread.
    pub fn run_beside<S: Send + Sync + 'static, const N: usize>(
        self,
        shared: impl Fn() -> S + Send + Sync + 'static,
        own: fn(&S),
        others: [fn(&S); N],
        after: impl Fn(&S) + Send + Sync + 'static,
    ) {
        let mut bodies = vec![None];
        bodies.extend(others.map(Some));
        self.explore(orders(&bodies), move |order| {
            let run = |shared: &S, body: Option<fn(&S)>| body.expect("another's")(shared);
            let place = order.iter().position(Option::is_none).expect("its own");
            let shared = Arc::new(shared());
            let mut threads = start(&shared, run, &order[..place]);
            if place > 0 {
                // loom stays on a thread until it waits. This one waits for one that does nothing,
                // after those that are to be before it.
                thread::spawn(|| ()).join().unwrap();
            }
            threads.extend(start(&shared, run, &order[place + 1..]));
            own(&shared);
            join(threads);
            after(&shared);
        });
    }

    /// Explores `model` for each of the `orders`.
    fn explore<T: Send + Sync + 'static>(
        self,
        orders: Vec<T>,
        model: impl Fn(&T) + Send + Sync + 'static,
    ) {
        let model = Arc::new(model);
        Runs::count(self.name, "executions", |runs| {
            set_clock_step(match self.unlock {
                Unlock::Wakes => 0,
                Unlock::HandsOff => 2_000_000,
            });
            for order in orders {
                let (model, runs) = (Arc::clone(&model), Arc::clone(&runs));
                let mut builder = Builder::new();
                builder.preemption_bound = self.preemptions;
                builder.max_branches = 10_000;
                builder.check(move || {
                    runs.add_one();
                    model(&order);
                });
            }
        });
    }
}

type Threads = Vec<thread::JoinHandle<()>>;

fn start<S, B>(shared: &Arc<S>, thread: fn(&S, B), bodies: &[B]) -> Threads
where
    S: Send + Sync + 'static,
    B: Copy + Send + 'static,
{
    let start = |&body: &B| {
        let shared = Arc::clone(shared);
        thread::spawn(move || thread(&shared, body))
    };
    bodies.iter().map(start).collect()
}

fn join(threads: Threads) {
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// `bodies` in every order that differs.
fn orders<B: Copy + PartialEq>(bodies: &[B]) -> Vec<Vec<B>> {
    if bodies.is_empty() {
        return vec![vec![]];
    }
    let mut found = Vec::new();
    for (i, first) in bodies.iter().enumerate() {
        if bodies[..i].contains(first) {
            continue;
        }
        let rest = [&bodies[..i], &bodies[i + 1..]].concat();
        found.extend(orders(&rest).into_iter().map(|rest| [vec![*first], rest].concat()));
    }
    found
}
