//! The thread's stack of sections, and every operation on it.
//!
//! The stack is a list. The thread has the link to its innermost section, and each section has the
//! link to the section around it. A link is a [`Tagged`] pointer: its tags say whether the section
//! is suspended, and whether it has two mutexes.
//!
//! | operation | does | called as |
//! |---|---|---|
//! | [`push`] | makes a section the innermost one | a section begins |
//! | [`pop`] | takes the innermost section off, and resumes the section around it | a section ends |
//! | [`take`] | locks the mutexes of a section | a section begins or resumes |
//! | [`unlock`] | unlocks the mutexes of a section | a section ends or is suspended |
//! | [`mutexes`], [`put`] | reads and writes which mutexes a section shows | all of these |
//! | [`suspend_all`] | unlocks the mutexes of all sections | the thread detaches |
//! | [`resume`] | takes the mutexes of the innermost section again | the thread attaches, a section ends |
//! | [`finish`] | unlocks and pops the innermost section | a section ends |
//!
//! Between two operations:
//! - An active section holds the mutexes that it shows.
//! - A suspended section shows the mutexes that it will take again, and holds none of them. All
//!   sections around it are suspended too.
//! - A section that waits for its mutexes shows none, so that a detach has nothing to unlock.

use std::ptr;

use pysync_lock::{LockFlags, Mutex, NotLocked};
use pysync_platform::{Deadline, Runtime};

use crate::section_thread::{SectionThread, die};
use crate::tag::Tagged;
use crate::{CriticalSection, ThreadState, trace};

/// The mutexes of a section, in the order in which it locks them; null for none.
pub(crate) type Mutexes = [*const Mutex; 2];

/// The mutexes of a section that holds none.
pub(crate) const NO_MUTEXES: Mutexes = [ptr::null(); 2];

/// The mutexes that a section shows.
///
/// # Safety
/// `link` leads to a section.
#[inline]
pub(crate) unsafe fn mutexes(link: Tagged) -> Mutexes {
    // SAFETY: by contract; the tag says whether there is a second mutex.
    unsafe {
        let mutex2 = link.untagged2().map_or(ptr::null(), |section2| (*section2).mutex2.get());
        [(*link.untagged()).mutex.get(), mutex2]
    }
}

/// Makes a section show `mutexes`. A section of one mutex drops the second.
///
/// # Safety
/// `link` leads to a section of the calling thread.
#[inline]
pub(crate) unsafe fn put(link: Tagged, [mutex, mutex2]: Mutexes) {
    // SAFETY: by contract; the tag says whether there is room for a second mutex.
    unsafe {
        (*link.untagged()).mutex.set(mutex);
        if let Some(section2) = link.untagged2() {
            (*section2).mutex2.set(mutex2);
        }
    }
}

/// Locks mutexes in the order given, detaching the thread for as long as it waits for one. The
/// first stays locked while the thread waits for the second.
///
/// # Safety
/// The mutexes are valid.
#[inline]
pub(crate) unsafe fn take<R: Runtime>(mutexes: Mutexes) {
    for mutex in mutexes {
        // SAFETY: by contract.
        if let Some(mutex) = unsafe { mutex.as_ref() } {
            let _acquired = mutex.lock_in::<R>(Deadline::NEVER, LockFlags::DETACH);
        }
    }
}

/// Unlocks mutexes in the order given: all of them, even if one turns out not to be locked.
///
/// # Safety
/// The mutexes are valid.
#[inline]
unsafe fn unlock(mutexes: Mutexes) -> Result<(), NotLocked> {
    let mut result = Ok(());
    for mutex in mutexes {
        // SAFETY: by contract.
        if let Some(mutex) = unsafe { mutex.as_ref() } {
            let unlocked = mutex.try_unlock();
            result = result.and(unlocked);
        }
    }
    result
}

/// Makes a section the innermost one. The link says that it is active.
///
/// # Safety
/// `thread` stands for the calling thread, on which the section that `link` leads to begins.
#[inline]
pub(crate) unsafe fn push<T: SectionThread>(thread: &T, link: Tagged) {
    // SAFETY: by contract.
    unsafe {
        (*link.untagged()).prev.set(thread.top());
        thread.set_top(link);
    }
}

/// Takes the innermost section off the stack, and resumes the section around it if that is
/// suspended. A thread that has detached leaves this to its next attach.
///
/// # Safety
/// `section` is the innermost one of the calling thread, which `thread` stands for.
///
/// CPython: Include/internal/pycore_critical_section.h:L134 _PyCriticalSection_Pop
#[doc(alias = "_PyCriticalSection_Pop")]
unsafe fn pop<T: SectionThread>(thread: &T, section: *const CriticalSection) {
    // L136-L138: off the stack first, since `resume` looks at the top.
    // SAFETY: by contract; the section around an innermost one has not ended.
    let prev = unsafe {
        let prev = (*section).prev.get();
        thread.set_top(prev);
        prev
    };

    // L140-L142: the section around this one was suspended in the meantime.
    if prev.is_inactive() && thread.is_attached() {
        // SAFETY: by contract, and there is a section.
        unsafe { resume(thread) };
    }
}

/// Ends a section: unlocks its mutexes, unless it is suspended, and pops it. Without effect on a
/// section that shows no mutex. If a mutex was not locked, the section ends all the same.
///
/// # Safety
/// `thread` stands for the calling thread, and `link` leads to a section that began on it, if it
/// has begun.
///
/// CPython: Include/internal/pycore_critical_section.h:L146 _PyCriticalSection_End
/// CPython: Include/internal/pycore_critical_section.h:L200 _PyCriticalSection2_End
// Each kind of section has its own copy, in which the tag of the link is a constant.
#[inline(always)]
#[track_caller]
pub(crate) unsafe fn finish<T: SectionThread>(thread: &T, link: Tagged) -> Result<(), NotLocked> {
    let section = link.untagged();
    // SAFETY: by contract.
    let [mutex, mutex2] = unsafe { mutexes(link) };
    if mutex.is_null() {
        return Ok(());
    }
    // SAFETY: by contract.
    let is_suspended = unsafe { assert_innermost(thread, section) }.is_inactive();
    // SAFETY: by contract.
    unsafe { put(link, NO_MUTEXES) };
    // L148, L202-L205: the caller reports misuse once the section is off the stack.
    // SAFETY: the mutexes outlive the section.
    let unlocked = if is_suspended { Ok(()) } else { unsafe { unlock([mutex2, mutex]) } };
    // L149, L206: the mutexes are free before the thread may block to resume the outer section.
    // SAFETY: the innermost section of the calling thread.
    unsafe { pop(thread, section) };
    unlocked
}

/// Unlocks the mutexes of all the thread's sections. Called as the thread detaches. If one of them
/// was not locked, the error comes once all sections are suspended.
///
/// Calls no foreign code, such as a trace subscriber's: halfway through, some sections have
/// unlocked their mutexes and are not yet marked as suspended.
///
/// # Safety
/// `thread` stands for the calling thread.
///
/// CPython: Python/critical_section.c:L56 _PyCriticalSection_SuspendAll
#[doc(alias = "_PyCriticalSection_SuspendAll")]
pub unsafe fn suspend_all<T: SectionThread>(thread: &T) -> Result<(), NotLocked> {
    // L59-L61: from the innermost outwards, up to the first that is suspended already. The
    // sections around that one are suspended too.
    // SAFETY: by contract.
    let mut tagged = unsafe { thread.top() };
    let mut inner = None;
    let mut result = Ok(());
    while tagged.is_active() {
        // L63-L70: a section that still waits for its mutexes shows none.
        // SAFETY: a section on the stack is pinned, has begun and has not ended.
        let unlocked = unsafe { unlock(mutexes(tagged)) };
        result = result.and(unlocked);

        // L73: the mark is in the link that leads to the section.
        // SAFETY: the same section as before.
        unsafe { set_link(thread, inner, tagged.inactive()) };
        // L74: outwards.
        let section = tagged.untagged();
        inner = Some(section);
        // SAFETY: as above.
        tagged = unsafe { (*section).prev.get() };
    }
    result
}

/// Writes the link that leads to a section: the thread's, or that of the section inside it.
///
/// # Safety
/// As for [`SectionThread::set_top`]; `inner` is on the thread's stack.
unsafe fn set_link<T: SectionThread>(
    thread: &T,
    inner: Option<*const CriticalSection>,
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
/// A wait detaches the thread and attaches it again, and the attach calls this function. So calls
/// nest:
/// 1. The outer call takes the mutexes out of the section, and waits for one of them. The thread
///    detaches, and sleeps.
/// 2. The thread wakes and attaches. The inner call finds no mutexes to lock, and marks the section
///    as active.
/// 3. The outer call may have to sleep again. This detach finds no mutexes to unlock, and marks the
///    section as suspended; the next attach does as in 2.
/// 4. The outer call has locked all mutexes. It puts them back, and marks the section as active.
///
/// # Safety
/// `thread` stands for the calling thread, which has a section.
///
/// CPython: Python/critical_section.c:L80 _PyCriticalSection_Resume
#[doc(alias = "_PyCriticalSection_Resume")]
#[inline(never)]
pub unsafe fn resume<T: SectionThread>(thread: &T) {
    // L83-L85: the innermost section; callers have seen that it is suspended.
    // SAFETY: by contract.
    let link = unsafe { thread.top() };
    debug_assert!(link.is_inactive(), "resuming a section that is not suspended");

    // L87-L96: the section shows no mutexes while the thread waits for them.
    // SAFETY: a section on the stack is pinned, has begun and has not ended.
    let mutexes = unsafe { mutexes(link) };
    // SAFETY: as above.
    unsafe { put(link, NO_MUTEXES) };

    // L98-L103: in the order in which they were first locked.
    // SAFETY: the mutexes of a section outlive it.
    unsafe { take::<T::Runtime>(mutexes) };

    // L105-L108: all are locked, so the section may show them again.
    // SAFETY: as above.
    unsafe { put(link, mutexes) };

    // L110: last of all. A nested call may have done it before.
    // SAFETY: the same section as before, and the calling thread's own link.
    unsafe { thread.set_top(thread.top().active()) };
    if !mutexes[0].is_null() {
        trace::resume(link.untagged().addr());
    }
}

/// Whether the section that `tagged` leads to holds `m`.
///
/// # Safety
/// `tagged` is the link to the innermost section of the calling thread, which is attached.
///
/// CPython: Include/internal/pycore_critical_section.h:L211 _PyCriticalSection_AssertHeld
#[inline]
pub(crate) unsafe fn holds(tagged: Tagged, m: &Mutex) -> bool {
    // L214-L215: the innermost section is active whenever its thread is attached.
    // L216-L223: the one mutex, or either of two.
    // SAFETY: a section on the stack is pinned, has begun and has not ended.
    tagged.is_active() && unsafe { mutexes(tagged) }.iter().any(|&mutex| ptr::eq(mutex, m))
}

/// Panics unless the innermost section of the thread, which the caller has attached, holds `m`.
/// For code that relies on its caller's section.
///
/// CPython: Include/internal/pycore_critical_section.h:L211 _PyCriticalSection_AssertHeld
/// CPython: Include/internal/pycore_critical_section.h:L57 _Py_CRITICAL_SECTION_ASSERT_MUTEX_LOCKED
#[doc(alias("_PyCriticalSection_AssertHeld", "_Py_CRITICAL_SECTION_ASSERT_MUTEX_LOCKED"))]
#[track_caller]
pub fn assert_held(m: &Mutex) {
    if !ThreadState::current_attached().holds_here(m) {
        die::<ThreadState>("the innermost critical section does not hold the mutex");
    }
}

/// The link to the section, which must be the thread's innermost one.
///
/// # Safety
/// `thread` stands for the calling thread.
#[track_caller]
unsafe fn assert_innermost<T: SectionThread>(
    thread: &T,
    section: *const CriticalSection,
) -> Tagged {
    // SAFETY: by contract.
    let top = unsafe { thread.top() };
    if !ptr::eq(top.untagged(), section) {
        die::<T>("critical section ended out of order: it is not the innermost one");
    }
    top
}
