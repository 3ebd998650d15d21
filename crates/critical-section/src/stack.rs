//! Suspending and resuming a thread's sections.

use std::ptr;

use pysync_lock::Mutex;

use crate::ThreadState;
use crate::tag::Tagged;
use crate::trace;

/// Lets go of every mutex that the thread's sections hold. Called as the thread detaches.
///
/// CPython: Python/critical_section.c:L56 _PyCriticalSection_SuspendAll
#[doc(alias = "_PyCriticalSection_SuspendAll")]
pub(crate) fn suspend_all(thread: &ThreadState) {
    // L59-L61: from the innermost outwards, up to the first that is suspended already; what is
    // below that is suspended too.
    let mut tagged = thread.top();
    let mut outer = None;
    while tagged.is_active() {
        let section = tagged.untagged();
        // SAFETY: a section on the stack is pinned and has begun but not ended.
        unsafe {
            // L63-L69: one that is still waiting for its mutexes has none.
            if let Some(mutex) = (*section).mutex.get().as_ref() {
                mutex.unlock();
                // L70-L75
                if let Some(section2) = tagged.untagged2()
                    && let Some(mutex2) = (*section2).mutex2.get().as_ref()
                {
                    mutex2.unlock();
                }
                trace::suspend(section.addr());
            }
        }

        // L78: the mark is in the link that leads to the section.
        set_link(thread, outer, tagged.inactive());
        // L79
        outer = Some(section);
        // SAFETY: as above.
        tagged = unsafe { (*section).prev.get() };
    }
}

/// Writes the link that leads to a section: the thread's, or that of the section inside it.
fn set_link(thread: &ThreadState, inner: Option<*const crate::CriticalSection>, tagged: Tagged) {
    match inner {
        None => thread.set_top(tagged),
        // SAFETY: a section on the stack, as above.
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
/// CPython: Python/critical_section.c:L80 _PyCriticalSection_Resume
#[doc(alias = "_PyCriticalSection_Resume")]
pub(crate) fn resume(thread: &ThreadState) {
    // L83-L85
    let tagged = thread.top();
    debug_assert!(tagged.is_inactive(), "resuming a section that is not suspended");
    // SAFETY: a section on the stack is pinned and has begun but not ended.
    let section = unsafe { &*tagged.untagged() };
    // SAFETY: as above, and the tag says that it is one of two mutexes.
    let section2 = tagged.untagged2().map(|section2| unsafe { &*section2 });

    // L87-L96
    let mutex = section.mutex.replace(ptr::null());
    let mutex2 = section2.map_or(ptr::null(), |section2| section2.mutex2.replace(ptr::null()));

    // L98-L103: in the order in which they were first locked.
    for mutex in [mutex, mutex2] {
        // SAFETY: the mutexes of a section outlive it.
        if let Some(mutex) = unsafe { mutex.as_ref() } {
            Mutex::lock(mutex);
        }
    }

    // L105-L108
    section.mutex.set(mutex);
    if let Some(section2) = section2 {
        section2.mutex2.set(mutex2);
    }

    // L110
    thread.set_top(thread.top().active());
    if !mutex.is_null() {
        trace::resume(ptr::from_ref(section).addr());
    }
}
