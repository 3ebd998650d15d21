use std::sync::{Mutex, OnceLock, PoisonError};

use crate::{Sleeper, ThreadId, wait_until, watch_signals};

/// The handled signals are counted for the whole process: one test at a time.
pub fn alone() -> impl Drop {
    static ALONE: Mutex<()> = Mutex::new(());
    watch_signals();
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A thread that signals are sent to.
#[derive(Debug, Default)]
pub struct Target {
    thread: OnceLock<ThreadId>,
    /// Tells when it sleeps.
    pub sleeper: Sleeper,
}

impl Target {
    /// The calling thread is the target, and is about to wait.
    pub fn enter(&self) {
        assert!(self.thread.set(ThreadId::current()).is_ok(), "entered twice");
        self.sleeper.enter();
    }

    /// The thread, once it has entered. The caller keeps a watchdog.
    pub fn thread(&self) -> ThreadId {
        wait_until(|| self.thread.get().is_some());
        self.thread.get().copied().expect("entered")
    }
}
