//! Closed branches in which nothing can go on.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use pysync_monitor::{
    Deadlock, Failure, Failures, Monitor, Stopped, Waits, attempt, branch, branch_closed, sleep,
    snapshot,
};
use pysync_testing::{Sleeper, wait_until, watchdog};

fn is_never<T>(_: &T) -> bool {
    false
}

/// The deadlock, if it is the only failure.
fn stuck(failures: Failures<Stopped>) -> Deadlock {
    match failures.into_single_unless(|error| matches!(error, Stopped::Cancelled(_))) {
        Ok(Stopped::Deadlock(deadlock)) => deadlock,
        other => panic!("{other:?}"),
    }
}

fn waits(name: &str) -> usize {
    snapshot().iter().filter(|link| link.wants.is_some_and(|id| id.name() == Some(name))).count()
}

/// Whether the thread of that name waits for threads. Other tests have threads, too.
fn joins(name: &str) -> bool {
    snapshot()
        .iter()
        .any(|link| link.waits == Waits::ForThreads && link.thread_name.as_deref() == Some(name))
}

/// The name of the thread of this test.
fn my_name() -> String {
    std::thread::current().name().unwrap().to_owned()
}

#[test]
fn a_body_alone() {
    let _watchdog = watchdog();
    let monitor = Monitor::named("alone", 0);
    let result = branch_closed::<(), Stopped>(|_| monitor.enter_when(is_never, |_| ()));
    let deadlock = stuck(result.unwrap_err());
    assert!(deadlock.is_stuck() && !deadlock.is_self() && !deadlock.has_join(), "{deadlock}");
    assert_eq!((deadlock.cycle().len(), deadlock.victim()), (1, 0));
    assert!(deadlock.to_string().starts_with("closed branch of 1 threads; "), "{deadlock}");
    assert_eq!(monitor.enter(|value| *value).unwrap(), 0);
}

/// The last thing that happens is that the body waits for its thread, or that its thread begins to wait.
#[test]
fn a_thread_that_waits_and_a_body_that_joins() {
    let _watchdog = watchdog();
    for body_is_last in [true, false] {
        let (monitor, me) = (Monitor::new(0), my_name());
        let sleeper = Sleeper::new();
        let result = branch_closed::<(), Stopped>(|b| {
            b.spawn_named("waiter", || {
                if !body_is_last {
                    wait_until(|| joins(&me));
                }
                sleeper.enter();
                monitor.enter_when(is_never, |_| ())
            });
            if body_is_last {
                sleeper.wait_until_asleep();
            }
            Ok(())
        });
        let deadlock = stuck(result.unwrap_err());
        assert!(deadlock.is_stuck() && deadlock.has_join(), "{deadlock}");
        let victim = &deadlock.cycle()[deadlock.victim()];
        assert_eq!(victim.thread_name.as_deref(), Some("waiter"));
        assert!(victim.waits != Waits::ForThreads);
    }
}

/// A thread that could have made the condition true ends without.
#[test]
fn the_last_that_could_go_on_ends() {
    let _watchdog = watchdog();
    for panics in [false, true] {
        let (monitor, me) = (Monitor::new(0), my_name());
        let result = branch_closed::<(), Stopped>(|b| {
            let waiter = b.spawn(|| monitor.enter_when(|value| *value == 1, |_| ()));
            let helper = b.spawn(|| {
                wait_until(|| joins(&me));
                if panics {
                    panic!("it ends so")
                }
                Ok(())
            });
            drop(helper);
            match waiter.join() {
                Err(Stopped::Cancelled(_)) => Ok(()),
                other => panic!("{other:?}"),
            }
        });
        let failures = result.unwrap_err();
        if panics {
            // It is cancelled by the panic before it counts as stuck.
            assert_eq!(failures.iter().count(), 2, "{failures:?}");
        } else {
            assert!(stuck(failures).is_stuck());
        }
    }
}

#[test]
fn the_youngest_of_those_that_wait_loses() {
    let _watchdog = watchdog();
    let monitor = Monitor::named("by age", 0);
    let lost = AtomicUsize::new(0);
    let (monitor, lost) = (&monitor, &lost);
    let result = branch_closed::<(), Stopped>(|b| {
        for turn in 0..4 {
            b.spawn(move || {
                wait_until(|| waits("by age") == turn);
                let waited = monitor.enter_when(is_never, |_| ());
                if matches!(waited, Err(Stopped::Deadlock(_))) {
                    lost.store(turn, SeqCst);
                }
                waited
            });
        }
        Ok(())
    });
    let deadlock = stuck(result.unwrap_err());
    let ages: Vec<_> =
        deadlock.cycle().iter().map(|link| (link.waits != Waits::ForThreads, link.age)).collect();
    assert_eq!(ages[deadlock.victim()], *ages.iter().max().unwrap());
    assert_eq!((ages.len(), lost.load(SeqCst)), (5, 3));
}

/// One has the monitor that the other wants, and waits for a condition of another one.
#[test]
fn a_nested_monitor() {
    let _watchdog = watchdog();
    let (outer, inner) = (Monitor::named("outer", 0), Monitor::named("inner", 0));
    let result = branch_closed::<(), Stopped>(|b| {
        b.spawn_named("holder", || {
            outer.enter(|_| inner.enter_when(|value| *value == 1, |_| ())).unwrap()
        });
        b.spawn_named("comes", || {
            wait_until(|| waits("inner") == 1);
            outer.enter(|_| inner.enter(|mut value| *value = 1).unwrap()).unwrap();
            Ok(())
        });
        Ok(())
    });
    let deadlock = stuck(result.unwrap_err());
    assert!(deadlock.is_stuck());
    let victim = &deadlock.cycle()[deadlock.victim()];
    assert_eq!(victim.thread_name.as_deref(), Some("holder"));
    // The other got in after that.
    assert_eq!(inner.enter(|value| *value).unwrap(), 1);
    let text = deadlock.to_string();
    assert!(text.contains("(comes) waits to enter outer"), "{text}");
}

/// Neither the sleeper nor the one that waits for a time is stuck.
#[test]
fn threads_with_a_deadline_go_on() {
    let _watchdog = watchdog();
    let monitor = Monitor::named("a deadline", 0);
    let asleep = Sleeper::new();
    let short = Duration::from_millis(30);
    let wakes: [&(dyn Fn() + Sync); 3] = [
        &|| _ = sleep(short),
        &|| {
            let waited = monitor.enter(|inside| inside.wait_until_for(short, is_never).map(|_| ()));
            waited.unwrap().unwrap();
        },
        &|| {
            // In a monitor that one inside never leaves.
            let held = Monitor::new(());
            branch::<(), Stopped>(|b| {
                b.spawn(|| {
                    held.enter(|_| monitor.enter_when(|value| *value == 1, |_| ())).unwrap()
                });
                wait_until(|| waits("a deadline") == 2);
                assert!(held.enter_for(short, |_| ()).is_err());
                monitor.enter(|mut value| *value = 1).unwrap();
                Ok(())
            })
            .unwrap();
        },
    ];
    for wake in wakes {
        monitor.enter(|mut value| *value = 0).unwrap();
        branch_closed::<(), Stopped>(|b| {
            b.spawn(|| {
                asleep.enter();
                monitor.enter_when(|value| *value == 1, |_| ())
            });
            b.spawn(|| {
                wait_until(|| waits("a deadline") == 1);
                wake();
                monitor.enter(|mut value| *value = 1).unwrap();
                Ok(())
            });
            Ok(())
        })
        .unwrap();
    }
}

/// It is going to leave, and then the one that waits for it goes on.
#[test]
fn a_holder_outside_goes_on() {
    let _watchdog = watchdog();
    let (held, value) = (Monitor::named("held outside", 0), Monitor::new(0));
    let (is_in, go_out) = (Barrier::new(2), Barrier::new(2));
    let me = my_name();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            held.enter(|_| {
                is_in.wait();
                go_out.wait();
            })
            .unwrap();
        });
        is_in.wait();
        scope.spawn(|| {
            wait_until(|| waits("held outside") == 1 && joins(&me));
            go_out.wait();
        });
        branch_closed::<(), Stopped>(|b| {
            b.spawn(|| value.enter_when(|value| *value == 1, |_| ()));
            b.spawn(|| {
                held.enter(|_| value.enter(|mut value| *value = 1).unwrap()).unwrap();
                Ok(())
            });
            Ok(())
        })
        .unwrap();
    });
}

/// A branch inside of a closed one, and a closed one inside of one: the outermost counts.
#[test]
fn branches_inside_are_part_of_it() {
    let _watchdog = watchdog();
    let monitor = Monitor::named("inside", 0);
    let result = branch_closed::<(), Stopped>(|b| {
        b.spawn(|| {
            wait_until(|| waits("inside") == 1);
            monitor.enter(|mut value| *value = 1).unwrap();
            Ok(())
        });
        // It alone would be stuck.
        branch_closed::<(), Stopped>(|b| {
            b.spawn(|| monitor.enter_when(|value| *value == 1, |_| ()));
            Ok(())
        })
        .unwrap();
        branch::<(), Stopped>(|b| {
            b.spawn(|| monitor.enter_when(|value| *value == 2, |_| ()));
            Ok(())
        })
        .map_err(|failures| failures.into_single().unwrap())
    });
    let deadlock = stuck(result.unwrap_err());
    assert_eq!(deadlock.cycle().len(), 2, "{deadlock}");
}

#[test]
fn a_branch_that_is_not_closed_is_not_looked_at() {
    let _watchdog = watchdog();
    let (monitor, me) = (Monitor::named("not closed", 0), my_name());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            wait_until(|| waits("not closed") == 1 && joins(&me));
            monitor.enter(|mut value| *value = 1).unwrap();
        });
        branch::<(), Stopped>(|b| {
            b.spawn(|| monitor.enter_when(|value| *value == 1, |_| ()));
            Ok(())
        })
        .unwrap();
    });
}

#[test]
fn an_attempt_is_not_repeated() {
    let _watchdog = watchdog();
    let (monitor, attempts) = (Monitor::new(0), AtomicUsize::new(0));
    let result = branch_closed::<(), Stopped>(|_| {
        attempt(|| {
            attempts.fetch_add(1, SeqCst);
            monitor
                .enter(|inside| match inside.wait_until(is_never) {
                    Ok(_) => Ok(()),
                    Err(Stopped::Deadlock(deadlock)) => Err(deadlock),
                    Err(other) => panic!("{other:?}"),
                })
                .unwrap()
        })
        .map_err(Stopped::Deadlock)
    });
    assert!(stuck(result.unwrap_err()).is_stuck());
    assert_eq!(attempts.into_inner(), 1);
}

/// Cycles are broken, and conditions come true: nothing is stuck though all wait now and then.
#[test]
fn threads_that_go_on_are_not_stuck() {
    const EACH: usize = 500;
    let _watchdog = watchdog();
    let buffer = Monitor::new(None);
    let (a, b) = (Monitor::new(0), Monitor::new(0));
    branch_closed::<(), Stopped>(|branch| {
        for thread in 0..2 {
            branch.spawn(|| {
                for i in 0..EACH {
                    buffer
                        .enter(|it| it.wait_until(Option::is_none).map(|mut it| *it = Some(i)))??;
                }
                Ok(())
            });
            branch.spawn(|| {
                for _ in 0..EACH {
                    buffer.enter(|it| it.wait_until(Option::is_some).map(|mut it| it.take()))??;
                }
                Ok(())
            });
            let [first, second] = if thread == 0 { [&a, &b] } else { [&b, &a] };
            branch.spawn(move || {
                for _ in 0..EACH {
                    attempt(|| {
                        first.enter(|mut first| {
                            std::thread::yield_now();
                            second.enter(|mut second| (*first, *second) = (*first + 1, *second + 1))
                        })?
                    })
                    .map_err(Stopped::Deadlock)?;
                }
                Ok(())
            });
        }
        Ok(())
    })
    .unwrap();
    assert_eq!(a.enter(|a| *a).unwrap(), 2 * EACH);
}

/// The thread that waits is in a shield, or has been: it is told all the same.
#[test]
fn a_wait_in_a_shield_loses_too() {
    let _watchdog = watchdog();
    let monitor = Monitor::new(0);
    let failures = branch_closed::<(), Stopped>(|_| {
        pysync_monitor::shield(|| monitor.enter_when(is_never, |_| ()))
    })
    .unwrap_err();
    assert!(
        matches!(failures.cause(), Some(Failure::Error(Stopped::Deadlock(it))) if it.is_stuck())
    );
}
