//! A value that one thread at a time is inside of.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use pysync_platform::{Deadline, LockFlags, Native, Runtime};

use crate::error::{EnterError, Stopped};
use crate::frame::Frame;
use crate::inside::Inside;
use crate::lock::{Blocked, Lock};
use crate::node::Node;
use crate::nodes;
use crate::report::Deadlock;
use crate::undo;
use crate::value::Value;

/// A value that one thread at a time is inside of, where a deadlock is an error of the thread that can best do without.
///
/// A thread that has to wait follows who waits for whom. If it comes back to itself, all of these threads would wait for
/// ever: the youngest loses, gets a [`Deadlock`], leaves what it is inside of, and may try again by
/// [`attempt`](crate::attempt()). How old a thread is goes by its first wait since it was last outside of all monitors, or
/// since its attempt began. Only waits in monitors and branches are followed: a thread that waits for another kind of
/// lock counts as one that runs.
///
/// Which thread is inside is known by its node. It takes four words beside the value. To enter and to leave are one
/// exchange each, as for a mutex; the places from which threads enter are noted on their stacks.
///
/// **Fairness**: a thread that waits for longer than a millisecond is handed the monitor. **Panics** leave the monitor
/// as any return does, and nothing is poisoned: [`undo`](Inside::undo) puts a value right. **Fork**: if another thread
/// was inside, or waited, the child calls [`after_fork`](Self::after_fork). **Signals**: a handler must not enter.
///
/// ```
/// # #[cfg(not(any(pysync_loom, pysync_shuttle)))] {
/// use pysync_monitor::{Deadlock, Monitor, attempt};
///
/// static HERS: Monitor<i64> = Monitor::named("her account", 100);
/// static HIS: Monitor<i64> = Monitor::named("his account", 0);
///
/// fn transfer(from: &Monitor<i64>, to: &Monitor<i64>, amount: i64) -> Result<(), Deadlock> {
///     attempt(|| {
///         from.enter(|mut from| {
///             to.enter(|mut to| {
///                 *from -= amount;
///                 *to += amount;
///             })
///         })?
///     })
/// }
///
/// std::thread::scope(|scope| {
///     scope.spawn(|| transfer(&HERS, &HIS, 30).unwrap());
///     scope.spawn(|| transfer(&HIS, &HERS, 10).unwrap());
/// });
/// assert_eq!(HERS.enter(|account| *account).unwrap(), 80);
/// # }
/// ```
pub struct Monitor<T: ?Sized> {
    pub(crate) lock: Lock,
    pub(crate) value: Value<T>,
}

// SAFETY: one thread at a time gets to the value, and it may be another each time.
unsafe impl<T: ?Sized + Send> Send for Monitor<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send> Sync for Monitor<T> {}

impl<T> Monitor<T> {
    /// A monitor that no thread is inside of.
    pub const fn new(value: T) -> Self {
        Self { lock: Lock::new::<T>(None), value: Value::new(value) }
    }

    /// One with a name, for reports.
    pub const fn named(name: &'static str, value: T) -> Self {
        Self { lock: Lock::new::<T>(Some(name)), value: Value::new(value) }
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Monitor<T> {
    /// The value, which no other thread can be inside of.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    /// Calls `f` inside. Blocks while another thread is inside: asleep, detached from its runtime, and through signals.
    /// Allocates at a thread's first use of a monitor, and where a cycle is found.
    ///
    /// # Errors
    /// If the wait would never end, and the calling thread is the youngest of those that would wait for ever; also if it
    /// is inside already.
    ///
    /// # Panics
    /// If `f` panics.
    #[track_caller]
    #[inline]
    pub fn enter<R>(&self, f: impl FnOnce(Inside<'_, T>) -> R) -> Result<R, Deadlock> {
        let (at, me) = (Location::caller(), nodes::current());
        enter_lock(&self.lock, me, at)?;
        Ok(self.inside(me, at, f))
    }

    /// [`enter`](Self::enter) for bodies that return results: one `?` leaves all that are around it.
    ///
    /// # Errors
    /// Those of `f`, and a deadlock as one of them. What `f` has left to [`undo`](Inside::undo) is undone.
    ///
    /// # Panics
    /// If `f` panics.
    #[track_caller]
    #[inline]
    pub fn with<R, E: From<Deadlock>>(
        &self,
        f: impl FnOnce(Inside<'_, T>) -> Result<R, E>,
    ) -> Result<R, E> {
        let (at, me) = (Location::caller(), nodes::current());
        enter_lock(&self.lock, me, at)?;
        self.body(me, at, f, Result::is_ok)
    }

    /// [`enter`](Self::enter) that panics where that fails: to adopt monitors step by step.
    ///
    /// # Panics
    /// With the report, where [`enter`](Self::enter) is an error; and if `f` panics.
    #[track_caller]
    #[inline]
    pub fn enter_or_panic<R>(&self, f: impl FnOnce(Inside<'_, T>) -> R) -> R {
        let (at, me) = (Location::caller(), nodes::current());
        if let Err(deadlock) = enter_lock(&self.lock, me, at) {
            panic!("{deadlock}");
        }
        self.inside(me, at, f)
    }

    /// Calls `f` inside once `ready` is true of the value.
    ///
    /// # Errors
    /// As [`enter`](Self::enter) and [`wait_until`](Inside::wait_until).
    ///
    /// # Panics
    /// If `f` or `ready` panics.
    #[track_caller]
    pub fn enter_when<R>(
        &self,
        ready: impl Fn(&T) -> bool + Sync,
        f: impl FnOnce(Inside<'_, T>) -> R,
    ) -> Result<R, Stopped> {
        let (at, me) = (Location::caller(), nodes::current());
        enter_lock(&self.lock, me, at)?;
        self.inside(me, at, |inside| {
            let how = (Deadline::NEVER, LockFlags::DETACH);
            inside.wait::<Native, _>(&ready, at, how).map(|(inside, _)| f(inside))
        })
    }

    /// Calls `f` inside, if no other thread is. Never blocks, and gets in before threads that wait. `None` also if the
    /// calling thread is inside.
    ///
    /// # Panics
    /// If `f` panics.
    #[track_caller]
    #[inline]
    pub fn try_enter<R>(&self, f: impl FnOnce(Inside<'_, T>) -> R) -> Option<R> {
        let me = nodes::current();
        self.lock.try_enter(me).then(|| self.inside(me, Location::caller(), f))
    }

    /// [`enter`](Self::enter) that waits for a time. `ZERO` is one attempt.
    ///
    /// # Errors
    /// As [`enter`](Self::enter), or `Timeout`, which does not come before the time is over.
    ///
    /// # Panics
    /// If `f` panics.
    #[track_caller]
    pub fn enter_for<R>(
        &self,
        timeout: Duration,
        f: impl FnOnce(Inside<'_, T>) -> R,
    ) -> Result<R, EnterError> {
        let deadline = Deadline::after(Some(timeout));
        self.enter_in::<Native, R>(deadline, LockFlags::DETACH, f)
    }

    /// [`enter_for`](Self::enter_for) until a deadline, in a runtime of the caller's choice. `DETACH` detaches the thread
    /// from it while it waits; `HANDLE_SIGNALS` runs its pending calls when a signal comes, after which the thread waits
    /// behind the others; `FAIL_IF_INTERRUPTED` ends the wait then.
    ///
    /// # Errors
    /// As [`enter_for`](Self::enter_for), and `Interrupted` if the flags let a signal end the wait.
    ///
    /// # Panics
    /// If `f` or a pending call panics.
    #[track_caller]
    pub fn enter_in<W: Runtime, R>(
        &self,
        deadline: Deadline,
        flags: LockFlags,
        f: impl FnOnce(Inside<'_, T>) -> R,
    ) -> Result<R, EnterError> {
        let (at, me) = (Location::caller(), nodes::current());
        if !self.lock.enter_fast(me) {
            self.lock.enter_slow::<W>(me, at, deadline, flags).map_err(
                |blocked| match blocked {
                    Blocked::Deadlock(deadlock) => EnterError::Deadlock(deadlock),
                    Blocked::Timeout => EnterError::Timeout,
                    Blocked::Interrupted => EnterError::Interrupted,
                },
            )?;
        }
        Ok(self.inside(me, at, f))
    }

    /// Forgets the thread that is inside and those that wait, unless that is the calling one.
    ///
    /// To be called in the child of a fork, after [`pysync_monitor::after_fork`](crate::after_fork). The value is as the
    /// thread left it that was inside.
    ///
    /// # Safety
    /// The calling thread is the only one in the process.
    pub unsafe fn after_fork(&self) {
        self.lock.after_fork(nodes::current());
    }

    #[inline]
    fn inside<R>(
        &self,
        me: &'static Node,
        at: &'static Location<'static>,
        f: impl FnOnce(Inside<'_, T>) -> R,
    ) -> R {
        self.body(me, at, f, |_| true)
    }

    /// Calls `f` with the value, and leaves. The calling thread has the lock.
    #[inline]
    fn body<R>(
        &self,
        me: &'static Node,
        at: &'static Location<'static>,
        f: impl FnOnce(Inside<'_, T>) -> R,
        is_good: impl FnOnce(&R) -> bool,
    ) -> R {
        let frame = Frame::new(&raw const self.lock, at);
        // SAFETY: it stays here until `leave` is dropped.
        unsafe { frame.push(me) };
        let leave = Leave { me, frame: &frame, monitor: self };
        // SAFETY: entered by this frame, and left by the drop of `leave`.
        let result = f(unsafe { Inside::new(self, &frame, me) });
        // SAFETY: the frame is of this entry.
        unsafe { settle_frame(self, &frame, is_good(&result)) };
        drop(leave);
        result
    }
}

/// Leaves a monitor, also by a panic.
struct Leave<'a, T: ?Sized> {
    me: &'static Node,
    frame: &'a Frame,
    monitor: &'a Monitor<T>,
}

impl<T: ?Sized> Drop for Leave<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // Anything is left to undo only if the body has panicked.
        // SAFETY: the frame is of an entry into this monitor.
        unsafe { settle_frame(self.monitor, self.frame, false) };
        leave_frame(&self.monitor.lock, self.frame, self.me);
    }
}

/// A body has returned, or panicked: what it has left to undo is dropped, or done.
///
/// # Safety
/// The frame is of an entry of the calling thread into this monitor.
#[inline]
pub(crate) unsafe fn settle_frame<T: ?Sized>(monitor: &Monitor<T>, frame: &Frame, is_good: bool) {
    if !frame.undo.get().is_null() {
        // SAFETY: the thread is inside, for a wait drops the actions, and none can be given after it has failed.
        unsafe {
            match is_good {
                true => undo::commit::<T>(frame),
                false => undo::roll_back(frame, monitor.value.get()),
            }
        }
    }
}

/// Leaves the monitor that was entered last.
#[inline]
pub(crate) fn leave_frame(lock: &Lock, frame: &Frame, me: &'static Node) {
    frame.pop(me);
    if frame.is_inside.get() {
        lock.leave(me);
    }
    if frame.outer.get().is_null() {
        me.has_left_all();
    }
}

/// Enters, by a lock, and waits for as long as it takes.
#[inline]
pub(crate) fn enter_lock(
    lock: &Lock,
    me: &'static Node,
    at: &'static Location<'static>,
) -> Result<(), Deadlock> {
    if lock.enter_fast(me) { Ok(()) } else { enter_slow(lock, me, at) }
}

#[cold]
fn enter_slow(
    lock: &Lock,
    me: &'static Node,
    at: &'static Location<'static>,
) -> Result<(), Deadlock> {
    match lock.enter_slow::<Native>(me, at, Deadline::NEVER, LockFlags::DETACH) {
        Ok(()) => Ok(()),
        Err(Blocked::Deadlock(deadlock)) => Err(deadlock),
        Err(Blocked::Timeout | Blocked::Interrupted) => unreachable!("no deadline and no flag"),
    }
}

impl<T: Default> Default for Monitor<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for Monitor<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Monitor<T> {
    /// Shows the value, if no thread is inside.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Monitor");
        debug.field("id", &format_args!("{}", self.lock.id()));
        let is_shown = self.try_enter(|value| _ = debug.field("value", &&*value)).is_some();
        if !is_shown {
            debug.field("value", &format_args!("<a thread is inside>"));
        }
        debug.finish()
    }
}
