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
    let errno = imp::get();
    let result = f();
    imp::set(errno);
    result
}

/// The error of the last call that failed.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) use imp::get;

#[cfg(unix)]
mod imp {
    #[cfg(target_os = "android")]
    use libc::__errno as location;
    #[cfg(not(any(target_os = "android", target_vendor = "apple", target_os = "freebsd")))]
    use libc::__errno_location as location;
    #[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
    use libc::__error as location;

    #[inline]
    pub(crate) fn get() -> libc::c_int {
        // SAFETY: the address of this thread's errno is always valid.
        unsafe { *location() }
    }

    #[inline]
    pub(super) fn set(errno: libc::c_int) {
        // SAFETY: as above.
        unsafe { *location() = errno };
    }
}

/// Windows has errors of its own: there is nothing to keep.
#[cfg(not(unix))]
mod imp {
    #[derive(Clone, Copy)]
    pub(super) struct Errno;

    pub(super) fn get() -> Errno {
        Errno
    }

    pub(super) fn set(_: Errno) {}
}
