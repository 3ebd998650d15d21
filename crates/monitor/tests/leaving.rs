//! Who gets a monitor that is left.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::sync::Barrier;
use std::thread;

use pysync_monitor::{Condition, Deadlock, Monitor, Waits, attempt, snapshot};
use pysync_testing::watchdog;

/// How many threads wait in a monitor of that name.
fn waiting(name: &str, waits: fn(Waits) -> bool) -> usize {
    let is_there = |link: &pysync_monitor::Link| {
        waits(link.waits) && link.wants.is_some_and(|wants| wants.name() == Some(name))
    };
    snapshot().iter().filter(|link| is_there(link)).count()
}

fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        thread::yield_now();
    }
}

#[test]
fn a_false_condition_does_not_hide_a_true_one() {
    static IS_ONE: Condition<u32> = Condition::new("one", |value| *value == 1);
    static IS_TWO: Condition<u32> = Condition::new("two", |value| *value == 2);
    let _watchdog = watchdog();
    let monitor = Monitor::named("one or two", 0);
    let wait = |condition: &'static Condition<u32>| {
        monitor.enter(|inside| *inside.wait_for(condition).unwrap() -= 1).unwrap();
    };
    let for_conditions = |waits| matches!(waits, Waits::ForCondition(_));
    thread::scope(|scope| {
        scope.spawn(|| wait(&IS_ONE));
        until(|| waiting("one or two", for_conditions) == 1);
        scope.spawn(|| wait(&IS_TWO));
        until(|| waiting("one or two", for_conditions) == 2);
        // True of the second that waits, which makes it true of the first.
        monitor.enter(|mut value| *value = 2).unwrap();
    });
    assert_eq!(monitor.into_inner(), 0);
}

/// Two wait for what the loser is inside of, the younger one first.
#[test]
fn what_a_loser_leaves_goes_to_the_oldest() {
    let _watchdog = watchdog();
    let (left, other) = (Monitor::named("left", Vec::new()), Monitor::new(()));
    let first = Monitor::named("first", ());
    let (goes_on, is_inside) = (Barrier::new(2), Barrier::new(2));
    let to_enter = |waits| waits == Waits::ToEnter;
    let note = |name| left.enter(|mut left| left.push(name));
    thread::scope(|scope| {
        first
            .enter(|_| {
                scope.spawn(|| {
                    attempt(|| -> Result<(), Deadlock> {
                        // It waits here before all others wait, and has that age for the attempt.
                        first.enter(|_| ())?;
                        goes_on.wait();
                        note("old")
                    })
                    .unwrap();
                });
                until(|| waiting("first", to_enter) == 1);
            })
            .unwrap();
        scope.spawn(|| {
            left.enter(|_| {
                is_inside.wait();
                until(|| waiting("left", to_enter) == 2);
                other.enter(|_| ()).unwrap_err();
            })
            .unwrap();
        });
        is_inside.wait();
        scope.spawn(|| other.enter(|_| note("young").unwrap()).unwrap());
        until(|| waiting("left", to_enter) == 1);
        goes_on.wait();
    });
    assert_eq!(left.into_inner(), ["old", "young"]);
}
