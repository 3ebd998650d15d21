//! A request for cowns: one slot for each of them.

use std::ptr::{self, NonNull};

use pysync_platform::Parker;
use pysync_platform::primitive::UnsafeCell;
use pysync_platform::primitive::atomic::{
    AtomicU32,
    Ordering::{AcqRel, Acquire, Relaxed},
};

use super::header::Header;
use super::word::Mode;
use crate::behaviour::Head;
use crate::scheduler::ready::ReadyList;
use crate::scheduler::submit::submit;

/// What waits for cowns, and for how many of them still.
pub(crate) struct Request {
    /// How many slots have not been admitted. Before the request is visible to other threads, plain;
    /// from then on each admission subtracts one, under the lock of its cown.
    pending: AtomicU32,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The request is that of a [`Head`].
    Behaviour,
    /// The request is that of a [`Blocked`].
    Thread,
}

impl Request {
    #[inline]
    pub(crate) fn of_behaviour(slots: u32) -> Self {
        Self { pending: AtomicU32::new(slots), kind: Kind::Behaviour }
    }

    /// Counts an admission of a request that no other thread can see; true if it was the last.
    #[inline]
    pub(crate) fn admit_unseen(&self) -> bool {
        // Ordering: Relaxed, as the only thread. The unlock of a cown publishes it.
        let left = self.pending.load(Relaxed) - 1;
        self.pending.store(left, Relaxed);
        left == 0
    }

    /// Counts an admission; true if it was the last. If it was not, the request may be gone.
    ///
    /// # Safety
    /// The caller has the lock of a cown of the request's, to which it has not been admitted before.
    #[inline]
    pub(crate) unsafe fn admit(this: NonNull<Self>) -> bool {
        // SAFETY: it is there until it is admitted.
        let pending = unsafe { &(*this.as_ptr()).pending };
        // Ordering: Acquire pairs with the Release of the other admissions, so that the last one has
        // all that the other cowns' holders did before it.
        if pending.load(Acquire) == 1 {
            // The last one is ours, so no other thread writes here. Ordering: Relaxed; who looks has the
            // locks of all cowns of the request, this one included.
            pending.store(0, Relaxed);
            return true;
        }
        // Ordering: Release publishes what this cown's holders did; Acquire as above.
        pending.fetch_sub(1, AcqRel) == 1
    }

    /// Whether all slots have been admitted. The caller has the locks of all their cowns.
    pub(crate) fn is_complete(&self) -> bool {
        // Ordering: Relaxed. Each admission was under a lock that the caller has.
        self.pending.load(Relaxed) == 0
    }
}

/// One cown of a request. Each of its cowns comes once.
pub(crate) struct Slot {
    pub(crate) cown: NonNull<Header>,
    /// The next in the cown's queue, under the lock of that.
    next: UnsafeCell<*mut Slot>,
    /// Bit 0 says that it is a reader.
    request: *mut Request,
}

const READ: usize = 1;

impl Slot {
    #[inline]
    pub(crate) fn new(cown: NonNull<Header>, mode: Mode, request: NonNull<Request>) -> Self {
        let tag = if mode == Mode::Read { READ } else { 0 };
        let request = request.as_ptr().map_addr(|addr| addr | tag);
        Self { cown, next: UnsafeCell::new(ptr::null_mut()), request }
    }

    #[inline]
    pub(crate) fn mode(&self) -> Mode {
        if self.request.addr() & READ == 0 { Mode::Write } else { Mode::Read }
    }

    #[inline]
    pub(crate) fn request(&self) -> NonNull<Request> {
        let request = self.request.map_addr(|addr| addr & !READ);
        // SAFETY: it was made of one that is not null.
        unsafe { NonNull::new_unchecked(request) }
    }

    /// # Safety
    /// The caller has the lock of the cown's queue.
    #[inline]
    pub(crate) unsafe fn next(this: NonNull<Self>) -> *mut Slot {
        // SAFETY: by contract.
        unsafe { this.as_ref().next.with(|next| *next) }
    }

    /// # Safety
    /// As for `next`.
    #[inline]
    pub(crate) unsafe fn set_next(this: NonNull<Self>, next: *mut Slot) {
        // SAFETY: by contract.
        unsafe { this.as_ref().next.with_mut(|place| *place = next) }
    }
}

/// A thread that waits for cowns.
#[repr(C)]
pub(crate) struct Blocked {
    request: Request,
    pub(crate) parker: Parker,
    /// The next that is to be woken, for the waker.
    next: UnsafeCell<*mut Blocked>,
}

impl Blocked {
    pub(crate) fn new(slots: u32) -> Self {
        Self {
            request: Request { pending: AtomicU32::new(slots), kind: Kind::Thread },
            parker: Parker::new(),
            next: UnsafeCell::new(ptr::null_mut()),
        }
    }

    pub(crate) fn request(this: *const Self) -> NonNull<Request> {
        // SAFETY: the caller's own, which is the first field.
        unsafe { NonNull::new_unchecked(this.cast_mut().cast()) }
    }
}

/// What has been admitted to its last cown: the tasks in order, and the threads, to be woken once no lock is
/// held.
pub(crate) struct Grants<'a> {
    tasks: &'a mut ReadyList,
    threads: *mut Blocked,
}

impl<'a> Grants<'a> {
    /// The tasks go to `ready`.
    #[inline]
    pub(crate) fn to(ready: &'a mut ReadyList) -> Self {
        Self { tasks: ready, threads: ptr::null_mut() }
    }

    /// Calls `f`, then wakes the threads and submits the tasks that it has granted.
    #[inline]
    pub(crate) fn handing_over<T>(f: impl FnOnce(&mut Grants<'_>) -> T) -> T {
        let mut ready = ReadyList::new();
        let mut grants = Grants::to(&mut ready);
        let result = f(&mut grants);
        grants.wake();
        if !ready.is_empty() {
            submit(ready);
        }
        result
    }

    /// # Safety
    /// The request has just been admitted to its last cown, and this is told to no other.
    #[inline]
    pub(crate) unsafe fn push(&mut self, request: NonNull<Request>) {
        // SAFETY: a request is alive until it is handed over, and it is ours until then.
        unsafe {
            match request.as_ref().kind {
                Kind::Behaviour => self.tasks.push(Head::task_of(request)),
                Kind::Thread => {
                    let thread = request.cast::<Blocked>();
                    let first = self.threads;
                    thread.as_ref().next.with_mut(|next| *next = first);
                    self.threads = thread.as_ptr();
                }
            }
        }
    }

    /// Wakes the threads.
    #[inline]
    pub(crate) fn wake(self) {
        if !self.threads.is_null() {
            self.wake_threads();
        }
    }

    #[cold]
    fn wake_threads(mut self) {
        while let Some(thread) = NonNull::new(self.threads) {
            // SAFETY: it waits until it is woken, and the link is ours until then.
            unsafe {
                self.threads = thread.as_ref().next.with(|next| *next);
                Parker::wakeup_raw(&raw const (*thread.as_ptr()).parker);
            }
        }
    }
}
