//! Tickets that wait, give up, are cancelled or dropped, in any mixture: no notification is lost.

use pysync_cond::{Deadline, LockFlags, NotifyList, WaitStatus};
use pysync_testing::model::TryOut;
use shuttle::rand::Rng;
use shuttle::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use crate::cond::model::{Counts, soon};

#[derive(Default)]
struct Shared {
    list: NotifyList,
    flag: AtomicBool,
    counts: Counts,
    done: AtomicUsize,
}

/// Waits until the flag is up, which only the last of several notifications says.
fn wait(s: &Shared) {
    while !s.flag.load(SeqCst) {
        s.list.register(|ticket| {
            if !s.flag.load(SeqCst) {
                ticket.wait();
            }
        });
    }
    // The one notification that said so is for all that wait for it.
    s.list.notify_one();
}

/// Takes places in the list, and leaves them in every way.
fn come_and_go(s: &Shared) {
    for _ in 0..2 {
        let leaves_how = shuttle::rand::thread_rng().gen_range(0..4);
        let register =
            if shuttle::rand::thread_rng().gen_ratio(1, 4) { register_first } else { register };
        register(&s.list, &|ticket| match leaves_how {
            0 => drop(ticket),
            // A notification that had come first is this thread's, which passes it on.
            1 => {
                if ticket.cancel() {
                    s.list.notify_one();
                }
            }
            2 => {
                let status = ticket.wait_flags(soon(), LockFlags::FAIL_IF_INTERRUPTED);
                if status == WaitStatus::Notified {
                    s.list.notify_one();
                }
            }
            // Nested: the inner one is dropped with a notification, or the outer one is.
            _ => s.list.register(|inner| {
                drop(ticket);
                drop(inner);
            }),
        });
    }
}

type InTheList<'a> = &'a dyn Fn(pysync_cond::Ticket<'_>);

fn register(list: &NotifyList, f: InTheList<'_>) {
    list.register(f);
}

fn register_first(list: &NotifyList, f: InTheList<'_>) {
    list.register_first(f);
}

#[test]
fn tickets_that_are_given_up_take_no_notification_with_them() {
    fn raise(s: &Shared) {
        s.flag.store(true, SeqCst);
        s.list.notify_one();
    }
    TryOut::new("notify list, 1 waiter among those that give up", 40_000).run(
        Shared::default,
        [wait, come_and_go, come_and_go, wait, raise],
        |s| assert_eq!(s.list.notify_all(), 0, "left behind"),
    );
}

#[test]
fn as_many_waits_end_as_notified_as_are_counted() {
    fn wait(s: &Shared) {
        for _ in 0..2 {
            let signal = shuttle::rand::thread_rng().gen_ratio(1, 2);
            let flags = if signal { LockFlags::FAIL_IF_INTERRUPTED } else { LockFlags::DETACH };
            let timed = shuttle::rand::thread_rng().gen_ratio(1, 2);
            let deadline = if timed { soon() } else { Deadline::NEVER };
            let status = s.list.register(|ticket| ticket.wait_flags(deadline, flags));
            assert!(match s.counts.ended(status) {
                WaitStatus::Notified => true,
                WaitStatus::TimedOut => timed,
                WaitStatus::Interrupted => signal,
                WaitStatus::Cancelled => false,
            });
            let is_notified = s.list.register(|ticket| ticket.cancel());
            let status = if is_notified { WaitStatus::Notified } else { WaitStatus::TimedOut };
            _ = s.counts.ended(status);
        }
        s.done.fetch_add(1, SeqCst);
    }
    fn notify(s: &Shared) {
        while s.done.load(SeqCst) < 3 {
            s.counts.counted(match shuttle::rand::thread_rng().gen_range(0..3) {
                0 => s.list.notify_one().into(),
                1 => s.list.notify(2),
                _ => s.list.notify_all(),
            });
            shuttle::thread::yield_now();
        }
    }
    TryOut::new("notify list, counts", 40_000).run(
        Shared::default,
        [wait, notify, wait, notify, wait],
        |s| {
            s.counts.agree();
            assert_eq!(s.list.notify_all(), 0, "left behind");
        },
    );
}
