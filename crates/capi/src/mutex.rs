use std::ffi::c_int;

use pysync_lock::{LockFlags, LockStatus, Mutex};
use pysync_platform::Deadline;

use crate::runtime::{CPython, fatal};
use crate::timeout::{self, PyTime};

/// CPython: Python/lock.c:L591 PyMutex_Lock
#[unsafe(no_mangle)]
unsafe extern "C" fn PyMutex_Lock(m: *const Mutex) {
    // SAFETY: a mutex, by the caller's contract.
    let _acquired = unsafe { (*m).lock_in::<CPython>(Deadline::NEVER, LockFlags::DETACH) };
}

/// CPython: Python/lock.c:L598 PyMutex_Unlock
#[unsafe(no_mangle)]
unsafe extern "C" fn PyMutex_Unlock(m: *const Mutex) {
    // SAFETY: as above.
    if unsafe { (*m).try_unlock() }.is_err() {
        fatal(c"PyMutex_Unlock", c"unlocking mutex that is not locked");
    }
}

/// CPython: Python/lock.c:L53 _PyMutex_LockTimed
#[unsafe(no_mangle)]
unsafe extern "C" fn _PyMutex_LockTimed(m: *const Mutex, timeout: PyTime, flags: u32) -> c_int {
    // In C the flags are an enum, and callers combine them with `|`.
    let flags = LockFlags::from_bits_truncate(flags);
    // SAFETY: as above.
    let m = unsafe { &*m };
    // A free mutex costs no look at the clock.
    if m.try_lock() {
        return LockStatus::Acquired as c_int;
    }
    m.lock_in::<CPython>(timeout::deadline(timeout), flags) as c_int
}

/// CPython: Python/lock.c:L161 _PyMutex_TryUnlock
#[unsafe(no_mangle)]
unsafe extern "C" fn _PyMutex_TryUnlock(m: *const Mutex) -> c_int {
    // SAFETY: as above.
    if unsafe { (*m).try_unlock() }.is_ok() { 0 } else { -1 }
}
