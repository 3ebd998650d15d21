//! Behaviours that run on a thread of one's choice.

use std::fmt;
use std::ptr::{self, NonNull};
use std::time::Duration;

use pysync_lock::guarded::OnceCell;
use pysync_parking_lot::{park_in, unpark_all};
use pysync_platform::primitive::atomic::{
    AtomicBool, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst},
    fence,
};
use pysync_platform::{Deadline, LockFlags, Native, Runtime, abort_on_unwind};

use super::current;
use super::ready::ReadyList;
use super::run_queue::RunQueue;
use super::runtime;
use super::submit::{give_up, give_up_one, submit};
use super::task::{Verdict, execute};

type Hook = Box<dyn Fn() + Send + Sync>;

/// What a lane and the cowns on it share.
pub(crate) struct Shared {
    queue: RunQueue,
    /// The lane, each cown on it, and each thread that hands something over.
    references: AtomicUsize,
    /// How many threads wait. They park on the length of the queue.
    waiting: AtomicUsize,
    is_pumped: AtomicBool,
    on_ready: OnceCell<Hook>,
}

impl Shared {
    /// One more reference, for a cown.
    ///
    /// # Safety
    /// The caller has a reference, or borrows the lane.
    pub(crate) unsafe fn retain(this: NonNull<Self>) {
        // Ordering: Relaxed, as for any count that only goes up.
        // SAFETY: kept, by contract.
        unsafe { this.as_ref() }.references.fetch_add(1, Relaxed);
    }

    /// Gives a reference back.
    ///
    /// # Safety
    /// It is the caller's own, which uses the lane no more.
    pub(crate) unsafe fn release(this: NonNull<Self>) {
        // Ordering: Release for what this thread did with it, Acquire for the last one, which frees it.
        // SAFETY: the reference keeps it until here.
        if unsafe { this.as_ref() }.references.fetch_sub(1, AcqRel) == 1 {
            // SAFETY: the last one.
            drop(unsafe { Box::from_raw(this.as_ptr()) });
        }
    }

    /// Hands `tasks` to the lane; false, and they stay where they are, if it has been dropped.
    ///
    /// # Safety
    /// The caller owns the tasks, whose cowns keep the lane.
    pub(crate) unsafe fn push(this: NonNull<Self>, tasks: &mut ReadyList) -> bool {
        // As soon as they are queued they may run, and the cowns and the lane may go.
        // SAFETY: kept by the tasks.
        unsafe { Self::retain(this) };
        // SAFETY: the reference of above.
        let lane = unsafe { this.as_ref() };
        let len_before = lane.queue.push_after(tasks);
        if let Some(len_before) = len_before {
            lane.wake();
            if let Some(hook) = lane.on_ready.get().filter(|_| len_before == 0) {
                abort_on_unwind("a panic in what a lane calls when it is ready", hook);
            }
        }
        // SAFETY: the reference of above.
        unsafe { Self::release(this) };
        len_before.is_some()
    }

    fn wake(&self) {
        // Ordering: between the push and the look at the count; pairs with the fence in `wait_in`.
        fence(SeqCst);
        if self.waiting.load(Relaxed) != 0 {
            unpark_all(self.queue.len_word());
        }
    }
}

/// Behaviours that run on the thread that pumps them: a user interface's, or an interpreter's main thread.
///
/// A cown may be made for a lane. Each behaviour that uses such a cown runs in [`pump`](Self::pump), once all
/// its cowns are its own. Its runtime is that in which it was scheduled.
///
/// A lane has one owner, who may share it by reference. **Drop** gives up what is queued, as a
/// [stop](crate::Runtime::stop) does, and what becomes ready on the lane later.
///
/// **Fork**: a thread that the child does not have may have held the lane's lock. In the child, leak the lane
/// and make a new one.
pub struct Lane {
    shared: NonNull<Shared>,
}

// SAFETY: a lane is a reference to what is behind atomics and locks; its hook is `Send` and `Sync`.
unsafe impl Send for Lane {}
// SAFETY: as above.
unsafe impl Sync for Lane {}

/// When a [`Lane::pump`] ends, other than by want of behaviours.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bounds {
    /// It runs at most so many behaviours.
    pub max: Option<usize>,
    /// It begins no further behaviour once this has passed. Reads the clock before each.
    pub deadline: Option<Deadline>,
}

/// What a [`Lane::pump`] has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pumped {
    /// How many bodies it has run.
    pub executed: usize,
    /// How many of them have panicked.
    pub panicked: usize,
    /// Whether the deadline has ended it.
    pub deadline_reached: bool,
}

impl Lane {
    /// A lane on which nothing is queued.
    pub fn new() -> Self {
        let shared = Box::new(Shared {
            queue: RunQueue::default(),
            references: AtomicUsize::new(1),
            waiting: AtomicUsize::new(0),
            is_pumped: AtomicBool::new(false),
            on_ready: OnceCell::new(),
        });
        Self { shared: NonNull::from(Box::leak(shared)) }
    }

    /// Sets what is called when a behaviour becomes ready on the empty lane: to wake an event loop that then
    /// [pumps](Self::pump). It is called on the thread that has made the behaviour ready, without a lock, and
    /// may be called while the lane is pumped. It must be quick; a panic in it aborts the process. Not called
    /// again until the lane has been empty: after a pump that its bounds have ended, look at
    /// [`is_empty`](Self::is_empty).
    ///
    /// # Panics
    /// If it has been set already.
    pub fn on_ready(&self, hook: impl Fn() + Send + Sync + 'static) {
        let is_set = self.inner().on_ready.set(Box::new(hook)).is_ok();
        assert!(is_set, "what a lane calls when it is ready can be set only once");
    }

    /// Runs what is ready on this thread, in order, within `bounds`; also what becomes ready meanwhile. A
    /// panic in a body is the outcome of that behaviour, and does not end the pump.
    ///
    /// # Panics
    /// Inside a behaviour, that is also from inside a pump; and if another thread is pumping this lane.
    pub fn pump(&self, bounds: Bounds) -> Pumped {
        assert!(!current::is_inside_body(), "a lane was pumped inside a behaviour");
        let lane = self.inner();
        // Ordering: Acquire and Release, as of a lock: the bodies of one pump come before those of the next.
        assert!(!lane.is_pumped.swap(true, Acquire), "another thread is pumping this lane");
        let panics_before = current::panics();
        let mut pumped = Pumped::default();
        while bounds.max.is_none_or(|max| pumped.executed < max) {
            if bounds.deadline.is_some_and(Deadline::has_passed) {
                pumped.deadline_reached = true;
                break;
            }
            if !self.run_one(&mut pumped) {
                break;
            }
        }
        pumped.panicked = current::panics().wrapping_sub(panics_before);
        lane.is_pumped.store(false, Release);
        pumped
    }

    /// Runs the first behaviour, or gives it up if its runtime has been stopped; false if there is none.
    fn run_one(&self, pumped: &mut Pumped) -> bool {
        let Some(task) = self.inner().queue.take(|len| len.min(1)).pop() else { return false };
        let mut ready = ReadyList::new();
        // SAFETY: the queue owned it.
        let runtime = unsafe { task.as_ref() }.runtime();
        // SAFETY: kept by the task, which is pending.
        if unsafe { runtime.as_ref() }.is_stopping() {
            // SAFETY: owned.
            unsafe { give_up_one(task, &mut ready) };
        } else {
            // SAFETY: as above.
            unsafe { runtime::Shared::pin(runtime) };
            let entered = current::enter(runtime.as_ptr(), ptr::null());
            // SAFETY: owned.
            unsafe { execute(task, Verdict::Run, &mut ready) };
            drop(entered);
            pumped.executed += 1;
            // SAFETY: the behaviour was pending; the pin of above.
            unsafe {
                runtime::Shared::finish_outside(runtime);
                runtime::Shared::unpin(runtime);
            }
        }
        submit(ready);
        true
    }

    /// Waits until a behaviour is ready, for `timeout` at most; true if one is. `None` waits forever, and
    /// `Some(ZERO)` only looks. Parks, through signals, and detached while it sleeps.
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        self.wait_in::<Native>(Deadline::after(timeout), LockFlags::DETACH)
    }

    /// [`wait`](Self::wait) in a runtime of the caller's choice, until a deadline. After a signal it returns
    /// early, if `flags` let it.
    ///
    /// # Panics
    /// If a pending call of `R` panics.
    pub fn wait_in<R: Runtime>(&self, deadline: Deadline, flags: LockFlags) -> bool {
        use pysync_platform::ParkStatus;

        let lane = self.inner();
        let mut is_over = false;
        while lane.queue.seems_empty() {
            if is_over || deadline.has_passed() {
                return false;
            }
            lane.waiting.fetch_add(1, Relaxed);
            // Ordering: between the count and the look at the queue's length, which the park takes; pairs
            // with the fence in `wake`.
            fence(SeqCst);
            let detach = flags.contains(LockFlags::DETACH);
            let len = lane.queue.len_word();
            let status = park_in::<R, _>(len, 0, deadline, ptr::null_mut(), detach);
            lane.waiting.fetch_sub(1, Relaxed);
            is_over = status == ParkStatus::Interrupted && flags.on_interrupt::<R>().is_some();
        }
        true
    }

    /// How many behaviours are ready, or were a moment ago.
    pub fn len(&self) -> usize {
        self.inner().queue.len_hint()
    }

    /// Whether none is ready, or none was a moment ago.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Empties the lane in the child of a `fork`: what was queued is leaked, as are the other behaviours of a
    /// runtime that is [dead](crate::Runtime::after_fork) there. The lane and the cowns on it are as good as
    /// before. If the thread that has forked was pumping the lane, it goes on with that.
    ///
    /// Takes no lock. Run [`pysync_parking_lot::after_fork`] first.
    ///
    /// # Safety
    /// The calling thread is the only one in the process, and is inside no call of the lane but a pump.
    pub unsafe fn after_fork(&self) {
        let shared = self.shared.as_ptr();
        // SAFETY: there is no other thread, and this one has no reference to the queue: between two behaviours
        // it would not come here.
        unsafe { (&raw mut (*shared).queue).write(RunQueue::default()) };
        let lane = self.inner();
        // Ordering: Relaxed. There is one thread.
        lane.waiting.store(0, Relaxed);
        if !current::is_inside_body() {
            lane.is_pumped.store(false, Relaxed);
        }
    }

    pub(crate) fn shared(&self) -> NonNull<Shared> {
        self.shared
    }

    fn inner(&self) -> &Shared {
        // SAFETY: the lane has a reference.
        unsafe { self.shared.as_ref() }
    }
}

impl Default for Lane {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        give_up(self.inner().queue.close());
        // SAFETY: the lane's own.
        unsafe { Shared::release(self.shared) };
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").field("len", &self.len()).finish_non_exhaustive()
    }
}
