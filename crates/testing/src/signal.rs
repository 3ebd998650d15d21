use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

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
        unsafe { self.send(libc::SIGUSR1) };
    }

    /// Sends `signal` to the thread.
    ///
    /// # Safety
    /// As [`ThreadId::interrupt`].
    pub unsafe fn send(self, signal: libc::c_int) {
        // SAFETY: by contract.
        let error = unsafe { libc::pthread_kill(self.0, signal) };
        assert!(error == 0 || error == libc::ESRCH, "pthread_kill: {error}");
    }
}

/// Sends signals to `threads` in turn until `count` more have been handled in this process, and
/// returns how many that were. Those that arrive while another is pending are lost, so more are
/// sent.
///
/// # Safety
/// As [`ThreadId::interrupt`], for each of them and all along.
pub unsafe fn rain(threads: &[ThreadId], count: usize) -> usize {
    let before = signals_handled();
    // SAFETY: by contract.
    unsafe { rain_until(threads, || signals_handled() - before >= count) }
}

/// Sends signals to `threads` in turn until `enough`, and returns how many have been handled in
/// this process meanwhile.
///
/// # Safety
/// As [`ThreadId::interrupt`], for each of them and all along.
pub unsafe fn rain_until(threads: &[ThreadId], enough: impl Fn() -> bool) -> usize {
    let before = signals_handled();
    while !enough() {
        for thread in threads {
            // SAFETY: by contract.
            unsafe { thread.interrupt() };
        }
        // Who is shot at must also run.
        thread::yield_now();
    }
    signals_handled() - before
}
