//! A4: a trace subscriber that panics in a section's wait, or that itself waits for a lock, leaves
//! the stack of sections as it was: `cargo test --features tracing --test tracing_hostile`.
#![cfg(all(feature = "tracing", not(any(pysync_loom, pysync_shuttle))))]

mod common;

use std::cell::Cell;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;

use common::has_parked;
use pysync_critical_section::{ThreadState, assert_held, critical_section, critical_section2};
use pysync_lock::{Event, Mutex};
use pysync_testing::{hush_panics, together, wait_until, watchdog};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};

const PANIC: &str = "a subscriber that panics";

thread_local! {
    /// What the subscriber does on this thread.
    static DO: Cell<fn()> = const { Cell::new(|| ()) };
}

static HEARD: AtomicUsize = AtomicUsize::new(0);

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

fn listen() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        hush_panics(PANIC);
        tracing::subscriber::set_global_default(Hostile).unwrap();
    });
}

/// The section used to stay linked, in a frame that the panic had freed.
#[test]
fn a_section_whose_subscriber_panics_begins_and_ends() {
    listen();
    let _watchdog = watchdog();
    let (a, b) = (Mutex::new(), Mutex::new());
    let heard = HEARD.load(SeqCst);
    a.lock();
    b.lock();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            DO.set(|| panic!("{PANIC}"));
            let attached = ThreadState::attach();
            critical_section(&a, || assert_held(&a));
            critical_section2(&a, &b, || {
                attached.detached(|| assert!(!a.is_locked() && !b.is_locked()));
                assert_held(&b);
            });
            assert_eq!(attached.top(), None);
        });
        wait_until(|| has_parked(&a));
        a.unlock();
        wait_until(|| has_parked(&b));
        b.unlock();
        waiter.join().unwrap();
    });
    assert!(!a.is_locked() && !b.is_locked());
    assert!(HEARD.load(SeqCst) > heard);
}

/// The subscriber used to find sections that had let go and were not marked so. Its own wait then
/// let go of them again: of mutexes that were another thread's by now.
#[test]
fn a_subscriber_that_waits_lets_go_of_no_mutex_twice() {
    static M: Mutex = Mutex::new();
    static N: Mutex = Mutex::new();
    static BUFFER: Mutex = Mutex::new();
    static OWNERS: AtomicUsize = AtomicUsize::new(0);

    listen();
    let _watchdog = watchdog();
    let done = AtomicBool::new(false);
    let wait_for_the_buffer = || {
        BUFFER.lock();
        thread::yield_now();
        BUFFER.unlock();
    };
    thread::scope(|scope| {
        // A stranger without sections, who has M for itself or does not have it.
        scope.spawn(|| {
            DO.set(wait_for_the_buffer);
            while !done.load(SeqCst) {
                M.lock();
                assert_eq!(OWNERS.fetch_add(1, SeqCst), 0);
                thread::yield_now();
                assert_eq!(OWNERS.fetch_sub(1, SeqCst), 1);
                assert!(M.is_locked());
                M.unlock();
            }
        });
        scope.spawn(|| {
            while !done.load(SeqCst) {
                wait_for_the_buffer();
            }
        });
        together(3, |_| {
            DO.set(wait_for_the_buffer);
            let attached = ThreadState::attach();
            for _ in 0..300 {
                critical_section(&M, || {
                    assert_eq!(OWNERS.fetch_add(1, SeqCst), 0);
                    thread::yield_now();
                    assert_eq!(OWNERS.fetch_sub(1, SeqCst), 1);
                    critical_section(&N, || {
                        assert_held(&N);
                        attached.detached(thread::yield_now);
                        assert_held(&N);
                    });
                    assert_held(&M);
                    assert_eq!(OWNERS.fetch_add(1, SeqCst), 0);
                    assert_eq!(OWNERS.fetch_sub(1, SeqCst), 1);
                });
                assert_eq!(attached.top(), None);
            }
        });
        done.store(true, SeqCst);
    });
    assert!(!M.is_locked() && !N.is_locked() && !BUFFER.is_locked());
}

/// In the very event that says that the thread has let go, it attaches, and has sections; not of
/// the mutexes that the thread itself has, which only a detach would let go of.
#[test]
fn a_subscriber_may_attach_and_have_sections_of_its_own() {
    static OUTER: Mutex = Mutex::new();
    static INNER: Mutex = Mutex::new();
    static MINE: Mutex = Mutex::new();

    listen();
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    let event = Event::new();
    DO.set(|| {
        let within = || critical_section2(&MINE, &INNER, || assert!(INNER.is_locked()));
        if ThreadState::is_attached() {
            within();
        } else {
            let _attached = ThreadState::attach();
            within();
        }
    });
    let heard = HEARD.load(SeqCst);
    critical_section(&OUTER, || {
        attached.detached(|| assert!(!OUTER.is_locked() && !ThreadState::is_attached()));
        assert_held(&OUTER);
        // Times out: no thread notifies.
        assert!(!event.wait_timed(Some(std::time::Duration::from_millis(1)), true));
        assert_held(&OUTER);
    });
    DO.set(|| ());
    assert_eq!(attached.top(), None);
    assert!(!OUTER.is_locked() && !INNER.is_locked());
    assert!(HEARD.load(SeqCst) >= heard + 5, "{}", HEARD.load(SeqCst) - heard);
}
