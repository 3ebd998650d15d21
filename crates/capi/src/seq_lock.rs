use std::ffi::c_int;

use pysync_lock::{NotLocked, SeqLock};

use crate::runtime::fatal;

/// CPython: Python/lock.c:L516 _PySeqLock_LockWrite
#[unsafe(no_mangle)]
unsafe extern "C" fn _PySeqLock_LockWrite(lock: *const SeqLock) {
    // SAFETY: a sequence lock, by the caller's contract.
    unsafe { (*lock).lock_write() };
}

/// CPython: Python/lock.c:L537 _PySeqLock_AbandonWrite
#[unsafe(no_mangle)]
unsafe extern "C" fn _PySeqLock_AbandonWrite(lock: *const SeqLock) {
    // SAFETY: as above.
    check(unsafe { (*lock).try_abandon_write() });
}

/// CPython: Python/lock.c:L544 _PySeqLock_UnlockWrite
#[unsafe(no_mangle)]
unsafe extern "C" fn _PySeqLock_UnlockWrite(lock: *const SeqLock) {
    // SAFETY: as above.
    check(unsafe { (*lock).try_unlock_write() });
}

/// CPython: Python/lock.c:L551 _PySeqLock_BeginRead
#[unsafe(no_mangle)]
unsafe extern "C" fn _PySeqLock_BeginRead(lock: *const SeqLock) -> u32 {
    // SAFETY: as above.
    unsafe { (*lock).begin_read() }
}

/// CPython: Python/lock.c:L562 _PySeqLock_EndRead
#[unsafe(no_mangle)]
unsafe extern "C" fn _PySeqLock_EndRead(lock: *const SeqLock, previous: u32) -> c_int {
    // SAFETY: as above.
    unsafe { (*lock).end_read(previous) }.into()
}

/// CPython: Python/lock.c:L577 _PySeqLock_AfterFork
#[unsafe(no_mangle)]
unsafe extern "C" fn _PySeqLock_AfterFork(lock: *const SeqLock) -> c_int {
    // SAFETY: as above.
    unsafe { (*lock).after_fork() }.into()
}

/// A write that has not begun cannot end.
fn check(ended: Result<(), NotLocked>) {
    if ended.is_err() {
        fatal(c"SeqLock", c"unlocking a sequence lock that is not write-locked");
    }
}
