//! The seam to a runtime with thread states of its own, and the one way in which sections die.

use pysync_lock::NotLocked;
use pysync_platform::Runtime;

use crate::tag::Tagged;

/// The thread that sections belong to: [`ThreadState`](crate::ThreadState), or
/// what another runtime has in its place.
///
/// Other threads may look at a thread state, but must not reach its sections:
///
/// ```compile_fail,E0133
/// # use pysync_critical_section::{ThreadState, raw::SectionThread};
/// fn innermost(state: &ThreadState) {
///     state.top();
/// }
/// ```
///
/// # Safety
/// `top` returns what `set_top` was last given, and at first the link to nothing.
pub unsafe trait SectionThread {
    /// How the thread waits for a section's mutexes, and how it dies.
    type Runtime: Runtime;

    /// The link to the innermost section.
    ///
    /// # Safety
    /// `self` stands for the calling thread.
    unsafe fn top(&self) -> Tagged;
    /// Replaces that link.
    ///
    /// # Safety
    /// `self` stands for the calling thread. `tagged`, and each link from there on, leads to
    /// nothing or to a section that has begun on the thread and has not ended.
    unsafe fn set_top(&self, tagged: Tagged);
    /// Whether the thread is attached.
    fn is_attached(&self) -> bool;
}

/// Reports, with C's message, that a mutex of a section was not locked as the section unlocked it.
#[inline]
#[track_caller]
pub(crate) fn report<T: SectionThread>(unlocked: Result<(), NotLocked>) {
    if unlocked.is_err() {
        die::<T>("unlocking mutex that is not locked");
    }
}

/// Ends as the thread's runtime ends when a caller has broken a rule of sections.
#[cold]
#[track_caller]
pub(crate) fn die<T: SectionThread>(message: &str) -> ! {
    T::Runtime::fatal_error("CriticalSection", message)
}
