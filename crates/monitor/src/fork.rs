//! The child of a fork.

use crate::graph;
use crate::name::Name;
use crate::nodes;
use crate::scope;

/// Forgets, in the child of a fork, what other threads waited for.
///
/// To be called after [`pysync_parking_lot::after_fork`], and before any other call of this crate. Then each monitor
/// that another thread may have been inside of is reset by [`Monitor::after_fork`](crate::Monitor::after_fork). What the
/// calling thread is inside of stays so. A wait in which it has forked, in a signal handler, goes on. A
/// [`branch`](crate::branch()) that it is in waits for ever for threads that are not there: so the child of a fork in a
/// branch must not return from it, but `exec` or `_exit`.
///
/// Allocates, if the thread has entered no monitor before.
///
/// # Safety
/// The calling thread is the only one in the process.
pub unsafe fn after_fork() {
    // SAFETY: by contract.
    unsafe {
        graph::after_fork();
        Name::after_fork();
        scope::after_fork();
        nodes::after_fork();
    }
}
