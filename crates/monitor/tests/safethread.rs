//! The tests of python-safethread, each under its name there, and a test for each of its defects that could have a
//! counterpart here.
//!
//! What it tests of shareable objects and walls around monitors is for the compiler here; its finalizers are those of
//! another crate.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::panic::panic_any;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use pysync_monitor::{
    Branch, Cancelled, Child, Deadlock, EnterError, Failure, Failures, Inside, Monitor, Stopped,
    attempt, branch, check, sleep, snapshot,
};
use pysync_testing::{panics_with, wait_until, watchdog};

/// Its `ZeroDivisionError` and `ValueError`, its `Cancelled` and its `SoftDeadlockError`.
#[derive(Debug)]
enum Error {
    Zero,
    Value(&'static str),
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

impl From<Failures<Self>> for Error {
    fn from(failures: Failures<Self>) -> Self {
        failures.into_single_unless(is_cancelled).expect("one error besides those of cancels")
    }
}

fn is_cancelled(error: &Error) -> bool {
    matches!(error, Error::Cancelled)
}

fn moo<T>() -> Result<T, Error> {
    Err(Error::Value("moo"))
}

/// Reads without end, until it is cancelled.
fn readloop() -> Result<(), Error> {
    loop {
        check()?;
        std::hint::spin_loop();
    }
}

/// The failures by the names of their kinds.
fn causes<T: std::fmt::Debug>(result: Result<T, Failures<Error>>) -> Vec<&'static str> {
    let name = |failure| match failure {
        Failure::Error(Error::Zero) => "zero",
        Failure::Error(Error::Value("moo")) => "moo",
        // The second is of one that had not begun.
        Failure::Error(Error::Cancelled) | Failure::Cancelled => "cancelled",
        Failure::Error(Error::Deadlock(_)) => "deadlock",
        other => panic!("{other:?}"),
    };
    result.unwrap_err().into_iter().map(name).collect()
}

/// Its `Checkpoint`.
struct Checkpoint(Monitor<bool>);

impl Checkpoint {
    fn new() -> Self {
        Self(Monitor::new(false))
    }

    fn set(&self) {
        self.0.enter(|mut is_set| *is_set = true).unwrap();
    }

    fn wait(&self) -> Result<(), Stopped> {
        self.0.enter_when(|is_set| *is_set, |_| ())
    }
}

/// Its `Deadlocker.chain`.
fn chain<R>(
    monitor: &Monitor<()>,
    f: impl FnOnce(Inside<'_, ()>) -> Result<R, Error>,
) -> Result<R, Error> {
    monitor.with(f)
}

mod doctest {
    use super::*;

    /// It loses results of those that were only added. Here each thread has one, and no one has to take it.
    #[test]
    fn results_of_a_branch() {
        let _watchdog = watchdog();
        let all = branch::<_, Error>(|b| {
            drop(b.spawn(|| Ok("not asked for")));
            let names = ["pink", "purple", "purple"];
            let children = names.map(|name| b.spawn(move || Ok(name)));
            Ok(children.into_iter().map(Child::join).collect::<Result<Vec<_>, _>>()?)
        });
        assert_eq!(all.unwrap(), ["pink", "purple", "purple"]);
    }

    #[test]
    fn value_error_moo() {
        let _watchdog = watchdog();
        let failures = branch::<(), Error>(|b| {
            b.spawn(moo::<()>);
            Ok(())
        });
        assert!(matches!(failures.unwrap_err().into_single(), Ok(Error::Value("moo"))));
        let failures = branch::<(), Error>(|_| Err(Error::Zero));
        assert!(matches!(failures.unwrap_err().into_single(), Ok(Error::Zero)));
    }

    #[test]
    fn a_counter_of_10_and_15_threads() {
        let _watchdog = watchdog();
        let counter = Monitor::new(0);
        for _ in 0..10 {
            counter.enter(|mut count| *count += 1).unwrap();
        }
        assert_eq!(counter.enter(|count| *count).unwrap(), 10);
        branch::<_, Error>(|b| {
            for _ in 0..15 {
                b.spawn(|| Ok(counter.enter(|mut count| *count += 1)?));
            }
            Ok(())
        })
        .unwrap();
        assert_eq!(counter.enter(|count| *count).unwrap(), 25);
    }

    /// Of its wiki.
    #[test]
    fn ten_times_twenty() {
        let _watchdog = watchdog();
        let counter = Monitor::new(0);
        branch::<_, Error>(|b| {
            for _ in 0..10 {
                b.spawn(|| (0..20).try_for_each(|_| Ok(counter.enter(|mut count| *count += 1)?)));
            }
            Ok(())
        })
        .unwrap();
        assert_eq!(counter.enter(|count| *count).unwrap(), 200);
    }
}

mod branch_tests {
    use super::*;

    #[test]
    fn main_and_child() {
        let _watchdog = watchdog();
        let began = Checkpoint::new();
        let began = &began;
        let result = branch::<(), Error>(|b| {
            b.spawn(|| {
                began.set();
                moo::<()>()
            });
            pysync_monitor::shield(|| began.wait())?;
            Err(Error::Zero)
        });
        assert_eq!(causes(result), ["zero", "moo"]);
    }

    #[test]
    fn multiple_child() {
        let _watchdog = watchdog();
        let began = AtomicUsize::new(0);
        let began = &began;
        let result = branch::<(), Error>(|b| {
            for _ in 0..3 {
                b.spawn(|| {
                    began.fetch_add(1, SeqCst);
                    wait_until(|| began.load(SeqCst) == 3);
                    moo::<()>()
                });
            }
            Ok(())
        });
        assert_eq!(causes(result), ["moo", "moo", "moo"]);
    }

    #[test]
    fn main_and_cancelled_child() {
        let _watchdog = watchdog();
        let result = branch::<(), Error>(|b| {
            b.spawn(readloop);
            Err(Error::Zero)
        });
        assert_eq!(causes(result), ["zero", "cancelled"]);
    }

    #[test]
    fn nested_branch_failing_outer() {
        let _watchdog = watchdog();
        let result = branch::<(), Error>(|outer| {
            let inner = branch::<(), Error>(|inner| {
                inner.spawn(readloop);
                outer.spawn(moo::<()>);
                Ok(())
            });
            assert_eq!(causes(inner), ["cancelled"]);
            Ok(check()?)
        });
        assert_eq!(causes(result), ["cancelled", "moo"]);
    }

    #[test]
    fn nested_branch_failing_outer_direct() {
        let _watchdog = watchdog();
        let result = branch::<(), Error>(|outer| {
            let inner = branch::<(), Error>(|_| {
                outer.spawn(moo::<()>);
                readloop()
            });
            Err(inner.unwrap_err().into())
        });
        assert_eq!(causes(result), ["cancelled", "moo"]);
    }

    #[test]
    fn cancelled_sleep() {
        // An hour, of which the watchdog lets none pass.
        let _watchdog = watchdog();
        let result = branch::<(), Error>(|b| {
            b.spawn(|| Ok(sleep(Duration::from_secs(3600))?));
            Err(Error::Zero)
        });
        assert_eq!(causes(result), ["zero", "cancelled"]);
    }
}

mod monitor_tests {
    use super::*;

    #[test]
    fn condition_wait() {
        let _watchdog = watchdog();
        let counter = Monitor::new(0);
        branch::<_, Error>(|b| {
            for _ in 0..10 {
                b.spawn(|| Ok(counter.enter(|mut count| *count += 1)?));
            }
            counter.enter_when(|count| *count >= 10, |count| assert_eq!(*count, 10))?;
            Ok(())
        })
        .unwrap();
    }

    #[test]
    fn monitor_wait() {
        let _watchdog = watchdog();
        let monitor = Monitor::new("world");
        let (a, b) = (Checkpoint::new(), Checkpoint::new());
        branch::<_, Error>(|children| {
            children.spawn(|| {
                monitor.enter(|inside| {
                    let left = inside.leave(|| {
                        a.set();
                        b.wait()
                    });
                    Ok(left?.1?)
                })?
            });
            a.wait()?;
            assert_eq!(monitor.enter(|value| *value)?, "world");
            b.set();
            Ok(())
        })
        .unwrap();
    }

    #[test]
    fn condition_cancellation() {
        let _watchdog = watchdog();
        let checkpoint = Checkpoint::new();
        let result = branch::<(), Error>(|b| {
            b.spawn(|| Ok(checkpoint.wait()?));
            Err(Error::Zero)
        });
        assert_eq!(causes(result), ["zero", "cancelled"]);
    }
}

mod deadlock_tests {
    use super::*;

    /// There a monitor may be entered again directly. Here that is done by passing on what one has.
    #[test]
    fn direct_self_nondeadlock() {
        fn inner(mut inside: Inside<'_, i32>) -> i32 {
            *inside += 1;
            *inside
        }
        let monitor = Monitor::new(0);
        assert_eq!(monitor.enter(inner).unwrap(), 1);
    }

    #[test]
    fn indirect_self_deadlock() {
        let _watchdog = watchdog();
        let (a, b) = (Monitor::new(()), Monitor::new(()));
        let result = chain(&a, |_| chain(&b, |_| chain(&a, |_| Ok(()))));
        assert!(matches!(result, Err(Error::Deadlock(it)) if it.is_self()));
        assert!(a.try_enter(|_| ()).is_some() && b.try_enter(|_| ()).is_some());
    }

    /// The one that does not lose reads for ever, and is cancelled.
    #[test]
    fn paired_deadlock() {
        let _watchdog = watchdog();
        let (a, b) = (Monitor::new(()), Monitor::new(()));
        let (in_a, in_b) = (Checkpoint::new(), Checkpoint::new());
        let pair = |outer, mine: &Checkpoint, other: &Checkpoint, inner| {
            chain(outer, |_| {
                mine.set();
                other.wait()?;
                chain(inner, |_| readloop())
            })
        };
        let result = branch::<(), Error>(|children| {
            children.spawn(|| pair(&a, &in_a, &in_b, &b));
            children.spawn(|| pair(&b, &in_b, &in_a, &a));
            Ok(())
        });
        let mut causes = causes(result);
        causes.sort_unstable();
        assert_eq!(causes, ["cancelled", "deadlock"]);
    }

    #[test]
    fn branched_deadlock() {
        let _watchdog = watchdog();
        let monitor = Monitor::new(());
        let result = chain(&monitor, |_| {
            branch::<(), Error>(|b| {
                b.spawn(|| chain(&monitor, |_| Ok(())));
                Ok(())
            })?;
            Ok(())
        });
        assert!(matches!(result, Err(Error::Deadlock(it)) if it.has_join()));
    }
}

/// What it does wrong.
mod defects {
    use super::*;

    /// It takes each condition for true.
    #[test]
    fn a_false_condition_is_not_true() {
        let _watchdog = watchdog();
        let monitor = Monitor::new(0);
        branch::<_, Error>(|b| {
            b.spawn(|| Ok(monitor.enter_when(|value| *value == 3, |value| assert_eq!(*value, 3))?));
            for _ in 0..3 {
                monitor.enter(|mut value| *value += 1)?;
            }
            Ok(())
        })
        .unwrap();
    }

    /// It passes null on, to the thread that leaves.
    #[test]
    fn a_condition_that_raises_is_the_waiters() {
        let _watchdog = watchdog();
        let monitor = Monitor::named("raises", 0);
        let failures = branch::<(), Error>(|b| {
            b.spawn(|| {
                let ready = |value: &i32| *value == 1 && panic_any("raised");
                monitor.enter_when(ready, |_| ())?;
                Ok(())
            });
            wait_until(|| {
                snapshot()
                    .iter()
                    .any(|link| link.wants.is_some_and(|id| id.name() == Some("raises")))
            });
            // The thread that evaluates it goes on.
            monitor.enter(|mut value| *value = 1)?;
            monitor.enter(|mut value| *value = 2)?;
            Ok(())
        });
        let failures = failures.unwrap_err();
        assert_eq!(failures.iter().count(), 1);
        panics_with("raised", || _ = failures.resume_panic());
    }

    /// Its detector locks nodes in the order of chains, and so can deadlock itself.
    #[test]
    fn many_cycles_at_once() {
        const THREADS: usize = 8;
        let _watchdog = watchdog();
        let monitors: [Monitor<usize>; THREADS] = std::array::from_fn(|_| Monitor::new(0));
        let monitors = &monitors;
        branch::<_, Error>(|b| {
            for me in 0..THREADS {
                b.spawn(move || {
                    for turn in 0..200 {
                        let other = &monitors[(me + 1 + turn % (THREADS - 1)) % THREADS];
                        attempt(|| {
                            monitors[me].enter(|mut mine| {
                                std::thread::yield_now();
                                other.enter(|mut other| {
                                    *mine += 1;
                                    *other += 1;
                                })
                            })?
                        })?;
                    }
                    Ok(())
                });
            }
            Ok(())
        })
        .unwrap();
        let sum: usize = monitors.iter().map(|it| it.enter(|value| *value).unwrap()).sum();
        assert_eq!(sum, THREADS * 200 * 2);
    }

    /// It forgets to cancel those.
    #[test]
    fn a_child_added_after_the_first_failure() {
        let _watchdog = watchdog();
        let result = branch::<(), Error>(|b| {
            b.spawn(moo::<()>);
            wait_until(|| b.is_cancelled());
            b.spawn(readloop);
            Ok(())
        });
        assert_eq!(causes(result), ["moo", "cancelled"]);
    }

    /// And one that a thread adds, which is cancelled itself.
    #[test]
    fn a_child_added_by_a_cancelled_child() {
        fn add<'s>(b: Branch<'s, '_, Error>) -> Result<(), Error> {
            wait_until(|| b.is_cancelled());
            b.spawn(readloop);
            Ok(())
        }
        let _watchdog = watchdog();
        let began = Checkpoint::new();
        let began = &began;
        let result = branch::<(), Error>(|b| {
            b.spawn(move || {
                began.set();
                add(b)
            });
            began.wait()?;
            Err(Error::Zero)
        });
        assert_eq!(causes(result), ["zero", "cancelled"]);
    }

    /// It writes past its list where there are results beside a failure.
    #[test]
    fn results_beside_a_failure_are_dropped_once() {
        struct Counted<'a>(&'a AtomicUsize);
        impl Drop for Counted<'_> {
            fn drop(&mut self) {
                self.0.fetch_add(1, SeqCst);
            }
        }
        let _watchdog = watchdog();
        let (began, dropped) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (began, dropped) = (&began, &dropped);
        let result = branch::<(), Error>(|b| {
            let children = [false, true, false].map(|fails| {
                b.spawn(move || {
                    let counted = Counted(dropped);
                    began.fetch_add(1, SeqCst);
                    wait_until(|| began.load(SeqCst) == 3);
                    if fails { moo() } else { Ok(counted) }
                })
            });
            wait_until(|| children.iter().all(Child::is_finished));
            assert_eq!(dropped.load(SeqCst), 1);
            let [first, ..] = children;
            drop(first.join()?);
            assert_eq!(dropped.load(SeqCst), 2);
            Ok(())
        });
        assert_eq!(causes(result), ["moo"]);
        assert_eq!(dropped.load(SeqCst), 3);
    }

    /// It has an edge to the child that is joined at the moment, and none to the others.
    #[test]
    fn a_deadlock_with_the_second_child_while_the_first_runs() {
        let _watchdog = watchdog();
        let monitor = Monitor::new(());
        let result = chain(&monitor, |_| {
            branch::<(), Error>(|b| {
                b.spawn(readloop);
                b.spawn(|| chain(&monitor, |_| Ok(())));
                Ok(())
            })?;
            Ok(())
        });
        assert!(matches!(result, Err(Error::Deadlock(_))));
    }

    /// It ends the process where one that is about to enter again, after it has waited outside, is in a cycle.
    #[test]
    fn to_enter_again_after_a_wait_outside_can_lose() {
        let _watchdog = watchdog();
        let (a, b) = (Monitor::new(()), Monitor::new(()));
        let outside = Checkpoint::new();
        let result = branch::<(), Error>(|children| {
            // The older one.
            let first = children.spawn(|| {
                attempt(|| {
                    outside.wait()?;
                    b.enter(|_| a.enter(|_| ()))??;
                    Ok::<_, Either>(())
                })
                .map_err(|error| error.0)
            });
            children.spawn(|| {
                attempt(|| {
                    b.enter(|_| {
                        a.enter(|inside| {
                            let left = inside.leave(|| outside.set());
                            left.map(|_| ())
                        })
                    })???;
                    Ok::<_, Either>(())
                })
                .map_err(|error| error.0)
            });
            Ok(first.join()?)
        });
        result.unwrap();
        assert!(a.try_enter(|_| ()).is_some() && b.try_enter(|_| ()).is_some());
    }

    struct Either(Error);

    impl From<Deadlock> for Either {
        fn from(deadlock: Deadlock) -> Self {
            Self(deadlock.into())
        }
    }

    impl From<Stopped> for Either {
        fn from(stopped: Stopped) -> Self {
            Self(stopped.into())
        }
    }

    impl pysync_monitor::AsDeadlock for Either {
        fn as_deadlock(&self) -> Option<&Deadlock> {
            match &self.0 {
                Error::Deadlock(deadlock) => Some(deadlock),
                _ => None,
            }
        }
    }

    /// It waits for a delay before it looks.
    #[test]
    fn a_timed_entry_in_a_cycle_loses_before_its_time() {
        let _watchdog = watchdog();
        let (a, b) = (Monitor::new(()), Monitor::named("timed b", ()));
        let in_b = Checkpoint::new();
        branch::<_, Error>(|children| {
            a.enter(|_| {
                // The younger one.
                children.spawn(|| {
                    let lost = b.enter(|_| {
                        in_b.set();
                        wait_until(|| {
                            snapshot().iter().any(|link| {
                                link.wants.is_some_and(|id| id.name() == Some("timed b"))
                            })
                        });
                        a.enter_for(Duration::from_secs(3600), |_| ())
                    })?;
                    assert!(matches!(lost, Err(EnterError::Deadlock(it)) if it.cycle().len() == 2));
                    Ok(())
                });
                in_b.wait()?;
                Ok(b.enter(|_| ())?)
            })?
        })
        .unwrap();
    }
}
