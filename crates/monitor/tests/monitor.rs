//! Monitors by their documentation.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::thread;
use std::time::Duration;

use pysync_monitor::{Deadlock, EnterError, Monitor, Stopped, snapshot};
use pysync_testing::{panics_with, wait_until, watchdog};

#[test]
fn what_f_returns_is_returned_and_a_panic_leaves() {
    let monitor = Monitor::new(1);
    assert_eq!(monitor.enter(|mut value| std::mem::replace(&mut *value, 2)).unwrap(), 1);
    panics_with("inside", || _ = monitor.enter(|_| panic!("inside")));
    assert_eq!(monitor.try_enter(|value| *value), Some(2));
    assert_eq!(monitor.enter_or_panic(|value| *value), 2);
    let result: Result<i32, Deadlock> = monitor.with(|value| Ok(*value));
    assert_eq!(result.unwrap(), 2);
}

#[test]
fn try_enter_and_enter_for_give_up() {
    let _watchdog = watchdog();
    let monitor = Monitor::new(());
    monitor
        .enter(|_| {
            thread::scope(|scope| {
                scope.spawn(|| {
                    assert!(monitor.try_enter(|_| ()).is_none());
                    let soon = Duration::from_millis(5);
                    assert!(matches!(monitor.enter_for(soon, |_| ()), Err(EnterError::Timeout)));
                });
            });
        })
        .unwrap();
    assert!(monitor.enter_for(Duration::from_millis(5), |_| ()).is_ok());
}

#[test]
fn a_wait_for_a_time_enters_again() {
    let _watchdog = watchdog();
    let monitor = Monitor::new(0);
    let result = monitor.enter(|inside| {
        let soon = Duration::from_millis(5);
        let (mut inside, is_true) = inside.wait_until_for(soon, |value| *value == 1).unwrap();
        assert!(!is_true);
        *inside = 1;
        let (inside, is_true) = inside.wait_until_for(soon, |value| *value == 1).unwrap();
        assert!(is_true);
        *inside
    });
    assert_eq!(result.unwrap(), 1);
}

/// safethread: another thread gets in while `f` runs outside.
#[test]
fn leave_lets_others_in() {
    let _watchdog = watchdog();
    let monitor = Monitor::new(0);
    monitor
        .enter(|inside| {
            let (inside, ()) = inside
                .leave(|| {
                    thread::scope(|scope| {
                        scope.spawn(|| monitor.enter(|mut value| *value = 7).unwrap());
                    });
                })
                .unwrap();
            assert_eq!(*inside, 7);
        })
        .unwrap();
}

#[test]
fn enter_when_waits_outside() {
    let _watchdog = watchdog();
    let monitor = Monitor::new(0);
    thread::scope(|scope| {
        let waiter =
            scope.spawn(|| monitor.enter_when(|value| *value == 3, |mut value| *value += 1));
        for _ in 0..3 {
            monitor.enter(|mut value| *value += 1).unwrap();
        }
        waiter.join().unwrap().unwrap();
    });
    assert_eq!(monitor.enter(|value| *value).unwrap(), 4);
}

#[test]
fn a_wait_that_is_not_innermost_panics() {
    let (outer, inner) = (Monitor::new(0), Monitor::new(0));
    panics_with("a wait in a monitor inside of which another one was entered", || {
        _ = outer.enter(|inside| {
            inner.enter(|_| {
                let _: Result<_, Stopped> = inside.wait_until(|value| *value == 1).map(|_| ());
            })
        });
    });
    assert!(outer.try_enter(|_| ()).is_some() && inner.try_enter(|_| ()).is_some());
}

#[test]
fn a_snapshot_tells_who_waits_for_whom() {
    let _watchdog = watchdog();
    let monitor = Monitor::named("wanted", ());
    thread::scope(|scope| {
        monitor
            .enter(|_| {
                scope.spawn(|| monitor.enter(|_| ()).unwrap());
                let is_wanted = || {
                    snapshot()
                        .iter()
                        .any(|link| link.wants.is_some_and(|id| id.name() == Some("wanted")))
                };
                wait_until(is_wanted);
            })
            .unwrap();
    });
}
