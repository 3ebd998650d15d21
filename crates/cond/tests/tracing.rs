//! What a subscriber hears of notifications: `cargo test --features tracing --test tracing`.
#![cfg(all(feature = "tracing", not(any(pysync_loom, pysync_shuttle))))]

mod common;

use std::fmt::Debug;
use std::sync::{Mutex as StdMutex, Once};
use std::thread;

use common::*;
use pysync_cond::{Cancel, Cond, Deadline, LockFlags, NotifyList};
use pysync_lock::Mutex;
use pysync_parking_lot::bucket_locks_held;
use pysync_testing::{panics_with, watchdog};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};

/// An event as it was heard.
#[derive(Clone, Debug, Default, PartialEq)]
struct Heard {
    message: String,
    addr: Option<u64>,
    woken: Option<u64>,
    moved: Option<u64>,
    target: &'static str,
}

static HEARD: StdMutex<Vec<Heard>> = StdMutex::new(Vec::new());

/// Remembers every event.
struct Recorder;

impl Subscriber for Recorder {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut heard = Heard { target: event.metadata().target(), ..Heard::default() };
        event.record(&mut heard);
        // No bucket is locked: a subscriber may notify itself, and hears nothing of that.
        let inner = NotifyList::new();
        inner.register(|_ticket| assert!(inner.notify_one()));
        assert_eq!(bucket_locks_held(), 0);
        HEARD.lock().unwrap().push(heard);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Visit for Heard {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "addr" => self.addr = Some(value),
            "woken" => self.woken = Some(value),
            "moved" => self.moved = Some(value),
            // Of the layers below.
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        assert_eq!(field.name(), "message");
        self.message = format!("{value:?}");
    }
}

/// The notifications that were heard of `place`, in order: how many were woken, and moved.
fn notifications_of<T>(place: &T) -> Vec<(u64, u64)> {
    let addr = std::ptr::from_ref(place).addr() as u64;
    let mut all = HEARD.lock().unwrap();
    let (mine, others) = all.drain(..).partition(|heard: &Heard| heard.addr == Some(addr));
    *all = others;
    let mine: Vec<Heard> = mine;
    mine.into_iter()
        .filter(|heard| heard.message == "notify")
        .map(|heard| {
            assert_eq!(heard.target, "pysync");
            (heard.woken.unwrap(), heard.moved.unwrap())
        })
        .collect()
}

fn listen() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| tracing::subscriber::set_global_default(Recorder).unwrap());
}

/// Has two threads wait with `mutex`, and notifies them.
fn two_waiters(cond: &Cond, mutex: &Mutex, cancel: Option<&Cancel>, notify: impl FnOnce()) {
    let _watchdog = watchdog();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                mutex.lock();
                let flags = LockFlags::DETACH;
                _ = cond.wait_in::<Counting, _>(mutex, Deadline::NEVER, flags, cancel);
                mutex.unlock();
            });
        }
        wait_for_waiters(cond, 2);
        // Each has given the mutex up.
        mutex.lock();
        mutex.unlock();
        notify();
    });
}

#[test]
fn notifying_nobody_is_silent() {
    listen();
    let (cond, list, mutex) = (Cond::new(), NotifyList::new(), Mutex::new());
    cond.notify_one();
    cond.notify_all();
    cond.cancel(&Cancel::new());
    list.notify_one();
    list.notify_all();
    // Also where the look is not enough.
    mutex.lock();
    _ = cond.wait_until(&mutex, Deadline::NOW, LockFlags::empty());
    mutex.unlock();
    cond.notify_all();
    list.register(|_ticket| ());
    list.notify_all();
    assert_eq!((notifications_of(&cond), notifications_of(&list)), (vec![], vec![]));
}

#[test]
fn waiters_of_a_held_mutex_are_heard_to_be_moved() {
    listen();
    let (cond, mutex) = (Cond::new(), Mutex::new());
    two_waiters(&cond, &mutex, None, || {
        mutex.lock();
        assert!(cond.notify_one());
        assert_eq!(cond.notify_all(), 1);
        mutex.unlock();
    });
    assert_eq!(notifications_of(&cond), [(0, 1), (0, 1)]);
    two_waiters(&cond, &mutex, None, || {
        mutex.lock();
        assert_eq!(cond.notify_all(), 2);
        mutex.unlock();
    });
    assert_eq!(notifications_of(&cond), [(0, 2)]);
}

#[test]
fn waiters_of_a_free_mutex_are_heard_to_be_woken() {
    listen();
    let (cond, mutex) = (Cond::new(), Mutex::new());
    two_waiters(&cond, &mutex, None, || assert_eq!(cond.notify_all(), 2));
    let heard = notifications_of(&cond);
    assert_eq!(heard.len(), 1);
    let (woken, moved) = heard[0];
    assert!(woken > 0 && woken + moved == 2, "{heard:?}");
}

#[test]
fn a_cancel_is_heard_as_a_notification() {
    listen();
    let (cond, mutex, cancel) = (Cond::new(), Mutex::new(), Cancel::new());
    two_waiters(&cond, &mutex, Some(&cancel), || {
        mutex.lock();
        assert_eq!(cond.cancel(&cancel), 2);
        mutex.unlock();
    });
    assert_eq!(notifications_of(&cond), [(0, 2)]);
}

#[test]
fn those_of_a_list_are_heard_to_be_woken() {
    listen();
    let _watchdog = watchdog();
    let list = NotifyList::new();
    list.register(|first| {
        list.register(|second| {
            list.register(|third| {
                assert_eq!(list.notify(2), 2);
                assert_eq!(list.notify_all(), 1);
                third.wait();
            });
            second.wait();
        });
        first.wait();
    });
    assert_eq!(notifications_of(&list), [(2, 0), (1, 0)]);
}

#[test]
fn a_misuse_is_not_heard() {
    listen();
    let (cond, mutex) = (Cond::new(), Mutex::new());
    panics_with("waiting with a lock that is not held", || cond.wait(&mutex));
    assert_eq!(notifications_of(&cond), []);
}
