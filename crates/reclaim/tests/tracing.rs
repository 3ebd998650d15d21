//! What a subscriber hears of finalizers: `cargo test --features tracing --test tracing`.
#![cfg(all(feature = "tracing", not(any(pysync_loom, pysync_shuttle))))]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Mutex, Once};

use pysync_parking_lot::bucket_locks_held;
use pysync_reclaim::{Deadline, Drained, Finalize, Finalized, Finalizer, Shared};
use pysync_testing::{hush_panics, watchdog};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};

/// An event as it was heard.
#[derive(Clone, Debug, Default)]
struct Heard {
    event: String,
    type_name: String,
    panicked: Option<bool>,
    numbers: BTreeMap<&'static str, u64>,
}

static HEARD: Mutex<Vec<Heard>> = Mutex::new(Vec::new());

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
        // A subscriber may count references and queue cores. It hears nothing of those.
        let shared = Shared::new(Finalized::new(Good));
        drop(shared.clone());
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

    fn record_bool(&mut self, _: &Field, value: bool) {
        self.panicked = Some(value);
    }

    fn record_str(&mut self, _: &Field, value: &str) {
        self.type_name = value.to_owned();
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

struct Good;
struct Bad;

impl Finalize for Good {
    fn finalize(self) {}
}

impl Finalize for Bad {
    fn finalize(self) {
        panic!("in a finalizer");
    }
}

#[test]
fn finalizers_and_drains_are_heard() {
    let _watchdog = watchdog();
    listen();
    hush_panics("in a finalizer");
    let finalizer = Finalizer::new("heard").unwrap();
    drop(Finalized::new_on(&finalizer, Good));
    drop(Finalized::new_on(&finalizer, Bad));
    let drained = finalizer.drain(Deadline::NEVER);
    assert_eq!(drained.left, 0);
    let heard = HEARD.lock().unwrap().clone();
    let bad =
        heard.iter().find(|it| it.event == "finalize" && it.type_name.ends_with("Bad")).unwrap();
    assert_eq!(bad.panicked, Some(true));
    let addr = bad.numbers["addr"];
    let mine: Vec<_> = heard.iter().filter(|it| it.numbers.get("addr") == Some(&addr)).collect();
    let names: Vec<_> = mine.iter().map(|it| (it.event.as_str(), it.panicked)).collect();
    assert_eq!(names, [("finalize", Some(false)), ("finalize", Some(true)), ("drain", None)]);
    let Drained { ran, panicked, left } = drained;
    let told = ["ran", "panicked", "left"].map(|name| mine[2].numbers[name] as usize);
    assert_eq!(told, [ran, panicked, left]);
}
