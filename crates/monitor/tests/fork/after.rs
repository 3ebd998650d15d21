//! What `after_fork` puts right: it is for a child, before that uses monitors, and each monitor has its own.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use pysync_monitor::{Monitor, after_fork, attempt, branch, check, snapshot};
use pysync_parking_lot::register_fork_handler;
use pysync_testing::{fork, wait_until, watchdog};

use crate::inherits::exercise;

/// Another thread is inside when the process forks: in the child it is free, and has what was there.
#[test]
fn what_another_thread_was_inside_of_is_free() {
    let _watchdog = watchdog();
    register_fork_handler();
    let (held, other) = (Monitor::named("held at a fork", 5), Monitor::new(0));
    let (is_inside, may_leave) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            held.enter(|_| {
                is_inside.store(true, SeqCst);
                wait_until(|| may_leave.load(SeqCst));
            })
            .unwrap();
        });
        wait_until(|| is_inside.load(SeqCst));
        // One waits to enter, and one for a condition.
        scope.spawn(|| held.enter(|_| ()).unwrap());
        wait_until(|| {
            snapshot()
                .iter()
                .any(|link| link.wants.is_some_and(|id| id.name() == Some("held at a fork")))
        });
        for _ in 0..20 {
            fork(|| {
                // SAFETY: in the child, before all else, and for each monitor that is used there.
                unsafe {
                    after_fork();
                    held.after_fork();
                    other.after_fork();
                }
                assert!(snapshot().is_empty(), "those that waited are gone");
                exercise(&held, &other);
                true
            });
        }
        may_leave.store(true, SeqCst);
    });
    assert_eq!(held.enter(|value| *value).unwrap(), 5);
}

/// What the thread that forks is inside of it stays inside of, though others waited for it.
#[test]
fn what_the_thread_is_inside_of_stays_so() {
    let _watchdog = watchdog();
    register_fork_handler();
    let monitor = Monitor::named("kept at a fork", 1);
    thread::scope(|scope| {
        monitor
            .enter(|mut value| {
                scope.spawn(|| monitor.enter(|_| ()).unwrap());
                wait_until(|| !snapshot().is_empty());
                fork(|| {
                    // SAFETY: as above.
                    unsafe {
                        after_fork();
                        monitor.after_fork();
                    }
                    *value += 1;
                    assert!(monitor.enter(|_| ()).unwrap_err().is_self());
                    // Its age and its attempts are its own still.
                    attempt(|| Monitor::new(()).enter(|_| ())).unwrap();
                    *value == 2
                });
            })
            .unwrap();
    });
    assert_eq!(monitor.enter(|value| *value).unwrap(), 1);
}

/// Forks while threads enter, leave, break cycles, come and go: the locks of the graph, of the nodes and of the scopes
/// may be held by threads that the child does not have.
#[test]
fn children_of_a_busy_process() {
    let _watchdog = watchdog();
    register_fork_handler();
    let (a, b) = (Monitor::new(0), Monitor::new(0));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for (first, second) in [(&a, &b), (&b, &a)] {
            let is_over = &is_over;
            scope.spawn(move || {
                while !is_over.load(SeqCst) {
                    attempt(|| first.enter(|_| second.enter(|mut value| *value += 1))?).unwrap();
                    _ = branch::<(), ()>(|b| {
                        b.spawn(|| check().map_err(drop));
                        Ok(())
                    });
                }
            });
        }
        for _ in 0..200 {
            fork(|| {
                // SAFETY: as above.
                unsafe {
                    after_fork();
                    a.after_fork();
                    b.after_fork();
                }
                let soon = Duration::from_secs(5);
                a.enter_for(soon, |_| b.enter_for(soon, |_| ())).is_ok_and(|inner| inner.is_ok())
            });
        }
        is_over.store(true, SeqCst);
    });
}
