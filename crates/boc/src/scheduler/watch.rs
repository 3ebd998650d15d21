//! Whether it is worth a worker's while to take tasks from another one.
//!
//! A task that moves costs both workers some hundred nanoseconds: the lines of the task, of its cowns and of the
//! allocator go from one processor to the other. Most bodies take less. So a worker that has nothing to do watches
//! the others first, and takes tasks where one would have to wait: behind a body that lasts, or behind many others.

use std::time::{Duration, Instant};

use super::worker::{IS_MODEL, Worker};

/// For how long a worker is in one body before its tasks are taken.
const SLOW: Duration = Duration::from_micros(1);
/// How long the last task of a queue may have to wait before half of the tasks are taken.
const LATE: Duration = Duration::from_micros(20);

/// What a worker that searches sees of another one.
#[derive(Clone, Copy)]
pub(super) struct Watched {
    /// When the watch began, and how many tasks had left the other's queue by then.
    began: Instant,
    popped: usize,
    /// How many behaviours the other has finished, and since when they are so many.
    finished: usize,
    since: Instant,
}

impl Watched {
    pub(super) fn begin(worker: &Worker) -> Self {
        let now = Instant::now();
        // In a model any task is worth a move.
        let (popped, finished) = match IS_MODEL {
            true => (0, 0),
            false => (worker.queue.popped(), worker.counts.finished()),
        };
        Self { began: now, popped, finished, since: now }
    }

    /// Whether tasks of `worker`, which has `len` of them, are worth a move.
    pub(super) fn are_worth_a_move(&mut self, worker: &Worker, len: usize) -> bool {
        if IS_MODEL {
            return true;
        }
        let (now, finished) = (Instant::now(), worker.counts.finished());
        if finished != self.finished {
            (self.finished, self.since) = (finished, now);
        } else if now - self.since >= SLOW {
            return true;
        }
        // The count may be ahead for a moment, or have been when the watch began.
        let popped = worker.queue.popped().wrapping_sub(self.popped) as isize;
        let Ok(popped @ 4..) = u32::try_from(popped) else { return false };
        ((now - self.began) / popped).saturating_mul(len as u32) >= LATE
    }
}
