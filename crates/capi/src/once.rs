use std::ffi::{c_int, c_void};

use pysync_lock::OnceFlag;

use crate::runtime::{CPython, fatal};

/// CPython: Python/lock.c:L333 _PyOnceFlag_CallOnceSlow
#[unsafe(no_mangle)]
unsafe extern "C" fn _PyOnceFlag_CallOnceSlow(
    flag: *const OnceFlag,
    f: unsafe extern "C" fn(*mut c_void) -> c_int,
    arg: *mut c_void,
) -> c_int {
    let call = || {
        // SAFETY: the caller's own function with its own argument.
        match unsafe { f(arg) } {
            0 => Ok(()),
            -1 => Err(()),
            _ => fatal(c"unlock_once", c"invalid result from _PyOnceFlag_CallOnce"),
        }
    };
    // SAFETY: a once flag, by the caller's contract.
    if unsafe { (*flag).call_once_in::<CPython, ()>(call) }.is_ok() { 0 } else { -1 }
}
