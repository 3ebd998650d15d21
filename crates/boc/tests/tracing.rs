//! What a subscriber hears of behaviours: `cargo test --features tracing --test tracing`.
#![cfg(all(feature = "tracing", not(any(pysync_loom, pysync_shuttle))))]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{LazyLock, Mutex, Once, PoisonError};

use pysync_boc::{Batch, Cown, Limits, Queues, Runtime, SendError};
use pysync_testing::{hush_panics, watchdog};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};

/// An event as it was heard: its name, its numbers and what it says of the result.
#[derive(Clone, Debug, Default)]
struct Heard {
    event: String,
    result: String,
    numbers: BTreeMap<&'static str, u64>,
}

static HEARD: Mutex<Vec<Heard>> = Mutex::new(Vec::new());

/// The subscriber's.
static ITS_OWN: LazyLock<Runtime> =
    LazyLock::new(|| Runtime::builder().workers(1).build().unwrap());

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
        // A subscriber may use behaviours, and hears nothing of those that it asks for.
        let (cown, _held) = Cown::held(0);
        ITS_OWN.when(&cown, |value| *value += 1).cancel();
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

    fn record_str(&mut self, field: &Field, value: &str) {
        assert_eq!(field.name(), "result");
        self.result = value.into();
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.event = format!("{value:?}");
        }
    }
}

/// What is heard during `body`, of everything in the process: one at a time.
fn heard_in(body: impl FnOnce()) -> Vec<Heard> {
    static ALONE: Mutex<()> = Mutex::new(());
    static LISTENING: Once = Once::new();
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let _watchdog = watchdog();
    LISTENING.call_once(|| {
        hush_panics("in a subscriber");
        tracing::subscriber::set_global_default(Recorder).unwrap();
    });
    HEARD.lock().unwrap().clear();
    body();
    std::mem::take(&mut HEARD.lock().unwrap())
}

/// The life of each behaviour in `heard`, by the order in which they were asked for.
fn lives(heard: &[Heard]) -> Vec<Vec<&str>> {
    let mut order = Vec::new();
    let mut lives = BTreeMap::<u64, Vec<&str>>::new();
    for Heard { event, result, numbers } in heard {
        let Some(&addr) = numbers.get("addr") else { continue };
        match event.as_str() {
            "schedule" => {
                order.push(addr);
                lives.insert(addr, vec!["schedule"]);
            }
            "run" | "cancel" => lives.get_mut(&addr).unwrap().push(event),
            "done" => lives.get_mut(&addr).unwrap().push(result),
            _ => {}
        }
    }
    order.iter().map(|addr| lives.remove(addr).unwrap()).collect()
}

#[test]
fn the_life_of_a_behaviour_is_heard() {
    let heard = heard_in(|| {
        hush_panics("in a body");
        let runtime = Runtime::builder().workers(1).build().unwrap();
        // All are there at the same time, so that each has an address of its own.
        let (cown, held) = Cown::held(0);
        let other = Cown::new(0);
        let returns = runtime.when((&cown, &other), |(value, _)| *value);
        let panics = runtime.when(&cown, |_| panic!("in a body"));
        let cancelled = runtime.when(&cown, |_| ());
        assert!(cancelled.cancel());
        let gone = Cown::held(0).0;
        gone.acquire().disown();
        let disowned = runtime.when((&cown, &gone), |_| ());
        let mut batch = Batch::on(&runtime);
        let batched = batch.when(&cown, |_| ());
        batch.schedule();
        drop(held);
        returns.wait(None).unwrap().unwrap();
        panics.wait(None).unwrap().unwrap_err();
        disowned.wait(None).unwrap().unwrap_err();
        batched.wait(None).unwrap().unwrap();
        runtime.quiesce(None).unwrap();
    });
    assert_eq!(
        lives(&heard),
        [
            ["schedule", "run", "returned"].as_slice(),
            &["schedule", "run", "panicked"],
            &["schedule", "cancel"],
            &["schedule", "disowned"],
            &["schedule", "run", "returned"],
        ]
    );
    let cowns = heard.iter().filter(|heard| heard.event == "schedule").map(|h| h.numbers["cowns"]);
    assert_eq!(cowns.collect::<Vec<_>>(), [2, 1, 1, 2, 1]);
}

#[test]
fn a_stop_is_heard_and_what_it_drops() {
    let heard = heard_in(|| {
        let runtime = Runtime::builder().workers(1).build().unwrap();
        let (cown, held) = Cown::held(0);
        let stopped = runtime.when(&cown, |_| ());
        // It waits for its cown, which no stop can reach.
        assert_eq!(runtime.stop(None).dropped, 0);
        drop(held);
        assert_eq!(runtime.stop(None).dropped, 1);
        stopped.wait(None).unwrap().unwrap_err();
    });
    assert_eq!(lives(&heard), [["schedule", "stopped"]]);
    let stops = heard.iter().filter(|heard| heard.event == "stop");
    let stops = stops.map(|stop| (stop.numbers["dropped"], stop.numbers["still_running"]));
    // The last by the drop of the runtime, which says the same.
    assert_eq!(stops.collect::<Vec<_>>(), [(0, 0), (1, 0), (1, 0)]);
}

#[test]
fn a_full_queue_and_a_change_of_names_are_heard() {
    let heard = heard_in(|| {
        let queues = Queues::new(Limits { capacity: 1, ..Limits::default() });
        queues.send("a", 1).unwrap();
        assert_eq!(queues.send("a", 2), Err(SendError::Full(2)));
        queues.set_tags(&["b", "c"]).unwrap();
    });
    let of_queues = |heard: &&Heard| ["send-full", "set-tags"].contains(&heard.event.as_str());
    let heard: Vec<_> = heard.iter().filter(of_queues).collect();
    assert_eq!(heard.len(), 2);
    assert_eq!(heard[0].numbers["addr"], heard[1].numbers["addr"]);
    assert_eq!((heard[1].numbers["tags"], heard[1].numbers["discarded"]), (2, 1));
}
