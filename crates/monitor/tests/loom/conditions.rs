//! Waits for conditions: each is handed the monitor, loses, or gives up, and one of these alone; and the value is the
//! waiter's when its condition is true.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use pysync_monitor::{Condition, EnterError, Stopped, attempt};
use pysync_testing::model::{Data, Explore, Unlock};

use crate::shared::{Monitors, SOON};

static IS_READY: Condition<Data> = Condition::new("ready", |value| value.get() > 0);

/// Waits until it is ready, and adds one.
fn wait(m: &Monitors) {
    m.get(0)
        .enter(|inside| {
            let inside = inside.wait_until(|value| value.get() > 0).unwrap();
            assert!(inside.get() > 0, "true on return");
            inside.add_one();
        })
        .unwrap();
    m.ends.done();
}

/// Waits for the same, by its name.
fn wait_by_name(m: &Monitors) {
    m.get(0).enter(|inside| inside.wait_for(&IS_READY).unwrap().add_one()).unwrap();
    m.ends.done();
}

/// Waits for a time.
fn wait_soon(m: &Monitors) {
    let is_ready = m.get(0).enter(|inside| {
        let ready = |value: &Data| value.get() > 0;
        let (inside, is_ready) = inside.wait_until_for(SOON, ready).unwrap();
        assert_eq!(inside.get() > 0, is_ready);
        inside.add_one();
        is_ready
    });
    if is_ready.unwrap() { m.ends.done() } else { m.ends.given_up() }
}

fn make_ready(m: &Monitors) {
    m.get(0).enter(|value| value.add_one()).unwrap();
}

/// All that waited have added one, and so have those that made it ready.
fn is_over(m: &Monitors, makers: usize) {
    let [done, _, given_up] = m.ends.all();
    m.are_left([done + given_up + makers, 0, 0]);
}

#[test]
fn a_waiter_is_handed_the_monitor() {
    for unlock in [Unlock::Wakes, Unlock::HandsOff] {
        let model = Explore::new("1 waits, 1 makes it ready").preemptions(2).unlock(unlock);
        model.run(Monitors::new, [wait, make_ready], |m| is_over(m, 1));
        let model = Explore::new("1 waits, 2 make it ready").preemptions(1).unlock(unlock);
        model.run(Monitors::new, [wait, make_ready, make_ready], |m| is_over(m, 2));
    }
}

/// The first one is handed the monitor by the thread that makes it ready, and the second one by the first.
#[test]
fn one_waiter_hands_it_to_the_next() {
    let model = Explore::new("2 wait, 1 makes it ready").preemptions(1);
    model.run(Monitors::new, [wait, wait, make_ready], |m| is_over(m, 1));
    let model = Explore::new("2 wait by name, 1 makes it ready").preemptions(1);
    model.run(Monitors::new, [wait_by_name, wait_by_name, make_ready], |m| is_over(m, 1));
}

/// The wait is over while the condition is evaluated, or while the monitor is handed over.
#[test]
fn a_wait_is_over_while_it_is_handed_over() {
    let model = Explore::new("1 waits for a time, 1 makes it ready").preemptions(2);
    model.run(Monitors::new, [wait_soon, make_ready], |m| is_over(m, 1));
    let model = Explore::new("1 waits, 1 for a time, 1 makes it ready").preemptions(1);
    model.run(Monitors::new, [wait_soon, wait, make_ready], |m| is_over(m, 1));
}

/// What the condition throws is thrown by its waiter, which is inside, and not by the thread that leaves.
#[test]
fn a_condition_panics_while_it_is_claimed() {
    /// Is false, or panics, with no message.
    fn panics(value: &Data) -> bool {
        if value.get() > 0 { resume_unwind(Box::new("no more")) } else { false }
    }
    fn wait(m: &Monitors) {
        let panic = catch_unwind(AssertUnwindSafe(|| {
            _ = m.get(0).enter(|inside| inside.wait_until(panics).map(drop));
        }));
        assert_eq!(panic.unwrap_err().downcast_ref(), Some(&"no more"));
    }
    fn wait_soon(m: &Monitors) {
        let panic = catch_unwind(AssertUnwindSafe(|| {
            m.get(0).enter(|inside| inside.wait_until_for(SOON, panics).unwrap().1).unwrap()
        }));
        match panic {
            Ok(is_ready) => assert!(!is_ready),
            Err(panic) => assert_eq!(panic.downcast_ref(), Some(&"no more")),
        }
    }
    let model = Explore::new("a condition panics").preemptions(2);
    model.run(Monitors::new, [wait, make_ready], |m| m.are_left([1, 0, 0]));
    let model = Explore::new("a condition panics, for a time").preemptions(2);
    model.run(Monitors::new, [wait_soon, make_ready], |m| m.are_left([1, 0, 0]));
}

/// Waits inside of the second monitor for the first one to be ready.
fn wait_inside_of_second(m: &Monitors) {
    let result = m.get(1).enter(|outer| {
        m.get(0).enter(|inside| {
            let inside = inside.wait_until(|value| value.get() > 0)?;
            outer.add_one();
            inside.add_one();
            Ok(())
        })?
    });
    match result.map_err(Stopped::Deadlock).and_then(|inner| inner) {
        Ok(()) => m.ends.done(),
        Err(Stopped::Deadlock(deadlock)) => m.ends.lost(&deadlock, 2),
        Err(error) => panic!("{error}"),
    }
}

/// The thread that makes it ready wants what the waiter is inside of: the waiter loses, or the other one does, and hands
/// over on its way out.
#[test]
fn a_waiter_in_a_cycle() {
    fn make_ready_and_enter_second(m: &Monitors) {
        let result = m.get(0).enter(|inside| {
            inside.add_one();
            m.get(1).enter(|outer| outer.add_one())
        });
        m.ends.ended(result.and_then(|inner| inner), 2);
    }
    let model = Explore::new("1 waits in a cycle").preemptions(2);
    model.run(Monitors::new, [wait_inside_of_second, make_ready_and_enter_second], |m| {
        let [done, lost, _] = m.ends.all();
        assert!(lost <= 1 && done + lost == 2);
        let value = m.get(1).try_enter(|value| value.get()).expect("a thread is inside");
        assert_eq!(value as usize, done);
    });
}

/// As before, but the wait of the thread that makes it ready is over while the cycle is broken: so the waiter is handed
/// the monitor while it loses. That thread is the older one if it has waited before.
#[test]
fn a_waiter_is_handed_the_monitor_while_it_loses() {
    fn make_ready_and_enter_second_soon(m: &Monitors) {
        _ = attempt(|| -> Result<(), EnterError> {
            _ = m.get(1).enter_for(SOON, |_| ());
            let result = m.get(0).enter(|inside| {
                inside.add_one();
                m.get(1).enter_for(SOON, |outer| outer.add_one())
            });
            match result.map_err(EnterError::Deadlock).and_then(|inner| inner) {
                Ok(()) => m.ends.done(),
                Err(EnterError::Deadlock(deadlock)) => m.ends.lost(&deadlock, 2),
                Err(_) => m.ends.given_up(),
            }
            Ok(())
        });
    }
    let model = Explore::new("1 waits in a cycle, 1 for a time").preemptions(2);
    model.run(Monitors::new, [wait_inside_of_second, make_ready_and_enter_second_soon], |m| {
        let [done, lost, given_up] = m.ends.all();
        assert!(lost <= 1 && done + lost + given_up == 2);
        let value = m.get(1).try_enter(|value| value.get()).expect("a thread is inside");
        assert_eq!(value as usize, done);
    });
}
