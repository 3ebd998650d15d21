//! The parker of the models: a mutex and a condition variable of the model checker, so that a
//! lost wake shows as a deadlock. A yield loop would hide it.
//!
//! What a kernel decides is a choice of the model, in [`crate::model`].

use crate::model::choice;
use crate::primitive::checker::sync::{Condvar, Mutex};
use crate::{Deadline, ParkStatus};
use std::sync::Arc;

/// The wakeups that the waiter has not taken yet.
pub(super) struct Sleep {
    // Shared, so that a waker never touches a condition variable that its waiter has dropped:
    // the checkers' objects are not made for that, the real parkers are.
    inner: Arc<(Mutex<u32>, Condvar)>,
}

impl Sleep {
    pub(super) fn new() -> Self {
        Self { inner: Arc::new((Mutex::new(0), Condvar::new())) }
    }

    pub(super) fn wait(&self, deadline: Deadline) -> ParkStatus {
        let (count, condvar) = &*self.inner;
        if let Some(status) = choice::cut_short(deadline, || *count.lock().unwrap() > 0) {
            return status;
        }
        let mut count = count.lock().unwrap();
        while *count == 0 {
            count = condvar.wait(count).unwrap();
        }
        *count -= 1;
        ParkStatus::Ok
    }

    pub(super) fn has_wakeup(&self) -> bool {
        *self.inner.0.lock().unwrap() > 0
    }

    /// # Safety
    /// `this` is valid until its waiter has seen this wakeup.
    pub(super) unsafe fn wake(this: *const Self) {
        // SAFETY: valid until the count is seen, by contract.
        let inner = unsafe { Arc::clone(&(*this).inner) };
        let (count, condvar) = &*inner;
        let mut count = count.lock().unwrap();
        *count += 1;
        condvar.notify_one();
    }

    /// # Safety
    /// As for `wake`, for each of them.
    pub(super) unsafe fn wake_all(others: impl Iterator<Item = *const Self>, last: *const Self) {
        for this in others {
            // SAFETY: by contract.
            unsafe { Self::wake(this) };
        }
        // SAFETY: by contract.
        unsafe { Self::wake(last) };
    }
}
