//! Children of a process whose threads wait: a child inherits the memory and one thread, and must get
//! on with both.
#![cfg(all(unix, not(any(pysync_loom, pysync_shuttle))))]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use common::*;
use pysync_cond::{AsReader, Cancel, Cond, Deadline, LockFlags, NotifyList, WaitStatus};
use pysync_lock::{Mutex, RecursiveMutex, RwMutex};
use pysync_parking_lot::register_fork_handler;
use pysync_testing::{child_succeeds, fork, watchdog, watchdog_for};

const DETACH: LockFlags = LockFlags::DETACH;

/// Uses a condition variable and a free mutex, with a second thread that is notified `inside` of the
/// mutex or outside.
fn exercise_cond(cond: &Cond, mutex: &Mutex, inside: bool) {
    // Nobody is there.
    assert!(!cond.notify_one());
    assert_eq!((cond.notify_all(), waiters(cond), cond_bits(cond)), (0, 0, 0));
    mutex.lock();
    let soon = Some(Duration::from_micros(10));
    assert_eq!(cond.wait_timed(mutex, soon, DETACH), WaitStatus::TimedOut);
    let cancel = Cancel::new();
    assert_eq!(cond.cancel(&cancel), 0);
    let status = cond.wait_cancellable(mutex, Deadline::NEVER, DETACH, &cancel);
    assert_eq!(status, WaitStatus::Cancelled);
    mutex.unlock();
    thread::scope(|scope| {
        scope.spawn(|| {
            mutex.lock();
            assert_eq!(cond.wait_timed(mutex, None, DETACH), WaitStatus::Notified);
            mutex.unlock();
        });
        wait_for_waiters(cond, 1);
        if inside {
            mutex.lock();
        }
        assert!(cond.notify_one());
        assert!(!cond.notify_one());
        if inside {
            mutex.unlock();
        }
    });
    assert_eq!((cond_bits(cond), mutex_bits(mutex)), (0, 0));
}

fn exercise_list(list: &NotifyList) {
    assert!(!list.notify_one());
    assert_eq!(waiters(list), 0);
    thread::scope(|scope| {
        scope.spawn(|| list.register(|ticket| ticket.wait()));
        wait_for_waiters(list, 1);
        assert_eq!(list.notify_all(), 1);
    });
    assert_eq!(list_bits(list), 0);
}

#[test]
fn a_thousand_children_use_what_others_wait_for() {
    const CHILDREN: usize = 1_000;

    let _watchdog = watchdog_for(Duration::from_secs(240));
    register_fork_handler();
    let (cond, moved_from, mutex, held) = (Cond::new(), Cond::new(), Mutex::new(), Mutex::new());
    let (recursive, rw, list) = (RecursiveMutex::new(), RwMutex::new(), NotifyList::new());
    let ended = AtomicUsize::new(0);
    let waits: [(&(dyn Fn() + Sync), usize); 7] = [
        (
            &|| {
                mutex.lock();
                cond.wait(&mutex);
                mutex.unlock();
            },
            1,
        ),
        (
            &|| {
                recursive.lock();
                recursive.lock();
                cond.wait(&recursive);
                recursive.unlock();
                recursive.unlock();
            },
            2,
        ),
        (
            &|| {
                rw.read_lock();
                cond.wait(&AsReader(&rw));
                rw.read_unlock();
            },
            3,
        ),
        (
            &|| {
                mutex.lock();
                let status = cond.wait_timed(&mutex, Some(Duration::MAX), LockFlags::empty());
                assert_eq!(status, WaitStatus::Notified);
                mutex.unlock();
            },
            4,
        ),
        (&|| list.register(|ticket| ticket.wait()), 1),
        (
            &|| {
                held.lock();
                moved_from.wait(&held);
                held.unlock();
            },
            1,
        ),
        (
            &|| {
                held.lock();
                moved_from.wait(&held);
                held.unlock();
            },
            2,
        ),
    ];
    thread::scope(|scope| {
        for (index, (wait, count)) in waits.into_iter().enumerate() {
            let ended = &ended;
            scope.spawn(move || {
                wait();
                ended.fetch_add(1, SeqCst);
            });
            match index {
                0..4 => wait_for_waiters(&cond, count),
                4 => wait_for_waiters(&list, count),
                _ => wait_for_waiters(&moved_from, count),
            }
        }
        // These two are notified, and wait for the mutex asleep.
        held.lock();
        assert_eq!(moved_from.notify_all(), 2);
        assert_eq!((parked_at(&held), mutex_bits(&held)), (2, 3));

        for child in 0..CHILDREN {
            fork(|| {
                exercise_cond(&cond, &mutex, child % 2 == 0);
                exercise_list(&list);
                // What the forking thread holds it still holds, and nobody is parked at it.
                held.unlock();
                exercise_cond(&moved_from, &held, child % 2 == 1);
                recursive.lock();
                let soon = Some(Duration::from_micros(10));
                let status = cond.wait_timed(&recursive, soon, DETACH);
                recursive.unlock();
                status == WaitStatus::TimedOut && !recursive.is_locked() && rw.try_write_lock()
            });
        }

        // The parent's waiters are none the wiser.
        assert_eq!((waiters(&cond), waiters(&list), parked_at(&held)), (4, 1, 2));
        assert_eq!(ended.load(SeqCst), 0);
        held.unlock();
        assert_eq!(cond.notify_all(), 4);
        assert_eq!(list.notify_all(), 1);
    });
    assert_eq!(ended.into_inner(), 7);
    assert_eq!((mutex_bits(&mutex), mutex_bits(&held)), (0, 0));
}

/// A thread forks between its registration and its wait: in the child nobody would notify it, so its
/// wait ends and says so.
#[test]
fn a_wait_that_forks_ends_in_the_child() {
    let _watchdog = watchdog();
    register_fork_handler();
    let (list, cond, mutex) = (NotifyList::new(), Cond::new(), Mutex::new());
    for _ in 0..20 {
        list.register(|ticket| {
            fork(|| {
                // Registered anew, the child finds itself alone.
                assert_eq!(waiters(&list), 0);
                exercise_list(&list);
                !ticket.is_notified()
            });
            assert!(list.notify_one());
            ticket.wait();
        });
        mutex.lock();
        let between = || {
            fork(|| {
                exercise_cond(&cond, &mutex, true);
                true
            });
            assert!(cond.notify_one());
        };
        let status = cond.wait_until(&Between { mutex: &mutex, between }, Deadline::NEVER, DETACH);
        assert_eq!(status, WaitStatus::Notified);
        mutex.unlock();
    }

    // The child itself goes on with the wait.
    let parent = std::process::id();
    let in_the_child = |check: &dyn Fn() -> bool| {
        if std::process::id() != parent {
            // SAFETY: ends the process, and unwinds nothing of the parent's.
            unsafe { libc::_exit(i32::from(!check())) };
        }
    };
    list.register(|ticket| {
        // SAFETY: the child goes on here, and leaves by `_exit`.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0);
        if pid == 0 {
            let status = ticket.wait_flags(Deadline::NEVER, DETACH);
            in_the_child(&|| status == WaitStatus::Interrupted);
            unreachable!();
        }
        child_succeeds(pid);
        assert!(!ticket.cancel());
    });
    mutex.lock();
    let between = || {
        // SAFETY: as above.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0);
        if pid > 0 {
            child_succeeds(pid);
            assert!(cond.notify_one());
        }
    };
    let status = cond.wait_until(&Between { mutex: &mutex, between }, Deadline::NEVER, DETACH);
    in_the_child(&|| status == WaitStatus::Interrupted && mutex.is_locked());
    assert_eq!(status, WaitStatus::Notified);
    mutex.unlock();
}
