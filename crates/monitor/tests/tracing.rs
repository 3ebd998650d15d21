//! What a subscriber hears of deadlocks: `cargo test --features tracing --test tracing`.
#![cfg(all(feature = "tracing", not(any(pysync_loom, pysync_shuttle))))]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Barrier, Mutex, Once};
use std::thread;

use pysync_monitor::{Monitor, attempt};
use pysync_parking_lot::bucket_locks_held;
use pysync_testing::{hush_panics, watchdog};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};

/// An event as it was heard.
#[derive(Clone, Debug, Default)]
struct Heard {
    event: String,
    numbers: BTreeMap<&'static str, u64>,
}

static HEARD: Mutex<Vec<Heard>> = Mutex::new(Vec::new());
/// The subscriber's.
static ITS_OWN: Monitor<u64> = Monitor::named("a subscriber's", 0);

/// Remembers every event.
struct Recorder;

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "pysync"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut heard = Heard::default();
        event.record(&mut heard);
        assert_eq!(bucket_locks_held(), 0);
        // A subscriber may enter monitors, also while its thread is queued for one.
        ITS_OWN.enter(|mut count| *count += 1).unwrap();
        HEARD.lock().unwrap().push(heard);
        // Nor does its panic harm the thread that it is called on.
        panic!("in a subscriber");
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Visit for Heard {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.numbers.insert(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.event = format!("{value:?}");
        }
    }
}

fn listen() {
    static ONCE: Once = Once::new();
    hush_panics("in a subscriber");
    ONCE.call_once(|| tracing::subscriber::set_global_default(Recorder).unwrap());
}

/// The deadlocks over `monitor` that were heard of: of how many threads each.
fn deadlocks_over<T>(monitor: &Monitor<T>) -> Vec<u64> {
    let addr = std::ptr::from_ref(monitor).addr() as u64;
    let heard = HEARD.lock().unwrap();
    let is_meant = |it: &&Heard| it.event == "deadlock" && it.numbers.get("addr") == Some(&addr);
    heard.iter().filter(is_meant).map(|it| it.numbers["threads"]).collect()
}

#[test]
fn a_deadlock_is_heard_by_the_loser() {
    let _watchdog = watchdog();
    listen();
    let monitors = [Monitor::new(0), Monitor::new(0)];
    let both_are_inside = Barrier::new(2);
    thread::scope(|scope| {
        for own in 0..2 {
            let (monitors, both_are_inside) = (&monitors, &both_are_inside);
            scope.spawn(move || {
                let mut is_first = true;
                attempt(|| {
                    monitors[own].enter(|_| {
                        if std::mem::take(&mut is_first) {
                            both_are_inside.wait();
                        }
                        monitors[1 - own].enter(|mut value| *value += 1)
                    })?
                })
                .unwrap();
            });
        }
    });
    let mut heard = deadlocks_over(&monitors[0]);
    heard.extend(deadlocks_over(&monitors[1]));
    assert!(!heard.is_empty() && heard.iter().all(|threads| *threads == 2), "{heard:?}");
    assert!(ITS_OWN.enter(|count| *count).unwrap() >= heard.len() as u64);
}

#[test]
fn to_enter_again_is_heard() {
    let _watchdog = watchdog();
    listen();
    let monitor = Monitor::new(());
    _ = monitor.enter(|_| monitor.enter(|_| ()).unwrap_err());
    assert_eq!(deadlocks_over(&monitor), [1]);
}
