use std::ffi::c_int;

use pysync_lock::{Event, LockFlags, LockStatus};
use pysync_platform::Deadline;

use crate::runtime::CPython;
use crate::timeout::{self, PyTime};

/// CPython: Python/lock.c:L254 _PyEvent_IsSet
#[unsafe(no_mangle)]
unsafe extern "C" fn _PyEvent_IsSet(event: *const Event) -> c_int {
    // SAFETY: an event, by the caller's contract.
    unsafe { (*event).is_set() }.into()
}

/// CPython: Python/lock.c:L261 _PyEvent_Notify
#[unsafe(no_mangle)]
unsafe extern "C" fn _PyEvent_Notify(event: *const Event) {
    // SAFETY: as above.
    unsafe { (*event).notify() };
}

/// CPython: Python/lock.c:L279 PyEvent_Wait
#[unsafe(no_mangle)]
unsafe extern "C" fn PyEvent_Wait(event: *const Event) {
    // SAFETY: as above.
    let _set = unsafe { (*event).wait_in::<CPython>(Deadline::NEVER, LockFlags::DETACH) };
}

/// CPython: Python/lock.c:L286 PyEvent_WaitTimed
#[unsafe(no_mangle)]
unsafe extern "C" fn PyEvent_WaitTimed(
    event: *const Event,
    timeout: PyTime,
    detach: c_int,
) -> c_int {
    // A signal ends the wait, and the callers then run the pending calls themselves.
    let mut flags = LockFlags::FAIL_IF_INTERRUPTED;
    flags.set(LockFlags::DETACH, detach != 0);
    // SAFETY: as above.
    let status = unsafe { (*event).wait_in::<CPython>(timeout::deadline(timeout), flags) };
    (status == LockStatus::Acquired).into()
}
