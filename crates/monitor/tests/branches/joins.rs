//! Waits for threads are in the graph of who waits for whom.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;

use pysync_monitor::{Child, Failure, Monitor, Stopped, Waits, attempt, branch, sleep, snapshot};
use pysync_testing::{wait_until, watchdog};

use crate::{Error, LONG};

/// Whether a thread waits in `name`, as the snapshot tells.
fn waits_in(name: &str) -> bool {
    snapshot().iter().any(|link| link.wants.is_some_and(|id| id.name() == Some(name)))
}

/// Whether the thread of that name waits for threads. Other tests have threads, too.
fn joins(name: &str) -> bool {
    snapshot()
        .iter()
        .any(|link| link.waits == Waits::ForThreads && link.thread_name.as_deref() == Some(name))
}

/// The name of the thread of this test.
fn my_name() -> String {
    thread::current().name().unwrap().to_owned()
}

#[test]
fn a_holder_that_joins_one_that_wants_it() {
    let _watchdog = watchdog();
    let monitor = Monitor::named("held", 0);
    let failures = monitor
        .enter(|_inside| {
            branch::<(), Error>(|b| {
                // It is deadlocked with the second, while the first and the third run on for a while.
                b.spawn(|| Ok(sleep(LONG)?));
                b.spawn_named("second", || Ok(monitor.enter(|mut value| *value += 1)?));
                b.spawn(|| Ok(sleep(LONG)?));
                Ok(())
            })
            .unwrap_err()
            .into_vec()
        })
        .unwrap();
    let Failure::Error(Error::Deadlock(deadlock)) = &failures[1] else { panic!("{failures:?}") };
    assert!(deadlock.has_join() && deadlock.cycle().len() == 2, "{deadlock}");
    let [joins, wants] = [true, false].map(|joins| {
        deadlock
            .cycle()
            .iter()
            .find(|link| (link.waits == Waits::ForThreads) == joins)
            .expect("one of each")
    });
    assert_eq!(wants.thread_name.as_deref(), Some("second"));
    assert!(joins.entered_at.is_some_and(|at| at.file() == file!()), "{deadlock}");
    assert_eq!(joins.thread_name.as_deref(), thread::current().name());
    assert_eq!((joins.waits_for, wants.waits_for), (Some(wants.thread), Some(joins.thread)));
    assert!(deadlock.to_string().contains("(second) waits to enter held"), "{deadlock}");
}

/// The body, which is the older one, holds the monitor and waits for one thread only.
#[test]
fn a_child_that_is_joined_wants_what_the_joiner_holds() {
    let _watchdog = watchdog();
    let (monitor, me) = (Monitor::named("held", 0), my_name());
    let failures = branch::<(), Error>(|b| {
        let child = b.spawn(|| {
            wait_until(|| joins(&me));
            Ok(monitor.enter(|mut value| *value += 1)?)
        });
        // The one that is not joined keeps the branch from its end.
        b.spawn(|| Ok(sleep(LONG)?));
        monitor.enter(|_| {
            assert!(matches!(child.join(), Err(Stopped::Cancelled(_))));
        })?;
        Ok(())
    })
    .unwrap_err()
    .into_vec();
    let Failure::Error(Error::Deadlock(deadlock)) = &failures[0] else { panic!("{failures:?}") };
    assert!(deadlock.has_join() && deadlock.cycle().len() == 2, "{deadlock}");
    assert!(
        deadlock
            .cycle()
            .iter()
            .all(|link| link.entered_at.is_some() || link.waits != Waits::ForThreads)
    );
}

/// A handle for a thread that is made later.
type Later<'s> = Arc<Mutex<Option<Child<'s, ()>>>>;

fn join(later: &Later<'_>) -> Result<(), Stopped> {
    loop {
        if let Some(child) = later.lock().unwrap().take() {
            return child.join();
        }
        thread::yield_now();
    }
}

/// Each of two threads waits for the end of the other: the wait for one thread can be given up.
#[test]
fn two_siblings_that_join_each_other() {
    let _watchdog = watchdog();
    let lost = AtomicUsize::new(0);
    let lost = &lost;
    branch::<(), Error>(|b| {
        let handles: [Later<'_>; 2] = Default::default();
        for me in 0..2 {
            let other = handles[1 - me].clone();
            let child = b.spawn(move || {
                if let Err(Stopped::Deadlock(deadlock)) = join(&other) {
                    assert_eq!(deadlock.cycle().len(), 2, "{deadlock}");
                    assert!(deadlock.has_join());
                    lost.fetch_add(1, SeqCst);
                }
                Ok(())
            });
            *handles[me].lock().unwrap() = Some(child);
        }
        Ok(())
    })
    .unwrap();
    assert_eq!(lost.load(SeqCst), 1);
}

#[test]
fn a_thread_that_joins_itself_loses() {
    let _watchdog = watchdog();
    branch::<(), Error>(|b| {
        let handle = Later::default();
        let mine = handle.clone();
        let child = b.spawn(move || {
            assert!(matches!(join(&mine), Err(Stopped::Deadlock(_))));
            Ok(())
        });
        *handle.lock().unwrap() = Some(child);
        Ok(())
    })
    .unwrap();
}

/// A thread closes two cycles at once, by two ways through joins. If it is the younger, it loses and both are broken; if it
/// is the older, the other thread loses, and then itself.
#[test]
fn two_cycles_closed_by_one_thread() {
    let _watchdog = watchdog();
    for is_older in [false, true] {
        let (monitor, me) = (Monitor::named("held", 0), my_name());
        let has_age = AtomicBool::new(!is_older);
        let (monitor, me, has_age) = (&monitor, &me, &has_age);
        let failures = monitor.enter(|_| {
            branch::<(), Error>(|b| {
                let wants = b.spawn(move || {
                    if is_older {
                        b.spawn(|| Ok(()));
                        has_age.store(true, SeqCst);
                    }
                    wait_until(|| joins(me) && joins("joins the other"));
                    Ok(monitor.enter(|_| ())?)
                });
                b.spawn_named("joins the other", move || {
                    wait_until(|| has_age.load(SeqCst));
                    Ok(wants.join()?)
                });
                Ok(())
            })
        });
        let failures = failures.unwrap().unwrap_err().into_vec();
        let lost = |failure: &Failure<Error>| match failure {
            Failure::Error(Error::Deadlock(deadlock)) => {
                assert!(deadlock.has_join());
                Some(deadlock.cycle().len())
            }
            _ => None,
        };
        let lost: Vec<_> = failures.iter().map(lost).collect();
        match is_older {
            false => assert!(matches!(lost[..], [Some(_), None]), "{failures:?}"),
            // The third may not have begun.
            true => assert!(matches!(lost[..], [Some(2), Some(3), ..]), "{failures:?}"),
        }
    }
}

/// It would be the same again.
#[test]
fn an_attempt_through_a_join_is_not_repeated() {
    let _watchdog = watchdog();
    let (monitor, attempts) = (Monitor::new(0), AtomicUsize::new(0));
    let lost = monitor.enter(|_| {
        branch::<(), Error>(|b| {
            b.spawn(|| {
                Ok(attempt(|| {
                    attempts.fetch_add(1, SeqCst);
                    monitor.enter(|_| ())
                })?)
            });
            Ok(())
        })
    });
    let lost = lost.unwrap().unwrap_err().into_single().unwrap();
    assert!(matches!(lost, Error::Deadlock(_)));
    assert_eq!(attempts.into_inner(), 1);
}

#[test]
fn names_are_in_reports() {
    let _watchdog = watchdog();
    let monitor = Monitor::named("names", 0);
    branch::<(), Error>(|b| {
        monitor.enter(|_| {
            b.spawn_named("waits", || Ok(monitor.enter(|_| ())?));
            wait_until(|| waits_in("names"));
            let links = snapshot();
            let link = links
                .iter()
                .find(|link| link.wants.is_some_and(|id| id.name() == Some("names")))
                .unwrap();
            assert_eq!(link.thread_name.as_deref(), Some("waits"));
        })?;
        Ok(())
    })
    .unwrap();
}
