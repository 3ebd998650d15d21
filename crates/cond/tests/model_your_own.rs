//! How to model code of your own that waits on these condition variables: one source, three ways to
//! run it.
//!
//! ```text
//! cargo test -p pysync-cond --test model_your_own
//! RUSTFLAGS="--cfg pysync_loom" cargo test --release -p pysync-cond --test model_your_own
//! RUSTFLAGS="--cfg pysync_shuttle" cargo test --release -p pysync-cond --test model_your_own
//! ```
//!
//! The types change with the cfg by themselves. What is left to do is to take threads from the
//! checker too, and to build everything inside the model.

#[cfg(pysync_loom)]
use loom::thread;
#[cfg(pysync_shuttle)]
use shuttle::thread;
#[cfg(not(any(pysync_loom, pysync_shuttle)))]
use std::thread;

use std::collections::VecDeque;
use std::sync::Arc;

use pysync_cond::guarded::Condvar;
use pysync_lock::guarded::Mutex;

/// The code to be modelled: a buffer of a bounded size, between producers and consumers.
struct Buffer {
    items: Mutex<VecDeque<u32>>,
    size: usize,
    not_empty: Condvar,
    not_full: Condvar,
}

impl Buffer {
    fn new(size: usize) -> Self {
        Self {
            // `new` would do. But loom makes a lock that comes from `new` at its first use, and what
            // its first user did before is then seen by all, which may hide a mistake.
            items: Mutex::from_raw(Default::default(), VecDeque::new()),
            size,
            not_empty: Condvar::default(),
            not_full: Condvar::default(),
        }
    }

    fn put(&self, item: u32) {
        let mut items = self.items.lock();
        self.not_full.wait_while(&mut items, |items| items.len() == self.size);
        items.push_back(item);
        self.not_empty.notify_one();
    }

    /// With a mistake in it: only the first item of an empty buffer is told, and of two consumers that
    /// wait the second never hears of the second item.
    #[cfg(any(pysync_loom, pysync_shuttle))]
    fn put_and_tell_one_too_few(&self, item: u32) {
        let mut items = self.items.lock();
        self.not_full.wait_while(&mut items, |items| items.len() == self.size);
        items.push_back(item);
        if items.len() == 1 {
            self.not_empty.notify_one();
        }
    }

    fn take(&self) -> u32 {
        let mut items = self.items.lock();
        self.not_empty.wait_while(&mut items, |items| items.is_empty());
        let item = items.pop_front().expect("not empty");
        self.not_full.notify_one();
        item
    }
}

type Put = fn(&Buffer, u32);

/// The model: two consumers, and a producer of two items. Everything is made in here, since a checker
/// runs it once for each order of its steps.
fn two_consumers(size: usize, put: Put) {
    let buffer = Arc::new(Buffer::new(size));
    let consumers = [(); 2].map(|()| {
        let buffer = Arc::clone(&buffer);
        thread::spawn(move || buffer.take())
    });
    put(&buffer, 1);
    put(&buffer, 2);
    // A model must not end before its threads do.
    let taken = consumers.map(|consumer| consumer.join().unwrap());
    assert_eq!(taken.iter().sum::<u32>(), 3);
}

/// Under loom: every order of the steps, with at most two preemptions.
#[cfg(pysync_loom)]
fn check(size: usize, put: Put) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(move || two_consumers(size, put));
}

/// Under shuttle: many random orders, with signals, timeouts and hand-offs at random.
#[cfg(pysync_shuttle)]
fn check(size: usize, put: Put) {
    shuttle::check_random(move || two_consumers(size, put), 2_000);
}

/// For real: as the machine has it.
#[cfg(not(any(pysync_loom, pysync_shuttle)))]
fn check(size: usize, put: Put) {
    (0..100).for_each(|_| two_consumers(size, put));
}

#[test]
fn what_is_put_is_taken() {
    check(2, Buffer::put);
}

#[test]
fn a_full_buffer_makes_the_producer_wait() {
    check(1, Buffer::put);
}

/// What a model is for. The real thing may well run for years before it shows.
#[cfg(any(pysync_loom, pysync_shuttle))]
#[test]
#[should_panic]
fn a_mistake_is_found() {
    check(2, Buffer::put_and_tell_one_too_few);
}
