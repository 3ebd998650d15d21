//! Threads that do what a test tells them, and die when it says so.

use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use pysync_testing::wait_until;

type Job = Box<dyn FnOnce() + Send>;

/// A thread that does one job after another. It dies when it is dropped, and what it holds then is
/// held by a dead owner.
pub(crate) struct Actor {
    id: u32,
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Actor {
    pub(crate) fn new() -> Self {
        let (jobs, todo) = mpsc::channel::<Job>();
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn(move || {
            // SAFETY: only asks.
            tell.send(unsafe { libc::gettid() }).unwrap();
            todo.into_iter().for_each(|job| job());
        });
        Self { id: told.recv().unwrap() as u32, jobs: Some(jobs), thread: Some(thread) }
    }

    /// The id of the thread, as the kernel has it.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Has the thread do `job`, and returns what came of it.
    pub(crate) fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        self.start(job).recv().expect("the job has panicked")
    }

    /// Has the thread begin with `job`, which may block.
    pub(crate) fn start<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Receiver<T> {
        let (done, result) = mpsc::channel();
        let job = Box::new(move || drop(done.send(job())));
        self.jobs.as_ref().expect("it lives").send(job).expect("an earlier job has panicked");
        result
    }

    /// As [`start`](Self::start); returns when the thread sleeps. The caller keeps a watchdog.
    pub(crate) fn start_to_sleep<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Receiver<T> {
        let (begin, began) = mpsc::channel();
        let result = self.start(move || {
            begin.send(()).unwrap();
            job()
        });
        began.recv().unwrap();
        wait_until(|| is_asleep(self.id));
        result
    }

    /// The thread dies with all that it holds.
    pub(crate) fn die(self) {}
}

impl Drop for Actor {
    fn drop(&mut self) {
        drop(self.jobs.take());
        // A job that has panicked has failed its test already.
        let _ = self.thread.take().expect("it is dropped once").join();
    }
}

/// Runs `job` on a thread that dies of it.
pub(crate) fn in_a_short_life<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> T {
    Actor::new().run(job)
}

/// Whether the kernel has put the thread `id` of this process to sleep.
fn is_asleep(id: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{id}/stat"));
    stat.is_ok_and(|stat| stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" S")))
}
