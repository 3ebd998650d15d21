//! The end of a process whose waiters can no longer be trusted.

use std::fs::File;
use std::io::Write;
use std::mem::ManuallyDrop;

/// Aborts the process if dropped, that is, if something unwinds where nothing may. The doubtful
/// code runs between [`AbortOnUnwind::new`] and [`AbortOnUnwind::disarm`].
#[derive(Debug)]
pub struct AbortOnUnwind(&'static str);

impl AbortOnUnwind {
    /// `what` completes the message `pysync: …; aborting`.
    pub const fn new(what: &'static str) -> Self {
        Self(what)
    }

    /// The doubtful code has come to its end.
    pub fn disarm(self) {
        std::mem::forget(self);
    }
}

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        abort(self.0);
    }
}

/// Calls `f`, and aborts the process if it unwinds. `what` completes the message
/// `pysync: …; aborting`.
#[inline]
pub fn abort_on_unwind<T>(what: &'static str, f: impl FnOnce() -> T) -> T {
    let guard = AbortOnUnwind::new(what);
    let result = f();
    guard.disarm();
    result
}

/// Writes `pysync: message; aborting` to the standard error output, then aborts the process.
///
/// Takes no lock and allocates nothing, since the caller may hold the lock of a bucket: `eprintln!`
/// would wait for the holder of stderr's lock, which may itself wait for that bucket.
#[cold]
pub fn abort(message: &str) -> ! {
    let mut buffer = [0; 256];
    let mut rest = &mut buffer[..];
    // A message that is too long is cut.
    let _ = writeln!(rest, "pysync: {message}; aborting");
    let unused = rest.len();
    let written = &buffer[..buffer.len() - unused];
    if let Some(stderr) = stderr() {
        let _ = (&*stderr).write_all(written);
    }
    std::process::abort()
}

/// The standard error output without its lock, not to be closed.
#[cfg(unix)]
fn stderr() -> Option<ManuallyDrop<File>> {
    use std::os::fd::FromRawFd;
    // SAFETY: the process is about to end, and the file is never closed here. A descriptor that
    // the program has closed fails the write.
    Some(ManuallyDrop::new(unsafe { File::from_raw_fd(2) }))
}

/// The standard error output without its lock, not to be closed.
#[cfg(windows)]
fn stderr() -> Option<ManuallyDrop<File>> {
    use std::os::windows::io::{AsRawHandle, FromRawHandle};
    let handle = std::io::stderr().as_raw_handle();
    // SAFETY: std's own handle, and the file is never closed here.
    (!handle.is_null()).then(|| ManuallyDrop::new(unsafe { File::from_raw_handle(handle) }))
}

/// There is none that this crate knows.
#[cfg(not(any(unix, windows)))]
fn stderr() -> Option<ManuallyDrop<File>> {
    None
}
