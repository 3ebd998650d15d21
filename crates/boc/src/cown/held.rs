//! Cowns that a thread holds, outside of behaviours.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::time::Duration;

use pysync_platform::{Deadline, LockFlags, Native, ParkStatus, Runtime, detached};

use super::handle::{Cown, Value};
use super::header::{Row, enqueue, withdraw};
use super::slot::{Blocked, Grants, Slot};
use super::uses::Use;
use super::word::Mode;
use crate::scheduler::current::is_inside_body;

/// Acquires cowns for the calling thread, all together, behind all that is queued for them. The caller
/// keeps a handle of each.
///
/// # Panics
/// Inside a behaviour, if it would have to wait. If a pending call panics; nothing is held then.
///
/// # Safety
/// The cowns are in the order of their addresses, each once.
#[track_caller]
pub(crate) unsafe fn block<R: Runtime>(
    uses: &[Use],
    deadline: Deadline,
    flags: LockFlags,
) -> Result<(), NotAcquired> {
    assert!(
        deadline == Deadline::NOW || !is_inside_body(),
        "a behaviour must not wait for a cown: name it in `when`, or try to acquire it"
    );
    loop {
        // SAFETY: by contract.
        match unsafe { queue_and_wait::<R>(uses, deadline, flags) } {
            ParkStatus::Ok => return Ok(()),
            ParkStatus::Interrupted if flags.on_interrupt::<R>().is_some() => {
                return Err(NotAcquired::Interrupted);
            }
            ParkStatus::Interrupted => {}
            _ => return Err(NotAcquired::Timeout),
        }
    }
}

/// One turn, up to a signal if `flags` heed them.
///
/// # Safety
/// As for `block`.
unsafe fn queue_and_wait<R: Runtime>(
    uses: &[Use],
    deadline: Deadline,
    flags: LockFlags,
) -> ParkStatus {
    if uses.is_empty() {
        return ParkStatus::Ok;
    }
    // Not on the stack: in the child of a fork this thread is gone, its stack is used again, and what is
    // queued must be there still.
    let blocked = Box::new(Blocked::new(uses.len() as u32));
    let request = Blocked::request(&raw const *blocked);
    let slots: Box<[Slot]> =
        uses.iter().map(|used| Slot::new(used.cown, used.mode(), request)).collect();
    let row = Row { first: NonNull::from(&slots[..]).cast(), len: slots.len() };
    let mut is_complete = false;
    // SAFETY: ordered, by contract; they stay until the request is admitted or withdrawn.
    unsafe { enqueue(row, |_| is_complete = true) };
    if is_complete {
        return ParkStatus::Ok;
    }
    let heeds = LockFlags::HANDLE_SIGNALS | LockFlags::FAIL_IF_INTERRUPTED;
    detached::<R, _>(flags.contains(LockFlags::DETACH), || {
        loop {
            let status = blocked.parker.wait_until(deadline);
            match status {
                ParkStatus::Ok => return ParkStatus::Ok,
                ParkStatus::Interrupted if !flags.intersects(heeds) => continue,
                _ => {}
            }
            // SAFETY: queued above. The thread attaches, which may last for ever, only once it is off the
            // queues and others have what it was in the way of.
            if Grants::handing_over(|grants| unsafe { withdraw(row, grants) }) {
                return status;
            }
            // The one that has admitted it is about to wake it.
            while blocked.parker.wait_until(Deadline::NEVER) != ParkStatus::Ok {}
            return ParkStatus::Ok;
        }
    })
}

/// A cown that is held as a writer, released when this is dropped.
struct Hold<T>(Cown<T>);

impl<T> Drop for Hold<T> {
    fn drop(&mut self) {
        let cown = self.0.header();
        // SAFETY: held as a writer, and the handle keeps it.
        Grants::handing_over(|grants| unsafe { cown.as_ref().release(Mode::Write, grants) });
    }
}

impl<T> Hold<T> {
    /// There is none if the cown has no value.
    fn with_value(self) -> Option<Held<T>> {
        // SAFETY: the handle keeps it.
        let is_disowned = unsafe { self.0.header().as_ref() }.word.is_disowned();
        (!is_disowned).then_some(Held { hold: self })
    }
}

/// A cown that a thread has acquired, or that was [born so](Cown::held). It gives access to the value; its
/// drop releases the cown, from whatever thread that is. A behaviour may be given one to keep.
///
/// Leaked, it keeps the cown for good, and what waits for it waits for ever.
#[must_use = "the cown is released when this is dropped"]
pub struct Held<T> {
    /// There is a value.
    hold: Hold<T>,
}

impl<T> Held<T> {
    /// The caller holds the cown, as a writer, and knows that there is a value.
    pub(super) fn new(cown: Cown<T>) -> Self {
        Self { hold: Hold(cown) }
    }

    /// The cown itself.
    pub fn cown(&self) -> &Cown<T> {
        &self.hold.0
    }

    /// Drops the value now, and releases the cown. What is or will be asked of the cown does not run: its
    /// outcome is [`Failed::Disowned`](crate::Failed::Disowned).
    ///
    /// # Panics
    /// If the drop of the value panics. The cown is disowned and released nevertheless.
    pub fn disown(self) {
        drop(self.take());
    }

    /// The value. The cown is left without one.
    pub(crate) fn take(self) -> T {
        let header = self.cown().header();
        // SAFETY: held as a writer. It is not looked at again, since it is disowned.
        unsafe {
            let value = Value::<T>::get_mut(header).read();
            header.as_ref().word.disown();
            value
        }
    }
}

/// Why a thread has not acquired a cown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAcquired {
    /// The deadline has passed.
    Timeout,
    /// A signal has come, and the caller's flags let it end the wait.
    Interrupted,
    /// The value has been [disowned](Held::disown).
    Disowned,
}

impl fmt::Display for NotAcquired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout => "the cown was not free in time",
            Self::Interrupted => "a signal has ended the wait for the cown",
            Self::Disowned => "the cown's value has been disowned",
        })
    }
}

impl std::error::Error for NotAcquired {}

impl<T> Deref for Held<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: held as a writer, for as long as this is borrowed.
        unsafe { &*Value::<T>::get(self.cown().header()) }
    }
}

impl<T> DerefMut for Held<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: held as a writer, for as long as this is borrowed.
        unsafe { &mut *Value::<T>::get_mut(self.cown().header()) }
    }
}

impl<T: fmt::Debug> fmt::Debug for Held<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Held").field(&**self).finish()
    }
}

// SAFETY: two threads that share it get shared references to the value.
unsafe impl<T: Send + Sync> Sync for Held<T> {}

impl<T> Cown<T> {
    /// Acquires the cown if that can be done at once: if it is free, and has a value. Never blocks. May be
    /// called inside a behaviour.
    pub fn try_acquire(&self) -> Option<Held<T>> {
        if self.try_hold() { Hold(self.clone()).with_value() } else { None }
    }

    /// Acquires the cown, behind all behaviours and threads that have asked for it before, and before all
    /// that ask after. Blocks through signals, and detached while it sleeps.
    ///
    /// # Panics
    /// Inside a behaviour, whose worker would wait for itself. If the value has been
    /// [disowned](Held::disown).
    #[track_caller]
    pub fn acquire(&self) -> Held<T> {
        match self.acquire_in::<Native>(Deadline::NEVER, LockFlags::DETACH) {
            Ok(held) => held,
            Err(error) => panic!("{error}"),
        }
    }

    /// [`acquire`](Self::acquire) for a time: `None` waits for ever, and `Some(ZERO)` not at all. There is
    /// none after that, or if the value has been disowned. A request that gives up does not stand in the way
    /// of those behind it.
    ///
    /// # Panics
    /// Inside a behaviour, if the timeout is not zero.
    #[track_caller]
    pub fn acquire_timed(&self, timeout: Option<Duration>) -> Option<Held<T>> {
        self.acquire_in::<Native>(deadline_after(timeout), LockFlags::DETACH).ok()
    }

    /// [`acquire`](Self::acquire) in any runtime, until a deadline. A signal that interrupts the wait ends
    /// it or has pending calls run, as `flags` say. If it goes on after that, it does so behind all others.
    ///
    /// # Errors
    /// Why the cown is not the caller's.
    ///
    /// # Panics
    /// Inside a behaviour, unless the deadline is [`Deadline::NOW`]. If a pending call panics.
    #[track_caller]
    pub fn acquire_in<R: Runtime>(
        &self,
        deadline: Deadline,
        flags: LockFlags,
    ) -> Result<Held<T>, NotAcquired> {
        if !self.try_hold() {
            let used = [Use::new(self.header(), Mode::Write)];
            // SAFETY: one cown, which this handle keeps.
            unsafe { block::<R>(&used, deadline, flags) }?;
        }
        Hold(self.clone()).with_value().ok_or(NotAcquired::Disowned)
    }
}

/// When a wait ends that lasts so long. At once needs no clock.
pub(crate) fn deadline_after(timeout: Option<Duration>) -> Deadline {
    if timeout == Some(Duration::ZERO) { Deadline::NOW } else { Deadline::after(timeout) }
}
