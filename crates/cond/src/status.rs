use pysync_platform::{LockFlags, ParkStatus, Runtime};

/// How a wait ended. However it did, a lock that was given up for it is held again.
///
/// ```
/// use pysync_cond::{Cond, LockFlags, WaitStatus};
/// use pysync_lock::Mutex;
/// use std::time::Duration;
///
/// let (mutex, cond) = (Mutex::new(), Cond::new());
/// mutex.lock();
/// let soon = Some(Duration::from_millis(1));
/// assert_eq!(cond.wait_timed(&mutex, soon, LockFlags::DETACH), WaitStatus::TimedOut);
/// assert!(mutex.is_locked());
/// # mutex.unlock();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum WaitStatus {
    /// A notification has come for this thread, and counts it. The deadline may have passed too.
    Notified,
    /// The deadline has passed, and no notification counts this thread.
    TimedOut,
    /// A signal came, and the flags let it end the wait. Or the thread forked while it waited, and
    /// this is the child, in which nobody would notify it.
    Interrupted,
    /// The [`Cancel`](crate::Cancel) that the wait was given is set.
    Cancelled,
}

/// What a thread does next whose sleep is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// Its wait is over.
    Ends(WaitStatus),
    /// A signal ended its sleep, and its pending calls have succeeded: it looks at what it waits for,
    /// and may wait again.
    LooksAgain,
}

impl Woken {
    /// After a sleep that ended as `status`. Runs the pending calls of `R` if a signal ended it and
    /// `flags` say so. So the thread is on no queue then, and holds no lock that it waits with.
    ///
    /// # Panics
    /// If a pending call panics.
    pub(crate) fn after<R: Runtime>(status: ParkStatus, flags: LockFlags) -> Self {
        match status {
            ParkStatus::Ok => Self::Ends(WaitStatus::Notified),
            ParkStatus::Timeout => Self::Ends(WaitStatus::TimedOut),
            // The child of a fork in the middle of the wait.
            ParkStatus::Again => Self::LooksAgain,
            ParkStatus::Interrupted => match flags.on_interrupt::<R>() {
                Some(_) => Self::Ends(WaitStatus::Interrupted),
                None => Self::LooksAgain,
            },
        }
    }

    /// For a caller that is to look itself.
    pub(crate) fn status(self) -> WaitStatus {
        match self {
            Self::Ends(status) => status,
            Self::LooksAgain => WaitStatus::Interrupted,
        }
    }
}
