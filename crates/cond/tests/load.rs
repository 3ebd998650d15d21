//! Many waiters at once.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use common::*;
use pysync_cond::{Cond, LockFlags, NotifyList, WaitStatus};
use pysync_lock::Mutex;
use pysync_testing::watchdog_for;

const AT_A_TIME: usize = 2_000;
const ROUNDS: usize = 5;

/// Has ten thousand threads wait by `wait`, so many at a time, until `queued` of them are there;
/// `notify` then notifies them all, and says how many those are.
fn notify_ten_thousand(
    wait: impl Fn() + Sync,
    wait_for_all: impl Fn(),
    notify: impl Fn(usize) -> usize,
) {
    let _watchdog = watchdog_for(Duration::from_secs(120));
    let (ended, mut counted) = (AtomicUsize::new(0), 0);
    for round in 0..ROUNDS {
        thread::scope(|scope| {
            for _ in 0..AT_A_TIME {
                thread::Builder::new()
                    .stack_size(64 << 10)
                    .spawn_scoped(scope, || {
                        wait();
                        ended.fetch_add(1, SeqCst);
                    })
                    .expect("room for another thread");
            }
            wait_for_all();
            assert_eq!(ended.load(SeqCst), counted);
            counted += notify(round);
        });
    }
    println!("{counted} threads notified");
    assert_eq!((counted, ended.into_inner()), (ROUNDS * AT_A_TIME, ROUNDS * AT_A_TIME));
}

#[test]
fn ten_thousand_waiters_of_a_condition_are_all_notified_at_once_or_one_by_one() {
    let (cond, mutex) = (Cond::new(), Mutex::new());
    let in_vain = Some(Duration::from_secs(3600));
    notify_ten_thousand(
        || {
            mutex.lock();
            let status = cond.wait_timed(&mutex, in_vain, LockFlags::DETACH);
            assert_eq!(status, WaitStatus::Notified);
            mutex.unlock();
        },
        || wait_for_waiters(&cond, AT_A_TIME),
        |round| {
            let inside = round % 2 == 0;
            if inside {
                mutex.lock();
            }
            let counted = if round < 3 {
                cond.notify_all()
            } else {
                (0..).take_while(|_| cond.notify_one()).count()
            };
            assert_eq!((cond.notify_all(), waiters(&cond)), (0, 0));
            if inside {
                assert_eq!(parked_at(&mutex), AT_A_TIME);
                mutex.unlock();
            }
            counted
        },
    );
    assert_eq!((cond_bits(&cond), mutex_bits(&mutex)), (0, 0));
}

#[test]
fn ten_thousand_waiters_of_a_list_are_all_notified() {
    let list = NotifyList::new();
    notify_ten_thousand(
        || list.register(|ticket| ticket.wait()),
        || wait_for_waiters(&list, AT_A_TIME),
        |round| match round {
            0 | 1 => list.notify_all(),
            2 => list.notify(AT_A_TIME / 2) + list.notify(AT_A_TIME),
            _ => (0..).take_while(|_| list.notify_one()).count(),
        },
    );
    assert_eq!((list_bits(&list), waiters(&list)), (0, 0));
}
