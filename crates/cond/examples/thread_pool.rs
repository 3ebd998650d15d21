//! A pool of threads that keeps few of them busy: the worker that became idle last gets the next job,
//! and a worker that has been idle for a while ends.
//!
//! ```sh
//! cargo run --package pysync-cond --example thread_pool
//! ```

use std::collections::VecDeque;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use pysync_cond::{Deadline, LockFlags, NotifyList, WaitStatus};
use pysync_lock::Event;
use pysync_lock::guarded::Mutex;

type Job = Box<dyn FnOnce() + Send>;

/// How long a worker waits for a job before it ends.
const IDLE: Duration = Duration::from_millis(50);
const MOST_WORKERS: usize = 4;

struct Pool {
    state: Mutex<State>,
    /// The workers without a job.
    idle: NotifyList,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    workers: usize,
}

impl Pool {
    fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State::default()), idle: NotifyList::new() })
    }

    fn submit(self: &Arc<Self>, job: impl FnOnce() + Send + 'static) {
        self.state.lock().jobs.push_back(Box::new(job));
        // The count is exact: true means that a worker is on its way. The jobs are behind a lock, so
        // the relaxed form will do.
        if !self.idle.notify_one_relaxed() {
            self.add_worker();
        }
    }

    fn add_worker(self: &Arc<Self>) {
        let mut state = self.state.lock();
        // A worker that has just ended its job may have taken this one.
        if !state.jobs.is_empty() && state.workers < MOST_WORKERS {
            state.workers += 1;
            let pool = Arc::clone(self);
            thread::spawn(move || pool.work());
        }
    }

    fn work(&self) {
        loop {
            while let Some(job) = self.take() {
                job();
            }
            let status = self.idle.register_first(|ticket| {
                // Queued first, then a look: no job falls in between. A ticket that is not used passes
                // a notification on.
                if !self.state.lock().jobs.is_empty() {
                    return WaitStatus::Notified;
                }
                ticket.wait_flags(Deadline::after(Some(IDLE)), LockFlags::DETACH)
            });
            if status == WaitStatus::TimedOut {
                let mut state = self.state.lock();
                // A job may have come between the timeout and the lock.
                if state.jobs.is_empty() {
                    state.workers -= 1;
                    return;
                }
            }
        }
    }

    fn take(&self) -> Option<Job> {
        self.state.lock().jobs.pop_front()
    }

    fn workers(&self) -> usize {
        self.state.lock().workers
    }
}

fn main() {
    let pool = Pool::new();

    // As many jobs at once as there may be workers: none ends before all have begun.
    let all_have_begun = Arc::new(Barrier::new(MOST_WORKERS + 1));
    for _ in 0..MOST_WORKERS {
        let all_have_begun = Arc::clone(&all_have_begun);
        pool.submit(move || {
            all_have_begun.wait();
        });
    }
    all_have_begun.wait();
    println!("after the burst: {} workers", pool.workers());

    // Then a job now and then: the worker that has done the last one is first in line, and the others
    // hear of none.
    for _ in 0..60 {
        let done = Arc::new(Event::new());
        let says_done = Arc::clone(&done);
        pool.submit(move || says_done.notify());
        done.wait();
        thread::sleep(Duration::from_millis(2));
    }
    println!("after 60 jobs, one at a time: {} left", pool.workers());
}
