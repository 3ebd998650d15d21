//! A4: a trace subscriber is foreign code. One that panics, or that waits for a lock of these
//! crates, breaks nothing: `cargo test --features tracing --test tracing_hostile`.
#![cfg(all(feature = "tracing", not(any(pysync_loom, pysync_shuttle))))]

mod common;

use std::cell::Cell;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use common::Sleeper;
use pysync_lock::{Event, LockFlags, LockStatus, Mutex, guarded};
use pysync_testing::{hush_panics, together, watchdog};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};

const PANIC: &str = "a subscriber that panics";

thread_local! {
    /// What the subscriber does on this thread.
    static DO: Cell<fn()> = const { Cell::new(|| ()) };
}

struct Hostile;

impl Subscriber for Hostile {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn event(&self, _: &tracing::Event<'_>) {
        HEARD.fetch_add(1, SeqCst);
        DO.get()();
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

static HEARD: AtomicUsize = AtomicUsize::new(0);

fn listen() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        hush_panics(PANIC);
        tracing::subscriber::set_global_default(Hostile).unwrap();
    });
}

/// Has another thread wait for `mutex` until `unlock`.
fn waits<T: Send>(mutex: &Mutex, wait: impl FnOnce() -> T + Send, unlock: impl FnOnce()) -> T {
    let sleeper = Sleeper::new();
    mutex.lock();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            sleeper.enter();
            wait()
        });
        sleeper.wait_until_asleep();
        unlock();
        waiter.join().unwrap()
    })
}

#[test]
fn a_wait_whose_subscriber_panics_ends_like_any_other() {
    listen();
    let _watchdog = watchdog();
    let mutex = Mutex::new();
    let heard = HEARD.load(SeqCst);
    for before_unlock in [Duration::ZERO, Duration::from_millis(3)] {
        let lock = || {
            DO.set(|| panic!("{PANIC}"));
            mutex.lock();
            assert!(mutex.is_locked());
            mutex.unlock();
        };
        waits(&mutex, lock, || {
            thread::sleep(before_unlock);
            mutex.unlock();
        });
        assert!(mutex.try_lock());
        mutex.unlock();
    }
    assert!(HEARD.load(SeqCst) >= heard + 4);
}

#[test]
fn a_guard_whose_subscriber_panics_is_given_out() {
    listen();
    let _watchdog = watchdog();
    let mutex = guarded::Mutex::new(0);
    together(4, |_| {
        DO.set(|| panic!("{PANIC}"));
        for _ in 0..500 {
            let mut count = mutex.lock();
            *count += 1;
            // So that the others have to sleep.
            (0..100).for_each(|_| thread::yield_now());
        }
    });
    assert_eq!(mutex.into_inner(), 2_000);
}

#[test]
fn a_timeout_whose_subscriber_panics_is_a_timeout() {
    listen();
    let mutex = Mutex::new();
    mutex.lock();
    DO.set(|| panic!("{PANIC}"));
    let soon = Some(Duration::from_millis(2));
    assert_eq!(mutex.lock_timed(soon, LockFlags::DETACH), LockStatus::Failure);
    mutex.unlock();
    assert!(mutex.try_lock());
}

/// What it panics with is dropped where it is caught.
#[test]
fn a_payload_that_panics_as_it_is_dropped_does_not_get_out() {
    struct Payload;

    impl Drop for Payload {
        fn drop(&mut self) {
            panic!("{PANIC}");
        }
    }

    listen();
    let mutex = Mutex::new();
    mutex.lock();
    DO.set(|| std::panic::resume_unwind(Box::new(Payload)));
    let soon = Some(Duration::from_millis(2));
    assert_eq!(mutex.lock_timed(soon, LockFlags::DETACH), LockStatus::Failure);
    mutex.unlock();
    assert!(mutex.try_lock());
}

/// Each event locks the subscriber's buffer, for which other threads wait: those waits would be
/// events of their own, and so on until the stack is used up.
#[test]
fn a_subscriber_may_wait_for_its_own_mutex() {
    static BUFFER: guarded::Mutex<Vec<u8>> = guarded::Mutex::new(Vec::new());
    listen();
    let _watchdog = watchdog();
    let mutex = guarded::Mutex::new(0);
    let before = HEARD.load(SeqCst);
    together(8, |_| {
        DO.set(|| {
            let mut buffer = BUFFER.lock();
            buffer.push(0);
            // Long enough for others to wait.
            thread::yield_now();
        });
        for _ in 0..300 {
            let mut count = mutex.lock();
            *count += 1;
            thread::yield_now();
        }
    });
    assert_eq!(mutex.into_inner(), 2_400);
    let heard = HEARD.load(SeqCst) - before;
    assert!(!BUFFER.lock().is_empty() && heard > 0, "{heard} events");
}

/// The same with nothing left to chance: the buffer is locked when the event comes.
#[test]
fn a_wait_inside_an_event_is_not_heard() {
    static BUFFER: Mutex = Mutex::new();
    listen();
    let _watchdog = watchdog();
    let (mutex, sleeper) = (Mutex::new(), Sleeper::new());
    BUFFER.lock();
    mutex.lock();
    thread::scope(|scope| {
        scope.spawn(|| {
            DO.set(|| {
                BUFFER.lock();
                BUFFER.unlock();
            });
            sleeper.enter();
            mutex.lock();
            mutex.unlock();
        });
        sleeper.wait_until_asleep();
        BUFFER.unlock();
        mutex.unlock();
    });
    assert!(!mutex.is_locked() && !BUFFER.is_locked());
}

/// An unlock may be one of many, in the middle of a thread's detach.
#[test]
fn an_unlock_and_a_notify_emit_nothing() {
    listen();
    let _watchdog = watchdog();
    let (mutex, event, sleeper) = (Mutex::new(), Event::new(), Sleeper::new());
    // Panics are not heard, but counted.
    thread_local! { static MINE: Cell<usize> = const { Cell::new(0) } }
    DO.set(|| MINE.set(MINE.get() + 1));
    waits(
        &mutex,
        || mutex.lock(),
        || {
            thread::sleep(Duration::from_millis(3));
            mutex.unlock();
        },
    );
    mutex.unlock();
    thread::scope(|scope| {
        scope.spawn(|| {
            sleeper.enter();
            event.wait();
        });
        sleeper.wait_until_asleep();
        event.notify();
    });
    assert_eq!(MINE.get(), 0);
}
