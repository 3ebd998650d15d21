//! Waiters of a condition that are moved to the mutex.

use pysync_parking_lot::Deadline;
use pysync_testing::model::{Explore, Unlock};

use crate::monitor::Monitor;

fn wait(m: &Monitor) {
    m.wait_until_ready(Deadline::NEVER);
}

fn wait_for_a_time(m: &Monitor) {
    m.wait_until_ready(Deadline::after(Some(std::time::Duration::from_millis(1))));
}

#[test]
fn moved_waiters_get_the_mutex_one_by_one() {
    for unlock in [Unlock::Wakes, Unlock::HandsOff] {
        for (name, make_ready) in [
            ("notified inside", Monitor::make_ready_inside as fn(&Monitor)),
            ("notified outside", Monitor::make_ready_and_notify_outside),
        ] {
            let model = Explore::new(name).bounded().unlock(unlock);
            model.run(Monitor::default, [wait, make_ready], |m| assert_eq!(m.ready.get(), 2));
            let model = Explore::new(format!("{name}, 2 waiters")).preemptions(2).unlock(unlock);
            let bodies = [wait, wait, make_ready];
            model.run(Monitor::default, bodies, |m| assert_eq!(m.ready.get(), 3));
        }
    }
}

#[test]
fn a_waiter_that_times_out_waits_again_as_the_same() {
    let bodies = [wait_for_a_time, Monitor::make_ready_inside];
    let model = Explore::new("timed, notified inside").bounded().unlock(Unlock::HandsOff);
    model.run(Monitor::default, bodies, |m| assert_eq!(m.ready.get(), 2));
}
