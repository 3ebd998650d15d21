//! What the tests of `fork` share: threads that wait in the parent, and in the child proof that a
//! lock works, with a second thread that parks and is woken.

use std::thread::{self, Scope};
use std::time::Duration;

use pysync_lock::{LockFlags, LockStatus, Mutex, OnceFlag, RecursiveMutex, RwMutex};

use super::{Sleeper, mutex_bits, once_bits, recursive_parts, rw_bits};

/// Lets `wait` block on a second thread until `wake`.
pub(crate) fn park_and_wake(wait: impl FnOnce() + Send, wake: impl FnOnce()) {
    let sleeper = Sleeper::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            sleeper.enter();
            wait();
        });
        sleeper.wait_until_asleep();
        wake();
    });
}

/// Locks and unlocks a free mutex in every way.
pub(crate) fn exercise_mutex(mutex: &Mutex) {
    assert!(mutex.try_lock());
    park_and_wake(
        || {
            mutex.lock();
            mutex.unlock();
        },
        || mutex.unlock(),
    );
    mutex.lock();
    let soon = Some(Duration::from_micros(10));
    assert_eq!(mutex.lock_timed(soon, LockFlags::DETACH), LockStatus::Failure);
    mutex.unlock();
    assert_eq!(mutex_bits(mutex), 0);
}

pub(crate) fn exercise_rw(lock: &RwMutex) {
    assert!(lock.try_read_lock());
    park_and_wake(
        || {
            lock.write_lock();
            lock.write_unlock();
        },
        || lock.read_unlock(),
    );
    assert!(lock.try_write_lock());
    park_and_wake(
        || {
            lock.read_lock();
            lock.read_unlock();
        },
        || lock.write_unlock(),
    );
    assert_eq!(rw_bits(lock), 0);
}

pub(crate) fn exercise_recursive(mutex: &RecursiveMutex) {
    assert_eq!(recursive_parts(mutex), (0, 0, 0));
    mutex.lock();
    mutex.lock();
    mutex.unlock();
    park_and_wake(
        || {
            mutex.lock();
            mutex.unlock();
        },
        || mutex.unlock(),
    );
    assert_eq!(recursive_parts(mutex), (0, 0, 0));
}

pub(crate) fn exercise_once(once: &OnceFlag) {
    assert_eq!(once_bits(once), 0);
    let sleeper = Sleeper::new();
    thread::scope(|scope| {
        let result = once.call_once(|| {
            scope.spawn(|| {
                sleeper.enter();
                assert_eq!(once.call_once(|| Err("called twice")), Ok(()));
            });
            sleeper.wait_until_asleep();
            Ok::<(), ()>(())
        });
        assert_eq!(result, Ok(()));
    });
    assert_eq!(once_bits(once), 4);
}

/// Something that threads of the parent wait for while it forks.
pub(crate) struct Waited<'a> {
    wait: Box<dyn Fn() + Sync + 'a>,
    pub(crate) sleeper: Sleeper,
}

pub(crate) fn waited<'a>(wait: impl Fn() + Sync + 'a) -> Waited<'a> {
    Waited { wait: Box::new(wait), sleeper: Sleeper::new() }
}

/// Has a thread wait for each, one after the other.
pub(crate) fn park_all<'scope>(scope: &'scope Scope<'scope, '_>, waits: &'scope [Waited<'_>]) {
    for waited in waits {
        scope.spawn(|| {
            waited.sleeper.enter();
            (waited.wait)();
        });
        waited.sleeper.wait_until_asleep();
    }
}
