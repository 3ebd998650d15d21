//! To try again after a deadlock, with the age of the first try.

use std::sync::atomic::Ordering::Relaxed;

use pysync_platform::primitive::yield_now;
use pysync_platform::{Deadline, TIME_TO_BE_FAIR};

use crate::error::AsDeadlock;
use crate::node::Node;
use crate::nodes;
use crate::report::Deadlock;

/// Calls `f` until it does not end with a deadlock.
///
/// The attempt keeps its age. So it becomes the oldest of all, and then loses no more, but in a cycle in which all others
/// wait for threads. That holds if bodies end, and take nothing that is not a monitor while they are inside.
///
/// Before it tries again, a thread that has lost gives way to the one that was inside of what it wanted, until that
/// is outside of all monitors, but for a millisecond at most.
///
/// # Errors
/// Those of `f`, but for deadlocks. These are returned
/// - if the calling thread is inside of a monitor, which it has entered before: it would not leave that, so that the
///   cycle would be there again at once;
/// - if the thread wanted what it was inside of, if a thread of the cycle waits for other threads, or if nothing in a
///   closed branch can go on: the next try would find the same.
pub fn attempt<R, E: AsDeadlock>(mut f: impl FnMut() -> Result<R, E>) -> Result<R, E> {
    let me = nodes::current();
    me.own.attempts.set(me.own.attempts.get() + 1);
    let _attempt = Attempt(me);
    loop {
        match f() {
            Err(error)
                if me.is_outside() && error.as_deadlock().is_some_and(Deadlock::may_pass) =>
            {
                me.has_left_all();
                drop(error);
                give_way(me);
            }
            result => return result,
        }
    }
}

/// Yields until the thread that was inside of what this one wanted has done what it was about to do. If it waits for a
/// condition, this thread may be the one that makes it true: so not for long.
fn give_way(me: &Node) {
    let Some((other, stamp)) = me.own.lost_to.take() else { return };
    let deadline = Deadline::after(Some(TIME_TO_BE_FAIR));
    while other.stamp() == stamp && !deadline.has_passed() {
        yield_now();
    }
}

/// The calling thread is in an attempt until this is dropped.
struct Attempt(&'static Node);

impl Drop for Attempt {
    fn drop(&mut self) {
        let attempts = &self.0.own.attempts;
        attempts.set(attempts.get() - 1);
        if self.0.frames.load(Relaxed).is_null() {
            self.0.has_left_all();
        }
    }
}
