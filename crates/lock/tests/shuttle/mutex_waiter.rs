//! Waiters of a condition that are moved to the mutex, while they give up and come back.

use pysync_parking_lot::Deadline;
use pysync_testing::model::TryOut;

use crate::monitor::Monitor;

#[test]
fn moved_waiters_get_the_mutex_one_by_one() {
    TryOut::new("condition of a mutex", 12_000).run(
        Monitor::default,
        [
            |m| m.wait_until_ready(Deadline::NEVER),
            |m| m.wait_until_ready(Deadline::NEVER),
            |m| m.wait_until_ready(Deadline::after(Some(std::time::Duration::from_millis(1)))),
            Monitor::make_ready_inside,
            Monitor::make_ready_and_notify_outside,
        ],
        |m| {
            assert_eq!(m.ready.get(), 5);
            assert!(!m.mutex.is_locked());
        },
    );
}
