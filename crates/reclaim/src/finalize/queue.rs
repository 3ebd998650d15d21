//! The queue of a finalizer: many threads push, and the finalizer's thread takes all at a time.
//!
//! | head word | means | set by |
//! |---|---|---|
//! | pointer or null | the cores that are queued, the last one first | a dropper |
//! | the same + [`CLOSED`] | the queue is closed: what is dropped from now on is finalized by its dropper | who shuts the finalizer down |

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};
use std::sync::Arc;

use pysync_parking_lot::{Key, Position, Wait, park_with, unpark, unpark_all};
use pysync_platform::primitive::atomic::{
    AtomicPtr, AtomicU8, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use pysync_platform::primitive::{self, UnsafeCell, plain};
use pysync_platform::{Deadline, Native, Runtime};

use crate::Reclaiming;
use crate::locked::Locked;
use crate::trace;

const CLOSED: usize = 1;

/// The place of a core in a queue.
pub(crate) struct Entry {
    /// The one that was queued before. Written by the dropper, read by the thread.
    next: UnsafeCell<*mut Entry>,
    /// Finalizes the core, which the caller owns.
    run: unsafe fn(NonNull<Entry>),
    /// What the core is.
    type_name: fn() -> &'static str,
}

impl Entry {
    pub(crate) fn new<C>(run: unsafe fn(NonNull<Entry>)) -> Self {
        let next = UnsafeCell::new(ptr::null_mut());
        Self { next, run, type_name: std::any::type_name::<C> }
    }
}

/// A finalizer has panicked.
pub struct Panic<'a> {
    type_name: &'static str,
    payload: &'a (dyn Any + Send),
}

impl Panic<'_> {
    /// The type of the core.
    pub fn type_name(&self) -> &'static str {
        self.type_name
    }

    /// What it has panicked with.
    pub fn payload(&self) -> &(dyn Any + Send) {
        self.payload
    }

    /// The message of the panic, if it has one.
    pub fn message(&self) -> Option<&str> {
        let text = self.payload.downcast_ref::<&str>().copied();
        text.or_else(|| self.payload.downcast_ref::<String>().map(String::as_str))
    }
}

impl fmt::Debug for Panic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Panic")
            .field("type_name", &self.type_name)
            .field("message", &self.message())
            .finish()
    }
}

pub(crate) type Hook = Arc<dyn Fn(&Panic<'_>) + Send + Sync>;

pub(crate) struct Queue {
    head: AtomicPtr<Entry>,
    /// How many cores have been queued and are not finalized. Threads that drain park on `drained`.
    pending: AtomicUsize,
    ran: plain::AtomicUsize,
    panicked: plain::AtomicUsize,
    /// What the finalizer's thread parks on. Its address, that is.
    arrived: AtomicU8,
    drained: AtomicU8,
    hook: Locked<Option<Hook>>,
}

// SAFETY: the queue owns what the entries in it point to, which is `Send`.
unsafe impl Send for Queue {}
// SAFETY: one thread at a time takes an entry off.
unsafe impl Sync for Queue {}

primitive::thread_local! {
    /// The queue whose thread this is, or null.
    static OWN: Cell<*const Queue> = Cell::new(ptr::null())
}

fn is_closed(head: *mut Entry) -> bool {
    head.addr() & CLOSED != 0
}

fn first(head: *mut Entry) -> *mut Entry {
    head.map_addr(|addr| addr & !CLOSED)
}

impl Queue {
    pub(crate) fn new() -> Self {
        Self {
            head: AtomicPtr::new(ptr::null_mut()),
            pending: AtomicUsize::new(0),
            ran: plain::AtomicUsize::new(0),
            panicked: plain::AtomicUsize::new(0),
            arrived: AtomicU8::new(0),
            drained: AtomicU8::new(0),
            hook: Locked::new(None),
        }
    }

    /// Queues a core, or finalizes it here if the queue is closed. Allocates nothing, and does not block but
    /// for the lock of a bucket.
    ///
    /// # Safety
    /// The entry is the caller's, which hands it over. Its reference to this queue has been taken out.
    pub(crate) unsafe fn push(&self, entry: NonNull<Entry>) {
        // Ordering: Relaxed. It goes up before the core is there to be finalized.
        self.pending.fetch_add(1, Relaxed);
        let mut head = self.head.load(Relaxed);
        while !is_closed(head) {
            // SAFETY: the caller's until it is in the queue.
            unsafe { entry.as_ref() }.next.with_mut(|next| unsafe { *next = head });
            // Ordering: Release pairs with the Acquire in `take`: the thread sees the link and the core.
            match self.head.compare_exchange_weak(head, entry.as_ptr(), Release, Relaxed) {
                Ok(_) => {
                    // The thread sleeps only while it finds nothing.
                    if head.is_null() {
                        unpark(&raw const self.arrived, |_| ());
                    }
                    return;
                }
                Err(actual) => head = actual,
            }
        }
        // SAFETY: handed over by the caller, and not queued.
        unsafe { self.run(entry) };
    }

    /// Takes all that is queued, the last one first; whether the queue was closed is in the word too.
    fn take(&self) -> *mut Entry {
        let mut head = self.head.load(Relaxed);
        while !first(head).is_null() {
            let empty = ptr::without_provenance_mut(head.addr() & CLOSED);
            // Ordering: Acquire pairs with the Release in `push`. Each push is a read-modify-write, so this
            // one reads what all of them have written.
            match self.head.compare_exchange_weak(head, empty, Acquire, Relaxed) {
                Ok(_) => return head,
                Err(actual) => head = actual,
            }
        }
        head
    }

    /// Finalizes one core, which counts as pending; catches its panic, and reports it.
    ///
    /// # Safety
    /// The caller owns the entry, which is in no queue.
    unsafe fn run(&self, entry: NonNull<Entry>) {
        // SAFETY: owned.
        let (run, type_name) = unsafe { (entry.as_ref().run, entry.as_ref().type_name) };
        // SAFETY: handed over.
        let result = catch_unwind(AssertUnwindSafe(|| unsafe { run(entry) }));
        let has_panicked = result.is_err();
        if let Err(payload) = result {
            self.panicked.fetch_add(1, plain::Ordering::Relaxed);
            let hook = self.hook.with(|hook| hook.clone());
            // A hook that panics has been told all the same, and so has a payload whose drop does.
            _ = catch_unwind(AssertUnwindSafe(|| {
                if let Some(hook) = hook {
                    hook(&Panic { type_name: type_name(), payload: &*payload });
                }
            }))
            .map_err(std::mem::forget);
            _ = catch_unwind(AssertUnwindSafe(|| drop(payload))).map_err(std::mem::forget);
        }
        // Not where a drop runs it.
        if self.is_own() {
            trace::finalize(ptr::from_ref(self).addr(), type_name(), has_panicked);
        }
        self.ran.fetch_add(1, plain::Ordering::Relaxed);
        // Ordering: Release pairs with the Acquire in `queued`: who drains sees what the finalizers did.
        if self.pending.fetch_sub(1, AcqRel) == 1 {
            unpark_all(&raw const self.drained);
        }
    }

    /// Finalizes what is queued, in its order, and sleeps meanwhile, until the queue is closed and empty.
    pub(crate) fn work(&self) {
        OWN.with(|own| own.set(self));
        loop {
            // Both are of one word: a later look may find the queue closed, and something in it.
            let head = self.take();
            let mut newest = first(head);
            if newest.is_null() {
                if is_closed(head) {
                    break;
                }
                self.sleep();
                continue;
            }
            // Oldest first.
            let mut oldest: *mut Entry = ptr::null_mut();
            while let Some(entry) = NonNull::new(newest) {
                // SAFETY: taken off the queue, by this thread.
                newest = unsafe { entry.as_ref() }
                    .next
                    .with_mut(|next| unsafe { std::mem::replace(&mut *next, oldest) });
                oldest = entry.as_ptr();
            }
            while let Some(entry) = NonNull::new(oldest) {
                // SAFETY: as above.
                oldest = unsafe { entry.as_ref() }.next.with(|next| unsafe { *next });
                // SAFETY: as above.
                unsafe { self.run(entry) };
            }
            // Of the objects that finalizers made, and of those that drain.
            _ = catch_unwind(crate::Shared::collect).map_err(std::mem::forget);
        }
        OWN.with(|own| own.set(ptr::null()));
    }

    fn sleep(&self) {
        let wait = Wait {
            deadline: Deadline::NEVER,
            park_arg: ptr::null_mut(),
            detach: true,
            position: Position::Back,
        };
        let key = Key::of(&raw const self.arrived);
        // Ordering: Relaxed. The lock of the bucket orders it with the unpark of the pusher.
        let is_idle = || self.head.load(Relaxed).is_null();
        // SAFETY: no code reads the park arguments of this key.
        _ = unsafe { park_with::<Reclaiming<Native>>(key, wait, is_idle, || ()) };
    }

    /// How many cores have been queued and are not finalized.
    pub(crate) fn queued(&self) -> usize {
        // Ordering: Acquire pairs with the Release in `run`.
        self.pending.load(Acquire)
    }

    /// Waits until nothing is queued, or the deadline; says what was done meanwhile.
    pub(crate) fn drain<R: Runtime>(&self, deadline: Deadline) -> super::Drained {
        let before = self.counts();
        let is_own = self.is_own();
        while self.queued() > 0 && !is_own && !deadline.has_passed() {
            let wait = Wait {
                deadline,
                park_arg: ptr::null_mut(),
                detach: true,
                position: Position::Back,
            };
            let key = Key::of(&raw const self.drained);
            // Ordering: Relaxed. The lock of the bucket orders it with the unpark of the thread.
            let is_busy = || self.pending.load(Relaxed) > 0;
            // SAFETY: no code reads the park arguments of this key.
            let status = unsafe { park_with::<Reclaiming<R>>(key, wait, is_busy, || ()) };
            if status == pysync_platform::ParkStatus::Timeout {
                break;
            }
        }
        let left = self.queued();
        let after = self.counts();
        let ran = after.0.wrapping_sub(before.0);
        let panicked = after.1.wrapping_sub(before.1);
        trace::drain(ptr::from_ref(self).addr(), ran, panicked, left);
        super::Drained { ran, panicked, left }
    }

    fn counts(&self) -> (usize, usize) {
        use plain::Ordering::Relaxed;
        (self.ran.load(Relaxed), self.panicked.load(Relaxed))
    }

    /// From now on droppers finalize by themselves. The thread ends when it has finalized what is queued.
    pub(crate) fn close(&self) {
        let mut head = self.head.load(Relaxed);
        while !is_closed(head) {
            let closed = head.map_addr(|addr| addr | CLOSED);
            // Ordering: Relaxed. What is queued was released by those that queued it, and this is a
            // read-modify-write, which carries it on.
            match self.head.compare_exchange_weak(head, closed, Relaxed, Relaxed) {
                Ok(_) => break,
                Err(actual) => head = actual,
            }
        }
        unpark(&raw const self.arrived, |_| ());
    }

    pub(crate) fn is_closed(&self) -> bool {
        is_closed(self.head.load(Relaxed))
    }

    /// Whether the calling thread is the one of the queue.
    pub(crate) fn is_own(&self) -> bool {
        ptr::eq(OWN.with(Cell::get), self)
    }

    pub(crate) fn set_hook(&self, hook: Option<Hook>) {
        // The old one is dropped outside of the lock.
        drop(self.hook.with(|old| std::mem::replace(old, hook)));
    }

    /// Forgets what is queued, in the child of a fork: the parent finalizes it.
    ///
    /// # Safety
    /// The calling thread is the only one in the process.
    pub(crate) unsafe fn after_fork(&self) {
        // SAFETY: by contract; no code of a user's runs under the lock.
        unsafe { self.hook.after_fork() };
        _ = self.take();
        self.pending.store(0, Relaxed);
    }
}
