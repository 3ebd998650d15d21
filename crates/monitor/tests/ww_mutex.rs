//! Counterparts of the tests that Linux has of its wound/wait mutexes (lib/test-ww_mutex.c): a context is an attempt here,
//! and -EDEADLK and -EALREADY are a [`Deadlock`], of others and of the thread with itself.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use pysync_monitor::{Deadlock, EnterError, Monitor, attempt};
use pysync_testing::{StressTime, random, report_stress, together, wait_until, watchdog};

/// How a thread enters.
#[derive(Clone, Copy, Debug)]
enum How {
    Enter,
    Try,
    Spin,
    Attempt,
}

const ALL: [How; 4] = [How::Enter, How::Try, How::Spin, How::Attempt];

fn add_one(monitor: &Monitor<usize>, how: How) -> bool {
    match how {
        How::Enter => monitor.enter(|mut value| *value += 1).is_ok(),
        How::Try => monitor.try_enter(|mut value| *value += 1).is_some(),
        How::Spin => {
            wait_until(|| monitor.try_enter(|mut value| *value += 1).is_some());
            true
        }
        How::Attempt => attempt(|| monitor.enter(|mut value| *value += 1)).is_ok(),
    }
}

/// `test_mutex`: a second thread gets in only after the first has left.
#[test]
fn one_thread_at_a_time_is_inside() {
    let _watchdog = watchdog();
    for how in ALL {
        let monitor = Monitor::new(0);
        let is_done = AtomicBool::new(false);
        thread::scope(|scope| {
            let other = monitor.enter(|mut value| {
                let other = scope.spawn(|| {
                    let has_entered = add_one(&monitor, how);
                    is_done.store(true, SeqCst);
                    has_entered
                });
                if let How::Try = how {
                    wait_until(|| other.is_finished());
                } else {
                    for _ in 0..100 {
                        thread::yield_now();
                        assert!(!is_done.load(SeqCst), "{how:?}");
                    }
                }
                *value += 1;
                other
            });
            assert_eq!(other.unwrap().join().unwrap(), !matches!(how, How::Try));
        });
        let count = if let How::Try = how { 1 } else { 2 };
        assert_eq!(monitor.enter(|value| *value).unwrap(), count, "{how:?}");
        // And with many.
        let (monitor, entered) = (Monitor::new(0), AtomicUsize::new(0));
        together(4, |_| {
            for _ in 0..500 {
                entered.fetch_add(add_one(&monitor, how).into(), SeqCst);
            }
        });
        assert_eq!(monitor.enter(|value| *value).unwrap(), entered.load(SeqCst));
    }
}

/// `test_aa`: what the thread is inside of is told as such, and is left in the end.
#[test]
fn aa() {
    let _watchdog = watchdog();
    let monitor = Monitor::named("aa", 0);
    for how in ALL {
        let hour = Duration::from_secs(3_600);
        attempt(|| {
            monitor.enter(|_| match how {
                How::Enter => assert!(monitor.enter(|_| ()).unwrap_err().is_self()),
                How::Try => assert!(monitor.try_enter(|_| ()).is_none()),
                How::Spin => {
                    let error = monitor.enter_for(hour, |_| ()).unwrap_err();
                    assert!(matches!(error, EnterError::Deadlock(error) if error.is_self()));
                }
                How::Attempt => assert!(attempt(|| monitor.enter(|_| ())).unwrap_err().is_self()),
            })
        })
        .unwrap();
        assert!(monitor.try_enter(|_| ()).is_some(), "{how:?}");
    }
}

/// `test_abba`: without a repetition exactly one loses, however the first is entered; with one both get through.
#[test]
fn abba() {
    for is_tried in [false, true] {
        for resolves in [false, true] {
            let _watchdog = watchdog();
            let (a, b) = (Monitor::named("abba a", 0), Monitor::named("abba b", 0));
            let (ready, lost) = (Barrier::new(2), AtomicUsize::new(0));
            together(2, |id| {
                let (first, second) = if id == 0 { (&a, &b) } else { (&b, &a) };
                let mut is_first = true;
                let mut go = || {
                    let mut both = |mut value: pysync_monitor::Inside<'_, i32>| {
                        if std::mem::take(&mut is_first) {
                            ready.wait();
                        }
                        let result = second.enter(|mut value| *value += 1);
                        match result {
                            Ok(()) => *value += 1,
                            Err(_) => _ = lost.fetch_add(1, SeqCst),
                        }
                        result
                    };
                    // The first try of each finds its own one free; later ones may not.
                    match is_tried {
                        true => first.try_enter(&mut both).unwrap_or_else(|| first.enter(both)?),
                        false => first.enter(both)?,
                    }
                };
                let result = if resolves { attempt(go) } else { go() };
                assert!(!resolves || result.is_ok());
            });
            let lost = lost.load(SeqCst);
            assert!(if resolves { lost >= 1 } else { lost == 1 }, "{lost}");
            let values = (a.enter(|value| *value).unwrap(), b.enter(|value| *value).unwrap());
            assert_eq!(values, if resolves { (2, 2) } else { (1, 1) });
        }
    }
}

/// `test_cycle`: each is inside of its own and wants the next.
fn cycle(threads: usize) {
    let _watchdog = watchdog();
    let monitors: Vec<_> = (0..threads).map(|_| Monitor::new(0)).collect();
    let (ready, lost) = (Barrier::new(threads), AtomicUsize::new(0));
    together(threads, |id| {
        let mut is_first = true;
        attempt(|| {
            monitors[id].enter(|mut mine| {
                if std::mem::take(&mut is_first) {
                    ready.wait();
                }
                let result = monitors[(id + 1) % threads].enter(|mut next| *next += 1);
                match &result {
                    Ok(()) => *mine += 1,
                    Err(deadlock) => {
                        lost.fetch_add(1, SeqCst);
                        let cycle = deadlock.cycle();
                        assert!((2..=threads).contains(&cycle.len()));
                        let youngest = cycle.iter().map(|link| link.age).max();
                        assert_eq!(Some(cycle[deadlock.victim()].age), youngest);
                    }
                }
                result
            })?
        })
        .unwrap();
    });
    assert!(lost.load(SeqCst) >= 1);
    assert!(monitors.iter().all(|monitor| monitor.enter(|value| *value).unwrap() == 2));
}

#[test]
fn cycles_of_up_to_one_more_than_there_are_processors() {
    let processors = thread::available_parallelism().map_or(2, usize::from);
    (2..=processors + 1).for_each(cycle);
}

#[test]
fn cycles_of_up_to_64() {
    if cfg!(miri) {
        return cycle(5);
    }
    [8, 16, 33, 64].into_iter().for_each(cycle);
}

fn shuffled(count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for at in (1..count).rev() {
        order.swap(at, random(at + 1));
    }
    order
}

/// Enters all, each inside of the one before, and counts in each.
fn enter_all(monitors: &[Monitor<usize>], order: &[usize]) -> Result<(), (Deadlock, usize)> {
    let Some((&first, rest)) = order.split_first() else { return Ok(()) };
    let result = monitors[first].enter(|mut value| {
        enter_all(monitors, rest)?;
        *value += 1;
        Ok(())
    });
    result.unwrap_or_else(|deadlock| Err((deadlock, first)))
}

/// What `stress_inorder_work` and `stress_reorder_work` do: until the time is up, all that a thread has chosen, in its
/// own order; one that has lost begins with what it had waited for, if it `reorders`.
fn stress(monitors: usize, most: usize, threads: usize, reorders: bool) {
    struct Lost(Deadlock);
    impl pysync_monitor::AsDeadlock for Lost {
        fn as_deadlock(&self) -> Option<&Deadlock> {
            Some(&self.0)
        }
    }
    let all: Vec<_> = (0..monitors).map(|_| Monitor::new(0)).collect();
    let (entered, lost) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let time = StressTime::begin();
    together(threads, |_| {
        let mut rounds = 0;
        while rounds == 0 || !time.is_up() {
            rounds += 1;
            let mut order = shuffled(monitors);
            order.truncate(most);
            attempt(|| {
                enter_all(&all, &order).map_err(|(deadlock, wanted)| {
                    lost.fetch_add(1, SeqCst);
                    if reorders {
                        let at = order.iter().position(|at| *at == wanted).unwrap();
                        order[..=at].rotate_right(1);
                    }
                    Lost(deadlock)
                })
            })
            .unwrap_or_else(|Lost(deadlock)| panic!("{deadlock}"));
            entered.fetch_add(order.len(), SeqCst);
        }
    });
    let sum: usize = all.iter().map(|monitor| monitor.enter(|value| *value).unwrap()).sum();
    assert_eq!(sum, entered.load(SeqCst));
    report_stress(|| format!("{monitors}, {reorders}: {sum} entered, {lost:?} lost"));
}

#[test]
fn stress_in_order() {
    stress(16, 16, 4, false);
}

#[test]
fn stress_reordered() {
    stress(16, 16, 4, true);
}

#[test]
fn stress_with_2046_monitors() {
    stress(2_046, 40, 4, false);
    stress(2_046, 40, 4, true);
}

/// `stress_one_work`: each thread enters one of its own choice, again and again.
#[test]
fn stress_with_one() {
    for monitors in [16, 2_046] {
        stress(monitors, 1, 8, false);
    }
}
