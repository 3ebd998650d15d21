//! Behaviours in models of cowns, which have no workers: the thread that makes a behaviour ready executes it.

use std::cell::{Cell, UnsafeCell};
use std::ptr;

use pysync_platform::primitive;

use super::current;
use super::ready::ReadyList;
use super::task::{Verdict, execute};

primitive::thread_local! {
    /// The list of the [`run`] that the calling thread is in, or null.
    static RUNNING: Cell<*const UnsafeCell<ReadyList>> = Cell::new(ptr::null())
}

/// Executes those of `ready` that are on no lane and whose runtime has no workers, and what becomes ready by
/// that, one after the other. Inside the body of one of these it only adds to the list of the call that runs
/// it. Leaves the others.
///
/// They are not counted as finished: the fence of that would hide an ordering that is missing in the cowns.
pub(crate) fn run(ready: &mut ReadyList) {
    let (mut inline, mut others) = (ReadyList::new(), ReadyList::new());
    while let Some(task) = ready.pop() {
        // SAFETY: the list owned it; a pending task keeps its runtime.
        unsafe {
            let no_worker = task.as_ref().runtime().as_ref().workers.is_empty();
            let is_inline = no_worker && task.as_ref().lane().is_null();
            if is_inline { inline.push(task) } else { others.push(task) }
        }
    }
    *ready = others;
    // SAFETY: a call that this thread is in, which has no reference to its list while a body runs.
    if let Some(outer) = unsafe { RUNNING.with(Cell::get).as_ref() } {
        // SAFETY: as above.
        unsafe { &mut *outer.get() }.append(&mut inline);
        return;
    }
    let list = UnsafeCell::new(inline);
    RUNNING.with(|running| running.set(&raw const list));
    // SAFETY: no other reference to the list lives while this one does.
    while let Some(task) = unsafe { &mut *list.get() }.pop() {
        let mut ready = ReadyList::new();
        // SAFETY: the list owned it.
        unsafe {
            let _entered = current::enter(task.as_ref().runtime().as_ptr(), ptr::null());
            execute(task, Verdict::Run, &mut ready);
        }
        // SAFETY: as above.
        unsafe { &mut *list.get() }.append(&mut ready);
    }
    RUNNING.with(|running| running.set(ptr::null()));
}
