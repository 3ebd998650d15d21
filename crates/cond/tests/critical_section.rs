//! Waiting inside a critical section: a ticket of a list is the section's condition variable, and its
//! own mutex is not for a [`Cond`](pysync_cond::Cond).
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::thread;
use std::time::Duration;

use common::*;
use pysync_cond::{Cond, Deadline, LockFlags, NotifyList, WaitStatus};
use pysync_critical_section::{ThreadState, assert_held, critical_section};
use pysync_lock::Mutex;
use pysync_testing::{aborts_with, together, watchdog};

const DETACH: LockFlags = LockFlags::DETACH;

#[test]
fn a_section_waits_by_a_ticket_and_another_of_the_same_mutex_notifies() {
    let _watchdog = watchdog();
    let (mutex, outer, list) = (Mutex::new(), Mutex::new(), NotifyList::new());
    let ready = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let _attached = ThreadState::attach();
            critical_section(&outer, || {
                critical_section(&mutex, || {
                    while !ready.load(Relaxed) {
                        list.register(|ticket| {
                            // Queued, and the section still has its mutex.
                            assert_held(&mutex);
                            ticket.wait();
                        });
                        assert_held(&mutex);
                    }
                });
            });
        });
        wait_for_waiters(&list, 1);
        let _attached = ThreadState::attach();
        // The waiter's sections have let go, or this would wait for ever.
        critical_section(&outer, || ());
        critical_section(&mutex, || {
            ready.store(true, Relaxed);
            assert!(list.notify_one_relaxed());
        });
    });
    assert!(!mutex.is_locked() && !outer.is_locked());
}

/// Two sections of one mutex take turns. The mutex guards the turn, so the list needs no fence.
#[test]
fn sections_take_turns() {
    const TURNS: usize = 2_000;

    let _watchdog = watchdog();
    let (mutex, list, turn) = (Mutex::new(), NotifyList::new(), Plain::new(0));
    together(2, |id| {
        let _attached = ThreadState::attach();
        for mine in (id..TURNS).step_by(2) {
            critical_section(&mutex, || {
                while turn.get() != mine {
                    list.register(|ticket| ticket.wait());
                }
                turn.set(mine + 1);
                list.notify_all_relaxed();
            });
        }
    });
    assert_eq!(turn.get(), TURNS);
}

#[test]
fn a_ticket_that_times_out_has_the_section_again() {
    let _watchdog = watchdog();
    let (mutex, list) = (Mutex::new(), NotifyList::new());
    let _attached = ThreadState::attach();
    critical_section(&mutex, || {
        for flags in [DETACH, LockFlags::empty()] {
            let soon = Deadline::after(Some(Duration::from_millis(1)));
            let status = list.register(|ticket| ticket.wait_flags(soon, flags));
            assert_eq!(status, WaitStatus::TimedOut);
            assert_held(&mutex);
        }
    });
}

/// Another mutex than the section's may be given up in it. The section lets go while the thread waits,
/// for the notification and for the mutex.
#[test]
fn a_condition_variable_of_another_mutex_waits_inside_a_section() {
    const TURNS: usize = 500;

    let _watchdog = watchdog();
    let (section, mutex, cond) = (Mutex::new(), Mutex::new(), Cond::new());
    let (turn, in_section) = (Plain::new(0), AtomicUsize::new(0));
    together(2, |id| {
        let _attached = ThreadState::attach();
        for mine in (id..TURNS).step_by(2) {
            critical_section(&section, || {
                mutex.lock();
                while turn.get() != mine {
                    cond.wait(&mutex);
                }
                assert_held(&section);
                assert_eq!(in_section.fetch_add(1, Relaxed), 0);
                turn.set(mine + 1);
                cond.notify_all();
                in_section.fetch_sub(1, Relaxed);
                mutex.unlock();
            });
        }
    });
    assert_eq!(turn.get(), TURNS);
}

/// The trap: the wait unlocks the section's mutex, and then the section, which lets go as its thread
/// detaches, finds it unlocked.
#[test]
fn the_mutex_of_an_open_section_is_not_for_a_condition_variable() {
    let test = "the_mutex_of_an_open_section_is_not_for_a_condition_variable";
    aborts_with(test, "unlocking mutex that is not locked", || {
        let (mutex, cond) = (Mutex::new(), Cond::new());
        let _attached = ThreadState::attach();
        critical_section(&mutex, || {
            _ = cond.wait_timed(&mutex, Some(Duration::from_millis(1)), DETACH);
        });
    });
}
