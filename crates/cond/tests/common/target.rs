//! Threads that signals are sent to.

use std::sync::{Mutex as StdMutex, OnceLock, PoisonError};

use pysync_testing::{Sleeper, ThreadId, wait_until, watch_signals};

/// The handled signals are counted for the whole process: one test at a time.
pub(crate) fn alone() -> impl Drop {
    static ALONE: StdMutex<()> = StdMutex::new(());
    watch_signals();
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A thread under fire.
#[derive(Default)]
pub(crate) struct Target {
    thread: OnceLock<ThreadId>,
    pub(crate) sleeper: Sleeper,
}

impl Target {
    /// The calling thread is the target, and is about to wait.
    pub(crate) fn enter(&self) {
        assert!(self.thread.set(ThreadId::current()).is_ok());
        self.sleeper.enter();
    }

    pub(crate) fn thread(&self) -> ThreadId {
        wait_until(|| self.thread.get().is_some());
        self.thread.get().copied().expect("entered")
    }
}
