use std::time::Duration;

use pysync_lock::Event;
use pysync_testing::model::{Data, Explore};

#[derive(Default)]
struct Shared {
    event: Event,
    data: Data,
}

fn notify(s: &Shared) {
    s.data.set(7);
    s.event.notify();
}

fn wait(s: &Shared) {
    s.event.wait();
    assert_eq!(s.data.get(), 7);
}

/// Two threads in every order, three in those with at most two preemptions.
fn check<const N: usize>(name: &str, bodies: [fn(&Shared); N]) {
    let model = Explore::new(format!("event, {name}"));
    let model = if N == 2 { model } else { model.preemptions(2) };
    model.run(Shared::default, bodies, |s| assert!(s.event.is_set()));
}

#[test]
fn event_publishes_and_wakes() {
    check("1 waiter", [notify, wait]);
}

#[test]
fn event_wakes_all() {
    check("2 waiters", [wait, notify, wait]);
}

/// Of two notifies one finds the waiter, whichever comes first.
#[test]
fn event_two_notifies_wake_the_waiter() {
    check("2 notifies", [|s| s.event.notify(), |s| s.event.wait(), notify]);
}

#[test]
fn event_is_set_publishes() {
    fn look(s: &Shared) {
        if s.event.is_set() {
            assert_eq!(s.data.get(), 7);
        }
    }

    check("is_set", [notify, look]);
}

/// A wait that times out leaves the announcement behind, for the one that does not.
#[test]
fn event_a_wait_that_times_out_takes_no_wake_with_it() {
    fn timed(s: &Shared) {
        if s.event.wait_timed(Some(Duration::from_millis(1)), true) {
            assert_eq!(s.data.get(), 7);
        }
    }

    check("a timeout", [notify, timed]);
    check("a timeout and a waiter", [timed, notify, wait]);
}
