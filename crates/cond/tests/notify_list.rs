//! Threads that register, look, and wait: the order in which they are notified, and what becomes of
//! the notification of a ticket that is dropped.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex as StdMutex;
use std::sync::atomic::{AtomicUsize, Ordering::*};
use std::thread;
use std::time::{Duration, Instant};

use common::*;
use pysync_cond::{Deadline, LockFlags, NotifyList, WaitStatus};
use pysync_testing::{wait_until, watchdog};

const DETACH: LockFlags = LockFlags::DETACH;

/// Registers so many threads, each before the next, that wait until they are notified, and runs
/// `body`, which gets the list of those that have been.
fn with_waiters(list: &NotifyList, count: usize, body: impl FnOnce(&StdMutex<Vec<usize>>)) {
    let _watchdog = watchdog();
    let ended = StdMutex::new(Vec::new());
    thread::scope(|scope| {
        for number in 0..count {
            let ended = &ended;
            scope.spawn(move || {
                list.register(|ticket| ticket.wait());
                ended.lock().unwrap().push(number);
            });
            wait_for_waiters(list, number + 1);
        }
        body(&ended);
    });
    assert_eq!(ended.lock().unwrap().len(), count);
    assert_eq!((waiters(list), list_bits(list)), (0, 0));
}

fn wait_for_ends(ended: &StdMutex<Vec<usize>>, count: usize) {
    wait_until(|| ended.lock().unwrap().len() == count);
}

#[test]
fn notify_one_wakes_the_thread_that_registered_first() {
    for notify_one in [NotifyList::notify_one, NotifyList::notify_one_relaxed] {
        let list = NotifyList::new();
        with_waiters(&list, 3, |ended| {
            assert_eq!(list_bits(&list), 1);
            for before in 0..3 {
                assert_eq!(waiters(&list), 3 - before);
                assert!(notify_one(&list));
                wait_for_ends(ended, before + 1);
            }
            assert_eq!(*ended.lock().unwrap(), [0, 1, 2]);
            assert!(!notify_one(&list));
        });
    }
}

#[test]
fn notify_wakes_so_many_and_counts_them() {
    for notify in [NotifyList::notify, NotifyList::notify_relaxed] {
        let list = NotifyList::new();
        with_waiters(&list, 5, |ended| {
            assert_eq!(notify(&list, 0), 0);
            assert_eq!(waiters(&list), 5);
            assert_eq!(notify(&list, 2), 2);
            wait_for_ends(ended, 2);
            let mut first: Vec<_> = ended.lock().unwrap().clone();
            first.sort_unstable();
            assert_eq!(first, [0, 1]);
            assert_eq!((waiters(&list), list_bits(&list)), (3, 1));
            assert_eq!(notify(&list, usize::MAX), 3);
            assert_eq!(notify(&list, 1), 0);
        });
    }
}

#[test]
fn notify_all_wakes_all_and_counts_them() {
    for notify_all in [NotifyList::notify_all, NotifyList::notify_all_relaxed] {
        let list = NotifyList::new();
        assert_eq!(notify_all(&list), 0);
        with_waiters(&list, 5, |_| {
            assert_eq!(notify_all(&list), 5);
            assert_eq!(notify_all(&list), 0);
        });
    }
}

#[test]
fn register_first_is_before_all_others() {
    let _watchdog = watchdog();
    let (list, ended) = (NotifyList::new(), StdMutex::new(Vec::new()));
    thread::scope(|scope| {
        for number in 0..3 {
            let (list, ended) = (&list, &ended);
            scope.spawn(move || {
                list.register_first(|ticket| ticket.wait());
                ended.lock().unwrap().push(number);
            });
            wait_for_waiters(list, number + 1);
        }
        for before in 0..3 {
            assert!(list.notify_one());
            wait_for_ends(&ended, before + 1);
        }
    });
    assert_eq!(*ended.lock().unwrap(), [2, 1, 0]);
}

#[test]
fn a_notification_between_registering_and_waiting_is_not_lost() {
    let _watchdog = watchdog();
    let list = NotifyList::new();
    list.register(|ticket| {
        assert_eq!(format!("{list:?}"), "NotifyList { registered: true }");
        assert!(!ticket.is_notified());
        assert!(list.notify_one());
        assert!(ticket.is_notified());
        assert_eq!(format!("{ticket:?}"), "Ticket { notified: true }");
        assert!(!list.notify_one());
        ticket.wait();
    });
    // Nor though the deadline has passed.
    list.register(|ticket| {
        assert_eq!(list.notify_all(), 1);
        assert_eq!(ticket.wait_flags(Deadline::NOW, DETACH), WaitStatus::Notified);
    });
    list.register(|ticket| {
        assert_eq!(list.notify(1), 1);
        let status = ticket.wait_in::<Counting>(Deadline::NOW, LockFlags::empty());
        assert_eq!((status, take_counts()), (WaitStatus::Notified, Counts::default()));
    });
    assert_eq!(format!("{list:?}"), "NotifyList { registered: false }");
}

#[test]
fn a_wait_ends_at_its_deadline_and_not_before() {
    let list = NotifyList::default();
    let soon = Duration::from_millis(2);
    for flags in [DETACH, LockFlags::empty()] {
        let start = Instant::now();
        let status = list.register(|ticket| ticket.wait_flags(Deadline::after(Some(soon)), flags));
        assert_eq!(status, WaitStatus::TimedOut);
        assert!(start.elapsed() >= soon);
        let status = list.register(|ticket| ticket.wait_in::<Counting>(Deadline::NOW, flags));
        assert_eq!(status, WaitStatus::TimedOut);
        let counts = take_counts();
        assert_eq!(counts.detached, usize::from(flags == DETACH));
        assert_eq!(waiters(&list), 0);
    }
    // It took no notification with it.
    assert!(!list.notify_one());
    assert_eq!(list_bits(&list), 0);
}

#[test]
fn a_ticket_that_leaves_says_whether_it_was_notified() {
    let list = NotifyList::new();
    assert!(!list.register(|ticket| ticket.cancel()));
    assert!(!list.notify_one());
    let was_notified = list.register(|ticket| {
        assert!(list.notify_one());
        ticket.cancel()
    });
    assert!(was_notified);
    // Its notification is its own, and the next thread does not get it.
    with_waiters(&list, 1, |ended| {
        let was_notified = list.register_first(|ticket| {
            assert!(list.notify_one());
            ticket.cancel()
        });
        assert!(was_notified);
        assert_eq!(waiters(&list), 1);
        assert!(ended.lock().unwrap().is_empty());
        assert_eq!(list.notify_all(), 1);
    });
}

/// Each way in which a ticket that was notified may go without a wait.
fn drop_in_every_way<'a>(list: &'a NotifyList, notify: &'a dyn Fn()) -> [Box<dyn Fn() + 'a>; 4] {
    [
        Box::new(move || {
            list.register_first(|ticket| {
                notify();
                drop(ticket);
            });
        }),
        Box::new(move || list.register_first(|_ticket| notify())),
        Box::new(move || {
            list.register_first(|ticket| {
                notify();
                mem::forget(ticket);
            });
        }),
        Box::new(move || {
            let panic = || {
                list.register_first(|_ticket| {
                    notify();
                    resume_unwind(Box::new("in the body"));
                })
            };
            catch_unwind(AssertUnwindSafe(panic)).unwrap_err();
        }),
    ]
}

#[test]
fn a_dropped_ticket_passes_on_what_was_for_one_alone() {
    let list = NotifyList::new();
    let notifies: [&dyn Fn(); 4] = [
        &|| assert!(list.notify_one()),
        &|| assert!(list.notify_one_relaxed()),
        &|| assert_eq!(list.notify(1), 1),
        &|| assert_eq!(list.notify_relaxed(1), 1),
    ];
    for notify in notifies {
        for drop_ticket in drop_in_every_way(&list, notify) {
            with_waiters(&list, 2, |ended| {
                drop_ticket();
                wait_for_ends(ended, 1);
                assert_eq!(*ended.lock().unwrap(), [0], "the next one, and no other");
                assert_eq!(waiters(&list), 1);
                assert!(list.notify_one());
            });
        }
    }
}

#[test]
fn a_dropped_ticket_passes_on_nothing_if_it_was_not_notified() {
    let list = NotifyList::new();
    for drop_ticket in drop_in_every_way(&list, &|| ()) {
        with_waiters(&list, 2, |ended| {
            drop_ticket();
            assert_eq!(waiters(&list), 2);
            assert!(ended.lock().unwrap().is_empty());
            assert_eq!(list.notify_all(), 2);
        });
    }
}

/// All that were registered have been notified; one that comes later is not to be.
#[test]
fn a_dropped_ticket_does_not_pass_on_what_was_for_all() {
    let list = NotifyList::new();
    for notify_all in [NotifyList::notify_all, NotifyList::notify_all_relaxed] {
        list.register(|dropped| {
            assert_eq!(notify_all(&list), 1);
            list.register(|later| {
                drop(dropped);
                assert!(!later.is_notified());
                assert_eq!(waiters(&list), 1);
            });
        });
    }
}

#[test]
fn a_dropped_ticket_of_several_passes_on_to_the_next_one_behind_them() {
    let list = NotifyList::new();
    with_waiters(&list, 1, |ended| {
        list.register_first(|second| {
            list.register_first(|first| {
                assert_eq!(list.notify(2), 2);
                assert!(first.is_notified() && second.is_notified());
                drop(first);
                wait_for_ends(ended, 1);
            });
            // There is nobody left to pass it to.
            drop(second);
        });
    });
}

#[test]
fn a_thread_may_register_with_several_lists_and_leave_when_one_of_them_notifies() {
    let _watchdog = watchdog();
    let (a, b) = (NotifyList::new(), NotifyList::new());
    a.register(|at_a| {
        b.register(|at_b| {
            assert!(b.notify_one());
            assert!(!at_a.is_notified());
            at_b.wait();
            assert!(!at_a.cancel());
        });
    });
    assert_eq!((waiters(&a), waiters(&b)), (0, 0));
}

#[test]
fn a_thread_may_have_two_places_in_one_list() {
    let _watchdog = watchdog();
    let list = NotifyList::new();
    list.register(|first| {
        list.register(|second| {
            assert!(list.notify_one());
            assert!(first.is_notified() && !second.is_notified());
            assert!(list.notify_one());
            second.wait();
            first.wait();
        });
    });
}

/// The state is right though the last to leave is no notifier.
#[test]
fn threads_that_give_up_leave_a_list_that_works() {
    let list = NotifyList::new();
    let left = AtomicUsize::new(0);
    pysync_testing::together(4, |id| {
        for round in 0..200 {
            let status = list.register(|ticket| {
                be_preempted(id + round);
                match round % 3 {
                    0 => usize::from(ticket.cancel()),
                    1 => usize::from(
                        ticket.wait_flags(Deadline::NOW, DETACH) == WaitStatus::Notified,
                    ),
                    _ => 0,
                }
            });
            assert_eq!(status, 0);
            left.fetch_add(1, Relaxed);
        }
    });
    assert_eq!(left.into_inner(), 800);
    assert_eq!(waiters(&list), 0);
    assert!(!list.notify_one());
    assert_eq!(list_bits(&list), 0);
    with_waiters(&list, 2, |_| assert_eq!(list.notify_all(), 2));
}

#[test]
fn the_body_gets_its_result_out() {
    let list = NotifyList::new();
    assert_eq!(list.register(|_| 7), 7);
    assert_eq!(list.register_first(|_| "seven"), "seven");
}
