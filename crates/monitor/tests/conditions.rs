//! Conditions.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use pysync_monitor::{Condition, Link, Monitor, Waits, snapshot};
use pysync_testing::{panics_with, wait_until, watchdog};

/// How many threads wait so in a monitor.
fn waiting<T>(monitor: &Monitor<T>, how: Waits) -> usize {
    let addr = std::ptr::from_ref(monitor).addr();
    let is_there = |link: &Link| link.wants.is_some_and(|it| it.addr() == addr);
    snapshot().iter().filter(|link| link.waits == how && is_there(link)).count()
}

#[test]
fn a_condition_is_true_on_return() {
    let _watchdog = watchdog();
    let monitor = Monitor::new(0);
    thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                monitor
                    .enter(|inside| {
                        let inside = inside.wait_until(|value| *value >= 10).unwrap();
                        assert_eq!(*inside, 10);
                    })
                    .unwrap();
            });
        }
        for _ in 0..10 {
            monitor.enter(|mut value| *value += 1).unwrap();
        }
    });
}

#[test]
fn a_buffer_of_one() {
    const EACH: usize = 2_000;
    let _watchdog = watchdog();
    let buffer = Monitor::new(None);
    let sum = Monitor::new(0);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for i in 0..EACH {
                    buffer.enter(|b| *b.wait_until(Option::is_none).unwrap() = Some(i)).unwrap();
                }
            });
            scope.spawn(|| {
                for _ in 0..EACH {
                    let got =
                        buffer.enter(|b| b.wait_until(Option::is_some).unwrap().take()).unwrap();
                    sum.enter(|mut sum| *sum += got.unwrap()).unwrap();
                }
            });
        }
    });
    assert_eq!(sum.enter(|sum| *sum).unwrap(), 3 * EACH * (EACH - 1) / 2);
}

#[test]
fn a_panic_of_a_condition_is_that_of_its_waiter() {
    let _watchdog = watchdog();
    let monitor = Monitor::new(0);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            panics_with("no more", || {
                _ = monitor.enter(|inside| {
                    _ = inside
                        .wait_until(|value| if *value == 1 { panic!("no more") } else { false });
                });
            });
        });
        while !waiter.is_finished() {
            monitor.enter(|mut value| *value = 1).unwrap();
            thread::yield_now();
        }
    });
    assert_eq!(monitor.enter(|value| *value).unwrap(), 1);
}

/// Of many that wait for one condition, a leaver evaluates it once; each closure is evaluated for itself.
#[test]
fn a_named_condition_is_evaluated_once_for_all() {
    static EVALUATED: AtomicUsize = AtomicUsize::new(0);
    static READY: Condition<usize> = Condition::new("ready", |value| {
        EVALUATED.fetch_add(1, SeqCst);
        *value > 0
    });
    const WAITERS: usize = 8;
    let _watchdog = watchdog();
    let monitor = Monitor::named("value", 0);
    thread::scope(|scope| {
        for _ in 0..WAITERS {
            scope.spawn(|| {
                monitor.enter(|value| *value.wait_for(&READY).unwrap() -= 1).unwrap();
            });
        }
        wait_until(|| waiting(&monitor, Waits::ForCondition(Some("ready"))) == WAITERS);
        let before = EVALUATED.load(SeqCst);
        monitor.enter(|_| ()).unwrap();
        assert_eq!(EVALUATED.load(SeqCst), before + 1);
        monitor.enter(|mut value| *value = WAITERS).unwrap();
    });
    assert_eq!(monitor.into_inner(), 0);
}

/// Those whose conditions are true get in in the order in which they came.
#[test]
fn first_come_first_served() {
    const WAITERS: usize = 6;
    let _watchdog = watchdog();
    let monitor = Monitor::new((0, Vec::new()));
    thread::scope(|scope| {
        for i in 0..WAITERS {
            let monitor = &monitor;
            scope.spawn(move || {
                monitor
                    .enter(|value| {
                        let mut value = value.wait_until(|(open, _)| *open > 0).unwrap();
                        value.1.push(i);
                    })
                    .unwrap();
            });
            wait_until(|| waiting(monitor, Waits::ForCondition(None)) == i + 1);
        }
        monitor.enter(|mut value| value.0 = 1).unwrap();
    });
    assert_eq!(monitor.into_inner().1, (0..WAITERS).collect::<Vec<_>>());
}

/// A thread that has waited to enter for more than a millisecond goes before a condition that is true.
#[test]
fn one_that_is_due_goes_before_a_condition() {
    let _watchdog = watchdog();
    let monitor = Monitor::new(Vec::new());
    thread::scope(|scope| {
        scope.spawn(|| {
            monitor
                .enter(|value| {
                    value
                        .wait_until(|value| value.first() == Some(&"open"))
                        .unwrap()
                        .push("condition");
                })
                .unwrap();
        });
        wait_until(|| waiting(&monitor, Waits::ForCondition(None)) == 1);
        monitor
            .enter(|mut value| {
                scope.spawn(|| monitor.enter(|mut value| value.push("entry")).unwrap());
                wait_until(|| waiting(&monitor, Waits::ToEnter) == 1);
                // It began to wait before this time does.
                let begun = Instant::now();
                wait_until(|| begun.elapsed() > Duration::from_millis(2));
                value.push("open");
            })
            .unwrap();
    });
    assert_eq!(monitor.into_inner(), ["open", "entry", "condition"]);
}
