//! Conditions that no lock guards, and tickets that are dropped or cancelled.

use loom::sync::atomic::{AtomicU8, Ordering::*};
use pysync_cond::{LockFlags, NotifyList, WaitStatus};
use pysync_lock::Mutex;
use pysync_testing::model::{Data, Explore};

use crate::cond::model::{Counts, soon};

/// A list, an atomic and a mutexed value that threads wait for, and what the atomic publishes.
#[derive(Default)]
struct Shared {
    list: NotifyList,
    flag: AtomicU8,
    mutex: Mutex,
    ready: Data,
    counts: Counts,
}

impl Shared {
    fn is_up(&self) -> bool {
        self.flag.load(Acquire) != 0
    }

    fn raise(&self) {
        self.ready.set(7);
        self.flag.store(1, Release);
    }

    /// A thread has left the list; a notification may have come first.
    fn left(&self, is_notified: bool) -> bool {
        let status = if is_notified { WaitStatus::Notified } else { WaitStatus::TimedOut };
        self.counts.ended(status) == WaitStatus::Notified
    }

    fn is_over(&self) {
        self.counts.agree();
        assert_eq!(self.list.notify_all(), 0, "left behind");
    }
}

/// Waits until the flag is up.
fn wait(s: &Shared) {
    while !s.is_up() {
        s.list.register(|ticket| {
            if !s.is_up() {
                ticket.wait();
            }
        });
    }
    assert_eq!(s.ready.get(), 7);
}

/// Both sides write first and look afterwards. The fences of the list are all that keeps both from
/// finding nothing.
#[test]
fn an_atomic_is_a_condition_as_good_as_any() {
    let notifiers: [(_, fn(&Shared)); 3] = [
        ("notify_one", |s| {
            s.raise();
            s.list.notify_one();
        }),
        ("notify", |s| {
            s.raise();
            s.list.notify(1);
        }),
        ("notify_all", |s| {
            s.raise();
            s.list.notify_all();
        }),
    ];
    for (name, raise) in notifiers {
        let model = Explore::new(format!("flag, {name}")).bounded();
        model.run(Shared::default, [wait, raise], |_| ());
    }
}

/// Where a lock guards the condition there is nothing for a fence to do.
#[test]
fn a_lock_makes_up_for_the_fence() {
    fn wait(s: &Shared) {
        s.mutex.lock();
        while s.ready.get() == 0 {
            s.list.register(|ticket| {
                s.mutex.unlock();
                ticket.wait();
            });
            s.mutex.lock();
        }
        s.mutex.unlock();
    }
    fn make_ready(s: &Shared) {
        s.mutex.lock();
        s.ready.set(1);
        s.mutex.unlock();
    }
    let notifiers: [(_, fn(&Shared)); 2] = [
        ("notify_one_relaxed", |s| {
            make_ready(s);
            s.list.notify_one_relaxed();
        }),
        ("notify_all_relaxed", |s| {
            make_ready(s);
            s.list.notify_all_relaxed();
        }),
    ];
    for (name, notify) in notifiers {
        let model = Explore::new(format!("under a lock, {name}")).bounded();
        model.run(Shared::default, [wait, notify], |_| ());
    }
}

/// Each notification finds a thread, though an earlier one has just found nobody, or the last one.
#[test]
fn a_thread_that_is_registered_is_found_as_long_as_it_is() {
    fn notify_too_soon(s: &Shared) {
        s.list.notify_one();
        s.raise();
        s.list.notify_one();
    }
    let model = Explore::new("notified too soon, and again").bounded();
    model.run(Shared::default, [wait, notify_too_soon], |_| ());

    fn wait_for_both(s: &Shared) {
        s.list.register(|first| {
            s.list.register(|second| {
                if !s.is_up() {
                    first.wait();
                    second.wait();
                }
            });
        });
    }
    fn notify_each(s: &Shared) {
        s.raise();
        s.list.notify_one();
        s.list.notify_one();
    }
    let model = Explore::new("2 tickets, one by one").bounded();
    model.run(Shared::default, [wait_for_both, notify_each], |_| ());
}

/// The one notification is for the next thread if the first one drops its ticket, and for the one after
/// that if that one does.
#[test]
fn a_ticket_that_is_dropped_passes_its_notification_on() {
    fn drop_two_and_wait(s: &Shared) {
        s.list.register(|first| {
            s.list.register(|second| {
                s.list.register(|third| {
                    if !s.is_up() {
                        drop(first);
                        drop(second);
                        third.wait();
                    }
                });
            });
        });
    }
    fn notify(s: &Shared) {
        s.raise();
        s.list.notify_one();
    }
    let model = Explore::new("2 dropped tickets").bounded();
    model.run(Shared::default, [drop_two_and_wait, notify], |_| ());

    fn drop_at_once(s: &Shared) {
        s.list.register(|_| ());
    }
    let model = Explore::new("dropped ticket and a waiter").preemptions(2);
    model.run(Shared::default, [drop_at_once, wait, notify], |_| ());
}

/// A thread that registers after a notification of all is not notified by it, whatever becomes of the
/// tickets before it.
#[test]
fn a_notification_of_all_is_not_passed_on() {
    fn register_again(s: &Shared) {
        s.list.register(|first| {
            let is_notified = first.is_notified();
            s.list.register(|second| {
                drop(first);
                assert!(!(is_notified && second.cancel()), "passed on");
            });
        });
    }
    fn notify_all(s: &Shared) {
        s.list.notify_all();
    }
    let model = Explore::new("dropped ticket, notify_all").bounded();
    model.run(Shared::default, [register_again, notify_all], |_| ());
}

/// Who leaves, or gives up, knows whether the notifier counted it.
#[test]
fn counts_are_exact() {
    fn cancel(s: &Shared) {
        s.list.register(|ticket| s.left(ticket.cancel()));
    }
    fn give_up(s: &Shared) {
        let wait = |ticket: pysync_cond::Ticket<'_>| ticket.wait_flags(soon(), LockFlags::empty());
        let status = s.counts.ended(s.list.register(wait));
        assert!(matches!(status, WaitStatus::Notified | WaitStatus::TimedOut));
    }
    fn notify(s: &Shared) {
        s.counts.counted(s.list.notify_one().into());
    }
    for (name, leave) in [("cancelled", cancel as fn(&Shared)), ("timed", give_up)] {
        let model = Explore::new(format!("{name} ticket, notify_one")).bounded();
        model.run(Shared::default, [leave, notify], Shared::is_over);
    }
    let model = Explore::new("cancelled and timed ticket, notify_one").preemptions(2);
    model.run(Shared::default, [cancel, give_up, notify], Shared::is_over);
}

/// So many as asked for, those who came first.
#[test]
fn the_first_threads_are_notified() {
    fn register_three(s: &Shared) {
        let mut chosen = [false; 3];
        s.list.register(|first| {
            s.list.register(|second| {
                s.list.register(|third| chosen[2] = s.left(third.cancel()));
                chosen[1] = s.left(second.cancel());
            });
            chosen[0] = s.left(first.cancel());
        });
        assert!(chosen.is_sorted_by(|before, after| before >= after), "{chosen:?}");
        assert!(!chosen[2], "more than 2");
    }
    fn notify_two(s: &Shared) {
        s.counts.counted(s.list.notify(2));
    }
    let model = Explore::new("3 tickets, notify(2)").bounded();
    model.run(Shared::default, [register_three, notify_two], Shared::is_over);
}
