//! Waiters of a condition that are moved to the mutex: who is woken, and when one is handed it.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::pin::{Pin, pin};
use std::thread;
use std::time::Duration;

use pysync_lock::{LockFlags, Mutex, MutexWaiter, Requeue};
use pysync_parking_lot::{
    Deadline, Key, Native, ParkStatus, Position, UnparkResult, Waiter, inspect, unpark_requeue,
};
use pysync_testing::watchdog;

static CONDITION: [u8; 4] = [0; 4];

/// Queues a waiter of the condition.
fn queue(waiter: Pin<&Waiter>, condition: Key) {
    // SAFETY: all who park on this key do so with a `MutexWaiter`.
    assert!(unsafe { waiter.queue(condition, Position::Back, || true) });
}

fn notify_all(condition: Key, mutex: &Mutex) -> UnparkResult {
    let mut requeue = Requeue::new();
    // SAFETY: as above, and the `Requeue` chooses where it is to.
    unsafe {
        unpark_requeue(
            condition,
            |_| Some(mutex.requeue_key()),
            |waiter| requeue.choose(mutex, waiter.park_arg.cast()),
            |_| (),
        )
    }
}

fn parked_at(mutex: &Mutex) -> usize {
    inspect(mutex.requeue_key(), |args| args.count())
}

#[test]
fn waiters_are_moved_to_a_mutex_that_is_held_and_woken_if_it_is_free() {
    let _watchdog = watchdog();
    let (mutex, condition) = (Mutex::new(), Key::of(&CONDITION[0]));
    let entries = [MutexWaiter::new(), MutexWaiter::new(), MutexWaiter::new()];
    for held in [true, false] {
        let waiters: [_; 3] =
            std::array::from_fn(|index| Box::pin(Waiter::new(entries[index].park_arg())));
        for waiter in &waiters {
            queue(waiter.as_ref(), condition);
        }
        if held {
            mutex.lock();
        }
        let told = notify_all(condition, &mutex);
        assert_eq!((told.unparked, told.requeued), if held { (0, 3) } else { (3, 0) });
        assert_eq!(parked_at(&mutex), told.requeued);
        if held {
            mutex.unlock();
        }
        // Each takes the mutex, and wakes the next one by its unlock if that was moved.
        for (waiter, entry) in waiters.iter().zip(&entries) {
            let status = waiter.as_ref().sleep::<Native>(Deadline::NEVER, LockFlags::empty());
            assert_eq!(status, ParkStatus::Ok);
            mutex.relock_in::<Native>(entry, LockFlags::DETACH);
            assert!(mutex.is_locked());
            mutex.unlock();
        }
        assert_eq!(parked_at(&mutex), 0);
        assert!(!mutex.is_locked());
    }
}

#[test]
fn a_moved_waiter_is_handed_the_mutex_a_millisecond_after_its_notification() {
    let (mutex, condition) = (Mutex::new(), Key::of(&CONDITION[1]));
    let entry = MutexWaiter::new();
    let waiter = pin!(Waiter::new(entry.park_arg()));
    let waiter = waiter.as_ref();
    queue(waiter, condition);
    mutex.lock();
    assert_eq!(notify_all(condition, &mutex).requeued, 1);
    // For the waiter to become due.
    thread::sleep(Duration::from_millis(3));
    mutex.unlock();
    assert!(mutex.is_locked(), "it was unlocked, and not handed off");
    assert_eq!(waiter.sleep::<Native>(Deadline::NEVER, LockFlags::empty()), ParkStatus::Ok);
    mutex.relock_in::<Native>(&entry, LockFlags::DETACH);
    mutex.unlock();
    assert!(!mutex.is_locked());

    // The next wait as the same waiter knows nothing of it.
    queue(waiter, condition);
    assert_eq!(waiter.sleep::<Native>(Deadline::NOW, LockFlags::empty()), ParkStatus::Timeout);
    mutex.relock_in::<Native>(&entry, LockFlags::DETACH);
    assert!(mutex.is_locked(), "the waiter thinks that it was handed the mutex");
    mutex.unlock();
}

#[test]
fn a_waiter_that_is_not_due_is_only_woken() {
    // However long it has waited for the condition.
    let _watchdog = watchdog();
    let (mutex, condition) = (Mutex::new(), Key::of(&CONDITION[2]));
    let entry = MutexWaiter::new();
    let waiter = pin!(Waiter::new(entry.park_arg()));
    let waiter = waiter.as_ref();
    let woken = (0..100).any(|_| {
        queue(waiter, condition);
        thread::sleep(Duration::from_millis(2));
        mutex.lock();
        assert_eq!(notify_all(condition, &mutex).requeued, 1);
        mutex.unlock();
        // False only if a millisecond has passed between the last two lines.
        let was_woken = mutex.try_lock();
        if was_woken {
            mutex.unlock();
        }
        assert_eq!(waiter.sleep::<Native>(Deadline::NEVER, LockFlags::empty()), ParkStatus::Ok);
        mutex.relock_in::<Native>(&entry, LockFlags::empty());
        mutex.unlock();
        was_woken
    });
    assert!(woken, "it was handed the mutex each time");
}
