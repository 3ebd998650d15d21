//! What the tests of sections look at and count.

#![allow(dead_code)] // Each test file uses its part.

use std::cell::{Cell, UnsafeCell};
use std::ptr;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};

use pysync_critical_section::{Attached, ThreadState};
use pysync_lock::Mutex;
use pysync_parking_lot::{Native, ThreadHooks, bucket_locks_held};

/// What a section says to a thread that has no state attached.
pub(crate) const NOT_ATTACHED: &str =
    "critical section without an attached thread state: call ThreadState::attach first";
pub(crate) const OUT_OF_ORDER: &str =
    "critical section ended out of order: it is not the innermost one";
pub(crate) const NOT_LOCKED: &str = "unlocking mutex that is not locked";

/// Whether a thread waits for `m`, or has announced that it is about to.
pub(crate) fn has_parked(m: &Mutex) -> bool {
    // SAFETY: a mutex is an atomic byte, and nothing else, as layout.rs checks.
    let bits = unsafe { AtomicU8::from_ptr(ptr::from_ref(m).cast_mut().cast()) };
    bits.load(SeqCst) & 2 != 0
}

/// The two mutexes in the order of their addresses.
pub(crate) fn by_address<'a>(a: &'a Mutex, b: &'a Mutex) -> (&'a Mutex, &'a Mutex) {
    if ptr::from_ref(a) < ptr::from_ref(b) { (a, b) } else { (b, a) }
}

/// The words that a section consists of.
pub(crate) fn words<const N: usize, S>(section: &S) -> [usize; N] {
    assert_eq!(size_of::<S>(), size_of::<[usize; N]>());
    // SAFETY: of that size, made of words, and only this thread writes it.
    unsafe { ptr::from_ref(section).cast::<[usize; N]>().read() }
}

thread_local! {
    static COUNTED: Cell<Option<&'static ThreadHooks>> = const { Cell::new(None) };
    static CALLS: Cell<usize> = const { Cell::new(0) };
    static DETACHES: Cell<usize> = const { Cell::new(0) };
    static ATTACHES: Cell<usize> = const { Cell::new(0) };
}

static COUNTING: ThreadHooks = ThreadHooks {
    detach: || {
        assert_eq!(bucket_locks_held(), 0, "detaching under a bucket lock");
        CALLS.set(CALLS.get() + 1);
        let detached = COUNTED.get().is_some_and(|hooks| (hooks.detach)());
        DETACHES.set(DETACHES.get() + usize::from(detached));
        detached
    },
    attach: || {
        assert_eq!(bucket_locks_held(), 0, "attaching under a bucket lock");
        ATTACHES.set(ATTACHES.get() + 1);
        (COUNTED.get().unwrap().attach)();
    },
};

/// How often the calling thread detaches for a wait in `f`. It is attached again after each.
pub(crate) fn detaches_in(f: impl FnOnce()) -> usize {
    COUNTED.set(Native::set_thread_hooks(Some(&COUNTING)));
    CALLS.set(0);
    DETACHES.set(0);
    ATTACHES.set(0);
    f();
    Native::set_thread_hooks(COUNTED.take());
    assert_eq!(DETACHES.get(), ATTACHES.get(), "each detach has its attach");
    DETACHES.get()
}

/// How often a wait in the last [`detaches_in`] asked to detach, whether or not it could.
pub(crate) fn calls_to_detach() -> usize {
    CALLS.get()
}

/// A thread's state in the hands of others.
#[derive(Clone, Copy)]
pub(crate) struct State(*const ThreadState);

// SAFETY: callers of `of` see to it that the state lasts; what can be called is atomic.
unsafe impl Send for State {}
// SAFETY: as above.
unsafe impl Sync for State {}

impl State {
    /// # Safety
    /// The thread lives for as long as the result is used.
    pub(crate) unsafe fn of(attached: &Attached) -> Self {
        Self(attached.state())
    }

    pub(crate) fn try_stop(self) -> bool {
        // SAFETY: the thread lives.
        unsafe { (*self.0).try_stop() }
    }

    pub(crate) fn start(self) {
        // SAFETY: the thread lives.
        unsafe { (*self.0).start() };
    }
}

/// A number that nothing but a section's mutex guards.
pub(crate) struct Plain(UnsafeCell<u64>);

// SAFETY: every access is inside a section of the one mutex that guards it.
unsafe impl Sync for Plain {}

impl Plain {
    pub(crate) const fn new() -> Self {
        Self(UnsafeCell::new(0))
    }

    /// Adds one, in two steps that another thread's must not come between.
    ///
    /// # Safety
    /// The innermost section holds the mutex that guards the number.
    pub(crate) unsafe fn add_one(&self) {
        // SAFETY: by contract, no other thread is here.
        unsafe {
            let value = self.0.get().read_volatile();
            self.0.get().write_volatile(value + 1);
        }
    }

    pub(crate) fn into_inner(self) -> u64 {
        self.0.into_inner()
    }
}
