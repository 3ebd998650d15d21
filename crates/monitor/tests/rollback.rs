//! What becomes of a value whose body fails: `undo`, and what a deadlock says was written to.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use pysync_monitor::{
    Deadlock, Monitor, MonitorId, attempt, enter_all, set_deadlock_hook, with_all,
};
use pysync_testing::{panics_with, wait_until, watchdog};

/// An error of a body.
#[derive(Debug)]
enum Failed {
    ByChoice,
    Deadlock(#[allow(dead_code)] Deadlock),
}

impl From<Deadlock> for Failed {
    fn from(deadlock: Deadlock) -> Self {
        Self::Deadlock(deadlock)
    }
}

#[test]
fn an_error_undoes_the_last_first() {
    let monitor = Monitor::new(vec![0]);
    let result: Result<(), _> = monitor.with(|mut value| {
        value.push(1);
        value.undo(|value| assert_eq!(value.pop(), Some(1)));
        value.push(2);
        value.undo(|value| assert_eq!(value.pop(), Some(2)));
        Err(Failed::ByChoice)
    });
    assert!(matches!(result, Err(Failed::ByChoice)));
    assert_eq!(monitor.into_inner(), [0]);
}

#[test]
fn a_panic_undoes_and_a_return_does_not() {
    let monitor = Monitor::new(1);
    panics_with("the body", || {
        _ = monitor.enter(|mut value| {
            *value = 2;
            value.undo(|value| *value = 1);
            panic!("the body")
        });
    });
    assert_eq!(monitor.enter(|value| *value).unwrap(), 1);
    monitor
        .enter(|mut value| {
            *value = 3;
            value.undo(|value| *value = 1);
        })
        .unwrap();
    // An error that is only a value, and not that of `with`.
    let result = monitor.enter(|mut value| {
        value.undo(|value| *value = 1);
        Err::<(), _>(Failed::ByChoice)
    });
    assert!(matches!(result, Ok(Err(Failed::ByChoice))));
    assert_eq!(monitor.enter(|value| *value).unwrap(), 3);
}

/// Actions are dropped, called or not, once.
#[test]
fn actions_are_dropped() {
    let alive = Arc::new(());
    let monitor = Monitor::new(());
    for is_good in [true, false] {
        let result = monitor.with(|mut value| {
            for _ in 0..3 {
                let one = alive.clone();
                value.undo(move |()| drop(one));
            }
            if is_good { Ok(()) } else { Err(Failed::ByChoice) }
        });
        assert_eq!(result.is_ok(), is_good);
        assert_eq!(Arc::strong_count(&alive), 1);
    }
}

#[test]
fn what_others_have_seen_is_not_undone() {
    let _watchdog = watchdog();
    let monitor = Monitor::new(0);
    let undone: &AtomicUsize = Box::leak(Box::new(AtomicUsize::new(0)));
    let result: Result<(), _> = monitor.with(|mut value| {
        *value = 1;
        value.undo(|value| *value = 0);
        // Others do not see it, if the thread does not wait.
        let (mut value, _) = value.wait_until_for(Duration::ZERO, |value| *value == 1).unwrap();
        value.undo(|_| _ = undone.fetch_add(1, SeqCst));
        Err(Failed::ByChoice)
    });
    assert!(result.is_err());
    assert_eq!((monitor.enter(|value| *value).unwrap(), undone.load(SeqCst)), (0, 1));
    for waits in [false, true] {
        let result: Result<(), _> = monitor.with(|mut value| {
            *value = 1;
            value.undo(|value| *value = 0);
            let value = if waits {
                value.wait_until_for(Duration::ZERO, |_| false).unwrap().0
            } else {
                value.leave(|| ()).unwrap().0
            };
            assert_eq!(*value, 1);
            Err(Failed::ByChoice)
        });
        assert!(result.is_err());
        assert_eq!(monitor.enter(|mut value| std::mem::take(&mut *value)).unwrap(), 1);
    }
}

#[test]
fn an_action_that_panics_is_a_panic_and_the_others_are_done() {
    let monitor = Monitor::new(vec![1]);
    panics_with("an action", || {
        let _: Result<(), Failed> = monitor.with(|mut value| {
            value.undo(Vec::clear);
            value.undo(|_| panic!("an action"));
            Err(Failed::ByChoice)
        });
    });
    assert!(monitor.try_enter(|value| value.is_empty()).unwrap());
}

#[test]
fn a_panic_in_several_undoes_each() {
    let (a, b) = (Monitor::new(1), Monitor::new("one".to_string()));
    panics_with("the body", || {
        _ = enter_all((&a, &b), |(mut a, mut b)| {
            (*a, *b) = (2, "two".to_string());
            a.undo(|a| *a = 1);
            b.undo(|b| *b = "one".to_string());
            panic!("the body")
        });
    });
    assert_eq!(enter_all((&b, &a), |(b, a)| (b.clone(), *a)).unwrap(), ("one".to_string(), 1));
    for is_good in [false, true] {
        let result: Result<(), Failed> = with_all((&b, &a), |(mut b, mut a)| {
            (*a, *b) = (2, "two".to_string());
            a.undo(|a| *a = 1);
            b.undo(|b| *b = "one".to_string());
            if is_good { Ok(()) } else { Err(Failed::ByChoice) }
        });
        assert_eq!(result.is_ok(), is_good);
        let text = if is_good { "two" } else { "one" };
        assert_eq!(a.enter(|a| (*a == 2) == is_good).unwrap(), b.enter(|b| *b == text).unwrap());
        assert!(a.enter(|a| (*a == 2) == is_good).unwrap());
    }
    let twice: Result<(), Deadlock> = with_all([&a, &a], |_| Ok(()));
    assert!(twice.unwrap_err().to_string().contains("is there twice at "));
}

/// The loser has written to `clean` with something to undo it, and to `dirty` without; it has only read `read`.
#[test]
fn a_deadlock_says_what_was_written_to() {
    let _watchdog = watchdog();
    static HEARD: AtomicUsize = AtomicUsize::new(0);
    let [clean, dirty, read, other] =
        ["clean", "dirty", "read", "other"].map(|name| Monitor::named(name, 0));
    let is_inside = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            other
                .enter(|_| {
                    is_inside.wait();
                    read.enter(|_| ()).unwrap();
                })
                .unwrap();
        });
        let result: Result<(), Deadlock> = dirty.with(|mut dirty| {
            *dirty = 1;
            clean.with(|mut clean| {
                *clean = 1;
                clean.undo(|clean| *clean = 0);
                read.with(|read| {
                    assert_eq!(*read, 0);
                    is_inside.wait();
                    // It is the older one, and waits.
                    let waits = |name| {
                        pysync_monitor::snapshot()
                            .iter()
                            .any(|link| link.wants.and_then(|it| it.name()) == Some(name))
                    };
                    wait_until(|| waits("read"));
                    set_deadlock_hook(Some(|deadlock| {
                        // Other tests have deadlocks meanwhile.
                        let is_mine = |id: &MonitorId| id.name() == Some("dirty");
                        HEARD.fetch_add(deadlock.dirty().filter(is_mine).count(), SeqCst);
                    }));
                    let result = other.with(|_| Ok(()));
                    set_deadlock_hook(None);
                    result
                })
            })
        });
        let deadlock = result.unwrap_err();
        let names: Vec<_> = deadlock.dirty().map(|id| id.name().unwrap()).collect();
        assert_eq!(names, ["dirty"]);
        assert_eq!(HEARD.load(SeqCst), 1);
    });
    assert_eq!((clean.into_inner(), dirty.into_inner()), (0, 1));
}

/// Transfers, each of which writes to the first account before it has the second.
#[test]
fn no_money_is_lost() {
    const ATTEMPTS: usize = 500;
    let _watchdog = watchdog();
    let accounts: Vec<_> = (0..5).map(|_| Monitor::new(100_i64)).collect();
    let lost = AtomicUsize::new(0);
    thread::scope(|scope| {
        for thread in 0..4 {
            let (accounts, lost) = (&accounts, &lost);
            scope.spawn(move || {
                for round in 0..ATTEMPTS {
                    let from = (round * 7 + thread) % accounts.len();
                    let to = (from + 1 + (round + thread) % (accounts.len() - 1)) % accounts.len();
                    attempt(|| {
                        let result: Result<(), Deadlock> = accounts[from].with(|mut from| {
                            *from -= 1;
                            from.undo(|from| *from += 1);
                            thread::yield_now();
                            accounts[to].with(|mut to| {
                                *to += 1;
                                Ok(())
                            })
                        });
                        lost.fetch_add(result.is_err().into(), SeqCst);
                        result
                    })
                    .unwrap();
                }
            });
        }
    });
    let sum: i64 = accounts.into_iter().map(Monitor::into_inner).sum();
    println!("{} deadlocks", lost.load(SeqCst));
    assert_eq!(sum, 500);
}
