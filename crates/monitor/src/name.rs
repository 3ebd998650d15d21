//! The names of threads, for reports.

#[cfg(not(any(pysync_loom, pysync_shuttle)))]
use std::cell::UnsafeCell;

#[cfg(not(any(pysync_loom, pysync_shuttle)))]
use crate::global::GlobalLock;

/// The lock of all names. It is taken when a thread takes its node, and when a report is made.
#[cfg(not(any(pysync_loom, pysync_shuttle)))]
static NAMES: GlobalLock = GlobalLock::new();

/// The name of the thread of a node.
pub(crate) struct Name {
    /// The number of the thread, and the standard library's handle to it, which has the name. Under the lock of all
    /// names.
    #[cfg(not(any(pysync_loom, pysync_shuttle)))]
    thread: UnsafeCell<Option<(u64, std::thread::Thread)>>,
}

#[cfg(not(any(pysync_loom, pysync_shuttle)))]
impl Name {
    pub(crate) fn new() -> Self {
        Self { thread: UnsafeCell::new(None) }
    }

    /// The calling thread is that of the node.
    pub(crate) fn set(&self) {
        use pysync_platform::Runtime;
        let number = pysync_platform::Native::thread_ident();
        let new = Some((number, std::thread::current()));
        // SAFETY: with the lock.
        let old = NAMES.with(|| unsafe { self.thread.get().replace(new) });
        drop(old);
    }

    /// The name of a thread, if the node still is its. Allocates, and takes a lock: not to be called with one.
    pub(crate) fn of(&self, thread: u64) -> Option<String> {
        let handle = NAMES.with(|| {
            // SAFETY: with the lock.
            let (number, handle) = unsafe { (*self.thread.get()).as_ref() }?;
            (*number == thread).then(|| handle.clone())
        });
        handle?.name().map(str::to_owned)
    }

    /// # Safety
    /// The calling thread is the only one in the process.
    pub(crate) unsafe fn after_fork() {
        // SAFETY: by contract.
        unsafe { NAMES.after_fork() };
    }
}

/// A model's threads have no names.
#[cfg(any(pysync_loom, pysync_shuttle))]
impl Name {
    pub(crate) fn new() -> Self {
        Self {}
    }

    pub(crate) fn set(&self) {}

    pub(crate) unsafe fn after_fork() {}

    pub(crate) fn of(&self, _: u64) -> Option<String> {
        None
    }
}
