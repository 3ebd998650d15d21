//! The slow paths of the raw mutex. C callers inline its fast paths; all of them are in the three
//! objects.

use pysync_lock::RawMutex;

use crate::runtime::fatal;

/// CPython: Python/lock.c:L189 _PyRawMutex_LockSlow
#[unsafe(no_mangle)]
unsafe extern "C" fn _PyRawMutex_LockSlow(m: *const RawMutex) {
    // SAFETY: a raw mutex, by the caller's contract.
    unsafe { (*m).lock() };
}

/// CPython: Python/lock.c:L229 _PyRawMutex_UnlockSlow
#[unsafe(no_mangle)]
unsafe extern "C" fn _PyRawMutex_UnlockSlow(m: *const RawMutex) {
    // SAFETY: as above.
    if unsafe { (*m).try_unlock() }.is_err() {
        fatal(c"_PyRawMutex_UnlockSlow", c"unlocking mutex that is not locked");
    }
}
