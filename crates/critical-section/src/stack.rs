//! Suspending and resuming a thread's sections.

use std::ptr;

use pysync_lock::NotLocked;
use pysync_platform::{Native, Runtime};

use crate::tag::Tagged;
use crate::trace;

/// The thread that sections belong to: [`ThreadState`](crate::ThreadState), or what another
/// runtime has in its place.
///
/// A thread state may be looked at from other threads, which must not get at its sections:
///
/// ```compile_fail,E0133
/// # use pysync_critical_section::{ThreadState, raw::SectionThread};
/// fn innermost(state: &ThreadState) {
///     state.top();
/// }
/// ```
///
/// # Safety
/// `top` is what `set_top` was last given, and at first the link to nothing.
pub unsafe trait SectionThread {
    /// How the thread waits for a section's mutexes.
    type Runtime: Runtime;

    /// The link to the innermost section.
    ///
    /// # Safety
    /// `self` stands for the calling thread.
    unsafe fn top(&self) -> Tagged;
    /// Replaces that link.
    ///
    /// # Safety
    /// `self` stands for the calling thread, and `tagged` leads to nothing or to a section that has
    /// begun on it and not ended, as do the links from there on.
    unsafe fn set_top(&self, tagged: Tagged);
    /// Whether the thread is attached.
    fn is_attached(&self) -> bool;
}

/// Lets go of every mutex that the thread's sections hold. Called as the thread detaches. If
/// another thread has unlocked one of them, the error comes once all are suspended.
///
/// Calls no foreign code, of a trace subscriber's for one: in between some sections have let go of
/// their mutexes and are not yet marked so.
///
/// # Safety
/// `thread` stands for the calling thread.
///
/// CPython: Python/critical_section.c:L56 _PyCriticalSection_SuspendAll
#[doc(alias = "_PyCriticalSection_SuspendAll")]
pub unsafe fn suspend_all<T: SectionThread>(thread: &T) -> Result<(), NotLocked> {
    // L59-L61: from the innermost outwards, up to the first that is suspended already; what is
    // below that is suspended too.
    // SAFETY: by contract.
    let mut tagged = unsafe { thread.top() };
    let mut inner = None;
    let mut result = Ok(());
    while tagged.is_active() {
        let section = tagged.untagged();
        // SAFETY: a section on the stack is pinned and has begun but not ended.
        unsafe {
            // L63-L64: one that is still waiting for its mutexes has none.
            if let Some(mutex) = (*section).mutex.get().as_ref() {
                let unlocked = mutex.try_unlock();
                result = result.and(unlocked);
                // L65-L70: the second, if it is one of two.
                if let Some(section2) = tagged.untagged2()
                    && let Some(mutex2) = (*section2).mutex2.get().as_ref()
                {
                    let unlocked = mutex2.try_unlock();
                    result = result.and(unlocked);
                }
            }
        }

        // L73: the mark is in the link that leads to the section.
        // SAFETY: the same section as before.
        unsafe { set_link(thread, inner, tagged.inactive()) };
        // L74: outwards.
        inner = Some(section);
        // SAFETY: as above.
        tagged = unsafe { (*section).prev.get() };
    }
    result
}

/// Panics, with C's message, if a section's mutex was not locked when the section let go of it.
#[track_caller]
pub(crate) fn report(unlocked: Result<(), NotLocked>) {
    if unlocked.is_err() {
        Native::fatal_error("CriticalSection", "unlocking mutex that is not locked");
    }
}

/// Writes the link that leads to a section: the thread's, or that of the section inside it.
///
/// # Safety
/// As for [`SectionThread::set_top`]; `inner` is on the thread's stack.
unsafe fn set_link<T: SectionThread>(
    thread: &T,
    inner: Option<*const crate::CriticalSection>,
    tagged: Tagged,
) {
    match inner {
        // SAFETY: by contract.
        None => unsafe { thread.set_top(tagged) },
        // SAFETY: a section on the stack, by contract.
        Some(inner) => unsafe { (*inner).prev.set(tagged) },
    }
}

/// Takes the mutexes of the innermost section again, blocking if need be. Called as the thread
/// attaches, and when the section inside it ends.
///
/// Blocking detaches and attaches the thread, so this calls itself. The section has no mutexes
/// meanwhile: the inner call finds nothing to lock and just marks it active, and so does a
/// further detach find nothing to unlock.
///
/// # Safety
/// `thread` stands for the calling thread, which has a section.
///
/// CPython: Python/critical_section.c:L80 _PyCriticalSection_Resume
#[doc(alias = "_PyCriticalSection_Resume")]
pub unsafe fn resume<T: SectionThread>(thread: &T) {
    // L83-L85: the innermost section, which is suspended or we would not be called.
    // SAFETY: by contract.
    let tagged = unsafe { thread.top() };
    debug_assert!(tagged.is_inactive(), "resuming a section that is not suspended");
    // SAFETY: a section on the stack is pinned and has begun but not ended.
    let section = unsafe { &*tagged.untagged() };
    // SAFETY: as above, and the tag says that it is one of two mutexes.
    let section2 = tagged.untagged2().map(|section2| unsafe { &*section2 });

    // L87-L96: without mutexes while we wait for them.
    let mutex = section.mutex.replace(ptr::null());
    let mutex2 = section2.map_or(ptr::null(), |section2| section2.mutex2.replace(ptr::null()));

    // L98-L103: in the order in which they were first locked.
    for mutex in [mutex, mutex2] {
        // SAFETY: the mutexes of a section outlive it.
        if let Some(mutex) = unsafe { mutex.as_ref() } {
            mutex.lock_in::<T::Runtime>();
        }
    }

    // L105-L108: all locked, so they may be seen again.
    section.mutex.set(mutex);
    if let Some(section2) = section2 {
        section2.mutex2.set(mutex2);
    }

    // L110: only now; a nested call may have done it before.
    // SAFETY: the same section as before, and the calling thread's own link.
    unsafe { thread.set_top(thread.top().active()) };
    if !mutex.is_null() {
        trace::resume(ptr::from_ref(section).addr());
    }
}
