//! Threads that are known to sleep.

use std::sync::atomic::{AtomicI32, Ordering::SeqCst};

/// The thread that a test is about to block; one for each.
#[derive(Debug, Default)]
pub struct Sleeper {
    id: AtomicI32,
}

impl Sleeper {
    /// No thread yet.
    pub const fn new() -> Self {
        Self { id: AtomicI32::new(0) }
    }

    /// The calling thread says that it is going to block next.
    pub fn enter(&self) {
        // SAFETY: always succeeds.
        #[cfg(target_os = "linux")]
        let id = unsafe { libc::gettid() };
        #[cfg(not(target_os = "linux"))]
        let id = 1;
        self.id.store(id, SeqCst);
    }

    /// Whether the kernel has put the thread to sleep, or it is gone already: some sleep only for
    /// a while.
    pub fn is_asleep(&self) -> bool {
        match self.id.load(SeqCst) {
            0 => false,
            id => state_is_sleeping(id),
        }
    }

    /// Returns once the thread sleeps. The caller keeps a watchdog.
    pub fn wait_until_asleep(&self) {
        crate::wait_until(|| self.is_asleep());
    }
}

/// Returns once all of them sleep.
pub fn sleeping(sleepers: &[Sleeper]) {
    sleepers.iter().for_each(Sleeper::wait_until_asleep);
}

#[cfg(target_os = "linux")]
fn state_is_sleeping(id: i32) -> bool {
    match std::fs::read_to_string(format!("/proc/self/task/{id}/stat")) {
        // `id (name) S ...`; the name may hold anything.
        Ok(stat) => stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" S")),
        Err(_) => true,
    }
}

/// Nothing to ask: time enough to fall asleep. A test is weaker for it, never wrong.
#[cfg(not(target_os = "linux"))]
fn state_is_sleeping(_: i32) -> bool {
    std::thread::sleep(std::time::Duration::from_millis(20));
    true
}
