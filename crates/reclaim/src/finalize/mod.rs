//! Objects whose end is work for another thread.

pub(crate) mod finalizer;
pub(crate) mod queue;

use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::Arc;

pub use finalizer::{Drained, Finalizer};
pub use queue::Panic;
use queue::{Entry, Queue};

/// What is to be done with a core when its object has come to its end: to write out, to close, to report.
pub trait Finalize: Send + 'static {
    /// Called once, with the core itself: on the thread of a [`Finalizer`], on the thread that calls
    /// [`Finalized::finalize`], or on the dropping thread where the finalizer has been shut down.
    ///
    /// It may block, take locks, drop and make [`Finalized`] objects of the same finalizer. While it runs, no
    /// other core of that finalizer does. A panic on the finalizer's thread is caught and reported.
    fn finalize(self);
}

/// A core, and the promise that it is finalized: dropping this queues the core for the thread of a
/// [`Finalizer`].
///
/// The place in the queue is made here, in [`new`](Self::new), so that a drop neither allocates nor blocks,
/// wherever it happens. The core is all that the finalizer gets, so it cannot refer to the object that is
/// gone; what other parts of a program share with it goes into a [`Shared`](crate::Shared) around this.
///
/// A core is finalized exactly once, unless it is [disarmed](Self::disarm), leaked, or still queued when the
/// process ends: call [`Finalizer::drain`] at the end of `main`.
///
/// **Drop**: queues the core, and wakes the finalizer's thread if it sleeps. Does not wait for that thread, but
/// takes the lock of a bucket of the parking lot for the wake. Where the finalizer has been
/// [shut down](Finalizer::shutdown), the drop finalizes, and takes as long as that does.
///
/// **Signals**: a handler must not drop one: it may have interrupted its thread under the lock of the bucket.
///
/// **Fork**: see [`Finalizer::after_fork`].
///
/// ```
/// use pysync_reclaim::{Deadline, Finalize, Finalized, Finalizer, Shared};
///
/// struct Log(Vec<u8>);
///
/// impl Finalize for Log {
///     fn finalize(self) {
///         // On another thread, and so where nothing waits for it.
///         std::io::Write::write_all(&mut std::io::sink(), &self.0).unwrap();
///     }
/// }
///
/// let log = Shared::new(Finalized::new(Log(b"hello".to_vec())));
/// drop(log);
/// let drained = Finalizer::global().drain(Deadline::NEVER);
/// assert_eq!(drained.left, 0);
/// ```
pub struct Finalized<C: Finalize> {
    job: NonNull<Job<C>>,
}

// SAFETY: the core is `Send`, and the rest is made for threads.
unsafe impl<C: Finalize> Send for Finalized<C> {}
// SAFETY: gives shared access to the core only.
unsafe impl<C: Finalize + Sync> Sync for Finalized<C> {}

/// A core and its place in the queue.
#[repr(C)]
pub(crate) struct Job<C> {
    /// First, so that a pointer to it is one to the job.
    entry: Entry,
    /// Whose queue it is. Taken out by who queues the job.
    queue: ManuallyDrop<Arc<Queue>>,
    core: C,
}

impl<C: Finalize> Finalized<C> {
    /// For the thread of [`Finalizer::global`], which this starts.
    ///
    /// # Panics
    /// If that thread cannot be spawned.
    pub fn new(core: C) -> Self {
        Self::new_on(Finalizer::global(), core)
    }

    /// For the thread of `finalizer`.
    pub fn new_on(finalizer: &Finalizer, core: C) -> Self {
        Self::in_queue(finalizer.queue(), core)
    }

    pub(crate) fn in_queue(queue: &Arc<Queue>, core: C) -> Self {
        let queue = ManuallyDrop::new(Arc::clone(queue));
        let job = Box::new(Job { entry: Entry::new::<C>(run::<C>), queue, core });
        Self { job: NonNull::from(Box::leak(job)) }
    }

    /// Finalizes the core here and now; the thread will not.
    ///
    /// # Panics
    /// If the finalizer does.
    pub fn finalize(this: Self) {
        Self::disarm(this).finalize();
    }

    /// The core itself, which will not be finalized.
    pub fn disarm(this: Self) -> C {
        let job = ManuallyDrop::new(this).job;
        // SAFETY: from a box, and not queued.
        let Job { queue, core, .. } = *unsafe { Box::from_raw(job.as_ptr()) };
        drop(ManuallyDrop::into_inner(queue));
        core
    }
}

/// Finalizes the core of a job.
///
/// # Safety
/// The entry is that of a job of `C`, which is the caller's, and whose queue has been taken out.
unsafe fn run<C: Finalize>(entry: NonNull<Entry>) {
    // SAFETY: from the box of `in_queue`, by contract.
    let Job { core, .. } = *unsafe { Box::from_raw(entry.cast::<Job<C>>().as_ptr()) };
    core.finalize();
}

impl<C: Finalize> Drop for Finalized<C> {
    fn drop(&mut self) {
        let job = self.job.as_ptr();
        // SAFETY: dropped once, and not queued. The job may be gone as soon as it is queued, and so its
        // reference to the queue is taken out before.
        let queue = unsafe { ManuallyDrop::take(&mut (*job).queue) };
        // SAFETY: the job is handed over.
        unsafe { queue.push(self.job.cast()) };
    }
}

impl<C: Finalize> Deref for Finalized<C> {
    type Target = C;

    #[inline]
    fn deref(&self) -> &C {
        // SAFETY: the job is there until this is dropped.
        unsafe { &(*self.job.as_ptr()).core }
    }
}

impl<C: Finalize> DerefMut for Finalized<C> {
    #[inline]
    fn deref_mut(&mut self) -> &mut C {
        // SAFETY: as above.
        unsafe { &mut (*self.job.as_ptr()).core }
    }
}

impl<C: Finalize + fmt::Debug> fmt::Debug for Finalized<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Finalized").field(&**self).finish()
    }
}
