//! What a thread in a branch does to be cancelled, and not to be.

use std::cell::Cell;
use std::pin::pin;
use std::ptr;
use std::time::Duration;

use pysync_parking_lot::{Key, Position, Waiter};
use pysync_platform::primitive::atomic::{Ordering::SeqCst, fence};
use pysync_platform::{Deadline, LockFlags, Native, ParkStatus};

use super::{CURRENT, Cancelled, SHIELDS, Scope};
use crate::node::State;
use crate::nodes::{self, Hidden};

/// Whether the calling thread is to give up what it waits for.
pub(crate) fn is_cancelled() -> bool {
    if SHIELDS.with(Cell::get) > 0 {
        return false;
    }
    // SAFETY: the scope that the thread is in is there.
    unsafe { CURRENT.with(Cell::get).as_ref() }.is_some_and(Scope::is_cancelled)
}

/// Whether waits of the calling thread can be cancelled.
pub(crate) fn is_in_scope() -> bool {
    SHIELDS.with(Cell::get) == 0 && !CURRENT.with(Cell::get).is_null()
}

/// Fails once the [`branch`](crate::branch()) that the thread is in has been cancelled, or one around it, and ever after.
/// In no branch, and in a [`shield`], it does not fail.
///
/// Does not block, allocate or panic.
///
/// # Errors
/// [`Cancelled`].
///
/// ```
/// use pysync_monitor::{Cancelled, branch, check};
///
/// assert!(check().is_ok());
/// let found = branch::<_, Cancelled>(|b| {
///     let search = b.spawn::<()>(|| loop { check()? });
///     b.cancel();
///     assert!(search.join().is_err());
///     check()
/// });
/// assert!(found.is_err());
/// ```
pub fn check() -> Result<(), Cancelled> {
    if is_cancelled() { Err(Cancelled) } else { Ok(()) }
}

/// Sleeps for `time`, unless the thread is cancelled. In no branch, and in a [`shield`], for all of it.
///
/// A signal does not end the sleep. The thread detaches from its runtime meanwhile.
///
/// # Errors
/// [`Cancelled`], as soon as the thread is; at once if it has been, whatever `time` is.
///
/// ```
/// use pysync_monitor::{Cancelled, branch, sleep};
/// use std::time::Duration;
///
/// let result = branch::<_, Cancelled>(|b| {
///     b.spawn(|| sleep(Duration::from_secs(3600)));
///     b.cancel();
///     Ok(())
/// });
/// assert!(result.is_err());
/// ```
pub fn sleep(time: Duration) -> Result<(), Cancelled> {
    check()?;
    let me = nodes::current();
    let deadline = Deadline::after(Some(time));
    let waiter = pin!(Waiter::new(ptr::null_mut()));
    let waiter = waiter.as_ref();
    me.begin_sleep(is_in_scope());
    loop {
        // SAFETY: no code reads the arguments of this key.
        unsafe { waiter.queue(Key::of(me.sleep_word()), Position::Back, || true) };
        // Ordering: between the publication of the sleep and the look at the flag; pairs with that of `cancel`.
        fence(SeqCst);
        if is_cancelled() || me.wait_word().state() != State::Waiting {
            waiter.leave();
            break;
        }
        let hidden = Hidden::while_waiting();
        let status = waiter.sleep::<Native>(deadline, LockFlags::DETACH);
        drop(hidden);
        if status == ParkStatus::Timeout {
            break;
        }
        // Woken by a cancel: of this sleep, or one that is late, of a sleep before it.
    }
    me.settle(me.wait_word(), State::Idle);
    check()
}

/// Calls `f`, in which the thread is not cancelled: for what has to be put right. After it the thread is, if it was
/// before or has been meanwhile.
///
/// | in `f` | |
/// |---|---|
/// | [`check`] | succeeds |
/// | [`sleep`], a wait for a condition | go on to their end |
/// | a [`branch`](crate::branch()) | is cancelled by its own failures and [`cancel`](crate::Branch::cancel), and not with those around it |
/// | a thread that is made by a branch around `f` | is cancelled with that branch: the shield is not its own |
///
/// Shields may be nested.
///
/// ```
/// use pysync_monitor::{Cancelled, branch, check, shield, sleep};
/// use std::time::Duration;
///
/// let result = branch::<(), Cancelled>(|b| {
///     b.cancel();
///     shield(|| sleep(Duration::from_millis(1))).unwrap();
///     check()
/// });
/// assert!(result.is_err());
/// ```
pub fn shield<R>(f: impl FnOnce() -> R) -> R {
    struct Shield;
    impl Drop for Shield {
        fn drop(&mut self) {
            SHIELDS.with(|shields| shields.set(shields.get() - 1));
        }
    }
    SHIELDS.with(|shields| shields.set(shields.get() + 1));
    let _shield = Shield;
    f()
}
