//! What a thread that is inside of a monitor has.

use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use pysync_platform::{Deadline, LockFlags, Native, Runtime};

use crate::condition::{self, Waited};
use crate::error::Stopped;
use crate::frame::Frame;
use crate::monitor::{Monitor, enter_lock};
use crate::node::Node;
use crate::nodes::Hidden;
use crate::predicate::{Condition, Predicate};
use crate::report::Deadlock;
use crate::scope::Cancelled;
use crate::undo;

/// What a thread that is inside of a [`Monitor`] has: the value.
///
/// It is given to the body by value, and a wait takes it. So a thread that loses while it waits has nothing left to
/// touch: the error has to leave the body. To forget it does no harm, for the monitor is left by the call in which it
/// was entered. It stays on its thread.
///
/// Called directly, code that is inside already is given the value, `&mut T`. To enter by the monitor again is an
/// error.
pub struct Inside<'i, T: ?Sized> {
    monitor: NonNull<Monitor<T>>,
    frame: NonNull<Frame>,
    me: &'static Node,
    /// It does not leave the body, and gives the value as a pointer does: to one thread, in one type.
    inside: PhantomData<(&'i (), *mut T)>,
}

impl<T: ?Sized> Inside<'_, T> {
    /// # Safety
    /// The calling thread, whose node this is, has entered the monitor by this frame, and leaves it by the frame's
    /// `is_inside`, after `'i`.
    #[inline]
    pub(crate) unsafe fn new(monitor: &Monitor<T>, frame: &Frame, me: &'static Node) -> Self {
        Self {
            monitor: NonNull::from(monitor),
            frame: NonNull::from(frame),
            me,
            inside: PhantomData,
        }
    }

    #[inline]
    fn monitor(&self) -> &Monitor<T> {
        // SAFETY: borrowed by the call in which the thread is.
        unsafe { self.monitor.as_ref() }
    }

    #[inline]
    fn frame(&self) -> &Frame {
        // SAFETY: on the stack of the call in which the thread is.
        unsafe { self.frame.as_ref() }
    }

    /// Waits outside until `ready` is true of the value. It is true on return, and no other thread has been inside
    /// since it was found to be.
    ///
    /// Who gets in meanwhile sees what has been written, and [`undo`](Self::undo)s given before are dropped. While it
    /// waits the thread sleeps, detached from its runtime, and through signals. Nothing is allocated.
    ///
    /// # Errors
    /// - `Deadlock`: the wait would never end, and the calling thread is the youngest of those that would wait for ever.
    /// - `Cancelled`: the [`branch`](crate::branch()) that the thread is in is cancelled, or is so already. If `ready` is
    ///   true at once, that does not count.
    ///
    /// The thread is not inside then.
    ///
    /// # Panics
    /// If the thread is inside of another monitor that it has entered after this one, or if `ready` panics.
    #[track_caller]
    pub fn wait_until(self, ready: impl Fn(&T) -> bool + Sync) -> Result<Self, Stopped> {
        let how = (Deadline::NEVER, LockFlags::DETACH);
        self.wait::<Native, _>(&ready, Location::caller(), how).map(|(inside, _)| inside)
    }

    /// [`wait_until`](Self::wait_until) for a [`Condition`]: it is evaluated once for all that wait for it, and reports
    /// have its name.
    ///
    /// # Errors
    /// As [`wait_until`](Self::wait_until).
    ///
    /// # Panics
    /// As [`wait_until`](Self::wait_until).
    #[track_caller]
    pub fn wait_for(self, condition: &Condition<T>) -> Result<Self, Stopped> {
        let how = (Deadline::NEVER, LockFlags::DETACH);
        self.wait::<Native, _>(&condition, Location::caller(), how).map(|(inside, _)| inside)
    }

    /// [`wait_until`](Self::wait_until) for a time. Also says whether `ready` is true: if not, the timeout has run out,
    /// and the thread has entered again, for which it may have waited longer.
    ///
    /// # Errors
    /// As [`wait_until`](Self::wait_until); a deadlock may also be that of the entry after the timeout.
    ///
    /// # Panics
    /// As [`wait_until`](Self::wait_until).
    #[track_caller]
    pub fn wait_until_for(
        self,
        timeout: Duration,
        ready: impl Fn(&T) -> bool + Sync,
    ) -> Result<(Self, bool), Stopped> {
        let how = (Deadline::after(Some(timeout)), LockFlags::DETACH);
        self.wait::<Native, _>(&ready, Location::caller(), how)
    }

    /// [`wait_until_for`](Self::wait_until_for) until a deadline, in a runtime of the caller's choice, for a closure or a
    /// reference to a [`Condition`]. `DETACH` detaches
    /// the thread from it while it waits; `HANDLE_SIGNALS` runs its pending calls when a signal comes, and
    /// `FAIL_IF_INTERRUPTED` ends the wait then.
    ///
    /// # Errors
    /// As [`wait_until_for`](Self::wait_until_for), and `Interrupted` if the flags let a signal end the wait. The thread
    /// is not inside then.
    ///
    /// # Panics
    /// As [`wait_until_for`](Self::wait_until_for), and if a pending call panics.
    #[track_caller]
    pub fn wait_until_in<R: Runtime>(
        self,
        deadline: Deadline,
        flags: LockFlags,
        ready: impl Predicate<T>,
    ) -> Result<(Self, bool), Stopped> {
        self.wait::<R, _>(&ready, Location::caller(), (deadline, flags))
    }

    pub(crate) fn wait<R: Runtime, P: Predicate<T>>(
        self,
        ready: &P,
        at: &'static Location<'static>,
        (deadline, flags): (Deadline, LockFlags),
    ) -> Result<(Self, bool), Stopped> {
        loop {
            if self.finds_true(ready) {
                return Ok((self, true));
            }
            self.lets_others_in("wait");
            let who = (&self.monitor().lock, self.frame(), self.me);
            let what = (self.monitor().value.get().cast_const(), ready);
            // SAFETY: this thread is inside, by this frame, and has given up what it had of the value.
            match unsafe { condition::wait::<R, T, P>(who, what, at, (deadline, flags)) } {
                Waited::True => return Ok((self, true)),
                Waited::Deadlock(deadlock) => return Err(Stopped::Deadlock(deadlock)),
                Waited::Cancelled => return Err(Stopped::Cancelled(Cancelled)),
                Waited::Interrupted if flags.on_interrupt::<R>().is_some() => {
                    return Err(Stopped::Interrupted);
                }
                // The pending calls have run, and the wait goes on.
                Waited::Interrupted => self.enter_again(at)?,
                Waited::Timeout => {
                    self.enter_again(at)?;
                    let is_true = self.finds_true(ready);
                    return Ok((self, is_true));
                }
            }
        }
    }

    /// Leaves the monitor, calls `f`, and enters again.
    ///
    /// Other threads see what has been written, and [`undo`](Self::undo)s given before are dropped.
    ///
    /// # Errors
    /// As for [`enter`](Monitor::enter), of the second entry. The thread is not inside then, and what `f` has returned
    /// is dropped.
    ///
    /// # Panics
    /// If the thread is inside of another monitor that it has entered after this one, or if `f` panics: the thread is
    /// outside then.
    #[track_caller]
    pub fn leave<R>(self, f: impl FnOnce() -> R) -> Result<(Self, R), Deadlock> {
        let at = Location::caller();
        self.lets_others_in("leave");
        self.frame().is_inside.set(false);
        self.monitor().lock.leave(self.me);
        let result = f();
        self.enter_again(at)?;
        Ok((self, result))
    }

    /// Has `action` put the value right, if the body fails: if it panics, or, in [`with`](Monitor::with) and
    /// [`with_all`](crate::with_all), returns an error. The actions are called inside, the last one first.
    ///
    /// A wait that does not find its condition true at once, and [`leave`](Self::leave), let others see what has been
    /// written: after that it is not undone. An action that panics while another panic unwinds ends the process, as in
    /// any drop. Allocates.
    pub fn undo(&mut self, action: impl FnOnce(&mut T) + 'static) {
        undo::add::<T>(self.frame(), Box::new(action));
    }

    fn finds_true(&self, ready: &impl Predicate<T>) -> bool {
        let _hidden = Hidden::while_evaluating();
        ready.is_true(self)
    }

    /// Enters the monitor that the thread has left, by the same frame.
    fn enter_again(&self, at: &'static Location<'static>) -> Result<(), Deadlock> {
        enter_lock(&self.monitor().lock, self.me, at)?;
        self.frame().is_inside.set(true);
        Ok(())
    }

    #[track_caller]
    fn lets_others_in(&self, what: &str) {
        assert!(
            ptr::eq(self.me.frames.load(Relaxed), self.frame()),
            "a {what} in a monitor inside of which another one was entered"
        );
        if !self.frame().undo.get().is_null() {
            // SAFETY: the frame is of an entry into this monitor.
            unsafe { undo::commit::<T>(self.frame()) };
        }
    }
}

impl<T: ?Sized> std::ops::Deref for Inside<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: this thread alone is inside.
        unsafe { &*self.monitor().value.get() }
    }
}

impl<T: ?Sized> std::ops::DerefMut for Inside<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.frame().is_dirty.set(true);
        // SAFETY: as above, and this is borrowed.
        unsafe { &mut *self.monitor().value.get() }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Inside<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for Inside<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
