//! What is cancelled and what is not.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::cell::Cell;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use pysync_monitor::{
    Cancelled, Failure, Failures, Inside, Monitor, Stopped, branch, check, shield, sleep, snapshot,
};
use pysync_platform::{Native, ThreadHooks};
use pysync_testing::{Sleeper, sleeping, wait_until, watchdog};

const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(1);

fn is_waited_for(name: &str) -> bool {
    snapshot().iter().any(|link| link.wants.is_some_and(|id| id.name() == Some(name)))
}

/// Whether a branch has failed, and not since a check in it has.
fn failed<R, E>(result: Result<R, Failures<E>>) -> bool {
    result.map_err(Failures::resume_panic).is_err()
}

#[test]
fn in_no_branch_nothing_is_cancelled() {
    let _watchdog = watchdog();
    assert_eq!((check(), sleep(SHORT)), (Ok(()), Ok(())));
}

#[test]
fn a_sleep_ends_at_once() {
    let _watchdog = watchdog();
    let sleeper = Sleeper::new();
    let failures = branch::<(), Cancelled>(|b| {
        b.spawn(|| {
            sleeper.enter();
            sleep(LONG)
        });
        sleeper.wait_until_asleep();
        b.cancel();
        Ok(())
    });
    assert!(matches!(
        &failures.unwrap_err().resume_panic().into_vec()[..],
        [Failure::Error(Cancelled)]
    ));
}

#[test]
fn a_wait_for_a_condition_ends_and_the_thread_is_outside() {
    let _watchdog = watchdog();
    let monitor = Monitor::named("a condition", 0);
    let (is_in_there, has_left) = (AtomicBool::new(false), AtomicBool::new(false));
    let failures = branch::<(), Cancelled>(|b| {
        b.spawn(|| {
            let waited = monitor.enter(|inside| {
                let waited = inside.wait_until(|value| *value == 1).map(|_| ());
                // Another thread is in there meanwhile.
                wait_until(|| is_in_there.load(SeqCst));
                waited
            });
            assert!(matches!(waited, Ok(Err(Stopped::Cancelled(_)))));
            has_left.store(true, SeqCst);
            check()
        });
        wait_until(|| is_waited_for("a condition"));
        b.cancel();
        let tries = |_: Inside<'_, u32>| {
            is_in_there.store(true, SeqCst);
            wait_until(|| has_left.load(SeqCst));
            thread::scope(|scope| scope.spawn(|| monitor.try_enter(|_| ())).join().unwrap())
        };
        assert_eq!(monitor.enter(tries).unwrap(), None, "two threads are inside");
        Ok(())
    });
    assert!(failed(failures));
    assert_eq!(monitor.enter(|value| *value).unwrap(), 0);
}

/// The cancel finds the thread at any step of the wait that begins.
#[test]
fn a_cancel_beside_a_wait_that_begins_is_not_lost() {
    let _watchdog = watchdog();
    for turn in 0..2_000 {
        let monitor = Monitor::new(0);
        let both = Barrier::new(2);
        let result = branch::<(), Cancelled>(|b| {
            b.spawn(|| {
                both.wait();
                match turn % 2 {
                    0 => sleep(LONG),
                    _ => match monitor.enter_when(|value| *value == 1, |_| ()) {
                        Err(Stopped::Cancelled(cancelled)) => Err(cancelled),
                        other => panic!("{other:?}"),
                    },
                }
            });
            both.wait();
            (0..turn % 50).for_each(|_| std::hint::spin_loop());
            b.cancel();
            Ok(())
        });
        assert!(failed(result));
    }
}

/// The thread that evaluates the condition of one that is cancelled meanwhile goes on with it.
#[test]
fn a_cancel_while_the_condition_is_evaluated() {
    let _watchdog = watchdog();
    for outcome in [false, true] {
        let monitor = Monitor::new(0);
        let (evaluates, go_on) = (AtomicBool::new(false), AtomicBool::new(false));
        let (evaluates, go_on) = (&evaluates, &go_on);
        let waited = branch::<_, Cancelled>(|b| {
            let waiter = b.spawn(|| {
                let me = std::thread::current().id();
                let waited = monitor.enter(|inside| {
                    let ready = |_: &i32| {
                        if std::thread::current().id() == me {
                            return false;
                        }
                        evaluates.store(true, SeqCst);
                        wait_until(|| go_on.load(SeqCst));
                        outcome
                    };
                    inside.wait_until(ready).map(|_| ())
                });
                Ok(waited.unwrap().is_ok())
            });
            // Not of the branch: it is not cancelled.
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    while !evaluates.load(SeqCst) {
                        monitor.enter(|_| ()).unwrap();
                    }
                });
                wait_until(|| evaluates.load(SeqCst));
                b.cancel();
                go_on.store(true, SeqCst);
            });
            Ok(waiter.join().unwrap())
        });
        assert_eq!(waited.unwrap(), outcome);
    }
}

#[test]
fn an_entry_is_not_cancelled() {
    let _watchdog = watchdog();
    let monitor = Monitor::named("an entry", 0);
    let result = branch::<(), Cancelled>(|b| {
        monitor
            .enter(|_| {
                b.spawn(|| {
                    monitor.enter(|mut value| *value += 1).unwrap();
                    check()
                });
                wait_until(|| is_waited_for("an entry"));
                b.cancel();
            })
            .unwrap();
        Ok(())
    });
    assert!(failed(result));
    assert_eq!(monitor.enter(|value| *value).unwrap(), 1);
}

#[test]
fn a_cancel_stays() {
    let _watchdog = watchdog();
    let failures = branch::<(), Cancelled>(|b| {
        b.cancel();
        for _ in 0..3 {
            assert_eq!(
                (check(), sleep(LONG), sleep(Duration::ZERO)),
                (Err(Cancelled), Err(Cancelled), Err(Cancelled))
            );
        }
        check()
    });
    assert!(failed(failures));
    assert!(check().is_ok());
}

#[test]
fn an_outer_cancel_reaches_inner_branches_and_an_inner_one_stays_inside() {
    let _watchdog = watchdog();
    let (sleepers, cancelled) = ([const { Sleeper::new() }; 3], AtomicUsize::new(0));
    let (sleepers, cancelled) = (&sleepers, &cancelled);
    let sleeps = |depth: usize| {
        sleepers[depth].enter();
        assert!(sleep(LONG).is_err());
        cancelled.fetch_add(1, SeqCst);
        Ok(())
    };
    let result = branch::<(), Cancelled>(|outer| {
        let inner = branch::<(), Cancelled>(|b| {
            b.cancel();
            check()
        });
        assert!(failed(inner));
        assert!(!outer.is_cancelled() && check().is_ok());
        outer.spawn(|| {
            branch::<(), Cancelled>(|b| {
                b.spawn(|| {
                    branch::<(), Cancelled>(|b| {
                        b.spawn(move || sleeps(0));
                        sleeps(1)
                    })
                    .unwrap();
                    Ok(())
                });
                sleeps(2)
            })
            .unwrap();
            Ok(())
        });
        sleeping(sleepers);
        outer.cancel();
        Ok(())
    });
    assert!(result.is_ok());
    assert_eq!(cancelled.load(SeqCst), 3);
}

/// The list of branches inside of one is right after the first, the last and one in between are closed.
#[test]
fn an_outer_cancel_reaches_those_that_are_still_open() {
    let _watchdog = watchdog();
    for closed in 0..3 {
        let opened = AtomicUsize::new(0);
        let (all, one_less) = (Barrier::new(4), Barrier::new(2));
        let (all, one_less, opened) = (&all, &one_less, &opened);
        let cancelled = AtomicUsize::new(0);
        let cancelled = &cancelled;
        branch::<(), Cancelled>(|outer| {
            for turn in 0..3 {
                outer.spawn(move || {
                    wait_until(|| opened.load(SeqCst) == turn);
                    branch::<(), Cancelled>(|_| {
                        opened.fetch_add(1, SeqCst);
                        all.wait();
                        if turn != closed && sleep(LONG).is_err() {
                            cancelled.fetch_add(1, SeqCst);
                        }
                        Ok(())
                    })
                    .unwrap();
                    if turn == closed {
                        one_less.wait();
                    }
                    Ok(())
                });
            }
            all.wait();
            one_less.wait();
            outer.cancel();
            Ok(())
        })
        .unwrap();
        assert_eq!(cancelled.load(SeqCst), 2);
    }
}

#[test]
fn a_shield_hides_a_cancel_until_its_end() {
    let _watchdog = watchdog();
    let monitor = Monitor::new(0);
    let failures = branch::<(), Cancelled>(|b| {
        b.cancel();
        shield(|| {
            assert_eq!((check(), sleep(SHORT)), (Ok(()), Ok(())));
            shield(|| assert!(check().is_ok()));
            assert!(check().is_ok(), "after an inner one");
            // A wait that is true only after a while.
            std::thread::scope(|scope| {
                scope.spawn(|| monitor.enter(|mut value| *value = 1).unwrap());
                monitor.enter_when(|value| *value == 1, |_| ()).unwrap();
            });
        });
        assert!(b.is_cancelled());
        assert_eq!((check(), sleep(LONG)), (Err(Cancelled), Err(Cancelled)));
        check()
    });
    assert!(failed(failures));
}

/// The cancel comes while the thread sleeps in the shield.
#[test]
fn a_sleep_in_a_shield_goes_on() {
    let _watchdog = watchdog();
    let sleeper = Sleeper::new();
    let woken = AtomicBool::new(false);
    let result = branch::<(), Cancelled>(|b| {
        b.spawn(|| {
            shield(|| {
                let (began, time) = (Instant::now(), Duration::from_millis(100));
                sleeper.enter();
                assert!(sleep(time).is_ok());
                assert!(began.elapsed() >= time);
                woken.store(true, SeqCst);
            });
            check()
        });
        sleeper.wait_until_asleep();
        b.cancel();
        Ok(())
    });
    assert!(failed(result), "after it, it is");
    assert!(woken.into_inner());
}

#[test]
fn a_shield_ends_by_a_panic_too() {
    let _watchdog = watchdog();
    let result = branch::<(), Cancelled>(|b| {
        let panicked = std::panic::catch_unwind(|| shield(|| panic!("in a shield")));
        assert!(panicked.is_err());
        b.cancel();
        check()
    });
    assert!(failed(result));
}

/// The shield is that of a thread, and the new thread is one of the branch.
#[test]
fn a_thread_made_in_a_shield_by_a_cancelled_branch_does_not_run() {
    let _watchdog = watchdog();
    let failures = branch::<(), Cancelled>(|b| {
        b.cancel();
        shield(|| b.spawn(|| -> Result<(), _> { panic!("it was born cancelled") }));
        Ok(())
    });
    assert!(matches!(&failures.unwrap_err().resume_panic().into_vec()[..], [Failure::Cancelled]));
}

/// As where threads clean up after a cancel.
#[test]
fn a_branch_in_a_shield_is_not_cancelled_from_outside() {
    let _watchdog = watchdog();
    let (asleep, is_over) = (Sleeper::new(), AtomicBool::new(false));
    let (asleep, is_over) = (&asleep, &is_over);
    let result = branch::<(), Cancelled>(|outer| {
        outer.spawn(move || {
            let cleaned = shield(|| {
                branch::<_, Cancelled>(|b| {
                    let helper = b.spawn(|| {
                        wait_until(|| is_over.load(SeqCst));
                        check()?;
                        sleep(SHORT)?;
                        Ok(7)
                    });
                    // The body waits while the cancel comes.
                    asleep.enter();
                    sleep(Duration::from_millis(50))?;
                    Ok(helper.join().unwrap())
                })
            });
            assert_eq!(cleaned.unwrap(), 7);
            check()
        });
        asleep.wait_until_asleep();
        outer.cancel();
        is_over.store(true, SeqCst);
        Ok(())
    });
    assert!(failed(result), "after the shield it is");
}

/// The shield is around the branch, not in it.
#[test]
fn a_branch_in_a_shield_is_cancelled_by_its_own_failure() {
    let _watchdog = watchdog();
    let failures = shield(|| {
        branch::<(), Cancelled>(|b| {
            b.spawn(|| Err::<(), _>(Cancelled));
            sleep(LONG)
        })
    });
    assert_eq!(failures.unwrap_err().resume_panic().iter().count(), 2);
    let failures = branch::<(), Cancelled>(|outer| {
        shield(|| {
            _ = branch::<(), Cancelled>(|_| Ok(()));
            outer.cancel();
            assert!(check().is_ok(), "back in the shield");
        });
        check()
    });
    assert!(failed(failures));
}

/// Late wakes of a cancel and of an abort do not end the next wait.
#[test]
fn a_wait_after_one_that_was_cancelled() {
    let _watchdog = watchdog();
    for _ in 0..300 {
        let monitor = Monitor::new(0);
        let result = branch::<(), Cancelled>(|b| {
            b.spawn(|| {
                let first = monitor.enter(|inside| {
                    inside
                        .wait_until_for(Duration::from_micros(200), |value| *value == 1)
                        .map(|_| ())
                });
                _ = first;
                shield(|| {
                    sleep(SHORT).unwrap();
                    monitor.enter_when(|value| *value == 2, |value| assert_eq!(*value, 2)).unwrap();
                });
                check()
            });
            std::thread::sleep(Duration::from_micros(200));
            b.cancel();
            std::thread::sleep(Duration::from_millis(1));
            monitor.enter(|mut value| *value = 2).unwrap();
            Ok(())
        });
        assert!(failed(result));
    }
}

static NEVER: Monitor<u32> = Monitor::named("a hook's condition", 0);
thread_local! {
    static HOOK_WAITS: Cell<bool> = const { Cell::new(false) };
    static HOOK_WAITED: Cell<Option<Result<(), Stopped>>> = const { Cell::new(None) };
}

fn wait_before_sleep() -> bool {
    if HOOK_WAITS.replace(false) {
        HOOK_WAITED.set(Some(NEVER.enter_when(|value| *value == 1, |_| ())));
    }
    false
}

/// A hook of a thread waits while the thread waits: the cancel ends both waits.
#[test]
fn a_wait_in_a_hook_is_cancelled_with_its_thread() {
    static HOOKS: ThreadHooks = ThreadHooks { detach: wait_before_sleep, attach: || () };
    let _watchdog = watchdog();
    let monitor = Monitor::new(0);
    let wait = || {
        Native::set_thread_hooks(Some(&HOOKS));
        HOOK_WAITS.set(true);
        let waited = monitor.enter_when(|value| *value == 1, |_| ());
        Native::set_thread_hooks(None);
        assert!(matches!(HOOK_WAITED.take(), Some(Err(Stopped::Cancelled(_)))));
        waited
    };
    let failures = branch::<(), Stopped>(|b| {
        b.spawn(wait);
        wait_until(|| is_waited_for("a hook's condition"));
        b.cancel();
        Ok(())
    });
    let failures = failures.unwrap_err().resume_panic().into_vec();
    assert!(matches!(&failures[..], [Failure::Error(Stopped::Cancelled(_))]), "{failures:?}");
}
