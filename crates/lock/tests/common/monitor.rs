//! A condition variable on a mutex, as `MutexWaiter` tells it, for the models of loom and shuttle.

use pysync_lock::{LockFlags, Mutex, MutexWaiter, Requeue};
use pysync_parking_lot::{
    Deadline, Key, Native, ParkStatus, Position, Wait, park_with, unpark_requeue,
};
use pysync_testing::model::Data;

/// A mutex, a condition that it guards, and what the waiters wait for.
#[derive(Default)]
pub(crate) struct Monitor {
    pub(crate) mutex: Mutex,
    condition: u8,
    pub(crate) ready: Data,
}

impl Monitor {
    fn condition(&self) -> Key {
        Key::of(&self.condition)
    }

    fn wait(&self, waiter: &MutexWaiter, deadline: Deadline) -> ParkStatus {
        let wait =
            Wait { deadline, park_arg: waiter.park_arg(), detach: false, position: Position::Back };
        let unlock = || self.mutex.unlock();
        // SAFETY: all who park on this key do so with a `MutexWaiter`.
        let status = unsafe { park_with::<Native>(self.condition(), wait, || true, unlock) };
        self.mutex.relock_in::<Native>(waiter, LockFlags::empty());
        status
    }

    /// Waits until it is ready, the first time until a deadline. One waiter serves for all waits.
    pub(crate) fn wait_until_ready(&self, mut deadline: Deadline) {
        let waiter = MutexWaiter::new();
        self.mutex.lock();
        while self.ready.get() == 0 {
            self.wait(&waiter, deadline);
            deadline = Deadline::NEVER;
        }
        // Alone, whatever way the mutex came.
        self.ready.add_one();
        self.mutex.unlock();
    }

    fn notify_all(&self) {
        let mut requeue = Requeue::new();
        // SAFETY: as above, and the `Requeue` chooses where it is to.
        unsafe {
            unpark_requeue(
                self.condition(),
                |_| Some(self.mutex.requeue_key()),
                |waiter| requeue.choose(&self.mutex, waiter.park_arg.cast()),
                |_| (),
            )
        };
    }

    /// Notifies with the mutex held.
    pub(crate) fn make_ready_inside(&self) {
        self.mutex.lock();
        self.ready.add_one();
        self.notify_all();
        self.mutex.unlock();
    }

    /// Notifies when the mutex may be free.
    pub(crate) fn make_ready_and_notify_outside(&self) {
        self.mutex.lock();
        self.ready.add_one();
        self.mutex.unlock();
        self.notify_all();
    }
}
