use std::cell::Cell;
use std::ptr;

use pysync_platform::{Parker, primitive};

use crate::bucket::Bucket;
use crate::wait_queues::WaitEntry;
use pysync_platform::primitive::plain::{AtomicU32, Ordering};

// Deviation D15: C has no such number.
/// How many forks lie between the first process and this one, modulo 2³². An entry of another
/// generation is on no queue: the one it was on has been emptied.
///
/// Not a model's atomic: models have no fork.
static GENERATION: AtomicU32 = AtomicU32::new(0);

pub(crate) fn generation() -> u32 {
    // Ordering: Relaxed; it changes only while there is one thread, which is the one that looks.
    GENERATION.load(Ordering::Relaxed)
}

primitive::thread_local! {
    /// What the calling thread is parked with. The innermost, if it parks in a hook of its own
    /// park: an outer one looks whether it is forgotten before it sleeps.
    static PARKED: Cell<*const WaitEntry> = Cell::new(ptr::null())
}

/// Calls `sleep`, which sleeps on `entry`'s parker, and which a fork in a signal handler ends in the
/// child. A parker that sleeps through signals sleeps through that too.
#[inline]
pub(crate) fn while_parked<T>(entry: &WaitEntry, sleep: impl FnOnce() -> T) -> T {
    if !Parker::HEEDS_SIGNALS {
        return sleep();
    }
    let outer = PARKED.with(|cell| cell.replace(entry));
    let result = sleep();
    PARKED.with(|cell| cell.set(outer));
    result
}

/// Ends the calling thread's own wait.
fn wake_self() {
    let entry = PARKED.with(Cell::get);
    if Parker::HEEDS_SIGNALS && !entry.is_null() {
        // SAFETY: the thread is inside `while_parked`, so its entry is there.
        unsafe { Parker::wakeup_raw(&raw const (*entry).parker) };
    }
}

/// Forgets all parked threads, in the child of a `fork`.
///
/// Only the forking thread lives on in the child. Every other entry in the table belongs to a
/// thread that is gone, and so does every bucket lock. Locks that were held by those threads stay
/// locked; each type's own `after_fork` resets it.
///
/// The forking thread itself may be parked: `fork` may be called in a signal handler that
/// interrupted its wait, or in [`Runtime::detach`](crate::Runtime::detach). In the child that wait
/// ends: as interrupted after a signal, and with [`ParkStatus::Again`](crate::ParkStatus::Again)
/// after a detach or a handler with `SA_RESTART`, so that every lock of these crates looks at its
/// word again. (The portable parker sleeps through signals, and a child of a handler there sleeps
/// on.)
///
/// A handler may also have interrupted a thread that holds the lock of a bucket, for the hundred
/// instructions or so of a park or an unpark, or one that waits for that lock. In a child that is
/// forked there, `exec` and `_exit` work. If the handler returns, the child of a holder aborts with a
/// message as it unlocks the bucket, and the child of a waiter may wait for ever.
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
    // Ordering: Relaxed, as above.
    GENERATION.fetch_add(1, Ordering::Relaxed);
    // L401-L404: unlocked and empty, whatever they were.
    for bucket in Bucket::all() {
        // SAFETY: the only thread, by contract.
        unsafe { bucket.reset() };
    }
    wake_self();
}

/// Has every child of a `fork` call [`after_fork`] before `fork` returns in it.
///
/// Opt-in, since a library should not install process-wide handlers unasked. Registers once,
/// however often it is called, through `pthread_atfork`; children inherit the handler. (Two threads
/// that call it for the first time at once may register two, of which the second changes nothing.)
/// A child made by a bare `clone` or `vfork` does not run it. Does nothing where there is no `fork`.
///
/// **Order**: `fork` runs the child's handlers in the order in which they were registered. A
/// handler that was registered before this one runs while the table is still as it was in the
/// parent, and must use no lock of these crates. So call this first.
///
/// # Panics
/// If the C library cannot register the handler for want of memory.
pub fn register_fork_handler() {
    #[cfg(unix)]
    {
        use pysync_platform::primitive::plain::AtomicBool;

        unsafe extern "C" fn child() {
            // SAFETY: `fork` calls this on the one thread that the child has.
            unsafe { after_fork() };
        }

        // No `Once`: a child that is forked while another thread is inside would wait for it.
        static REGISTERED: AtomicBool = AtomicBool::new(false);
        // Ordering: Acquire pairs with the Release below; true says that the handler is there.
        if REGISTERED.load(Ordering::Acquire) {
            return;
        }
        // SAFETY: the handler is a function of the right type that lives as long as the program.
        let error = unsafe { libc::pthread_atfork(None, None, Some(child)) };
        assert_eq!(error, 0, "pthread_atfork failed: no memory for the handler");
        // Ordering: Release, as above.
        REGISTERED.store(true, Ordering::Release);
    }
}
