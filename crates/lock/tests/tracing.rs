//! What a subscriber hears of the slow paths: `cargo test --features tracing --test tracing`.
#![cfg(all(feature = "tracing", not(any(pysync_loom, pysync_shuttle))))]

mod common;

use std::fmt::Debug;
use std::sync::{Mutex as StdMutex, Once};
use std::thread;
use std::time::Duration;

use common::Sleeper;
use pysync_lock::{Event, LockFlags, LockStatus, Mutex};
use pysync_testing::watchdog;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};

/// An event as it was heard.
#[derive(Clone, Debug, Default, PartialEq)]
struct Heard {
    message: String,
    addr: Option<u64>,
    nanos: Option<u64>,
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
        HEARD.lock().unwrap().push(heard);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Visit for Heard {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "addr" => self.addr = Some(value),
            "nanos" => self.nanos = Some(value),
            name => panic!("unexpected field {name}"),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        assert_eq!(field.name(), "message");
        self.message = format!("{value:?}");
    }
}

/// What was heard of `addr`, in order: each message and how long it says that something took.
fn heard_of<T>(lock: &T) -> Vec<(String, Option<u64>)> {
    let addr = std::ptr::from_ref(lock).addr() as u64;
    let mut all = HEARD.lock().unwrap();
    let (mine, others) = all.drain(..).partition(|heard: &Heard| heard.addr == Some(addr));
    *all = others;
    let mine: Vec<Heard> = mine;
    mine.into_iter()
        .map(|heard| {
            assert_eq!(heard.target, "pysync");
            (heard.message, heard.nanos)
        })
        .collect()
}

fn listen() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| tracing::subscriber::set_global_default(Recorder).unwrap());
}

fn messages(heard: &[(String, Option<u64>)]) -> Vec<&str> {
    heard.iter().map(|(message, _)| message.as_str()).collect()
}

/// Waits for `mutex` on a thread of its own, for as long as given and until it sleeps.
fn lock_on_another_thread(mutex: &Mutex, before_unlock: Duration) -> Vec<(String, Option<u64>)> {
    let sleeper = Sleeper::new();
    mutex.lock();
    thread::scope(|scope| {
        scope.spawn(|| {
            sleeper.enter();
            mutex.lock();
        });
        sleeper.wait_until_asleep();
        thread::sleep(before_unlock);
        mutex.unlock();
    });
    mutex.unlock();
    heard_of(mutex)
}

#[test]
fn what_is_not_contended_is_silent() {
    listen();
    let mutex = Mutex::new();
    mutex.lock();
    assert_eq!(mutex.lock_timed(Some(Duration::ZERO), LockFlags::all()), LockStatus::Failure);
    mutex.unlock();
    assert_eq!(heard_of(&mutex), []);
}

#[test]
fn a_wait_is_heard_as_park_and_wake_and_how_long_it_took() {
    listen();
    let _watchdog = watchdog();
    let event = Event::new();
    let sleeper = Sleeper::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            sleeper.enter();
            event.wait();
        });
        sleeper.wait_until_asleep();
        thread::sleep(Duration::from_millis(2));
        event.notify();
    });
    let heard = heard_of(&event);
    assert_eq!(messages(&heard), ["park", "wake"]);
    assert_eq!(heard[0].1, None);
    assert!(heard[1].1.unwrap() >= 2_000_000, "{heard:?}");
}

#[test]
fn a_wait_of_more_than_a_millisecond_ends_in_a_hand_off() {
    listen();
    let _watchdog = watchdog();
    let heard = lock_on_another_thread(&Mutex::new(), Duration::from_millis(2));
    assert_eq!(messages(&heard), ["park", "wake", "hand-off"]);
    assert_eq!(heard[2].1, None);
}

#[test]
fn a_timeout_is_heard_and_how_long_it_took() {
    listen();
    let mutex = Mutex::new();
    mutex.lock();
    let soon = Some(Duration::from_millis(2));
    assert_eq!(mutex.lock_timed(soon, LockFlags::DETACH), LockStatus::Failure);
    let heard = heard_of(&mutex);
    assert_eq!(messages(&heard), ["park", "timeout"]);
    // The yields before it count towards the timeout, but not towards the sleep.
    assert!(heard[1].1.unwrap() > 0, "{heard:?}");
}

#[cfg(all(target_os = "linux", not(pysync_portable)))]
#[test]
fn an_interrupt_is_heard_and_how_long_it_took() {
    use pysync_testing::{ThreadId, rain_until, wait_until, watch_signals};
    use std::sync::OnceLock;

    listen();
    watch_signals();
    let _watchdog = watchdog();
    let (mutex, target) = (Mutex::new(), OnceLock::new());
    mutex.lock();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            assert!(target.set(ThreadId::current()).is_ok());
            mutex.lock_flags(LockFlags::FAIL_IF_INTERRUPTED)
        });
        wait_until(|| target.get().is_some());
        // SAFETY: joined later.
        unsafe { rain_until(&[*target.get().unwrap()], || waiter.is_finished()) };
        assert_eq!(waiter.join().unwrap(), LockStatus::Interrupted);
    });
    let heard = heard_of(&mutex);
    assert_eq!(messages(&heard), ["park", "interrupt"]);
    assert!(heard[1].1.unwrap() > 0, "{heard:?}");
}
