//! How the models are run, and what they have in common.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize as Plain;
use std::sync::atomic::Ordering::SeqCst;

use shuttle::Runner;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::sync::atomic::{AtomicBool, AtomicUsize};

/// Runs `model` under schedules that are random throughout, and under schedules with few changes
/// of priority at random places, which find the orders that take a long delay.
pub(crate) fn try_out(name: &str, schedules: usize, model: fn()) {
    let executions = Arc::new(Plain::new(0));
    let counted = {
        let executions = Arc::clone(&executions);
        move || {
            executions.fetch_add(1, SeqCst);
            model();
        }
    };
    // That orderings count as the strongest is known: loom is for those.
    let mut config = shuttle::Config::new();
    config.silence_warnings = true;
    Runner::new(RandomScheduler::new(schedules), config.clone()).run(counted.clone());
    Runner::new(PctScheduler::new(3, schedules), config).run(counted);
    println!("{name}: {} executions", executions.load(SeqCst));
}

/// What only one thread at a time may be in, and how often one was.
pub(crate) struct Section {
    inside: AtomicBool,
    entered: AtomicUsize,
}

impl Section {
    pub(crate) fn new() -> Self {
        Self { inside: AtomicBool::new(false), entered: AtomicUsize::new(0) }
    }

    pub(crate) fn enter(&self) {
        assert!(!self.inside.swap(true, SeqCst), "not alone");
        // In two steps, so that one of two at a time would be lost.
        self.entered.store(self.entered.load(SeqCst) + 1, SeqCst);
        assert!(self.inside.swap(false, SeqCst));
    }

    pub(crate) fn entered(&self) -> usize {
        self.entered.load(SeqCst)
    }
}

/// Runs the bodies on threads of their own and waits for them.
pub(crate) fn run<S: Send + Sync + 'static, const N: usize>(shared: &Arc<S>, bodies: [fn(&S); N]) {
    let threads = bodies.map(|body| {
        let shared = Arc::clone(shared);
        shuttle::thread::spawn(move || body(&shared))
    });
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}
