//! All that is unsafe, once, under Miri: what is handed over, what is claimed, and what walkers read.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use pysync_monitor::{
    Deadlock, EnterError, Monitor, Stopped, attempt, branch, shield, sleep, snapshot,
};
use pysync_testing::{panics_with, together, wait_until};

const SOON: Duration = Duration::from_micros(50);

#[test]
fn entries_of_all_kinds() {
    let monitor = Monitor::new(Box::new(0));
    together(3, |_| {
        for _ in 0..2 {
            monitor.enter(|mut value| **value += 1).unwrap();
            monitor.enter_or_panic(|mut value| **value += 1);
            _ = monitor.try_enter(|mut value| **value += 0);
            match monitor.enter_for(SOON, |mut value| **value += 0) {
                Ok(()) | Err(EnterError::Timeout | EnterError::Interrupted) => (),
                Err(EnterError::Deadlock(deadlock)) => panic!("{deadlock}"),
            }
            let left = monitor.enter(|inside| {
                let (mut inside, ()) = inside.leave(thread::yield_now).unwrap();
                **inside += 1;
            });
            left.unwrap();
        }
    });
    assert_eq!(monitor.enter(|value| **value).unwrap(), 18);
}

/// Cycles, reports, and walkers that read the frames of others meanwhile.
#[test]
fn cycles_and_snapshots() {
    let monitors = [(); 3].map(|()| Monitor::named("miri", Box::new(0)));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let looker = scope.spawn(|| {
            while !is_over.load(SeqCst) {
                for link in snapshot() {
                    _ = format!("{link:?}");
                }
                thread::yield_now();
            }
        });
        together(3, |id| {
            for _ in 0..2 {
                attempt(|| -> Result<(), Deadlock> {
                    let (mine, next) = (&monitors[id], &monitors[(id + 1) % 3]);
                    mine.enter(|mut mine| {
                        thread::yield_now();
                        let result = next.enter(|mut next| **next += 1);
                        if let Err(deadlock) = &result {
                            _ = deadlock.to_string();
                        }
                        **mine += 1;
                        result
                    })?
                })
                .unwrap();
            }
        });
        is_over.store(true, SeqCst);
        looker.join().unwrap();
    });
}

#[test]
fn conditions_that_are_true_time_out_and_panic() {
    let monitor = Monitor::new(Box::new(0));
    thread::scope(|scope| {
        let waits = [
            scope.spawn(|| monitor.enter_when(|value| **value >= 2, |_| ()).unwrap()),
            scope.spawn(|| {
                let timed = monitor.enter(|inside| {
                    inside.wait_until_for(SOON, |value| **value >= 1).map(|(inside, is)| {
                        assert_eq!(is, **inside >= 1);
                    })
                });
                timed.unwrap().unwrap();
            }),
            scope.spawn(|| {
                panics_with("its own", || {
                    monitor.enter(|inside| {
                        inside.wait_until(|value| **value == 3 && panic!("its own")).map(|_| ())
                    })
                });
            }),
        ];
        while !waits.iter().all(|wait| wait.is_finished()) {
            monitor.enter(|mut value| **value = (**value + 1).min(3)).unwrap();
            thread::yield_now();
        }
        waits.into_iter().for_each(|wait| wait.join().unwrap());
    });
}

/// A wait for a condition loses, since what the thread is inside of besides is wanted by one that is older.
#[test]
fn a_condition_that_loses() {
    let (outer, inner) = (Monitor::new(0), Monitor::named("inner", 0));
    thread::scope(|scope| {
        let waits = outer.enter(|_| {
            inner.enter(|inside| {
                scope.spawn(|| inner.enter(|_| outer.enter(|mut value| *value += 1)).unwrap());
                // It is the older one, for it waits first.
                wait_until(|| {
                    snapshot()
                        .iter()
                        .any(|link| link.wants.is_some_and(|id| id.name() == Some("inner")))
                });
                inside.wait_until(|value| *value == 1).map(|_| ())
            })
        });
        let Ok(Ok(Err(Stopped::Deadlock(lost)))) = waits else { panic!("it has not lost") };
        assert!(!lost.is_self() && lost.cycle().len() == 2);
    });
    assert_eq!(outer.enter(|value| *value).unwrap(), 1);
}

#[test]
fn branches() {
    let (monitor, count) = (Monitor::new(0), AtomicUsize::new(0));
    let failures = branch::<(), &str>(|b| {
        b.spawn(|| monitor.enter(|mut value| *value += 1).map_err(|_| "deadlock"));
        b.spawn(|| {
            let waited = monitor.enter(|inside| inside.wait_until(|value| *value == 9).map(|_| ()));
            assert!(matches!(waited, Ok(Err(Stopped::Cancelled(_)))));
            assert!(shield(|| sleep(SOON)).is_err() || count.fetch_add(1, SeqCst) == 0);
            Err::<(), _>("cancelled")
        });
        b.spawn(|| -> Result<(), _> { Err("the first") });
        Ok(())
    });
    assert!(failures.unwrap_err().into_vec().len() >= 2);
}
