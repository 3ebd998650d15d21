//! Entries that wait for a time: they lose, are handed the monitor, or give up, and one of these alone.

use std::time::Duration;

use pysync_monitor::EnterError;
use pysync_testing::model::{Explore, Unlock};

use crate::shared::{Monitors, SOON};

/// Enters two monitors, the inner one for a time.
fn enter_both_soon(m: &Monitors, outer: usize, inner: usize) {
    let result = m.get(outer).enter(|a| {
        m.get(inner).enter_for(SOON, |b| {
            a.add_one();
            b.add_one();
        })
    });
    match result.map_err(EnterError::Deadlock).and_then(|inner| inner) {
        Ok(()) => m.ends.done(),
        Err(EnterError::Deadlock(deadlock)) => m.ends.lost(&deadlock, 2),
        Err(EnterError::Timeout) => m.ends.given_up(),
        Err(error) => panic!("{error}"),
    }
}

fn is_over(m: &Monitors) {
    let [done, lost, given_up] = m.ends.all();
    assert!(lost <= 1 && done + lost + given_up == 2);
    m.are_left([done, done, 0]);
}

/// The one that waits for a time gives up while the other one finds the cycle, in which either may be the younger.
#[test]
fn a_wait_is_over_while_the_cycle_is_broken() {
    let bodies = [
        |m: &Monitors| enter_both_soon(m, 0, 1),
        |m: &Monitors| m.ends.ended(m.enter_both(1, 0), 2),
    ];
    for unlock in [Unlock::Wakes, Unlock::HandsOff] {
        let model = Explore::new("2 in opposite orders, 1 for a time").bounded().unlock(unlock);
        model.run(Monitors::new, bodies, is_over);
    }
}

#[test]
fn both_wait_for_a_time() {
    let bodies = [|m: &Monitors| enter_both_soon(m, 0, 1), |m: &Monitors| enter_both_soon(m, 1, 0)];
    Explore::new("2 in opposite orders for a time").bounded().run(Monitors::new, bodies, is_over);
}

/// The one that has given up waits again, inside of nothing, while the cycle is broken that it was in. It does not lose
/// that wait.
#[test]
fn a_wait_that_is_over_and_the_next_one() {
    fn enter_both_soon_and_one(m: &Monitors) {
        enter_both_soon(m, 0, 1);
        m.get(1).enter(|value| value.add_one()).expect("inside of nothing");
    }
    let bodies = [enter_both_soon_and_one, |m: &Monitors| m.ends.ended(m.enter_both(1, 0), 2)];
    Explore::new("1 for a time, and again").bounded().run(Monitors::new, bodies, |m| {
        let [done, lost, given_up] = m.ends.all();
        assert!(lost <= 1 && done + lost + given_up == 2);
        m.are_left([done, done + 1, 0]);
    });
}

/// A wait that is over leaves the queue while the owner leaves the monitor.
#[test]
fn a_wait_is_over_while_the_owner_leaves() {
    fn enter_soon(m: &Monitors) {
        match m.get(0).enter_for(SOON, |value| value.add_one()) {
            Ok(()) => m.ends.done(),
            Err(EnterError::Timeout) => m.ends.given_up(),
            Err(error) => panic!("{error}"),
        }
    }
    fn enter(m: &Monitors) {
        m.get(0).enter(|value| value.add_one()).unwrap();
        m.ends.done();
    }
    for unlock in [Unlock::Wakes, Unlock::HandsOff] {
        let model = Explore::new("1 for a time, 1 that leaves").bounded().unlock(unlock);
        model.run(Monitors::new, [enter_soon, enter], |m| {
            let [done, _, given_up] = m.ends.all();
            assert_eq!(done + given_up, 2);
            m.are_left([done, 0, 0]);
        });
        let model = Explore::new("2 for a time, 1 that leaves").preemptions(2).unlock(unlock);
        model.run(Monitors::new, [enter_soon, enter_soon, enter], |m| {
            let [done, _, given_up] = m.ends.all();
            assert_eq!(done + given_up, 3);
            m.are_left([done, 0, 0]);
        });
    }
}

/// One attempt, which does not wait.
#[test]
fn no_time_is_one_attempt() {
    let bodies = [
        |m: &Monitors| _ = m.get(0).enter_for(Duration::ZERO, |value| value.add_one()),
        |m: &Monitors| _ = m.get(0).try_enter(|value| value.add_one()),
    ];
    Explore::new("enter_for zero, try_enter").bounded().run(Monitors::new, bodies, |m| {
        let added = m.get(0).try_enter(|value| value.get()).expect("a thread is inside");
        assert!((1..=2).contains(&added));
    });
}
