//! Where tasks that are ready go.

use std::cell::{Cell, UnsafeCell};
use std::ptr::{self, NonNull};

use pysync_platform::primitive;
use pysync_platform::primitive::plain::Ordering::Relaxed;

use super::current;
use super::lane;
use super::ready::ReadyList;
use super::runtime::Shared;
use super::task::{Task, Verdict, execute};

primitive::thread_local! {
    /// The work list of the [`give_up`] that the calling thread is in, or null.
    static GIVEN_UP: Cell<*const UnsafeCell<ReadyList>> = Cell::new(ptr::null())
}

/// Hands over tasks that are ready, from any thread. Each goes to a worker of its runtime, or to its lane;
/// or it is executed with [`Verdict::Stop`] right here, if that has been stopped or dropped.
///
/// Runs foreign code only in the latter case. Neither recurses nor unwinds, whatever that code does.
pub(crate) fn submit(mut ready: ReadyList) {
    #[cfg(any(pysync_loom, pysync_shuttle))]
    super::inline::run(&mut ready);
    let mut refused = ReadyList::new();
    distribute(&mut ready, &mut refused);
    if !refused.is_empty() {
        give_up(refused);
    }
}

/// Hands over all of `ready`, and leaves in `refused` those that are to be given up.
fn distribute(ready: &mut ReadyList, refused: &mut ReadyList) {
    let mut next = ready.pop();
    while let Some(first) = next {
        let mut run = ReadyList::new();
        // SAFETY: the list owned it, as it does those below.
        let (runtime, lane) = unsafe { (first.as_ref().runtime(), first.as_ref().lane()) };
        // SAFETY: just handed over.
        unsafe { run.push(first) };
        // Those of the same destination that follow go with it, in one step.
        next = loop {
            let Some(task) = ready.pop() else { break None };
            // SAFETY: owned, as above.
            if unsafe { task.as_ref().runtime() != runtime || task.as_ref().lane() != lane } {
                break Some(task);
            }
            // SAFETY: just handed over.
            unsafe { run.push(task) };
        };
        // SAFETY: tasks that are pending keep their runtime and, by their cowns, their lane.
        let is_taken = unsafe {
            if runtime.as_ref().is_stopping() {
                false
            } else if lane.is_null() {
                push(runtime, &mut run)
            } else {
                lane::Shared::push(NonNull::new_unchecked(lane.cast_mut()), &mut run)
            }
        };
        if !is_taken {
            refused.append(&mut run);
        }
    }
}

/// Hands `tasks` to the workers of their runtime, and wakes one, if it must; false, and they stay where they
/// are, if it has been stopped.
///
/// # Safety
/// They are pending behaviours of that runtime, which the caller owns.
unsafe fn push(runtime: NonNull<Shared>, tasks: &mut ReadyList) -> bool {
    // SAFETY: kept by the tasks, which are pending.
    if let Some(worker) = current::worker_of(unsafe { runtime.as_ref() }) {
        // SAFETY: the worker that this thread is keeps it.
        let shared = unsafe { runtime.as_ref() };
        worker.push(tasks);
        shared.wake_one(Some(worker));
        return true;
    }
    // As soon as they are queued they may run, and the last handle may go.
    // SAFETY: kept by the tasks.
    unsafe { Shared::pin(runtime) };
    // SAFETY: pinned.
    let shared = unsafe { runtime.as_ref() };
    let is_taken = shared.injector.push(tasks);
    if is_taken {
        shared.wake_one(None);
    }
    // SAFETY: the pin of above; if the tasks are still here, they keep the runtime.
    unsafe { Shared::unpin(runtime) };
    is_taken
}

/// Executes `tasks` with [`Verdict::Stop`], and hands over what becomes ready by that, until nothing is left.
/// Within another call on this thread, in the drop of a closure, only adds to the work list of that.
pub(crate) fn give_up(mut tasks: ReadyList) {
    let outer = GIVEN_UP.with(Cell::get);
    // SAFETY: the list of a call that this thread is in, which holds no reference to it while foreign code
    // runs.
    if let Some(outer) = unsafe { outer.as_ref() } {
        // SAFETY: as above.
        unsafe { &mut *outer.get() }.append(&mut tasks);
        return;
    }
    let list = UnsafeCell::new(tasks);
    GIVEN_UP.with(|given_up| given_up.set(&raw const list));
    // SAFETY: no other reference to the list lives while this one does.
    while let Some(task) = unsafe { &mut *list.get() }.pop() {
        let mut ready = ReadyList::new();
        // SAFETY: it was on the list.
        unsafe { give_up_one(task, &mut ready) };
        // SAFETY: as for the list above; `distribute` runs no code that gives up more.
        distribute(&mut ready, unsafe { &mut *list.get() });
    }
    GIVEN_UP.with(|given_up| given_up.set(ptr::null()));
}

/// Executes a task with [`Verdict::Stop`], and counts it.
///
/// # Safety
/// The caller owns the task.
pub(crate) unsafe fn give_up_one(task: NonNull<Task>, ready: &mut ReadyList) {
    // SAFETY: owned.
    let runtime = unsafe { task.as_ref() }.runtime();
    // SAFETY: the task is pending.
    unsafe { Shared::pin(runtime) };
    let entered = current::enter(runtime.as_ptr(), ptr::null());
    // SAFETY: owned.
    unsafe { execute(task, Verdict::Stop, ready) };
    drop(entered);
    // SAFETY: pinned.
    let shared = unsafe { runtime.as_ref() };
    // Ordering: Relaxed; a statistic.
    shared.dropped.fetch_add(1, Relaxed);
    // SAFETY: the task was pending, and the pin is given back.
    unsafe {
        Shared::finish_outside(runtime);
        Shared::unpin(runtime);
    }
}

impl Shared {
    /// Counts a behaviour that has been finished by a thread that is no worker, and notifies quiescers.
    ///
    /// # Safety
    /// It was pending, and the caller has a pin.
    pub(crate) unsafe fn finish_outside(this: NonNull<Self>) {
        // SAFETY: pinned.
        let shared = unsafe { this.as_ref() };
        let was_pin = shared.outside.finish();
        shared.notify_if_quiet();
        if was_pin {
            // SAFETY: the pin of this behaviour.
            unsafe { Self::unpin(this) };
        }
    }
}
