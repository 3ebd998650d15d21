//! The calling thread's `errno`.
//!
//! A lock stands between a failed call and the look at its error in many a C program, CPython
//! above all: `PyEval_RestoreThread` promises not to change `errno`. The futex calls below our
//! waits and wakes do change it, on a wake that was quicker for one. So no wait and no wake of
//! these crates is made outside [`preserve_errno`].

/// Calls `f`, then sets `errno` to what it was before. On Windows, where our waits and wakes do
/// not touch it, this is just a call.
#[inline]
pub fn preserve_errno<T>(f: impl FnOnce() -> T) -> T {
    #[cfg(all(unix, not(any(loom, shuttle))))]
    {
        let errno = get();
        let result = f();
        set(errno);
        result
    }
    #[cfg(not(all(unix, not(any(loom, shuttle)))))]
    f()
}

#[cfg(target_os = "android")]
use libc::__errno as location;
#[cfg(all(
    unix,
    not(any(target_os = "android", target_vendor = "apple", target_os = "freebsd"))
))]
use libc::__errno_location as location;
#[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
use libc::__error as location;

/// The error of the last call that failed.
#[cfg(all(unix, not(any(loom, shuttle))))]
#[inline]
pub(crate) fn get() -> libc::c_int {
    // SAFETY: the address of this thread's errno is always valid.
    unsafe { *location() }
}

#[cfg(all(unix, not(any(loom, shuttle))))]
#[inline]
fn set(errno: libc::c_int) {
    // SAFETY: as above.
    unsafe { *location() = errno };
}
