use std::sync::Arc;
use std::time::Duration;

use pysync_lock::{Event, LockFlags, LockStatus};

use crate::try_out::{run, try_out};

const SOON: Option<Duration> = Some(Duration::from_millis(5));

fn wait(event: &Event) {
    event.wait();
    assert!(event.is_set());
}

fn wait_in_time(event: &Event) {
    if event.wait_timed(SOON, true) {
        assert!(event.is_set());
    }
}

fn wait_until_interrupted(event: &Event) {
    let status = event.wait_flags(None, LockFlags::FAIL_IF_INTERRUPTED);
    assert_ne!(status, LockStatus::Failure);
}

#[test]
fn event_wakes_all_whoever_gives_up() {
    try_out("event, 6 threads", 16_000, || {
        let event = Arc::new(Event::new());
        let notify = Event::notify;
        run(&event, [wait, wait_in_time, notify, wait, wait_until_interrupted, notify]);
        assert!(event.is_set());
    });
}

#[test]
fn event_wakes_many() {
    try_out("event, 16 threads", 2_000, || {
        let event = Arc::new(Event::new());
        let mut bodies = [wait as fn(&Event); 16];
        bodies[7] = Event::notify;
        run(&event, bodies);
    });
}
