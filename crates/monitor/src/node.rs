//! A thread in the graph of who waits for whom.

use std::cell::Cell;
use std::panic::Location;
use std::ptr;
use std::time::Instant;

use pysync_platform::primitive;
use pysync_platform::primitive::atomic::{
    AtomicPtr, AtomicU8, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use pysync_platform::{Native, Runtime};

use crate::frame::Frame;
use crate::lock::Lock;
use crate::name::Name;
use crate::report::{Report, Waits};
use crate::scope::{InScopes, Scope};

/// How the wait of a thread stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The thread does not wait, or has ended its wait by itself.
    Idle,
    /// It waits.
    Waiting,
    /// A leaver has handed it the monitor.
    Granted,
    /// A thread that has found a cycle has chosen this one to lose.
    Aborted,
    /// A leaver evaluates its condition. Only that one goes on from here.
    Claimed,
    /// The scope of the thread has been cancelled.
    Cancelled,
    /// As claimed, and the scope of the thread has been cancelled meanwhile: the wait is cancelled unless the condition
    /// is true.
    ToCancel,
}

const STATES: usize = 8;

/// A cancel of the thread's scope ends the wait.
pub(crate) const CANCELLABLE: u8 = 1;
/// The wait has a deadline.
pub(crate) const TIMED: u8 = 2;
/// It is a wait for a condition, and not to enter.
pub(crate) const FOR_CONDITION: u8 = 4;

/// A wait: its number and its state in one word, so that what is decided about one wait is never taken for the
/// next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WaitWord(usize);

impl WaitWord {
    pub(crate) fn state(self) -> State {
        match self.0 % STATES {
            0 => State::Idle,
            1 => State::Waiting,
            2 => State::Granted,
            3 => State::Aborted,
            4 => State::Claimed,
            5 => State::Cancelled,
            _ => State::ToCancel,
        }
    }

    fn with(self, state: State) -> Self {
        Self(self.0 / STATES * STATES + state as usize)
    }

    fn next(self) -> Self {
        Self(self.0.wrapping_add(STATES)).with(State::Waiting)
    }
}

/// What other threads see of one that may wait: the one monitor that it wants, if any.
///
/// Nodes are used again by later threads, and never freed. So a pointer to one that is found in the word of a
/// monitor may be followed, whatever its thread does meanwhile.
#[repr(align(128))]
pub(crate) struct Node {
    /// The monitor for which the thread is queued, or null. Changed only under the lock of the bucket of that
    /// monitor, to which the thread has a reference for as long as it is here.
    wants: AtomicPtr<Lock>,
    wait: AtomicUsize,
    /// How old the thread's attempt is: the number of its first wait, by a count of all threads; 0 before that. Of
    /// two the greater is the younger.
    stamp: AtomicUsize,
    /// The report for a thread that loses: written before [`State::Aborted`], by a thread that has the lock of all
    /// breakers.
    report: AtomicPtr<Report>,
    /// What the thread is inside of, innermost first. Only the thread changes it, and not while it is queued.
    pub(crate) frames: AtomicPtr<Frame>,
    /// What the thread waits for, since when and where. Written before the thread is queued, and read by others
    /// under the lock of the bucket in which it is (that of all scopes, if it waits for threads).
    wait_of: Cell<Option<WaitOf>>,
    /// The number of the thread. Written before it is queued.
    thread: AtomicUsize,
    /// Whether a cancel ends the wait, and which kind of a wait it is. Written before the wait begins.
    how: AtomicU8,
    /// The scope whose threads the thread waits for, or null. Changed under the lock of all scopes.
    joins: AtomicPtr<Scope>,
    /// What the thread parks on to sleep.
    sleep_word: AtomicU8,
    /// For the branches that the thread is in.
    pub(crate) in_scopes: InScopes,
    pub(crate) name: Name,
    /// For the thread alone.
    pub(crate) own: Own,
    /// For the lists of all nodes.
    #[cfg(not(any(pysync_loom, pysync_shuttle)))]
    pub(crate) links: Links,
}

/// The places of a node in the lists of all nodes and of those without a thread.
#[cfg(not(any(pysync_loom, pysync_shuttle)))]
pub(crate) struct Links {
    /// The node that was made before this one. Set once, before the node is found.
    pub(crate) next: Cell<*const Node>,
    /// Under the lock of those without a thread.
    pub(crate) next_free: Cell<*const Node>,
}

/// What a thread waits for, since when and where.
#[derive(Clone, Copy)]
pub(crate) struct WaitOf {
    pub(crate) what: Waits,
    pub(crate) at: &'static Location<'static>,
    pub(crate) since: Instant,
}

impl WaitOf {
    /// A wait that begins now.
    pub(crate) fn new(what: Waits, at: &'static Location<'static>) -> Self {
        Self { what, at, since: Instant::now() }
    }
}

/// What only the thread of a node looks at.
pub(crate) struct Own {
    /// It has lost, and is on its way out: what it leaves goes to the oldest that waits there.
    pub(crate) unwinds: Cell<bool>,
    /// The thread that was inside of what this one wanted when it lost, and its stamp.
    pub(crate) lost_to: Cell<Option<(&'static Node, usize)>>,
    /// How many attempts it is in, one inside the other: its stamp stays until the outermost ends.
    pub(crate) attempts: Cell<usize>,
}

// SAFETY: the cells in `own` are for the thread of the node alone, and `wait_of` is accessed under a lock by others
// while the thread leaves it alone.
unsafe impl Sync for Node {}

static STAMPS: primitive::plain::AtomicUsize = primitive::plain::AtomicUsize::new(0);

impl Node {
    pub(crate) fn new() -> Self {
        Self {
            wants: AtomicPtr::new(ptr::null_mut()),
            wait: AtomicUsize::new(0),
            stamp: AtomicUsize::new(0),
            report: AtomicPtr::new(ptr::null_mut()),
            frames: AtomicPtr::new(ptr::null_mut()),
            wait_of: Cell::new(None),
            thread: AtomicUsize::new(0),
            how: AtomicU8::new(0),
            joins: AtomicPtr::new(ptr::null_mut()),
            sleep_word: AtomicU8::new(0),
            in_scopes: InScopes::new(),
            name: Name::new(),
            own: Own {
                unwinds: Cell::new(false),
                lost_to: Cell::new(None),
                attempts: Cell::new(0),
            },
            #[cfg(not(any(pysync_loom, pysync_shuttle)))]
            links: Links { next: Cell::new(ptr::null()), next_free: Cell::new(ptr::null()) },
        }
    }

    /// The calling thread has taken the node.
    pub(crate) fn begin(&self) {
        // Ordering: Relaxed; published with each wait.
        self.thread.store(Native::thread_ident() as usize, Relaxed);
        self.name.set();
        // The thread before may have ended with an age.
        self.has_left_all();
    }

    /// Its thread is not there any more: it waits for nothing.
    #[cfg(not(any(pysync_loom, pysync_shuttle)))]
    pub(crate) fn forget(&self) {
        self.wants.store(ptr::null_mut(), Relaxed);
        self.joins.store(ptr::null_mut(), Relaxed);
        self.wait.store(self.wait_word().with(State::Idle).0, Relaxed);
    }

    /// The age of the thread's attempt, which begins now if it has none.
    pub(crate) fn stamp_it(&self) {
        // Ordering: Relaxed, for the numbers differ and that is all; the publication of the wait orders it.
        if self.stamp.load(Relaxed) == 0 {
            let stamp = STAMPS.fetch_add(1, primitive::plain::Ordering::Relaxed) + 1;
            self.stamp.store(stamp, Relaxed);
        }
    }

    pub(crate) fn stamp(&self) -> usize {
        self.stamp.load(Relaxed)
    }

    /// The thread is inside of nothing any more.
    pub(crate) fn has_left_all(&self) {
        self.own.unwinds.set(false);
        if self.own.attempts.get() == 0 {
            self.stamp.store(0, Relaxed);
        }
    }

    /// Whether the thread is inside of nothing. For the thread alone.
    pub(crate) fn is_outside(&self) -> bool {
        self.frames.load(Relaxed).is_null()
    }

    /// The thread is about to be queued for `lock`. Called by it, under the lock of the bucket.
    pub(crate) fn begin_wait(&self, lock: *const Lock, wait_of: WaitOf) {
        self.wait_of.set(Some(wait_of));
        // Ordering: Release pairs with the Acquire of a walker, which looks at the frames and the place.
        self.wait.store(self.wait_word().next().0, Release);
        self.wants.store(lock.cast_mut(), Release);
    }

    /// How the thread is about to wait: a sum of [`CANCELLABLE`], [`TIMED`] and [`FOR_CONDITION`].
    pub(crate) fn waits_how(&self, how: u8) {
        // Ordering: Relaxed; published by the wait.
        self.how.store(how, Relaxed);
    }

    fn is_cancellable(&self) -> bool {
        self.how.load(Relaxed) & CANCELLABLE != 0
    }

    /// Whether the wait of the thread has a deadline.
    pub(crate) fn is_timed(&self) -> bool {
        self.how.load(Relaxed) & TIMED != 0
    }

    /// Whether the thread waits for a condition.
    pub(crate) fn is_for_condition(&self) -> bool {
        self.how.load(Relaxed) & FOR_CONDITION != 0
    }

    /// Cancels the wait of the thread, if it can be. True if the thread is to be woken for it: by the caller.
    pub(crate) fn cancel(&self) -> bool {
        loop {
            let seen = self.wait_word();
            let state = match seen.state() {
                State::Waiting => State::Cancelled,
                // The thread that evaluates the condition goes on from there.
                State::Claimed => State::ToCancel,
                _ => return false,
            };
            if !self.is_cancellable() {
                return false;
            }
            // Ordering: Relaxed. It publishes nothing.
            if self.wait.compare_exchange(seen.0, seen.with(state).0, Relaxed, Relaxed).is_ok() {
                return state == State::Cancelled;
            }
        }
    }

    /// The thread is about to sleep.
    pub(crate) fn begin_sleep(&self, is_cancellable: bool) {
        self.waits_how(TIMED | if is_cancellable { CANCELLABLE } else { 0 });
        self.wait.store(self.wait_word().next().0, Release);
    }

    /// The thread waits for those of a scope. Called under the lock of all scopes.
    pub(crate) fn begin_join(&self, scope: *const Scope, at: &'static Location<'static>) {
        self.wait_of.set(Some(WaitOf::new(Waits::ForThreads, at)));
        self.waits_how(0);
        self.wait.store(self.wait_word().next().0, Release);
        self.joins.store(scope.cast_mut(), Release);
    }

    /// It waits for them no more. Called under the lock of all scopes.
    pub(crate) fn end_join(&self) {
        self.joins.store(ptr::null_mut(), Release);
        self.settle(self.wait_word(), State::Idle);
    }

    pub(crate) fn joins(&self) -> *const Scope {
        self.joins.load(Acquire)
    }

    /// What the thread parks on to sleep.
    pub(crate) fn sleep_word(&self) -> &AtomicU8 {
        &self.sleep_word
    }

    /// The thread is off the queue, or about to be. Called under the lock of the bucket.
    pub(crate) fn wants_nothing(&self) {
        self.wants.store(ptr::null_mut(), Release);
    }

    pub(crate) fn wants(&self) -> *const Lock {
        // Ordering: Acquire pairs with the Release of `begin_wait`.
        self.wants.load(Acquire)
    }

    pub(crate) fn wait_word(&self) -> WaitWord {
        // Ordering: Acquire pairs with the Release of `settle`: of an abort, which has a report.
        WaitWord(self.wait.load(Acquire))
    }

    /// Whether the thread waits, or has been handed a monitor and has not woken yet. A moment later it may be otherwise.
    pub(crate) fn is_asleep(&self) -> bool {
        // Ordering: Relaxed, a look.
        matches!(WaitWord(self.wait.load(Relaxed)).state(), State::Waiting | State::Granted)
    }

    /// The thread, which has been handed a monitor, has woken. Called by it.
    pub(crate) fn has_woken(&self) {
        // Ordering: Relaxed, for others only look. No other thread changes a wait that has been granted.
        self.wait.store(WaitWord(self.wait.load(Relaxed)).with(State::Idle).0, Relaxed);
    }

    /// Decides what becomes of the wait that is `seen`; false if it has been decided otherwise.
    pub(crate) fn settle(&self, seen: WaitWord, state: State) -> bool {
        // Ordering: Release pairs with the Acquire of `wait_word`.
        seen.state() == State::Waiting
            && self.wait.compare_exchange(seen.0, seen.with(state).0, Release, Relaxed).is_ok()
    }

    /// Ends a claim of the caller's; says how the wait stands now. That is cancelled instead of waiting, if a cancel has
    /// come: the caller wakes the thread then.
    pub(crate) fn unclaim(&self, state: State) -> State {
        let mut claimed = WaitWord(self.wait.load(Relaxed));
        loop {
            let state = match claimed.state() {
                State::ToCancel if state == State::Waiting => State::Cancelled,
                _ => state,
            };
            // Ordering: Release pairs with the Acquire of `wait_word`.
            match self.wait.compare_exchange(claimed.0, claimed.with(state).0, Release, Relaxed) {
                Ok(_) => return state,
                // A cancel has come.
                Err(actual) => claimed = WaitWord(actual),
            }
        }
    }

    /// # Safety
    /// The caller has the lock of all breakers.
    pub(crate) unsafe fn give_report(&self, report: Box<Report>) {
        // Ordering: Relaxed. It is published by `settle`.
        let old = self.report.swap(Box::into_raw(report), Relaxed);
        if !old.is_null() {
            // SAFETY: from a box, and its thread has not taken it.
            drop(unsafe { Box::from_raw(old) });
        }
    }

    /// The report for a thread that has lost. Called by it.
    pub(crate) fn take_report(&self) -> Option<Box<Report>> {
        let report = self.report.swap(ptr::null_mut(), Relaxed);
        // SAFETY: from a box, which the swap has taken.
        (!report.is_null()).then(|| unsafe { Box::from_raw(report) })
    }

    /// What the thread waits for.
    ///
    /// # Safety
    /// It waits, and the caller has the lock under which it has said so.
    pub(crate) unsafe fn wait_of(&self) -> Option<WaitOf> {
        self.wait_of.get()
    }

    pub(crate) fn thread(&self) -> u64 {
        self.thread.load(Relaxed) as u64
    }

    /// What the thread is inside of, innermost first. For the thread alone.
    pub(crate) fn my_frames(&self) -> impl Iterator<Item = &Frame> {
        // SAFETY: frames lie on the stack of the thread.
        let next = |frame: *const Frame| unsafe { frame.as_ref() };
        std::iter::successors(next(self.frames.load(Relaxed)), move |frame| next(frame.outer.get()))
    }

    /// Where the thread has entered a lock that it is inside of.
    ///
    /// # Safety
    /// It is the calling thread, or queued, and kept so by the lock of the bucket.
    pub(crate) unsafe fn entered_at(
        &self,
        lock: *const Lock,
    ) -> Option<&'static Location<'static>> {
        // SAFETY: frames lie on the stack of the thread, which does not change them, by contract.
        let mut frame = unsafe { self.frames.load(Relaxed).as_ref() };
        while let Some(at) = frame {
            if ptr::eq(at.lock, lock) && at.is_inside.get() {
                return Some(at.at);
            }
            // SAFETY: as above.
            frame = unsafe { at.outer.get().as_ref() };
        }
        None
    }
}
