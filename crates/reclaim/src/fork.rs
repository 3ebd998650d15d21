//! The child of a fork.

use crate::shared::node;
use crate::spread;

/// In the child of a `fork`: takes the objects of the threads that are gone to be without an owner that runs.
///
/// The child's one thread remains the owner of its objects. Handles that the other threads had are never
/// dropped in the child, and so their objects live on there; so does an object that one of them was just
/// about to merge or to drop. Objects that were in an inbox may be dropped here: destructors run.
///
/// Call `pysync_parking_lot::after_fork` before. Finalizers have an
/// [`after_fork`](crate::Finalizer::after_fork) of their own.
///
/// # Panics
/// If a destructor does. The rest is done first.
///
/// # Safety
/// The calling thread is the only one in the process, and did not fork inside of this crate, in a destructor
/// or a signal handler.
pub unsafe fn after_fork() {
    // SAFETY: by contract. The slots go first, for a destructor may need them.
    unsafe {
        spread::after_fork();
        node::after_fork();
    }
}
