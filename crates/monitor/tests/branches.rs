//! Branches: their threads, their results and their failures.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use pysync_monitor::{
    Branch, Builder, Cancelled, Child, Deadlock, Failure, Failures, Monitor, Stopped, Waits,
    attempt, branch, check, sleep, snapshot,
};
use pysync_testing::{panics_with, wait_until, watchdog};

const LONG: Duration = Duration::from_secs(3600);

#[derive(Debug)]
enum Error {
    Number(i32),
    Cancelled,
    Deadlock(Deadlock),
}

impl From<Cancelled> for Error {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}

impl From<Deadlock> for Error {
    fn from(deadlock: Deadlock) -> Self {
        Self::Deadlock(deadlock)
    }
}

impl From<Stopped> for Error {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Deadlock(deadlock) => Self::Deadlock(deadlock),
            _ => Self::Cancelled,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "error {number}"),
            Self::Cancelled => f.write_str("cancelled"),
            Self::Deadlock(deadlock) => deadlock.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

fn number(number: i32) -> Result<(), Error> {
    Err(Error::Number(number))
}

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
fn results_come_in_order() {
    let _watchdog = watchdog();
    let squares = branch::<_, Error>(|b| {
        let children: Vec<_> = (0..20).map(|n| b.spawn(move || Ok(n * n))).collect();
        Ok(children.into_iter().map(Child::join).collect::<Result<Vec<_>, _>>()?)
    });
    assert_eq!(squares.unwrap(), (0..20).map(|n| n * n).collect::<Vec<_>>());
}

#[test]
fn results_are_borrowed_from_outside() {
    let _watchdog = watchdog();
    let words = [String::from("a"), String::from("b")];
    let longest = branch::<_, Error>(|b| {
        let threads = words.each_ref().map(|word| b.spawn(move || Ok(word)));
        let [first, second] = threads.map(|thread| thread.join());
        Ok([first?.as_str(), second?.as_str()])
    });
    assert_eq!(longest.unwrap(), ["a", "b"]);
}

#[test]
fn threads_make_threads_and_all_are_waited_for() {
    fn grow<'s>(b: Branch<'s, '_, Error>, depth: usize, count: &'s AtomicUsize) {
        count.fetch_add(1, SeqCst);
        if depth > 0 {
            for _ in 0..2 {
                b.spawn(move || {
                    grow(b, depth - 1, count);
                    Ok(())
                });
            }
        }
    }
    let _watchdog = watchdog();
    let count = AtomicUsize::new(0);
    branch(|b| {
        grow(b, 4, &count);
        Ok(())
    })
    .unwrap();
    assert_eq!(count.into_inner(), 31);
}

#[test]
fn a_dropped_child_is_waited_for() {
    let _watchdog = watchdog();
    let has_run = AtomicBool::new(false);
    let go = Barrier::new(2);
    branch::<_, Error>(|b| {
        drop(b.spawn(|| {
            go.wait();
            has_run.store(true, SeqCst);
            Ok(())
        }));
        go.wait();
        Ok(())
    })
    .unwrap();
    assert!(has_run.into_inner());
}

#[test]
fn the_first_failure_cancels_the_others() {
    let _watchdog = watchdog();
    let ready = Barrier::new(3);
    let failures = branch::<(), Error>(|b| {
        b.spawn(|| {
            ready.wait();
            Ok(sleep(LONG)?)
        });
        b.spawn(|| {
            ready.wait();
            // And a branch inside of it.
            let inner = branch::<(), Error>(|b| {
                b.spawn(|| Ok(sleep(LONG)?));
                Ok(sleep(LONG)?)
            });
            assert_eq!(inner.unwrap_err().iter().count(), 2);
            Ok(check()?)
        });
        b.spawn(|| {
            ready.wait();
            number(7)
        });
        Ok(())
    })
    .unwrap_err();
    assert!(matches!(failures.cause(), Some(Failure::Error(Error::Number(7)))), "{failures:?}");
    let failures = failures.into_vec();
    assert_eq!(failures.len(), 3, "{failures:?}");
    assert!(matches!(failures[2], Failure::Error(Error::Number(7))), "{failures:?}");
}

#[test]
fn failures_are_in_order_whoever_is_first() {
    let _watchdog = watchdog();
    for first in 0..4 {
        let all = Barrier::new(4);
        let failed = AtomicBool::new(false);
        let fail = |n: usize| {
            all.wait();
            if n != first {
                wait_until(|| failed.load(SeqCst));
            }
            failed.store(true, SeqCst);
            number(n as i32)
        };
        let fail = &fail;
        let failures = branch::<(), Error>(|b| {
            for n in 1..4 {
                b.spawn(move || fail(n));
            }
            fail(0)
        });
        let numbers: Vec<i32> = failures
            .unwrap_err()
            .into_iter()
            .map(|failure| match failure {
                Failure::Error(Error::Number(number)) => number,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(numbers, [0, 1, 2, 3]);
    }
}

struct Told<'a>(&'a AtomicUsize);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// safethread forgot those.
#[test]
fn a_thread_made_after_a_failure_is_born_cancelled() {
    let _watchdog = watchdog();
    let (ran, dropped) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (ran, dropped) = (&ran, &dropped);
    let failures = branch::<(), Error>(|b| {
        b.spawn(|| number(1));
        wait_until(|| b.is_cancelled());
        let told = Told(dropped);
        let late = b.spawn(move || {
            let _told = told;
            ran.fetch_add(1, SeqCst);
            Ok(())
        });
        assert_eq!(dropped.load(SeqCst), 1);
        assert!(late.is_finished());
        assert!(matches!(late.join(), Err(Stopped::Cancelled(_))));
        Ok(())
    });
    let failures = failures.unwrap_err();
    assert!(matches!(
        &failures.into_vec()[..],
        [Failure::Error(Error::Number(1)), Failure::Cancelled]
    ));
    assert_eq!(ran.load(SeqCst), 0);
}

/// It was made before the cancel and begins after it.
#[test]
fn a_thread_that_has_not_begun_does_not_run() {
    let _watchdog = watchdog();
    for _ in 0..200 {
        let (ran, dropped) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (ran, dropped) = (&ran, &dropped);
        let told = Told(dropped);
        let result = branch::<(), Error>(|b| {
            b.spawn(move || {
                let _told = told;
                ran.fetch_add(1, SeqCst);
                Ok(())
            });
            b.cancel();
            Ok(())
        });
        assert_eq!(dropped.load(SeqCst), 1);
        match result {
            Ok(()) => assert_eq!(ran.load(SeqCst), 1),
            Err(failures) => {
                assert!(matches!(&failures.into_vec()[..], [Failure::Cancelled]));
                assert_eq!(ran.load(SeqCst), 0);
            }
        }
    }
}

#[test]
fn a_panic_of_the_body_is_reported_after_all_have_ended() {
    let _watchdog = watchdog();
    let ready = Barrier::new(2);
    let has_ended = AtomicBool::new(false);
    let failures = branch::<(), Error>(|b| {
        b.spawn(|| {
            ready.wait();
            assert!(sleep(LONG).is_err());
            has_ended.store(true, SeqCst);
            Ok(())
        });
        ready.wait();
        panic!("in the body")
    })
    .unwrap_err();
    assert!(has_ended.into_inner());
    assert_eq!(failures.iter().count(), 1);
    assert_eq!(failures.to_string(), "panicked: in the body");
    panics_with("in the body", || _ = failures.resume_panic());
}

#[test]
fn a_panic_of_a_thread_is_a_failure() {
    let _watchdog = watchdog();
    let failures = branch::<(), Error>(|b| {
        b.spawn(|| -> Result<(), _> { panic!("in a thread") });
        Ok(sleep(LONG)?)
    })
    .unwrap_err();
    assert!(matches!(failures.cause(), Some(Failure::Panicked(_))));
    assert_eq!(
        failures.to_string(),
        "2 parts of a branch have failed: cancelled; panicked: in a thread"
    );
    assert!(matches!(&failures.into_vec()[..], [Failure::Error(_), Failure::Panicked(_)]));
}

/// A result that no thread takes is dropped by the thread that has made it, while it counts as one of the branch.
#[test]
fn a_panic_of_a_drop_is_a_failure() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let _watchdog = watchdog();
    let go = Barrier::new(2);
    let failures = branch::<(), Error>(|b| {
        let child = b.spawn(|| {
            go.wait();
            Ok(Bomb)
        });
        drop(child);
        go.wait();
        Ok(())
    });
    panics_with("dropped", || _ = failures.unwrap_err().resume_panic());
}

#[test]
fn no_panic_is_resumed_where_there_is_none() {
    let failures = branch::<(), Error>(|_| number(3)).unwrap_err().resume_panic();
    assert!(matches!(failures.into_single(), Ok(Error::Number(3))));
}

fn is_cancelled(error: &Error) -> bool {
    matches!(error, Error::Cancelled)
}

#[test]
fn a_single_error_is_told_from_many() {
    let _watchdog = watchdog();
    let with = |errors: [fn() -> Result<(), Error>; 2]| {
        let both = Barrier::new(2);
        let both = &both;
        branch::<(), Error>(|b| {
            for error in errors {
                b.spawn(move || {
                    both.wait();
                    error()
                });
            }
            Ok(())
        })
        .unwrap_err()
    };
    let one = with([|| number(1), || Ok(())]);
    assert!(matches!(one.into_single(), Ok(Error::Number(1))));
    let two = with([|| number(1), || number(2)]);
    let two = two.into_single().unwrap_err();
    assert_eq!(two.to_string(), "2 parts of a branch have failed: error 1; error 2");
    // With the error of one that was cancelled.
    let both = || with([|| Ok(sleep(LONG)?), || number(2)]);
    assert!(both().into_single().is_err());
    assert!(matches!(both().into_single_unless(is_cancelled), Ok(Error::Number(2))));
    // A panic is not passed over.
    let panic = with([|| panic!("one"), || Err(Error::Cancelled)]);
    assert!(panic.into_single_unless(is_cancelled).is_err());
    // Cancelled alone.
    let alone = branch::<(), Error>(|_| Err(Error::Cancelled)).unwrap_err();
    assert!(matches!(alone.into_single_unless(is_cancelled), Ok(Error::Cancelled)));
}

#[test]
fn failures_are_an_error_with_a_source() {
    let failures = branch::<(), Error>(|_| number(5)).unwrap_err();
    let error: Box<dyn std::error::Error + Send> = Box::new(failures);
    assert_eq!(error.to_string(), "error 5");
    assert_eq!(error.source().unwrap().to_string(), "error 5");
}

#[test]
fn a_cancel_from_outside_is_not_the_cause_of_itself() {
    let failures: Failures<Error> = branch::<(), Error>(|b| {
        b.cancel();
        Ok(check()?)
    })
    .unwrap_err();
    assert!(failures.cause().is_none());
}

#[test]
fn a_branch_without_failures_may_have_been_cancelled() {
    let result = branch::<_, Error>(|b| {
        assert!(!b.is_cancelled());
        b.cancel();
        assert!(b.is_cancelled());
        Ok(7)
    });
    assert_eq!(result.unwrap(), 7);
    assert!(check().is_ok(), "only the branch is");
}

/// Neither leaves anything in the branch that it would wait for.
#[test]
fn a_thread_that_is_not_made_leaves_nothing() {
    let _watchdog = watchdog();
    let dropped = AtomicUsize::new(0);
    let dropped = &dropped;
    let failures = branch::<(), Error>(|b| {
        let told = Told(dropped);
        let too_large = Builder::new().stack_size(isize::MAX as usize & !0xffff);
        let not_made = b.try_spawn(too_large, move || {
            let _told = told;
            Ok(())
        });
        assert!(not_made.is_err());
        assert_eq!(dropped.load(SeqCst), 1);
        let bad = catch_unwind(AssertUnwindSafe(|| b.spawn_named("a\0b", || Ok(()))));
        assert!(bad.is_err());
        assert!(!b.is_cancelled());
        assert_eq!(b.spawn(|| Ok(3)).join()?, 3);
        number(1)
    })
    .unwrap_err();
    assert!(matches!(failures.into_single(), Ok(Error::Number(1))));
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
