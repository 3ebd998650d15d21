//! Waits for conditions that are cancelled: none falls between the look at the flag and the queue.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use pysync_monitor::{Cancelled, Monitor, Stopped, branch, check, sleep};
use pysync_testing::model::{Data, Explore};

use crate::shared::{Monitors, SOON};

/// A thread waits for what does not come, and the body cancels it.
#[test]
fn a_cancel_meets_a_wait_that_begins() {
    fn cancel(m: &Monitors) {
        let result = branch::<(), Stopped>(|b| {
            b.spawn(|| m.get(0).enter(|inside| inside.wait_until(|_| false).map(drop))?);
            b.cancel();
            Ok(())
        });
        assert!(result.is_err());
    }
    let model = Explore::new("a wait is cancelled").preemptions(2);
    model.run(Monitors::new, [cancel], |m| m.are_left([0, 0, 0]));
}

/// As before, with a time for the wait.
#[test]
fn a_cancel_meets_a_wait_that_is_over() {
    fn cancel(m: &Monitors) {
        _ = branch::<(), Stopped>(|b| {
            b.spawn(|| {
                let wait = |_: &Data| false;
                m.get(0).enter(|inside| inside.wait_until_for(SOON, wait).map(drop))?
            });
            b.cancel();
            Ok(())
        });
    }
    let model = Explore::new("a wait for a time is cancelled").preemptions(2);
    model.run(Monitors::new, [cancel], |m| m.are_left([0, 0, 0]));
}

/// The condition becomes true, and then the thread is cancelled: it is handed the monitor, or it is not inside.
#[test]
fn a_cancel_meets_a_hand_over() {
    fn make_ready_and_cancel(m: &Monitors) {
        let was_handed = AtomicBool::new(false);
        let was_cancelled = branch::<(), Stopped>(|b| {
            b.spawn(|| {
                m.get(0).enter(|inside| {
                    let inside = inside.wait_until(|value| value.get() == 1)?;
                    inside.add_one();
                    was_handed.store(true, Relaxed);
                    Ok(())
                })?
            });
            m.get(0).enter(|value| value.add_one())?;
            b.cancel();
            Ok(())
        })
        .is_err();
        assert_ne!(was_handed.load(Relaxed), was_cancelled);
        m.are_left([if was_cancelled { 1 } else { 2 }, 0, 0]);
    }
    let model = Explore::new("a wait is handed over and cancelled").preemptions(2);
    model.run(Monitors::new, [make_ready_and_cancel], |_| ());
}

/// A second thread evaluates the condition, which is false, while the first one is cancelled.
#[test]
fn a_cancel_meets_an_evaluation() {
    fn cancel(m: &Monitors) {
        let result = branch::<(), Stopped>(|b| {
            b.spawn(|| m.get(0).enter(|inside| inside.wait_until(|_| false).map(drop))?);
            b.spawn(|| Ok(m.get(0).enter(|value| value.add_one())?));
            b.cancel();
            Ok(())
        });
        assert!(result.is_err());
    }
    let model = Explore::new("a wait is cancelled while it is claimed").preemptions(1);
    model.run(Monitors::new, [cancel], |_| ());
}

#[test]
fn a_cancel_meets_a_sleep_that_begins() {
    fn cancel(_: &Monitors) {
        _ = branch::<(), Cancelled>(|b| {
            b.spawn(|| sleep(SOON));
            b.cancel();
            Ok(())
        });
    }
    Explore::new("a sleep is cancelled").preemptions(2).run(Monitors::new, [cancel], |_| ());
}

/// The waiter sees the flag, or the canceller sees the wait. Without either fence neither may.
#[test]
fn cancel_against_a_wait_for_a_condition() {
    fn cancel(_: &Monitors) {
        let monitor = Monitor::new(0);
        let result = branch::<(), Cancelled>(|b| {
            b.spawn(|| match monitor.enter_when(|value| *value == 1, |_| ()) {
                Err(Stopped::Cancelled(cancelled)) => Err::<(), _>(cancelled),
                other => panic!("{other:?}"),
            });
            b.cancel();
            Ok(())
        });
        assert!(result.is_err());
    }
    let model = Explore::new("a cancel against a wait").preemptions(2);
    model.run(Monitors::new, [cancel], |_| ());
}

/// As above. Without a deadline loom sleeps until it is woken.
#[test]
fn cancel_against_a_sleep() {
    fn cancel(_: &Monitors) {
        let result = branch::<(), Cancelled>(|b| {
            b.spawn(|| sleep(std::time::Duration::MAX));
            b.cancel();
            Ok(())
        });
        assert!(result.is_err());
    }
    let model = Explore::new("a cancel against a sleep").preemptions(2);
    model.run(Monitors::new, [cancel], |_| ());
}

/// What the canceller did before is seen by a thread that is cancelled.
#[test]
fn cancel_publishes() {
    fn cancel(_: &Monitors) {
        let data = Data::new(0_u32);
        let result = branch::<(), Cancelled>(|b| {
            b.spawn(|| {
                if check().is_err() {
                    assert_eq!(data.get(), 7);
                }
                Ok(())
            });
            data.set(7);
            b.cancel();
            Ok(())
        });
        _ = result;
    }
    Explore::new("a cancel publishes").preemptions(2).run(Monitors::new, [cancel], |_| ());
}
