//! Nobody outside the three objects uses these, but they are exported.

use std::ffi::c_int;

use pysync_parking_lot::Semaphore;

use crate::runtime::CPython;
use crate::timeout::{self, PyTime};

/// CPython: Python/parking_lot.c:L54 _PySemaphore_Init
#[unsafe(no_mangle)]
unsafe extern "C" fn _PySemaphore_Init(semaphore: *mut Semaphore) {
    // SAFETY: room for a semaphore, by the caller's contract; ours fits in (`layout.rs`).
    unsafe { semaphore.write(Semaphore::new()) };
}

/// There is nothing to destroy.
#[unsafe(no_mangle)]
unsafe extern "C" fn _PySemaphore_Destroy(semaphore: *mut Semaphore) {
    // SAFETY: set up by `_PySemaphore_Init`, by the caller's contract.
    unsafe { semaphore.drop_in_place() };
}

/// CPython: Python/parking_lot.c:L208 _PySemaphore_Wait
#[unsafe(no_mangle)]
unsafe extern "C" fn _PySemaphore_Wait(
    semaphore: *const Semaphore,
    timeout: PyTime,
    detach: c_int,
) -> c_int {
    // SAFETY: as above.
    unsafe { (*semaphore).wait_in::<CPython>(timeout::from_c(timeout), detach != 0) as c_int }
}

/// CPython: Python/parking_lot.c:L230 _PySemaphore_Wakeup
#[unsafe(no_mangle)]
unsafe extern "C" fn _PySemaphore_Wakeup(semaphore: *const Semaphore) {
    // SAFETY: as above, until its waiter has seen the wakeup.
    unsafe { Semaphore::wakeup_raw(semaphore) };
}
