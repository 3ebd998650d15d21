use pysync_lock::RwMutex;

use crate::runtime::{CPython, fatal};

/// CPython: Python/lock.c:L437 _PyRWMutex_RLock
#[unsafe(no_mangle)]
unsafe extern "C" fn _PyRWMutex_RLock(rw: *const RwMutex) {
    // SAFETY: a readers-writer mutex, by the caller's contract.
    unsafe { (*rw).read_lock_in::<CPython>() };
}

/// CPython: Python/lock.c:L468 _PyRWMutex_RUnlock
#[unsafe(no_mangle)]
unsafe extern "C" fn _PyRWMutex_RUnlock(rw: *const RwMutex) {
    // SAFETY: as above.
    if unsafe { (*rw).try_read_unlock() }.is_err() {
        fatal(c"RwMutex::read_unlock", c"lock was not read-locked");
    }
}

/// CPython: Python/lock.c:L481 _PyRWMutex_Lock
#[unsafe(no_mangle)]
unsafe extern "C" fn _PyRWMutex_Lock(rw: *const RwMutex) {
    // SAFETY: as above.
    unsafe { (*rw).write_lock_in::<CPython>() };
}

/// CPython: Python/lock.c:L502 _PyRWMutex_Unlock
#[unsafe(no_mangle)]
unsafe extern "C" fn _PyRWMutex_Unlock(rw: *const RwMutex) {
    // SAFETY: as above.
    if unsafe { (*rw).try_write_unlock() }.is_err() {
        fatal(c"RwMutex::write_unlock", c"lock was not write-locked");
    }
}
