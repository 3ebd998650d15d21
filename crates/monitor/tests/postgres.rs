//! PostgreSQL's isolation tests of deadlocks (src/test/isolation/specs): `deadlock-simple`, `deadlock-hard`,
//! `deadlock-soft` and `deadlock-soft-2`, in terms of monitors.
//!
//! A soft edge is one to a thread that is only ahead in the queue. There are none here: who waits for a monitor waits for
//! the one that is inside, whatever the order in which the others are let in. So nothing needs to be reordered, and
//! nothing may lose in the soft cases.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;

use pysync_monitor::{Deadlock, Monitor, attempt, snapshot};
use pysync_testing::{Sleeper, wait_until, watchdog};

/// How many threads wait for the monitors of this name.
fn waiting(name: &str) -> usize {
    snapshot().iter().filter(|link| link.wants.is_some_and(|id| id.name() == Some(name))).count()
}

/// `deadlock-simple`: two threads have entered one lock for sharing and both want it alone. The counterpart without
/// sharing is a thread that asks for what it is inside of, which is a cycle of one.
#[test]
fn simple() {
    let _watchdog = watchdog();
    let monitor = Monitor::named("simple", 0);
    thread::scope(|scope| {
        let second = monitor
            .enter(|mut value| {
                let second = scope.spawn(|| monitor.enter(|value| *value));
                wait_until(|| waiting("simple") == 1);
                // The first is told, though the second is the younger: it is no part of the cycle.
                assert!(monitor.enter(|_| ()).unwrap_err().is_self());
                *value = 1;
                second
            })
            .unwrap();
        assert_eq!(second.join().unwrap().unwrap(), 1);
    });
}

/// `deadlock-hard`: s1 to s8 are each inside of their own, and want the next, one after the other. The last closes the
/// ring and, being the youngest, loses; the others get through in the reverse order, none twice.
#[test]
fn hard() {
    const RING: usize = 8;
    let _watchdog = watchdog();
    let monitors: Vec<_> = (0..RING).map(|_| Monitor::named("hard", 0)).collect();
    let (turn, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let tries = AtomicUsize::new(0);
    let results: Vec<Result<usize, Deadlock>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..RING)
            .map(|id| {
                let (monitors, turn, ended, tries) = (&monitors, &turn, &ended, &tries);
                scope.spawn(move || {
                    monitors[id].enter(|mut mine| {
                        // All are inside of their own, and wait in the order of their numbers.
                        turn.fetch_add(1, SeqCst);
                        wait_until(|| turn.load(SeqCst) >= RING && waiting("hard") == id);
                        tries.fetch_add(1, SeqCst);
                        monitors[(id + 1) % RING].enter(|mut next| {
                            *mine += 1;
                            *next += 1;
                            ended.fetch_add(1, SeqCst)
                        })
                    })?
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let lost = results[RING - 1].as_ref().unwrap_err();
    assert_eq!(lost.cycle().len(), RING);
    let ages: Vec<usize> = lost.cycle().iter().map(|link| link.age).collect();
    let youngest = ages.iter().max().unwrap();
    assert_eq!(ages[lost.victim()], *youngest);
    // From the one behind the loser on, backwards.
    for (id, result) in results[..RING - 1].iter().enumerate() {
        assert_eq!(*result.as_ref().unwrap(), RING - 2 - id);
    }
    assert_eq!(tries.load(SeqCst), RING);
}

/// `deadlock-soft`: d1 and d2 want what e1 and e2 are inside of, in crossed orders, and nothing but the order in the
/// queues could make a cycle.
#[test]
fn soft() {
    let _watchdog = watchdog();
    let (a1, a2) = (Monitor::named("soft a1", 0), Monitor::named("soft a2", 0));
    let (is_held, may_go) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        a1.enter(|_| {
            scope.spawn(|| {
                a2.enter(|_| {
                    is_held.store(true, SeqCst);
                    wait_until(|| may_go.load(SeqCst));
                })
                .unwrap();
            });
            wait_until(|| is_held.load(SeqCst));
            for monitor in [&a1, &a2, &a1] {
                scope.spawn(move || monitor.enter(|mut value| *value += 1).unwrap());
            }
            // d1 waits for a1, e1 behind it, and e2 for a2.
            wait_until(|| waiting("soft a1") == 2 && waiting("soft a2") == 1);
        })
        .unwrap();
        may_go.store(true, SeqCst);
    });
    let values = (a1.enter(|value| *value).unwrap(), a2.enter(|value| *value).unwrap());
    assert_eq!(values, (2, 1));
}

/// `deadlock-soft-2`: s2 and s4 wait behind others for what s1 is inside of, which itself waits for s3. None loses.
#[test]
fn soft_2() {
    let _watchdog = watchdog();
    let (a, b) = (Monitor::named("soft-2 a", 0), Monitor::named("soft-2 b", 0));
    let add = |monitor: &Monitor<i32>| attempt(|| monitor.enter(|mut value| *value += 1)).unwrap();
    thread::scope(|scope| {
        b.enter(|_| {
            // s1 is inside of a and wants b.
            scope.spawn(|| a.enter(|_| b.enter(|mut value| *value += 1)).unwrap().unwrap());
            wait_until(|| waiting("soft-2 b") == 1);
            // s2 wants a, s4 b behind s1.
            scope.spawn(|| add(&a));
            scope.spawn(|| add(&b));
            wait_until(|| waiting("soft-2 a") == 1 && waiting("soft-2 b") == 2);
        })
        .unwrap();
    });
    let values = (a.enter(|value| *value).unwrap(), b.enter(|value| *value).unwrap());
    assert_eq!(values, (1, 2));
}

/// As `deadlock-parallel` has it: a cycle in which not all who wait take part, of which those who do not get through.
#[test]
fn those_outside_of_the_cycle_are_left_alone() {
    let _watchdog = watchdog();
    let (a, b) = (Monitor::named("outside a", 0), Monitor::named("outside b", 0));
    let sleeper = Sleeper::default();
    thread::scope(|scope| {
        let lost = a
            .enter(|_| {
                let other = scope.spawn(|| b.enter(|_| a.enter(|mut value| *value += 1)));
                wait_until(|| waiting("outside a") == 1);
                // Younger than both, and queued for what they are inside of.
                scope.spawn(|| {
                    sleeper.enter();
                    a.enter(|mut value| *value += 1).unwrap();
                });
                scope.spawn(|| b.enter(|mut value| *value += 1).unwrap());
                wait_until(|| waiting("outside a") == 2 && waiting("outside b") == 1);
                sleeper.wait_until_asleep();
                let lost = b.enter(|_| ());
                (lost, other)
            })
            .unwrap();
        let (lost, other) = lost;
        assert_eq!(lost.unwrap_err().cycle().len(), 2);
        other.join().unwrap().unwrap().unwrap();
    });
    let values = (a.enter(|value| *value).unwrap(), b.enter(|value| *value).unwrap());
    assert_eq!(values, (2, 1));
}
