//! The semaphore. CPython exports it, and uses it in the three objects only.

use std::ffi::c_int;

use pysync_parking_lot::Parker;

use crate::runtime::CPython;
use crate::timeout::{self, PyTime};

/// CPython: Python/parking_lot.c:L54 _PySemaphore_Init
#[unsafe(no_mangle)]
unsafe extern "C" fn _PySemaphore_Init(semaphore: *mut Parker) {
    // SAFETY: room for a semaphore, by the caller's contract; ours fits in (`layout.rs`).
    unsafe { semaphore.write(Parker::new()) };
}

/// There is nothing to destroy.
#[unsafe(no_mangle)]
unsafe extern "C" fn _PySemaphore_Destroy(semaphore: *mut Parker) {
    // SAFETY: set up by `_PySemaphore_Init`, by the caller's contract.
    unsafe { semaphore.drop_in_place() };
}

/// CPython: Python/parking_lot.c:L208 _PySemaphore_Wait
#[unsafe(no_mangle)]
unsafe extern "C" fn _PySemaphore_Wait(
    semaphore: *const Parker,
    timeout: PyTime,
    detach: c_int,
) -> c_int {
    // SAFETY: as above.
    unsafe { (*semaphore).wait_in::<CPython>(timeout::deadline(timeout), detach != 0) as c_int }
}

/// CPython: Python/parking_lot.c:L230 _PySemaphore_Wakeup
#[unsafe(no_mangle)]
unsafe extern "C" fn _PySemaphore_Wakeup(semaphore: *const Parker) {
    // SAFETY: as above, until its waiter has seen the wakeup.
    unsafe { Parker::wakeup_raw(semaphore) };
}
