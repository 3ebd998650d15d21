//! Suspend and resume as events; needs the feature `tracing`.
#![cfg(all(feature = "tracing", not(any(pysync_loom, pysync_shuttle))))]

mod common;

use std::cell::RefCell;
use std::fmt;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use common::has_parked;
use pysync_critical_section::{Attached, ThreadState, critical_section, critical_section2};
use pysync_lock::{Event, Mutex};
use pysync_testing::{wait_until, watchdog};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};

thread_local! {
    static EVENTS: RefCell<Vec<Heard>> = const { RefCell::new(Vec::new()) };
}

/// What an event says, its address, and how many sections it speaks of.
#[derive(Debug, PartialEq)]
struct Heard(String, u64, u64);

/// Keeps the events of each thread: what they say and their address.
struct Recorder;

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "pysync"
    }

    fn event(&self, event: &tracing::Event<'_>) {
        #[derive(Default)]
        struct Fields(String, u64, u64);
        impl Visit for Fields {
            fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
                if field.name() == "message" {
                    self.0 = format!("{value:?}");
                }
            }
            fn record_u64(&mut self, field: &Field, value: u64) {
                match field.name() {
                    "addr" => self.1 = value,
                    "sections" => self.2 = value,
                    _ => {}
                }
            }
        }

        let mut fields = Fields::default();
        event.record(&mut fields);
        EVENTS.with_borrow_mut(|events| events.push(Heard(fields.0, fields.1, fields.2)));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// What the calling thread emits in `f`.
fn events_in(f: impl FnOnce()) -> Vec<Heard> {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| tracing::subscriber::set_global_default(Recorder).unwrap());
    EVENTS.take();
    f();
    EVENTS.take()
}

fn event(message: &str, addr: usize) -> Heard {
    Heard(message.to_owned(), addr as u64, 0)
}

fn suspend(addr: usize, sections: u64) -> Heard {
    Heard("suspend".to_owned(), addr as u64, sections)
}

fn top(attached: &Attached) -> usize {
    attached.top().unwrap()
}

#[test]
fn sections_that_are_not_suspended_emit_nothing() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    let (a, b) = (Mutex::new(), Mutex::new());
    let events = events_in(|| {
        critical_section(&a, || critical_section(&b, || critical_section(&b, || ())));
        critical_section2(&a, &b, || critical_section(&a, || ()));
        attached.detached(|| ());
    });
    assert_eq!(events, []);
}

#[test]
fn detaching_suspends_from_the_innermost_and_resumes_one_at_a_time() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    let m = [const { Mutex::new() }; 3];
    let mut sections = [0; 2];
    let events = events_in(|| {
        critical_section(&m[0], || {
            sections[0] = top(&attached);
            critical_section2(&m[1], &m[2], || {
                sections[1] = top(&attached);
                attached.detached(|| ());
                attached.detached(|| ());
            });
        });
    });
    let [outer, inner] = sections;
    assert_eq!(
        events,
        [
            suspend(inner, 2),
            event("resume", inner),
            // The outer one is suspended already.
            suspend(inner, 1),
            event("resume", inner),
            event("resume", outer),
        ]
    );
}

#[test]
fn a_wait_suspends_once_it_is_queued_and_resumes_when_it_is_off_the_queue() {
    let _watchdog = watchdog();
    let (m, event_, ready) = (Mutex::new(), Event::new(), AtomicBool::new(false));
    let events = thread::scope(|s| {
        let waiter = s.spawn(|| {
            let attached = ThreadState::attach();
            let mut section = 0;
            let events = events_in(|| {
                critical_section(&m, || {
                    section = top(&attached);
                    ready.store(true, SeqCst);
                    event_.wait();
                });
            });
            (section, events)
        });
        wait_until(|| ready.load(SeqCst) && !m.is_locked());
        event_.notify();
        waiter.join().unwrap()
    });
    let (section, events) = events;
    let addr = (&raw const event_).addr();
    assert_eq!(
        events,
        [event("park", addr), suspend(section, 1), event("resume", section), event("wake", addr),]
    );
}

#[test]
fn a_section_that_waits_to_resume_parks_in_between() {
    let _watchdog = watchdog();
    let (m, ready, go) = (Mutex::new(), AtomicBool::new(false), AtomicBool::new(false));
    let (section, events) = thread::scope(|s| {
        let waiter = s.spawn(|| {
            let attached = ThreadState::attach();
            let mut section = 0;
            let events = events_in(|| {
                critical_section(&m, || {
                    section = top(&attached);
                    attached.detached(|| {
                        ready.store(true, SeqCst);
                        wait_until(|| go.load(SeqCst));
                    });
                });
            });
            (section, events)
        });
        wait_until(|| ready.load(SeqCst));
        m.lock();
        go.store(true, SeqCst);
        wait_until(|| has_parked(&m));
        m.unlock();
        waiter.join().unwrap()
    });
    let messages: Vec<&str> = events.iter().map(|heard| &*heard.0).collect();
    assert_eq!(messages.first(), Some(&"suspend"));
    assert_eq!(messages.last(), Some(&"resume"));
    let resumes = events.iter().filter(|heard| heard.0 == "resume");
    assert!(resumes.eq([&event("resume", section)]), "once, when it has its mutex: {messages:?}");
}
