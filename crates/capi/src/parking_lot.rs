use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64};

use pysync_parking_lot::{ParkStatus, ParkWord, after_fork, park_in, unpark, unpark_all};

use crate::runtime::{CPython, fatal};
use crate::timeout::{self, PyTime};

/// CPython: Python/parking_lot.c:L307 _PyParkingLot_Park
#[unsafe(no_mangle)]
unsafe extern "C" fn _PyParkingLot_Park(
    addr: *const c_void,
    expected: *const c_void,
    size: usize,
    timeout: PyTime,
    park_arg: *mut c_void,
    detach: c_int,
) -> c_int {
    /// # Safety
    /// `addr` leads to an atomic `W`, and `expected` to a value of it.
    unsafe fn park<W: ParkWord>(
        addr: *const c_void,
        expected: *const c_void,
        timeout: PyTime,
        park_arg: *mut c_void,
        detach: c_int,
    ) -> ParkStatus {
        // SAFETY: by contract.
        let (word, expected) = unsafe { (&*addr.cast::<W>(), expected.cast::<W::Value>().read()) };
        let deadline = timeout::deadline(timeout);
        park_in::<CPython, W>(word, expected, deadline, park_arg.cast(), detach != 0)
    }

    // SAFETY: words of that size, by the caller's contract.
    let status = unsafe {
        match size {
            1 => park::<AtomicU8>(addr, expected, timeout, park_arg, detach),
            2 => park::<AtomicU16>(addr, expected, timeout, park_arg, detach),
            4 => park::<AtomicU32>(addr, expected, timeout, park_arg, detach),
            8 => park::<AtomicU64>(addr, expected, timeout, park_arg, detach),
            _ => fatal(c"_PyParkingLot_Park", c"the word is not 1, 2, 4 or 8 bytes long"),
        }
    };
    status as c_int
}

/// CPython: Python/parking_lot.c:L356 _PyParkingLot_Unpark
#[unsafe(no_mangle)]
unsafe extern "C" fn _PyParkingLot_Unpark(
    addr: *const c_void,
    f: unsafe extern "C" fn(*mut c_void, *mut c_void, c_int),
    arg: *mut c_void,
) {
    unpark(addr.cast::<AtomicU8>(), |unparked| {
        let (park_arg, has_more_waiters) = unparked.map_or((ptr::null_mut(), false), |unparked| {
            (unparked.park_arg.cast(), unparked.has_more_waiters)
        });
        // SAFETY: the caller's own function with its own argument.
        unsafe { f(arg, park_arg, has_more_waiters.into()) };
    });
}

/// CPython: Python/parking_lot.c:L379 _PyParkingLot_UnparkAll
#[unsafe(no_mangle)]
extern "C" fn _PyParkingLot_UnparkAll(addr: *const c_void) {
    unpark_all(addr.cast::<AtomicU8>());
}

/// CPython: Python/parking_lot.c:L397 _PyParkingLot_AfterFork
#[unsafe(no_mangle)]
unsafe extern "C" fn _PyParkingLot_AfterFork() {
    // SAFETY: in a child of `fork`, before it does anything else, by the caller's contract.
    unsafe { after_fork() };
}
