//! Has each deadlock told to the program as well as to the thread that loses.

use std::sync::atomic::{
    AtomicPtr,
    Ordering::{Acquire, Release},
};

use crate::report::Deadlock;

/// The hook of all deadlocks, or null.
static HOOK: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());

/// Has `hook` called with each deadlock that is broken, on the thread that has lost, before that gets its error: to log
/// it, to count it, to end the process. A thread that enters what it is inside of calls it too. No lock is held, but for
/// the monitors that the thread is inside of. `None` takes the hook away.
///
/// A panic of the hook goes on in the thread that has lost.
pub fn set_deadlock_hook(hook: Option<fn(&Deadlock)>) {
    // Ordering: Release, of what the hook is to find; pairs with the Acquire of `call`.
    HOOK.store(hook.map_or(std::ptr::null_mut(), |hook| hook as *mut ()), Release);
}

/// Calls the hook.
pub(crate) fn call(deadlock: &Deadlock) {
    let hook = HOOK.load(Acquire);
    if !hook.is_null() {
        // SAFETY: stored as such a function.
        let hook = unsafe { std::mem::transmute::<*mut (), fn(&Deadlock)>(hook) };
        hook(deadlock);
    }
}
