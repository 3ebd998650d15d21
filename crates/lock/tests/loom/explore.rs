//! How the models are run, and what they have in common.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use loom::cell::UnsafeCell;
use pysync_platform::model::set_clock_step;

/// No bound on preemptions.
pub(crate) const EXHAUSTIVE: Option<usize> = None;

/// What an unlock does for a thread that waits.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unlock {
    /// Wakes it to race for the lock: no time passes.
    Wakes,
    /// Hands the lock to it: each look at the clock comes two milliseconds after the last.
    HandsOff,
}

/// A thread of a model.
pub(crate) type Body<S> = fn(&S);

/// Explores every order of the steps of `bodies`, each on a thread of its own, with at most
/// `preemptions` if there is a bound; then `after` on what they have shared.
///
/// loom 0.7 remembers one thread's last load of an atomic: when a first thread loads it, and then
/// a second one loads and stores it, loom does not see that the store could have come first. So
/// the threads are started in every order, and one of them finds what the other hides.
pub(crate) fn explore<S: Send + Sync + 'static, const N: usize>(
    name: &str,
    unlock: Unlock,
    preemptions: Option<usize>,
    shared: fn() -> S,
    bodies: [Body<S>; N],
    after: Body<S>,
) {
    // The clock is the process's, and so is the standard output that shows the counts.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    set_clock_step(match unlock {
        Unlock::Wakes => 0,
        Unlock::HandsOff => 2_000_000,
    });

    let executions = Arc::new(AtomicUsize::new(0));
    for bodies in orders(bodies) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = preemptions;
        builder.max_branches = 10_000;
        builder.check({
            let executions = Arc::clone(&executions);
            move || {
                executions.fetch_add(1, Relaxed);
                run(shared(), bodies, after);
            }
        });
    }
    println!("{name}: {} executions", executions.load(Relaxed));
}

/// Runs each of `bodies` on a thread of its own, the last on the model's, and then `after`.
fn run<S: Send + Sync + 'static, const N: usize>(shared: S, bodies: [Body<S>; N], after: Body<S>) {
    let shared = Arc::new(shared);
    let (own, others) = bodies.split_last().expect("a body");
    let start = |body: &Body<S>| {
        let (shared, body) = (Arc::clone(&shared), *body);
        loom::thread::spawn(move || body(&shared))
    };
    let threads: Vec<_> = others.iter().map(start).collect();
    own(&shared);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    after(&shared);
}

/// `bodies` in every order that differs.
fn orders<S, const N: usize>(bodies: [Body<S>; N]) -> Vec<[Body<S>; N]> {
    fn permute<S, const N: usize>(
        mut bodies: [Body<S>; N],
        from: usize,
        found: &mut Vec<[Body<S>; N]>,
    ) {
        if from == N {
            found.push(bodies);
        }
        for i in from..N {
            let seen = bodies[from..i].iter().any(|body| *body as usize == bodies[i] as usize);
            if !seen {
                bodies.swap(from, i);
                permute(bodies, from + 1, found);
                bodies.swap(from, i);
            }
        }
    }

    let mut found = Vec::new();
    permute(bodies, 0, &mut found);
    found
}

/// Data with no protection of its own.
pub(crate) struct Data(UnsafeCell<u32>);

// SAFETY: loom checks each access.
unsafe impl Sync for Data {}
// SAFETY: as above.
unsafe impl Send for Data {}

impl Data {
    pub(crate) fn new() -> Self {
        Self(UnsafeCell::new(0))
    }

    pub(crate) fn get(&self) -> u32 {
        // SAFETY: loom reports a write that nothing orders with it.
        self.0.with(|value| unsafe { *value })
    }

    pub(crate) fn set(&self, new: u32) {
        // SAFETY: loom reports any access that nothing orders with it.
        self.0.with_mut(|value| unsafe { *value = new });
    }

    pub(crate) fn add_one(&self) {
        self.set(self.get() + 1);
    }
}
