//! Nothing here allocates, least of all a thread that has to wait.
// std's own mutex may allocate in the portable parker, on platforms where it is a boxed one.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::thread;
use std::time::Duration;

use common::{Sleeper, sleeping};
use pysync_lock::{Event, LockFlags, Mutex, OnceFlag, RecursiveMutex, RwMutex, SeqLock, guarded};
use pysync_testing::{CountingAllocator, allocations, watchdog};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

#[test]
fn the_count_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(7)))), 2);
    assert_eq!(allocations(|| {}), 0);
}

/// Two threads sleep in `wait` until `wake`; none of the three allocates.
fn nobody_allocates(wait: impl Fn() + Sync, wake: impl FnOnce()) {
    let _watchdog = watchdog();
    let sleepers: [Sleeper; 2] = Default::default();
    thread::scope(|scope| {
        let waiters = sleepers.each_ref().map(|sleeper| {
            let wait = &wait;
            scope.spawn(move || {
                sleeper.enter();
                allocations(wait)
            })
        });
        sleeping(&sleepers);
        // For a hand-off, where there is one.
        thread::sleep(Duration::from_millis(2));
        assert_eq!(allocations(wake), 0, "waking allocates");
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), 0, "waiting allocates");
        }
    });
}

#[test]
fn a_mutex_does_not_allocate() {
    let mutex = Mutex::new();
    mutex.lock();
    nobody_allocates(
        || {
            mutex.lock();
            mutex.unlock();
        },
        || mutex.unlock(),
    );
    mutex.lock();
    let soon = Some(Duration::from_millis(1));
    nobody_allocates(|| _ = mutex.lock_timed(soon, LockFlags::DETACH), || {});
}

#[test]
fn a_recursive_mutex_does_not_allocate() {
    let mutex = RecursiveMutex::new();
    mutex.lock();
    nobody_allocates(
        || {
            mutex.lock();
            mutex.lock();
            mutex.unlock();
            mutex.unlock();
        },
        || mutex.unlock(),
    );
}

#[test]
fn an_rw_mutex_does_not_allocate() {
    let lock = RwMutex::new();
    let read = || {
        lock.read_lock();
        lock.read_unlock();
    };
    let write = || {
        lock.write_lock();
        lock.write_unlock();
    };
    lock.write_lock();
    nobody_allocates(read, || lock.write_unlock());
    lock.write_lock();
    nobody_allocates(write, || lock.write_unlock());
    lock.read_lock();
    nobody_allocates(write, || lock.read_unlock());
}

#[test]
fn an_event_does_not_allocate() {
    let event = Event::new();
    nobody_allocates(|| event.wait(), || event.notify());
    let event = Event::new();
    nobody_allocates(|| _ = event.wait_timed(Some(Duration::from_millis(1)), true), || {});
}

#[test]
fn a_once_flag_does_not_allocate() {
    let _watchdog = watchdog();
    let (once, begun, sleeper) = (OnceFlag::new(), Event::new(), Sleeper::new());
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            begun.wait();
            sleeper.enter();
            allocations(|| assert_eq!(once.call_once(|| Err("called twice")), Ok(())))
        });
        let mut inside = 0;
        let all = allocations(|| {
            let result = once.call_once(|| {
                inside = allocations(|| {
                    begun.notify();
                    sleeper.wait_until_asleep();
                });
                Ok::<(), ()>(())
            });
            assert_eq!(result, Ok(()));
        });
        assert_eq!(all, inside);
        assert_eq!(waiter.join().unwrap(), 0);
    });
}

#[test]
fn a_sequence_lock_does_not_allocate() {
    let (lock, guarded) = (SeqLock::new(), guarded::SeqLock::new([1_u64; 12]));
    let count = allocations(|| {
        lock.lock_write();
        lock.unlock_write();
        assert!(lock.end_read(lock.begin_read()));
        guarded.write([2; 12]);
        assert_eq!(guarded.read(), [2; 12]);
    });
    assert_eq!(count, 0);
}

#[test]
fn guards_do_not_allocate() {
    let (mutex, lock) = (guarded::Mutex::new(1), guarded::RwLock::new(2));
    let (reentrant, cell) = (guarded::ReentrantMutex::new(3), guarded::OnceCell::new());
    let count = allocations(|| {
        *mutex.lock() += 1;
        assert!(mutex.try_lock_for(Duration::from_millis(1)).is_some());
        *lock.write() += 1;
        assert_eq!(*lock.read(), 3);
        let (a, b) = (reentrant.lock(), reentrant.lock());
        assert_eq!(*a, *b);
        assert_eq!(*cell.get_or_init(|| 4), 4);
    });
    assert_eq!(count, 0);
    let guard = mutex.lock();
    nobody_allocates(|| *mutex.lock() += 1, || drop(guard));
}
