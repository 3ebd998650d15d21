//! Threads that enter monitors in every order, and all get through.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Instant;

use pysync_monitor::{Deadlock, Monitor, attempt};
use pysync_testing::{random, watchdog};

#[test]
fn to_enter_again_is_an_error() {
    let monitor = Monitor::named("account", 1);
    let error = monitor.enter(|_| monitor.enter(|_| ()).unwrap_err()).unwrap();
    assert!(error.is_self());
    assert!(error.to_string().starts_with("account was entered at "), "{error}");
    assert_eq!(monitor.enter(|value| *value).unwrap(), 1);
}

#[test]
fn a_ring_is_broken_and_all_get_through() {
    for threads in [2, 3, 8, 16] {
        let _watchdog = watchdog();
        let monitors: Vec<_> = (0..threads).map(|_| Monitor::new(0)).collect();
        let barrier = Barrier::new(threads);
        let lost = AtomicUsize::new(0);
        thread::scope(|scope| {
            for i in 0..threads {
                let (monitors, barrier, lost) = (&monitors, &barrier, &lost);
                scope.spawn(move || {
                    let mut is_first = true;
                    attempt(|| {
                        monitors[i].enter(|mut mine| {
                            if std::mem::take(&mut is_first) {
                                barrier.wait();
                            }
                            let next = &monitors[(i + 1) % threads];
                            let result = next.enter(|mut next| *next += 1);
                            match &result {
                                Ok(()) => *mine += 1,
                                Err(deadlock) => {
                                    lost.fetch_add(1, SeqCst);
                                    let links = deadlock.cycle();
                                    let youngest = links.iter().map(|link| link.age).max().unwrap();
                                    assert_eq!(links[deadlock.victim()].age, youngest);
                                }
                            }
                            result
                        })?
                    })
                    .unwrap();
                });
            }
        });
        assert!(lost.load(SeqCst) > 0);
        println!("{threads} threads: {} lost", lost.load(SeqCst));
        assert!(monitors.iter().all(|monitor| monitor.enter(|value| *value).unwrap() == 2));
    }
}

#[test]
fn random_orders_end() {
    const THREADS: usize = 8;
    const MONITORS: usize = 6;
    const ATTEMPTS: usize = 2_000;
    let _watchdog = watchdog();
    let monitors: Vec<_> = (0..MONITORS).map(|_| Monitor::new(0_usize)).collect();
    let (lost, entries) = (AtomicUsize::new(0), AtomicUsize::new(0));
    fn go(monitors: &[Monitor<usize>], order: &[usize]) -> Result<(), Deadlock> {
        let Some((first, rest)) = order.split_first() else { return Ok(()) };
        monitors[*first].enter(|mut value| {
            if random(4) == 0 {
                thread::yield_now();
            }
            go(monitors, rest)?;
            *value += 1;
            Ok(())
        })?
    }
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            let (monitors, lost, entries) = (&monitors, &lost, &entries);
            scope.spawn(move || {
                for _ in 0..ATTEMPTS {
                    let mut order: Vec<usize> = (0..MONITORS).collect();
                    for at in (1..MONITORS).rev() {
                        order.swap(at, random(at + 1));
                    }
                    order.truncate(2 + random(3));
                    attempt(|| {
                        let result = go(monitors, &order);
                        lost.fetch_add(result.is_err().into(), SeqCst);
                        result
                    })
                    .unwrap();
                    entries.fetch_add(order.len(), SeqCst);
                }
            });
        }
    });
    let attempts = THREADS * ATTEMPTS;
    println!("{attempts} attempts, {} lost, {:?}", lost.load(SeqCst), started.elapsed());
    let _ = entries;
}
