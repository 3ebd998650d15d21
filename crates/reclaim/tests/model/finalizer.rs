//! The queue of a finalizer: pushes against the thread that takes, drains and the end.

use std::sync::Arc;

use pysync_reclaim::model::Queue;
use pysync_reclaim::{Deadline, Finalize, Finalized};
use pysync_testing::model::Data;

use super::Model;

#[derive(Default)]
struct Log {
    runs: [Data; 3],
    order: Data,
}

struct Core {
    log: Arc<Log>,
    number: u32,
    /// Dropped by the finalizer, and queued by that.
    inner: Option<Finalized<Core>>,
}

impl Finalize for Core {
    fn finalize(self) {
        self.log.runs[self.number as usize].add_one();
        if self.inner.is_some() || self.number != 2 {
            self.log.order.update(|order| *order = *order * 10 + self.number + 1);
        }
    }
}

struct World {
    queue: Queue,
    log: Arc<Log>,
    cores: [std::sync::Mutex<Option<Finalized<Core>>>; 3],
}

impl World {
    fn new() -> Self {
        let (queue, log) = (Queue::new(), Arc::<Log>::default());
        let cores = [0, 1, 2].map(|number| {
            let core = Core { log: log.clone(), number, inner: None };
            std::sync::Mutex::new(Some(queue.finalized(core)))
        });
        Self { queue, log, cores }
    }

    fn drop_core(&self, index: usize) {
        let core = self.cores[index].lock().unwrap().take();
        drop(core);
    }

    fn runs(&self) -> [u32; 3] {
        [0, 1, 2].map(|index| self.log.runs[index].get())
    }
}

fn work(w: &World) {
    w.queue.work();
}

/// Each core is finalized once, in the order in which its thread dropped it, though the thread falls asleep.
#[test]
fn what_one_thread_drops_is_finalized_in_order() {
    fn drop_two_and_close(w: &World) {
        w.drop_core(0);
        w.drop_core(1);
        w.queue.close();
    }
    let model = Model::new("work, 2 drops").preemptions(3);
    model.run(World::new, work, [drop_two_and_close], |w| {
        assert_eq!(w.runs(), [1, 1, 0]);
        assert_eq!(w.log.order.get(), 12);
        assert_eq!(w.queue.queued(), 0);
    });
}

/// A core that is dropped while the queue is closed is finalized by the thread or by its dropper.
#[test]
fn a_drop_meets_the_end() {
    fn drop_2(w: &World) {
        w.drop_core(2);
    }
    fn close(w: &World) {
        w.queue.close();
    }
    let model = Model::new("work, drop, close").preemptions(2);
    model.run(World::new, work, [drop_2, close], |w| {
        assert_eq!(w.runs(), [0, 0, 1]);
        assert_eq!(w.queue.queued(), 0);
    });
}

/// A drain waits for what was queued before, and for what that queues.
#[test]
fn a_drain_waits_for_what_finalizers_queue() {
    fn drain(w: &World) {
        let inner = w.cores[0].lock().unwrap().take();
        let core = Core { log: w.log.clone(), number: 2, inner };
        drop(w.queue.finalized(core));
        let drained = w.queue.drain(Deadline::NEVER);
        assert_eq!(drained.left, 0);
        assert_eq!(w.log.order.get(), 31);
        w.queue.close();
    }
    let model = Model::new("work, drain").preemptions(2);
    model.run(World::new, work, [drain], |w| assert_eq!(w.runs(), [1, 0, 1]));
}
