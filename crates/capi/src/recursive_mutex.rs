use std::ffi::c_int;

use pysync_lock::{LockFlags, RecursiveMutex};
use pysync_platform::Deadline;

use crate::runtime::{CPython, fatal};

/// CPython: Python/lock.c:L373 _PyRecursiveMutex_IsLockedByCurrentThread
#[unsafe(no_mangle)]
unsafe extern "C" fn _PyRecursiveMutex_IsLockedByCurrentThread(m: *const RecursiveMutex) -> c_int {
    // SAFETY: a recursive mutex, by the caller's contract.
    unsafe { (*m).is_locked_by_current_thread_in::<CPython>() }.into()
}

/// CPython: Python/lock.c:L379 _PyRecursiveMutex_Lock
#[unsafe(no_mangle)]
unsafe extern "C" fn _PyRecursiveMutex_Lock(m: *const RecursiveMutex) {
    // SAFETY: as above.
    let _acquired = unsafe { (*m).lock_in::<CPython>(Deadline::NEVER, LockFlags::DETACH) };
}

/// CPython: Python/lock.c:L392 _PyRecursiveMutex_Unlock
#[unsafe(no_mangle)]
unsafe extern "C" fn _PyRecursiveMutex_Unlock(m: *const RecursiveMutex) {
    // SAFETY: as above.
    if unsafe { (*m).try_unlock_in::<CPython>() }.is_err() {
        fatal(
            c"_PyRecursiveMutex_Unlock",
            c"unlocking a recursive mutex that is not owned by the current thread",
        );
    }
}
