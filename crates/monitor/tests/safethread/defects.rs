//! What it does wrong.

use std::panic::panic_any;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use pysync_monitor::{
    Branch, Child, Deadlock, EnterError, Monitor, Stopped, attempt, branch, snapshot,
};
use pysync_testing::{panics_with, wait_until, watchdog};

use crate::Kind::Zero;
use crate::{Checkpoint, Error, causes, chain, moo, readloop};

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
            snapshot().iter().any(|link| link.wants.is_some_and(|id| id.name() == Some("raises")))
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
        Err(Error::Failed(Zero))
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
                        snapshot()
                            .iter()
                            .any(|link| link.wants.is_some_and(|id| id.name() == Some("timed b")))
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
