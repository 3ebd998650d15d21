use std::time::Duration;

use pysync_lock::{Event, LockFlags, LockStatus};
use pysync_testing::model::TryOut;

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
    TryOut::new("event, 6 threads", 32_000).run(
        Event::default,
        [wait, wait_in_time, Event::notify, wait, wait_until_interrupted, Event::notify],
        |event| assert!(event.is_set()),
    );
}

#[test]
fn event_wakes_many() {
    let mut bodies = [wait as fn(&Event); 16];
    bodies[7] = Event::notify;
    TryOut::new("event, 16 threads", 4_000).run(Event::default, bodies, |_| {});
}
