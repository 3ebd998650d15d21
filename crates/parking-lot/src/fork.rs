use crate::bucket::Bucket;

/// Forgets all parked threads, in the child of a `fork`.
///
/// Only the forking thread lives on in the child. It was not parked, so every entry in the table
/// belongs to a thread that is gone, and so does every bucket lock. Locks that were held by
/// those threads stay locked; each type's own `after_fork` resets it.
///
/// Must run before anything that locks, unlocks, parks or unparks. Does not block, allocate or
/// panic.
///
/// # Safety
/// The calling thread is the only one in the process, and is not inside a callback of
/// [`unpark`](crate::unpark).
///
/// CPython: Python/parking_lot.c:L397 _PyParkingLot_AfterFork
#[doc(alias = "_PyParkingLot_AfterFork")]
pub unsafe fn after_fork() {
    // L401-L404: unlocked and empty, whatever they were.
    for bucket in Bucket::all() {
        // SAFETY: the only thread, by contract.
        unsafe { bucket.reset() };
    }
}

/// Has every child of a `fork` call [`after_fork`] before `fork` returns in it.
///
/// Opt-in, since a library should not install process-wide handlers unasked. Registers once,
/// however often it is called, through `pthread_atfork`; children inherit the handler. A child
/// made by a bare `clone` or `vfork` does not run it. Does nothing where there is no `fork`.
///
/// # Panics
/// If the C library cannot register the handler for want of memory.
pub fn register_fork_handler() {
    #[cfg(unix)]
    {
        unsafe extern "C" fn child() {
            // SAFETY: `fork` calls this on the one thread that the child has.
            unsafe { after_fork() };
        }

        // Whoever returns from this may rely on the handler, the slower of two callers as well.
        static REGISTERED: std::sync::Once = std::sync::Once::new();
        REGISTERED.call_once(|| {
            // SAFETY: the handler is a function of the right type that lives as long as the
            // program.
            let error = unsafe { libc::pthread_atfork(None, None, Some(child)) };
            assert_eq!(error, 0, "pthread_atfork failed: no memory for the handler");
        });
    }
}
