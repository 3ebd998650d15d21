//! The scheduler for models and tests: tasks without cowns, and workers that are threads of the model.

use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

use pysync_platform::primitive::plain::{AtomicUsize, Ordering::Relaxed};

use super::lane::{self, Lane};
use super::ready::ReadyList;
use super::runtime::{Runtime, Shared};
use super::submit::submit;
use super::task::{Task, Verdict, Vtable};
use super::worker;

/// How many runtimes have not been freed.
static LIVES: AtomicUsize = AtomicUsize::new(0);

/// Counts a runtime while it is there.
pub(crate) struct Life(());

impl Life {
    pub(crate) fn new() -> Self {
        LIVES.fetch_add(1, Relaxed);
        Self(())
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        LIVES.fetch_sub(1, Relaxed);
    }
}

/// How many runtimes have not been freed.
pub fn lives() -> usize {
    LIVES.load(Relaxed)
}

/// A behaviour without cowns.
#[repr(C)]
struct Job<F> {
    task: Task,
    body: F,
}

impl<F: FnOnce(bool, &mut Followers) + Send> Job<F> {
    const VTABLE: &'static Vtable = &Vtable { execute: Self::execute };

    unsafe fn execute(task: NonNull<Task>, verdict: Verdict, ready: &mut ReadyList) {
        // SAFETY: the task is the head of a job that `prepare` has boxed.
        let job = unsafe { Box::from_raw(task.cast::<Self>().as_ptr()) };
        let mut followers = Followers(ReadyList::new());
        (job.body)(verdict == Verdict::Run, &mut followers);
        ready.append(&mut followers.0);
    }
}

/// What becomes ready when a body ends.
pub struct Followers(ReadyList);

#[allow(missing_docs)]
impl Followers {
    pub fn add(&mut self, pending: Pending) {
        // SAFETY: the pending one owns it.
        unsafe { self.0.push(pending.0) };
    }
}

/// A behaviour that has been counted, and is not ready.
pub struct Pending(NonNull<Task>);

// SAFETY: a task and its body may be sent.
unsafe impl Send for Pending {}

#[allow(missing_docs)]
impl Pending {
    /// It is ready.
    pub fn submit(self) {
        let mut ready = ReadyList::new();
        // SAFETY: owned.
        unsafe { ready.push(self.0) };
        submit(ready);
    }
}

/// All of them are ready.
pub fn submit_all(pending: impl IntoIterator<Item = Pending>) {
    let mut ready = ReadyList::new();
    // SAFETY: owned.
    pending.into_iter().for_each(|pending| unsafe { ready.push(pending.0) });
    submit(ready);
}

/// The workers of a runtime, which are threads of the model. Each keeps the runtime until it has ended.
#[derive(Clone, Copy)]
pub struct Workers(NonNull<Shared>);

// SAFETY: what is shared is behind atomics and locks.
unsafe impl Send for Workers {}
// SAFETY: as above.
unsafe impl Sync for Workers {}

impl Workers {
    /// Is a worker until the runtime is stopped. Called once for each index.
    pub fn work(self, index: usize) {
        // SAFETY: the worker's pin.
        worker::run(unsafe { self.0.as_ref() }, index, None);
        // SAFETY: as above.
        unsafe { Shared::unpin(self.0) };
    }
}

/// A runtime, and its workers.
pub fn runtime(workers: usize) -> (Runtime, Workers) {
    let shared = Shared::new(workers);
    // SAFETY: the handle of `new`.
    (unsafe { Runtime::from_shared(shared) }, Workers(shared))
}

/// Counts a behaviour; `None` if the runtime has been stopped. Its body learns whether it runs, or is given
/// up.
pub fn prepare(
    runtime: &Runtime,
    lane: Option<&Lane>,
    body: impl FnOnce(bool, &mut Followers) + Send + 'static,
) -> Option<Pending> {
    runtime.inner().begin(1).then(|| job(runtime.shared(), lane, body))
}

fn job<F: FnOnce(bool, &mut Followers) + Send + 'static>(
    runtime: NonNull<Shared>,
    lane: Option<&Lane>,
    body: F,
) -> Pending {
    let lane = lane.map_or(ptr::null(), |lane| lane.shared().as_ptr() as *const lane::Shared);
    let job =
        Box::new(MaybeUninit::new(Job { task: Task::new(Job::<F>::VTABLE, runtime, lane), body }));
    Pending(NonNull::from(Box::leak(job)).cast())
}

/// Schedules a behaviour that is ready; false if the runtime has been stopped.
pub fn schedule(
    runtime: &Runtime,
    body: impl FnOnce(bool, &mut Followers) + Send + 'static,
) -> bool {
    prepare(runtime, None, body).map(Pending::submit).is_some()
}

/// Schedules a behaviour that is ready on a lane; false if the runtime has been stopped.
pub fn schedule_on(
    runtime: &Runtime,
    lane: &Lane,
    body: impl FnOnce(bool, &mut Followers) + Send + 'static,
) -> bool {
    prepare(runtime, Some(lane), body).map(Pending::submit).is_some()
}
