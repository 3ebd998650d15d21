//! Its tests, in the modules of its own.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use pysync_monitor::{Child, Inside, Monitor, branch, check, sleep};
use pysync_testing::{wait_until, watchdog};

use crate::Kind::{Value, Zero};
use crate::{Checkpoint, Error, causes, chain, moo, readloop};

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
        assert!(matches!(failures.unwrap_err().into_single(), Ok(Error::Failed(Value("moo")))));
        let failures = branch::<(), Error>(|_| Err(Error::Failed(Zero)));
        assert!(matches!(failures.unwrap_err().into_single(), Ok(Error::Failed(Zero))));
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
            Err(Error::Failed(Zero))
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
            Err(Error::Failed(Zero))
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
            Err(Error::Failed(Zero))
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
            Err(Error::Failed(Zero))
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
