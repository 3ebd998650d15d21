//! How a runtime is made.

use std::fmt;
use std::io;
use std::num::NonZero;
use std::ptr::NonNull;
use std::sync::Arc;
use std::thread;

use pysync_platform::abort_on_unwind;

use super::runtime::{Runtime, Shared};
use super::worker;

/// The most workers that a runtime can have.
const MOST_WORKERS: usize = 1024;

type Hook = Arc<worker::Hook>;

/// Builds a [`Runtime`].
///
/// ```
/// use pysync_boc::Runtime;
///
/// # #[cfg(not(any(pysync_loom, pysync_shuttle)))] {
/// let runtime = Runtime::builder().workers(2).name("boc").build()?;
/// assert_eq!(runtime.workers(), 2);
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Default)]
#[must_use = "`build` starts the workers"]
pub struct Builder {
    workers: Option<usize>,
    name: Option<String>,
    stack_size: Option<usize>,
    on_start: Option<Hook>,
    on_idle: Option<Hook>,
    on_stop: Option<Hook>,
}

impl Builder {
    /// How many workers, 1 to 1024. The default is as many as the process may use processors at a time.
    ///
    /// # Panics
    /// If `n` is another number.
    pub fn workers(mut self, n: usize) -> Self {
        assert!(
            (1..=MOST_WORKERS).contains(&n),
            "a runtime has 1 to {MOST_WORKERS} workers, and not {n}"
        );
        self.workers = Some(n);
        self
    }

    /// What the names of the workers' threads begin with; their index follows. The default is `boc-worker`.
    ///
    /// # Panics
    /// If it has a byte that is 0.
    pub fn name(mut self, prefix: impl Into<String>) -> Self {
        let prefix = prefix.into();
        assert!(!prefix.contains('\0'), "the name of a thread has no byte that is 0");
        self.name = Some(prefix);
        self
    }

    /// The size of a worker's stack in bytes. The default is that of `std::thread`.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// What each worker runs first, with its index. The place to attach its thread to an interpreter, and
    /// to set the hooks by which it detaches while it sleeps:
    /// [`set_thread_hooks`](pysync_platform::Native::set_thread_hooks).
    ///
    /// A panic in it aborts the process.
    pub fn on_start(mut self, hook: impl Fn(usize) + Send + Sync + 'static) -> Self {
        self.on_start = Some(Arc::new(hook));
        self
    }

    /// What a worker runs, with its index, each time that it has run out of what is queued for it: before it
    /// searches the queues of others, and sleeps. The place to detach its thread from an interpreter to which
    /// bodies attach it: it then stays attached from one body to the next.
    ///
    /// A panic in it aborts the process.
    pub fn on_idle(mut self, hook: impl Fn(usize) + Send + Sync + 'static) -> Self {
        self.on_idle = Some(Arc::new(hook));
        self
    }

    /// What each worker runs last, with its index. It must not wait for a stop of the runtime.
    ///
    /// A panic in it aborts the process.
    pub fn on_stop(mut self, hook: impl Fn(usize) + Send + Sync + 'static) -> Self {
        self.on_stop = Some(Arc::new(hook));
        self
    }

    /// Starts the workers. Does not wait until they run.
    ///
    /// # Errors
    /// That of the thread that could not be spawned. Those that were spawned have ended then.
    pub fn build(self) -> io::Result<Runtime> {
        let workers = self.workers.unwrap_or_else(|| {
            thread::available_parallelism().map_or(1, NonZero::get).min(MOST_WORKERS)
        });
        let shared = Shared::new(workers);
        // SAFETY: the handle of `new`.
        let runtime = unsafe { Runtime::from_shared(shared) };
        for index in 0..workers {
            match self.spawn(shared, index) {
                Ok(thread) => runtime.inner().threads.lock().push(thread),
                Err(error) => {
                    // SAFETY: these have not run, and the handle is a pin.
                    (index..workers).for_each(|_| unsafe { Shared::never_started(shared) });
                    // The drop of the handle stops the others.
                    return Err(error);
                }
            }
        }
        Ok(runtime)
    }

    fn spawn(&self, shared: NonNull<Shared>, index: usize) -> io::Result<thread::JoinHandle<()>> {
        struct Sent(NonNull<Shared>);
        // SAFETY: the worker has a pin, and what is shared is behind atomics and locks.
        unsafe impl Send for Sent {}

        let prefix = self.name.as_deref().unwrap_or("boc-worker");
        let mut thread = thread::Builder::new().name(format!("{prefix}-{index}"));
        if let Some(bytes) = self.stack_size {
            thread = thread.stack_size(bytes);
        }
        let (on_start, on_stop) = (self.on_start.clone(), self.on_stop.clone());
        let on_idle = self.on_idle.clone();
        let sent = Sent(shared);
        thread.spawn(move || {
            let Sent(shared) = { sent };
            abort_on_unwind("a panic in a worker of a runtime, outside of a body", || {
                if let Some(hook) = on_start {
                    hook(index);
                }
                // SAFETY: the worker has a pin until the end of this.
                worker::run(unsafe { shared.as_ref() }, index, on_idle.as_deref());
                if let Some(hook) = on_stop {
                    hook(index);
                }
            });
            // SAFETY: the worker's own. In the child of a fork there is one too many.
            unsafe { Shared::unpin(shared) };
        })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("workers", &self.workers)
            .field("name", &self.name)
            .field("stack_size", &self.stack_size)
            .finish_non_exhaustive()
    }
}
