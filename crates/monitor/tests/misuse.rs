//! What a program may not do, and what it may but should not: each has an error, a panic, or an end.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use pysync_monitor::{
    AsDeadlock, Deadlock, EnterError, Failure, Monitor, Stopped, Waits, attempt, branch, snapshot,
};
use pysync_testing::{panics_with, wait_until, watchdog};

fn is_waited_for(name: &str) -> bool {
    snapshot().iter().any(|link| link.wants.is_some_and(|id| id.name() == Some(name)))
}

/// However it is asked for, and however far out the first entry is.
#[test]
fn an_entry_into_what_the_thread_is_inside_of_is_an_error_at_once() {
    let _watchdog = watchdog();
    let (monitor, other) = (Monitor::named("entered twice", 0), Monitor::new(0));
    let hour = Duration::from_secs(3600);
    monitor
        .enter(|_| {
            other
                .enter(|_| {
                    let error = monitor.enter(|_| ()).unwrap_err();
                    assert!(error.is_self() && error.victim() == 0 && error.cycle().len() == 1);
                    let link = &error.cycle()[0];
                    assert_eq!((link.holds, link.waits_for), (link.wants, Some(link.thread)));
                    assert!(link.entered_at.unwrap().line() < link.waits_at.line());
                    let timed = monitor.enter_for(hour, |_| ());
                    assert!(matches!(timed, Err(EnterError::Deadlock(error)) if error.is_self()));
                    assert!(monitor.try_enter(|_| ()).is_none());
                    let when = monitor.enter_when(|_| true, |_| ());
                    assert!(matches!(when, Err(Stopped::Deadlock(error)) if error.is_self()));
                    let with = monitor.with(|_| Ok::<_, Deadlock>(()));
                    assert!(with.unwrap_err().is_self());
                })
                .unwrap();
        })
        .unwrap();
    // Never repeated, for it would be the same again.
    let mut tries = 0;
    let result = attempt(|| {
        tries += 1;
        monitor.enter(|_| monitor.enter(|_| ()))?
    });
    assert!(result.unwrap_err().is_self() && tries == 1);
}

#[test]
fn an_entry_that_panics_says_who_has_entered() {
    let _watchdog = watchdog();
    let monitor = Monitor::named("entered twice or panic", 0);
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        monitor.enter_or_panic(|_| monitor.enter_or_panic(|_| ()));
    }));
    let message = panic.unwrap_err().downcast::<String>().unwrap();
    let begin = "entered twice or panic was entered at ";
    assert!(message.starts_with(begin) && message.matches("misuse.rs").count() == 2, "{message}");
    assert!(monitor.try_enter(|_| ()).is_some());
}

#[test]
fn waits_and_leaves_are_for_the_innermost() {
    let _watchdog = watchdog();
    let (outer, inner) = (Monitor::new(0), Monitor::new(0));
    let wait = "a wait in a monitor inside of which another one was entered";
    let leave = "a leave in a monitor inside of which another one was entered";
    panics_with(wait, || {
        _ = outer.enter(|inside| inner.enter(|_| inside.wait_until(|_| false).map(|_| ())));
    });
    panics_with(wait, || {
        _ = outer.enter(|inside| {
            inner.enter(|_| inside.wait_until_for(Duration::ZERO, |_| false).map(|_| ()))
        });
    });
    panics_with(leave, || {
        _ = outer.enter(|inside| inner.enter(|_| inside.leave(|| ()).map(|_| ())));
    });
    // A condition that is true already needs no wait.
    let result = outer.enter(|inside| inner.enter(|_| inside.wait_until(|_| true).map(|_| ())));
    assert!(matches!(result, Ok(Ok(Ok(())))));
    assert!(outer.try_enter(|_| ()).is_some() && inner.try_enter(|_| ()).is_some());
}

#[test]
fn a_panic_leaves_wherever_it_comes_from() {
    let _watchdog = watchdog();
    let (monitor, other) = (Monitor::new(0), Monitor::new(0));
    let is_free = || monitor.try_enter(|_| ()).is_some() && other.try_enter(|_| ()).is_some();
    panics_with("the body", || {
        _ = monitor.enter(|_| other.enter(|_| -> () { panic!("the body") }))
    });
    assert!(is_free());
    panics_with("the first look", || {
        _ = monitor.enter(|inside| inside.wait_until(|_| panic!("the first look")).map(|_| ()));
    });
    assert!(is_free());
    panics_with("outside", || {
        _ = monitor.enter(|inside| inside.leave(|| panic!("outside")).map(|_: (_, ())| ()));
    });
    assert!(is_free());
    panics_with("the last look", || {
        let looks = AtomicUsize::new(0);
        let condition = |_: &i32| match looks.fetch_add(1, SeqCst) {
            // Before the wait, and when the thread leaves.
            0..2 => false,
            _ => panic!("the last look"),
        };
        let soon = Duration::from_millis(1);
        _ = monitor.enter(|inside| inside.wait_until_for(soon, condition).map(|_| ()));
    });
    assert!(is_free());
    panics_with("the attempt", || {
        _ = attempt(|| -> Result<(), Deadlock> { monitor.enter(|_| panic!("the attempt")) });
    });
    assert!(is_free());
    assert_eq!(attempt(|| monitor.enter(|value| *value)).unwrap(), 0);
}

/// A monitor as the value of one, and in a thread local.
#[test]
fn monitors_in_monitors() {
    thread_local! {
        static OWN: Monitor<u32> = const { Monitor::new(1) };
    }
    let _watchdog = watchdog();
    let nested = Monitor::named("outer", Monitor::named("inner", 0));
    pysync_testing::together(4, |_| {
        for _ in 0..200 {
            nested.enter(|inner| inner.enter(|mut value| *value += 1).unwrap()).unwrap();
        }
    });
    let inner = nested.enter(|mut inner| std::mem::replace(&mut *inner, Monitor::new(0))).unwrap();
    assert_eq!(inner.enter(|value| *value).unwrap(), 800);
    OWN.with(|own| own.enter(|mut value| *value += 1)).unwrap();
    assert_eq!(OWN.with(|own| own.enter(|value| *value)).unwrap(), 2);
}

#[test]
fn the_value_is_dropped_once() {
    struct Counts<'a>(&'a AtomicUsize);
    impl Drop for Counts<'_> {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    let drops = AtomicUsize::new(0);
    let monitor = Monitor::new(Counts(&drops));
    monitor.enter(|mut value| *value = Counts(&drops)).unwrap();
    assert_eq!(drops.load(SeqCst), 1);
    monitor.enter(|_handle| ()).unwrap();
    assert_eq!(drops.load(SeqCst), 1);
    drop(monitor);
    assert_eq!(drops.load(SeqCst), 2);
}

/// A cycle through what the thread was inside of before: the attempt would only build it again.
#[test]
fn an_attempt_inside_of_a_monitor_is_not_repeated() {
    let _watchdog = watchdog();
    let (a, b) = (Monitor::named("kept a", 0), Monitor::named("kept b", 0));
    let tries = AtomicUsize::new(0);
    thread::scope(|scope| {
        a.enter(|_| {
            scope.spawn(|| attempt(|| b.enter(|_| a.enter(|mut value| *value += 1))?).unwrap());
            wait_until(|| is_waited_for("kept a"));
            let inner = attempt(|| {
                tries.fetch_add(1, SeqCst);
                b.enter(|_| ())
            });
            assert!(!inner.unwrap_err().is_self());
        })
        .unwrap();
    });
    assert_eq!((tries.load(SeqCst), a.enter(|value| *value).unwrap()), (1, 1));
}

/// The outermost one is repeated, and the age stays.
#[test]
fn attempts_inside_of_attempts() {
    struct Wrapped(Deadlock, bool);
    impl AsDeadlock for Wrapped {
        fn as_deadlock(&self) -> Option<&Deadlock> {
            self.1.then_some(&self.0)
        }
    }
    let _watchdog = watchdog();
    let monitor = Monitor::new(0);
    let mut tries = (0, 0);
    let result: Result<(), Wrapped> = attempt(|| {
        tries.0 += 1;
        attempt(|| {
            tries.1 += 1;
            let error = monitor.enter(|_| monitor.enter(|_| ()).unwrap_err()).unwrap();
            Err(Wrapped(error, false))
        })
    });
    assert!(result.is_err());
    assert_eq!(tries, (1, 1));
}

impl From<Deadlock> for Never {
    fn from(_: Deadlock) -> Self {
        Self
    }
}

struct Never;

/// Chains that end in running threads are long, and there are many: the one that matters is looked at last.
#[test]
fn a_join_with_many_children_whose_chains_are_long() {
    const LENGTH: usize = 12;
    fn waiting(count: usize) {
        wait_until(|| {
            let waits = snapshot();
            waits
                .iter()
                .filter(|link| link.wants.is_some_and(|id| id.name() == Some("chain")))
                .count()
                == count
        });
    }
    let _watchdog = watchdog();
    let (held, wanted) = (Monitor::named("many held", ()), Monitor::named("many wanted", ()));
    let chain = [(); LENGTH].map(|()| Monitor::named("chain", ()));
    let (is_over, entered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let has_wanted = AtomicBool::new(false);
    thread::scope(|scope| {
        // Each is inside of one and wants the next; the last one runs.
        for at in 0..LENGTH {
            let (chain, is_over, entered) = (&chain, &is_over, &entered);
            scope.spawn(move || {
                chain[at]
                    .enter(|_| {
                        entered.fetch_add(1, SeqCst);
                        match chain.get(at + 1) {
                            Some(next) => {
                                wait_until(|| entered.load(SeqCst) == LENGTH);
                                _ = next.enter(|_| ());
                            }
                            None => wait_until(|| is_over.load(SeqCst)),
                        }
                    })
                    .unwrap();
            });
        }
        waiting(LENGTH - 1);
        let last = scope.spawn(|| {
            wanted.enter(|_| {
                has_wanted.store(true, SeqCst);
                // Until the parent waits for its children, and those wait.
                wait_until(|| is_waited_for("many wanted"));
                waiting(2 * LENGTH - 1);
                wait_until(|| snapshot().iter().any(|link| link.waits == Waits::ForThreads));
                let result = held.enter_for(Duration::from_secs(2), |_| ());
                is_over.store(true, SeqCst);
                result
            })
        });
        wait_until(|| has_wanted.load(SeqCst));
        _ = held.enter(|_| {
            branch::<(), Deadlock>(|b| {
                b.spawn(|| wanted.enter(|_| ()));
                for _ in 0..LENGTH {
                    b.spawn(|| chain[0].enter(|_| ()));
                }
                Ok(())
            })
        });
        let result = last.join().unwrap().unwrap();
        let found = matches!(&result, Err(EnterError::Deadlock(deadlock)) if deadlock.has_join());
        // It may be the child that is told, which then lets the last one in.
        assert!(found || result.is_ok(), "no thread has lost: {result:?}");
    });
}

/// A child is waited for by its handle, inside of what it wants.
#[test]
fn a_child_that_is_joined_by_its_handle() {
    let _watchdog = watchdog();
    let monitor = Monitor::named("held by a parent", ());
    let failures = monitor
        .enter(|_| {
            branch::<(), Deadlock>(|b| {
                let child = b.spawn(|| monitor.enter(|_| ()));
                _ = child.join();
                Ok(())
            })
        })
        .unwrap()
        .unwrap_err()
        .into_vec();
    assert!(matches!(&failures[..], [Failure::Error(deadlock)] if deadlock.has_join()));
}

/// The condition of a thread of the branch is evaluated by the thread that leaves, and cancels the branch.
#[test]
fn a_condition_that_cancels_its_branch() {
    let _watchdog = watchdog();
    let (monitor, looks) = (&Monitor::new(0), &AtomicUsize::new(0));
    let failures = branch::<(), Never>(|b| {
        b.spawn(move || {
            let condition = |_: &i32| {
                if looks.fetch_add(1, SeqCst) == 2 {
                    b.cancel();
                }
                false
            };
            let waited = monitor.enter(|inside| inside.wait_until(condition).map(|_| ()))?;
            assert!(matches!(waited, Err(Stopped::Cancelled(_))));
            Err::<(), _>(Never)
        });
        wait_until(|| looks.load(SeqCst) == 2);
        _ = monitor.enter(|_| ());
        Ok(())
    });
    assert!(failures.is_err());
}
