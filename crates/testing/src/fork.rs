use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// Runs `child` in a forked child; panics unless it returns true within ten seconds.
///
/// The child has one thread and a copy of the parent's memory; if other threads held the
/// allocator's lock there it must not allocate, which glibc's takes care of.
pub fn fork(child: impl FnOnce() -> bool) {
    // SAFETY: the child runs `child` and leaves by `_exit`, unwinding nothing of the parent's.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
    if pid == 0 {
        let ok = catch_unwind(AssertUnwindSafe(child)).unwrap_or(false);
        // SAFETY: ends the process.
        unsafe { libc::_exit(if ok { 0 } else { 1 }) };
    }
    child_succeeds(pid);
}

/// Waits for a child of this process; panics unless it exits with 0 within ten seconds.
pub fn child_succeeds(pid: libc::pid_t) {
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut status = 0;
    loop {
        // SAFETY: waits for our own child.
        match unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) } {
            0 if Instant::now() < deadline => std::thread::yield_now(),
            0 => {
                // SAFETY: our own child, which is still there.
                unsafe {
                    libc::kill(pid, libc::SIGKILL);
                    libc::waitpid(pid, &mut status, 0);
                }
                panic!("the child hangs");
            }
            // A signal meant for a waiter.
            -1 if std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted => {}
            waited => {
                assert_eq!(waited, pid, "waitpid: {}", std::io::Error::last_os_error());
                assert_eq!(status, 0, "the child failed");
                return;
            }
        }
    }
}
