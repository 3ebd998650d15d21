//! How to model code of your own that stands on these locks: one source, three ways to run it.
//!
//! ```text
//! cargo test -p pysync-lock --test model_your_own
//! RUSTFLAGS="--cfg pysync_loom" cargo test --release -p pysync-lock --test model_your_own
//! RUSTFLAGS="--cfg pysync_shuttle" cargo test --release -p pysync-lock --test model_your_own
//! ```
//!
//! The locks change with the cfg by themselves. What is left to do is to take threads, and the
//! data that loom is to watch, from the checker too, and to build everything inside the model.

#[cfg(pysync_loom)]
use loom::{cell::UnsafeCell, thread};
#[cfg(pysync_shuttle)]
use shuttle::thread;
#[cfg(not(any(pysync_loom, pysync_shuttle)))]
use std::thread;

use std::sync::Arc;

use pysync_lock::{Event, guarded::Mutex};

/// The code to be modelled: lets one thread wait until several others are done.
struct WaitGroup {
    left: Mutex<usize>,
    done: Event,
}

impl WaitGroup {
    fn new(tasks: usize) -> Self {
        // `new` would do. But loom makes a lock that comes from `new` at its first use, and what its
        // first user did before is then seen by all, which may hide a mistake.
        Self { left: Mutex::from_raw(Default::default(), tasks), done: Event::default() }
    }

    fn finish(&self) {
        let mut left = self.left.lock();
        *left -= 1;
        if *left == 0 {
            self.done.notify();
        }
    }

    /// With a mistake in it: the first to finish speaks for all.
    #[cfg(any(pysync_loom, pysync_shuttle))]
    fn finish_too_soon(&self) {
        *self.left.lock() -= 1;
        self.done.notify();
    }

    fn wait(&self) {
        self.done.wait();
    }
}

/// What a task leaves behind. loom's cell reports an access that nothing orders with another, so
/// the model shows that waiting is enough to see the results.
struct Slot(UnsafeCell<u32>);

// SAFETY: each is written by one task, and read once all are done.
unsafe impl Sync for Slot {}

impl Slot {
    fn set(&self, value: u32) {
        // SAFETY: nobody reads before the task is done.
        self.0.with_mut(|slot| unsafe { *slot = value });
    }

    fn get(&self) -> u32 {
        // SAFETY: nobody writes once the tasks are done.
        self.0.with(|slot| unsafe { *slot })
    }
}

/// std's cell in loom's clothes.
#[cfg(not(pysync_loom))]
struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

#[cfg(not(pysync_loom))]
impl<T> UnsafeCell<T> {
    fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        read(self.0.get())
    }

    fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        write(self.0.get())
    }
}

/// The model: two tasks, and a thread that waits for both. Everything is made in here, since a
/// checker runs it once for each order of its steps.
fn two_tasks(finish: fn(&WaitGroup)) {
    let group = Arc::new((WaitGroup::new(2), [0; 2].map(|none| Slot(UnsafeCell::new(none)))));
    let tasks = [0, 1].map(|i| {
        let group = Arc::clone(&group);
        thread::spawn(move || {
            group.1[i].set(7);
            finish(&group.0);
        })
    });
    group.0.wait();
    assert_eq!(group.1[0].get() + group.1[1].get(), 14);
    // A model must not end before its threads do.
    tasks.into_iter().for_each(|task| task.join().unwrap());
}

/// Under loom: every order of the steps, with at most two preemptions.
#[cfg(pysync_loom)]
fn check(finish: fn(&WaitGroup)) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(move || two_tasks(finish));
}

/// Under shuttle: many random orders, with signals, timeouts and hand-offs at random.
#[cfg(pysync_shuttle)]
fn check(finish: fn(&WaitGroup)) {
    shuttle::check_random(move || two_tasks(finish), 2_000);
}

/// For real: as the machine has it.
#[cfg(not(any(pysync_loom, pysync_shuttle)))]
fn check(finish: fn(&WaitGroup)) {
    (0..100).for_each(|_| two_tasks(finish));
}

#[test]
fn waiting_shows_the_results() {
    check(WaitGroup::finish);
}

/// What a model is for. The real thing may well run for years before it shows.
#[cfg(any(pysync_loom, pysync_shuttle))]
#[test]
#[should_panic]
fn a_mistake_is_found() {
    check(WaitGroup::finish_too_soon);
}
