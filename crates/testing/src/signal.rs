use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

static HANDLED: AtomicUsize = AtomicUsize::new(0);

/// How many signals the handler of [`watch_signals`] has handled in this process.
pub fn signals_handled() -> usize {
    HANDLED.load(Ordering::SeqCst)
}

/// Installs a handler for `SIGUSR1` that counts, without `SA_RESTART`, so that it interrupts
/// whatever wait its thread is in.
pub fn watch_signals() {
    extern "C" fn count(_: libc::c_int) {
        HANDLED.fetch_add(1, Ordering::SeqCst);
    }

    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // SAFETY: a zeroed sigaction is an empty one; the handler only adds to an atomic.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = count as extern "C" fn(libc::c_int) as usize;
            assert_eq!(libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()), 0);
        }
    });
}

/// A thread to send signals to.
#[derive(Clone, Copy, Debug)]
pub struct ThreadId(libc::pthread_t);

// SAFETY: an identifier, good for `pthread_kill` from any thread.
unsafe impl Send for ThreadId {}
// SAFETY: as above.
unsafe impl Sync for ThreadId {}

impl ThreadId {
    /// The calling thread.
    pub fn current() -> Self {
        // SAFETY: always succeeds.
        Self(unsafe { libc::pthread_self() })
    }

    /// Sends `SIGUSR1` to the thread.
    ///
    /// # Safety
    /// The thread has not been joined or detached and left.
    pub unsafe fn interrupt(self) {
        // SAFETY: by contract.
        let error = unsafe { libc::pthread_kill(self.0, libc::SIGUSR1) };
        assert!(error == 0 || error == libc::ESRCH, "pthread_kill: {error}");
    }
}
