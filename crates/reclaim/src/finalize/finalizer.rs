//! A finalizer: a queue and its thread.

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use pysync_platform::{Deadline, Native, Runtime};

use super::queue::{Panic, Queue};
use crate::locked::Locked;

/// What a [drain](Finalizer::drain) has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// How many cores have been finalized meanwhile, those included that panicked.
    pub ran: usize,
    /// How many finalizers have panicked meanwhile.
    pub panicked: usize,
    /// How many cores are queued still, the one included whose finalizer runs.
    pub left: usize,
}

/// A queue of cores to finalize, and the thread that does it. A handle: its clones are of the same finalizer.
///
/// The thread finalizes one core after the other, those that one thread has dropped in the order in which it
/// dropped them. A finalizer that panics is counted and [reported](Self::on_panic), and the next one runs.
/// One that blocks holds up all that come after it: give those that may block for long a finalizer of their
/// own.
///
/// A finalizer may enter the monitors of `pysync-monitor`. Its thread is the youngest of a cycle unless
/// others have begun later: it loses, and `pysync_monitor::attempt` in the finalizer tries again.
///
/// **Signals**: a handler must call none of its functions. Waits go on through signals: none ends early, and
/// none ends late.
///
/// **Fork**: the child does not have the thread: see [`after_fork`](Self::after_fork).
///
/// **Drop**: with the last handle the finalizer is closed, as by [`shutdown`](Self::shutdown), without a wait.
#[derive(Clone)]
pub struct Finalizer {
    handle: Arc<Handle>,
}

struct Handle {
    queue: Arc<Queue>,
    name: String,
    thread: Locked<Option<JoinHandle<()>>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.queue.close();
    }
}

static GLOBAL: OnceLock<Finalizer> = OnceLock::new();

fn spawn(name: &str, queue: &Arc<Queue>) -> io::Result<JoinHandle<()>> {
    let queue = Arc::clone(queue);
    thread::Builder::new().name(name.into()).spawn(move || queue.work())
}

impl Finalizer {
    /// The finalizer of [`Finalized::new`](super::Finalized::new). The first call starts it. It is never
    /// dropped: what is queued when the process ends is lost, unless `main` [drains](Self::drain) it.
    ///
    /// # Panics
    /// If its thread cannot be spawned.
    pub fn global() -> &'static Self {
        GLOBAL.get_or_init(|| match Self::new("finalizer") {
            Ok(finalizer) => finalizer,
            Err(error) => panic!("the global finalizer cannot start: {error}"),
        })
    }

    /// A finalizer whose thread has a name.
    ///
    /// # Errors
    /// Those of [`thread::Builder::spawn`].
    ///
    /// # Panics
    /// If the name contains a null byte.
    pub fn new(name: &str) -> io::Result<Self> {
        let queue = Arc::new(Queue::new());
        let thread = Locked::new(Some(spawn(name, &queue)?));
        Ok(Self { handle: Arc::new(Handle { queue, name: name.into(), thread }) })
    }

    /// Waits until no core is queued and none is being finalized, or until the deadline, and says what was
    /// done and what is left. What finalizers queue meanwhile counts. [`Deadline::NEVER`] waits for ever, and
    /// [`Deadline::NOW`] only looks.
    ///
    /// Parks, through signals, [away](crate::away) and detached. On the finalizer's own thread, that is in a
    /// finalizer, it only looks.
    ///
    /// ```
    /// use pysync_reclaim::{Deadline, Finalizer};
    /// use std::time::Duration;
    ///
    /// let deadline = Deadline::after(Some(Duration::from_secs(5)));
    /// let drained = Finalizer::global().drain(deadline);
    /// assert_eq!((drained.panicked, drained.left), (0, 0));
    /// ```
    pub fn drain(&self, deadline: Deadline) -> Drained {
        self.drain_in::<Native>(deadline)
    }

    /// [`drain`](Self::drain) in any runtime.
    pub fn drain_in<R: Runtime>(&self, deadline: Deadline) -> Drained {
        self.queue().drain::<R>(deadline)
    }

    /// [Drains](Self::drain), and closes the finalizer: a core that is dropped from now on is finalized in
    /// place, by the dropping thread, where its panic is caught and reported in the same way. If nothing is
    /// left, the thread has ended when this returns. What is left is finalized by the thread, if it gets on.
    ///
    /// Waits as a drain does, twice at most, each time until the deadline; then for the thread to end, which by
    /// that time has nothing to do. In a finalizer of its own it only looks and closes.
    ///
    /// A finalizer that is closed stays so. A core that is dropped while this waits is queued or finalized
    /// in place.
    pub fn shutdown(&self, deadline: Deadline) -> Drained {
        let drained = self.queue().drain::<Native>(deadline);
        self.queue().close();
        // What was queued in between is not lost. The thread does it.
        let rest = self.queue().drain::<Native>(deadline);
        if rest.left == 0 && !self.queue().is_own() {
            let thread = self.handle.thread.with(Option::take);
            // It cannot panic.
            _ = thread.map(|thread| crate::away(|| thread.join()));
        }
        Drained {
            ran: drained.ran + rest.ran,
            panicked: drained.panicked + rest.panicked,
            left: rest.left,
        }
    }

    /// How many cores are queued, the one included whose finalizer runs.
    pub fn queued(&self) -> usize {
        self.queue().queued()
    }

    /// Whether it has been [shut down](Self::shutdown).
    pub fn is_closed(&self) -> bool {
        self.queue().is_closed()
    }

    /// Has each panic of a finalizer reported to `hook`, on the thread where it happened, after the panic
    /// hook of the program has printed it. The one that was set before is forgotten. A hook that panics is
    /// not reported.
    pub fn on_panic(&self, hook: impl Fn(&Panic<'_>) + Send + Sync + 'static) {
        self.queue().set_hook(Some(Arc::new(hook)));
    }

    /// Starts the finalizer anew in the child of a fork, which does not have its thread. What was queued at
    /// the fork is leaked in the child: the parent finalizes it. A core that is alive at the fork is there
    /// twice from then on, and each process finalizes its own.
    ///
    /// Until this is called, what the child drops is queued, and not finalized. Call
    /// `pysync_parking_lot::after_fork` before. It allocates and spawns a thread, so the child must not have
    /// been forked while another thread was in an allocator that cannot cope with that (those of glibc and
    /// musl can), or made a thread by [`std::thread`], whose lock of all threads stays locked then.
    ///
    /// # Errors
    /// Those of [`thread::Builder::spawn`]. The finalizer is closed then.
    ///
    /// # Safety
    /// The calling thread is the only one in the process, and is not inside a finalizer.
    pub unsafe fn after_fork(&self) -> io::Result<()> {
        // SAFETY: by contract.
        unsafe {
            self.queue().after_fork();
            self.handle.thread.after_fork();
        }
        // The parent's thread is not the child's to join.
        std::mem::forget(self.handle.thread.with(Option::take));
        if self.is_closed() {
            return Ok(());
        }
        match spawn(&self.handle.name, self.queue()) {
            Ok(thread) => {
                self.handle.thread.with(|place| *place = Some(thread));
                Ok(())
            }
            Err(error) => {
                self.queue().close();
                Err(error)
            }
        }
    }

    pub(crate) fn queue(&self) -> &Arc<Queue> {
        &self.handle.queue
    }
}

impl fmt::Debug for Finalizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finalizer")
            .field("name", &self.handle.name)
            .field("queued", &self.queued())
            .field("closed", &self.is_closed())
            .finish()
    }
}
