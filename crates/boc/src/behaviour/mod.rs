//! A behaviour: one allocation with all of it.
//!
//! ```text
//! Head      what the scheduler knows, the request, the stage, how many slots and names
//! output    the outcome, which is a cown of its own; nothing if none was asked for
//! body      the closure
//! slots     one for each cown, in the order of their addresses
//! names     the cowns in the order in which the caller has named them, with a handle of each
//! ```

pub(crate) mod acquire;
pub(crate) mod batch;
pub(crate) mod cowns;
pub(crate) mod failed;
pub(crate) mod group;
pub(crate) mod outcome;
mod output;
mod stage;
mod trace;
pub(crate) mod when;
pub(crate) mod when_any;

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::any::TypeId;
use std::mem::{ManuallyDrop, needs_drop, offset_of};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;

use pysync_platform::AbortOnUnwind;
use pysync_platform::primitive::UnsafeCell;

use crate::cown::{self, Grants, Header, Request, Row, Slot, Use, drop_value};
use crate::scheduler::ready::ReadyList;
use crate::scheduler::submit::submit;
use crate::scheduler::task::{self, Task, Verdict};
use crate::scheduler::{lane, runtime};
use failed::Failed;
use output::{Output, Returned};
use stage::Stage;

/// What is the same for all behaviours.
#[repr(C)]
pub(crate) struct Head {
    task: Task,
    request: Request,
    stage: Stage,
    slots: u32,
    names: u32,
}

impl Head {
    /// The task of a behaviour's request.
    ///
    /// # Safety
    /// It is a behaviour's.
    pub(crate) unsafe fn task_of(request: NonNull<Request>) -> NonNull<Task> {
        // SAFETY: the request lies in the head, whose first field the task is.
        unsafe { request.byte_sub(offset_of!(Head, request)) }.cast()
    }
}

/// What a behaviour runs. It is given the cowns in the order in which they were named.
pub(crate) trait Body<R>: FnOnce(&[NonNull<Header>]) -> R + Send {}

impl<R, F: FnOnce(&[NonNull<Header>]) -> R + Send> Body<R> for F {}

/// A behaviour, but for its slots and names, which lie behind this.
#[repr(C)]
pub(crate) struct Behaviour<F, O> {
    head: Head,
    output: O,
    body: UnsafeCell<ManuallyDrop<F>>,
}

impl<F: Body<O::Result>, O: Output> Behaviour<F, O> {
    const TASK: task::Vtable = task::Vtable { execute: Self::execute };

    /// The layout of one with so many slots and names, and where these begin.
    fn layout(slots: usize, names: usize) -> (Layout, usize, usize) {
        let parts = || {
            let (layout, first_slot) =
                Layout::new::<Self>().extend(Layout::array::<Slot>(slots).ok()?).ok()?;
            let names = Layout::array::<NonNull<Header>>(names).ok()?;
            let (layout, first_name) = layout.extend(names).ok()?;
            Some((layout.pad_to_align(), first_slot, first_name))
        };
        parts().expect("a behaviour of too many cowns")
    }

    /// A behaviour that is to be queued, over what was named, and over these cowns, which are the distinct ones
    /// of that. It takes the handles.
    #[inline]
    pub(crate) fn create(
        names: &[Use],
        cowns: &[Use],
        lane: *const lane::Shared,
        runtime: NonNull<runtime::Shared>,
        body: F,
    ) -> NonNull<Self> {
        let (layout, first_slot, first_name) = Self::layout(cowns.len(), names.len());
        // SAFETY: the layout has a size: there is a head.
        let Some(this) = NonNull::new(unsafe { alloc(layout) }.cast::<Self>()) else {
            handle_alloc_error(layout)
        };
        let head = Head {
            task: Task::new(&Self::TASK, runtime, lane),
            request: Request::of_behaviour(cowns.len() as u32),
            stage: Stage::new(),
            slots: cowns.len() as u32,
            names: names.len() as u32,
        };
        let body = UnsafeCell::new(ManuallyDrop::new(body));
        // SAFETY: just allocated with room for all of these.
        unsafe {
            this.write(Self { head, output: O::new::<F>(), body });
            let request = NonNull::new_unchecked(&raw mut (*this.as_ptr()).head.request);
            let slots = this.byte_add(first_slot).cast::<Slot>();
            for (index, used) in cowns.iter().enumerate() {
                slots.add(index).write(Slot::new(used.cown, used.mode(), request));
            }
            let places = this.byte_add(first_name).cast::<NonNull<Header>>();
            for (index, used) in names.iter().enumerate() {
                places.add(index).write(used.cown);
            }
        }
        this
    }

    pub(crate) fn task(this: NonNull<Self>) -> NonNull<Task> {
        this.cast()
    }

    /// The slots.
    ///
    /// # Safety
    /// It is there.
    pub(crate) unsafe fn row(this: NonNull<Self>) -> Row {
        // SAFETY: by contract.
        let (slots, names) = unsafe { (this.as_ref().head.slots, this.as_ref().head.names) };
        let (_, first_slot, _) = Self::layout(slots as usize, names as usize);
        // SAFETY: within the allocation.
        Row { first: unsafe { this.byte_add(first_slot).cast() }, len: slots as usize }
    }

    /// The outcome.
    ///
    /// # Safety
    /// It is there.
    pub(crate) unsafe fn output(this: NonNull<Self>) -> NonNull<O> {
        // SAFETY: by contract.
        unsafe { NonNull::new_unchecked(&raw mut (*this.as_ptr()).output) }
    }

    /// Takes the body.
    ///
    /// # Safety
    /// The caller has claimed the behaviour, and takes it once.
    unsafe fn take_body(&self) -> F {
        // SAFETY: by contract.
        self.body.with_mut(|body| unsafe { ManuallyDrop::take(&mut *body) })
    }

    /// See [`task::execute`].
    unsafe fn execute(task: NonNull<Task>, verdict: Verdict, ready: &mut ReadyList) {
        let this = task.cast::<Self>();
        // SAFETY: the task is this behaviour's, and its executor keeps it until it leaves.
        let (head, row, output) =
            unsafe { (&this.as_ref().head, Self::row(this), Self::output(this)) };
        let (layout, _, first_name) = Self::layout(row.len, head.names as usize);
        // SAFETY: within the allocation; they were written when it was made.
        let names = unsafe {
            let first = this.byte_add(first_name).cast::<NonNull<Header>>();
            std::slice::from_raw_parts(first.as_ptr(), head.names as usize)
        };
        // SAFETY: the runtime lives until the task is finished.
        let runtime = unsafe { head.task.runtime().as_ref() };
        let is_claimed = !O::CANCELS || head.stage.take();
        let result = is_claimed.then(|| {
            // SAFETY: claimed.
            let body = unsafe { this.as_ref().take_body() };
            let is_disowned = (0..row.len).any(|index| {
                // SAFETY: within the row, and a handle keeps each cown.
                let cown = unsafe { row.first.add(index).as_ref().cown.as_ref() };
                cown.word.is_disowned()
            });
            let failed = match verdict {
                Verdict::Run if !is_disowned => {
                    trace::run(this.addr().get());
                    return catch_unwind(AssertUnwindSafe(|| body(names))).map_err(|payload| {
                        runtime.count_panic();
                        Failed::Panicked(payload)
                    });
                }
                Verdict::Run => Failed::Disowned,
                Verdict::Stop | Verdict::Refuse => Failed::Stopped,
                Verdict::Cancel => Failed::Cancelled,
            };
            contain(runtime, || drop(body));
            Err(failed)
        });
        if let Some(result) = &result {
            trace::done(this.addr().get(), result);
        }
        let guard = AbortOnUnwind::new("a panic while a behaviour releases its cowns");
        let mut grants = Grants::to(ready);
        let is_queued = matches!(verdict, Verdict::Run | Verdict::Stop);
        let held = if is_queued { row.len } else { 0 };
        for index in 0..held {
            // SAFETY: within the row; admitted, and a handle keeps the cown.
            unsafe {
                let slot = row.first.add(index);
                slot.as_ref().cown.as_ref().release(slot.as_ref().mode(), &mut grants);
            }
        }
        let panicked = matches!(result, Some(Err(Failed::Panicked(_))));
        // SAFETY: claimed.
        let dropped = result
            .and_then(|result| unsafe { O::complete(output, &head.stage, result, &mut grants) });
        grants.wake();
        // What is ready goes to others before the code of a user's runs here, which may last.
        let mut hand_over = || {
            if !ready.is_empty() {
                submit(std::mem::replace(ready, ReadyList::new()));
            }
        };
        if panicked {
            hand_over();
            contain(runtime, || drop(dropped));
        }
        for &name in names {
            // SAFETY: the behaviour's own handle. The last one drops the value and frees the cown.
            unsafe {
                if Header::leave(name) {
                    let vtable = name.as_ref().vtable;
                    if vtable.needs_drop {
                        hand_over();
                    }
                    contain(runtime, || (vtable.free)(name));
                }
            }
        }
        // SAFETY: the last thing, and the memory is the caller's if there is no other handle.
        unsafe {
            if O::leave(output) {
                if !O::is_trivial(output) {
                    hand_over();
                    contain(runtime, || O::drop_result(output));
                }
                dealloc(this.as_ptr().cast(), layout);
            }
        }
        guard.disarm();
    }
}

impl<F: Body<R>, R: Send + 'static> Behaviour<F, Returned<R>> {
    pub(crate) const OUTCOME: cown::Vtable = cown::Vtable {
        type_id: TypeId::of::<Result<R, Failed>>,
        free: Self::free,
        needs_drop: needs_drop::<R>(),
        lane: None,
        outcome: Some(OutcomeVtable { cancel: Self::cancel, is_done: Self::is_done }),
    };

    unsafe fn of_outcome(outcome: NonNull<Header>) -> NonNull<Self> {
        // SAFETY: the head of the outcome is the first part of the output.
        unsafe { outcome.byte_sub(offset_of!(Self, output)) }.cast()
    }

    unsafe fn is_done(outcome: NonNull<Header>) -> bool {
        // SAFETY: a handle keeps it.
        let this = unsafe { Self::of_outcome(outcome).as_ref() };
        this.head.stage.is_done()
    }

    unsafe fn cancel(outcome: NonNull<Header>) -> bool {
        // SAFETY: a handle keeps it.
        let this = unsafe { Self::of_outcome(outcome).as_ref() };
        if !this.head.stage.cancel() {
            return false;
        }
        // SAFETY: claimed.
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(unsafe { this.take_body() })));
        let output = outcome.cast::<Returned<R>>();
        Grants::handing_over(|grants| {
            let cancelled = Err(Failed::Cancelled);
            // SAFETY: claimed.
            unsafe { Returned::complete(output, &this.head.stage, cancelled, grants) }
        });
        trace::cancel(std::ptr::from_ref(this).addr());
        if let Err(payload) = dropped {
            resume_unwind(payload);
        }
        true
    }

    unsafe fn free(outcome: NonNull<Header>) {
        /// Frees also if the drop of the result panics.
        struct Free(*mut u8, Layout);
        impl Drop for Free {
            fn drop(&mut self) {
                // SAFETY: allocated with this layout, and nothing refers to it.
                unsafe { dealloc(self.0, self.1) };
            }
        }
        // SAFETY: the last handle: the behaviour is over, and has left a result.
        unsafe {
            let this = Self::of_outcome(outcome);
            let head = &this.as_ref().head;
            let (layout, ..) = Self::layout(head.slots as usize, head.names as usize);
            let _free = Free(this.as_ptr().cast(), layout);
            drop_value(&this.as_ref().output.0);
        }
    }
}

/// What the handle of an outcome can do.
pub(crate) struct OutcomeVtable {
    pub(crate) cancel: unsafe fn(NonNull<Header>) -> bool,
    pub(crate) is_done: unsafe fn(NonNull<Header>) -> bool,
}

/// Calls `f`, which drops what is a user's: a panic there is counted and goes no further.
fn contain(runtime: &runtime::Shared, f: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
        runtime.count_panic();
        // The drop of a payload may panic too. That one's is leaked.
        if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(again);
        }
    }
}
