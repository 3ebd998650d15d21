//! Many threads, for a second or as long as `PYSYNC_STRESS_SECONDS` says: entries of all kinds, more threads than
//! processors, and conditions whose waiters give up.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use pysync_monitor::{
    AsDeadlock, Deadlock, EnterError, Monitor, Stopped, attempt, branch, snapshot,
};
use pysync_testing::{StressTime, random, report_stress, together};

/// A value that is not `Sync`, and notices a second thread.
#[derive(Default)]
struct Alone {
    count: Cell<usize>,
    is_taken: Cell<bool>,
}

impl Alone {
    fn add_one(&self) {
        assert!(!self.is_taken.replace(true), "two threads are inside");
        if random(8) == 0 {
            thread::yield_now();
        }
        self.count.set(self.count.get() + 1);
        self.is_taken.set(false);
    }
}

/// Of a random kind; says whether it entered.
fn enter(monitor: &Monitor<Alone>) -> bool {
    match random(5) {
        0 => monitor.try_enter(|inside| inside.add_one()).is_some(),
        1 => {
            let soon = Duration::from_micros(random(500) as u64);
            match monitor.enter_for(soon, |inside| inside.add_one()) {
                Ok(()) => true,
                Err(EnterError::Timeout | EnterError::Interrupted) => false,
                Err(EnterError::Deadlock(deadlock)) => panic!("{deadlock}"),
            }
        }
        2 => {
            let left = monitor.enter(|inside| {
                let (inside, ()) = inside.leave(thread::yield_now).unwrap();
                inside.add_one();
            });
            left.is_ok()
        }
        3 => {
            let soon = Duration::from_micros(random(500) as u64);
            let count = monitor.enter(|inside| {
                let was = inside.count.get();
                let (inside, is_true) =
                    inside.wait_until_for(soon, move |it| it.count.get() > was).unwrap();
                assert_eq!(is_true, inside.count.get() > was);
                inside.add_one();
            });
            count.is_ok()
        }
        _ => monitor.enter(|inside| inside.add_one()).is_ok(),
    }
}

#[test]
fn one_monitor_is_entered_in_every_way() {
    for threads in [2, 4, 32] {
        let time = StressTime::begin();
        let (monitor, entered) = (Monitor::new(Alone::default()), AtomicUsize::new(0));
        together(threads, |_| {
            while !time.is_up() {
                entered.fetch_add(enter(&monitor).into(), Relaxed);
            }
        });
        let count = monitor.enter(|inside| inside.count.get()).unwrap();
        assert_eq!(count, entered.load(Relaxed));
        report_stress(|| format!("{threads} threads: {count} entries"));
    }
}

/// What a producer and a consumer each do may be given up, by time or by a cycle that they are part of.
#[test]
fn a_queue_between_threads_that_give_up() {
    #[derive(Debug)]
    struct Lost(Deadlock);
    impl AsDeadlock for Lost {
        fn as_deadlock(&self) -> Option<&Deadlock> {
            Some(&self.0)
        }
    }
    impl From<Deadlock> for Lost {
        fn from(deadlock: Deadlock) -> Self {
            Self(deadlock)
        }
    }
    impl From<Stopped> for Lost {
        fn from(stopped: Stopped) -> Self {
            match stopped {
                Stopped::Deadlock(deadlock) => Self(deadlock),
                Stopped::Cancelled(_) | Stopped::Interrupted => {
                    unreachable!("no scope, and no flag")
                }
            }
        }
    }
    let time = StressTime::begin();
    let queue = Monitor::named("queue", VecDeque::<usize>::new());
    let accounts = [(); 3].map(|()| Monitor::new(0));
    let (made, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let soon = Duration::from_millis(1);
    together(8, |id| {
        while !time.is_up() {
            // Some are inside of another monitor meanwhile, and those form cycles with others that come from inside of
            // the queue.
            let account = &accounts[random(3)];
            let is_producer = id % 2 == 0;
            let moved = attempt(|| -> Result<bool, Lost> {
                match random(3) {
                    0 => account.with(|mut sum| {
                        queue.with(|inside| {
                            let (mut inside, is_ready) = inside.wait_until_for(soon, |it| {
                                is_producer && it.len() < 4 || !is_producer && !it.is_empty()
                            })?;
                            if is_ready {
                                *sum += 1;
                                if is_producer {
                                    inside.push_back(id)
                                } else {
                                    inside.pop_front().map(drop).unwrap()
                                }
                            }
                            Ok(is_ready)
                        })
                    }),
                    1 => queue.with(|mut inside| {
                        let is_ready =
                            if is_producer { inside.len() < 4 } else { !inside.is_empty() };
                        account.with(|mut sum| {
                            if is_ready {
                                *sum += 1;
                                if is_producer {
                                    inside.push_back(id)
                                } else {
                                    inside.pop_front().map(drop).unwrap()
                                }
                            }
                            Ok(is_ready)
                        })
                    }),
                    _ => {
                        snapshot();
                        Ok(false)
                    }
                }
            })
            .unwrap();
            let count = if is_producer { &made } else { &taken };
            count.fetch_add(moved.into(), Relaxed);
        }
    });
    let left = queue.enter(|inside| inside.len()).unwrap();
    assert_eq!(made.load(Relaxed), taken.load(Relaxed) + left);
    let sum: usize = accounts.iter().map(|account| account.enter(|sum| *sum).unwrap()).sum();
    assert_eq!(sum, made.load(Relaxed) + taken.load(Relaxed));
    report_stress(|| format!("{made:?} made, {taken:?} taken"));
}

/// Threads come and go, so that nodes are used again while others walk over them.
#[test]
fn threads_come_and_go() {
    let time = StressTime::begin();
    let monitors = [(); 4].map(|()| Monitor::new(0));
    let threads = AtomicUsize::new(0);
    together(4, |_| {
        while !time.is_up() {
            threads.fetch_add(1, Relaxed);
            let (a, b) = (random(4), random(4));
            let spawned = thread::scope(|scope| {
                let spawned = scope.spawn(|| {
                    let both =
                        || monitors[a].enter(|_| monitors[b].enter(|mut value| *value += 1))?;
                    if a == b { both().is_err() } else { attempt(both).is_ok() }
                });
                spawned.join().unwrap()
            });
            assert!(spawned);
        }
    });
    report_stress(|| format!("{threads:?} threads"));
}

/// A cancel comes while a thread begins to wait for a condition, and while that is being evaluated.
#[test]
fn a_cancel_ends_a_wait_that_begins() {
    let time = StressTime::begin();
    let monitor = Monitor::new(());
    let rounds = AtomicUsize::new(0);
    together(2, |id| {
        while !time.is_up() {
            if id == 0 {
                monitor.enter(|_| ()).unwrap();
                continue;
            }
            rounds.fetch_add(1, Relaxed);
            let result = branch::<(), ()>(|b| {
                for _ in 0..2 {
                    b.spawn(|| {
                        let waited =
                            monitor.enter(|inside| inside.wait_until(|()| false).map(|_| ()));
                        assert!(matches!(waited, Ok(Err(Stopped::Cancelled(_)))));
                        Ok(())
                    });
                }
                (0..random(4)).for_each(|_| thread::yield_now());
                b.cancel();
                Ok(())
            });
            // Those that had not begun have failed, and no other.
            assert!(result.is_ok() || result.unwrap_err().into_vec().len() <= 2);
        }
    });
    report_stress(|| format!("{rounds:?} cancels"));
}
