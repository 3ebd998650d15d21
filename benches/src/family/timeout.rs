//! How late a timed wait ends.

use std::ptr;
use std::sync::atomic::AtomicU8;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use pysync_lock::{Event, LockFlags, LockStatus};
use pysync_parking_lot::park;

use crate::runner::{Entrant, Job, Pass, Plan, Sample};
use crate::stats::median;

const TIMEOUTS: [(&str, Duration); 3] = [
    ("0.1 ms", Duration::from_micros(100)),
    ("1 ms", Duration::from_millis(1)),
    ("10 ms", Duration::from_millis(10)),
];

pub(crate) fn plan() -> Plan {
    let job = |(name, timeout): (&str, Duration)| {
        let entrants = vec![
            entrant("std cond", timeout, || {
                let (mutex, condvar) = (Mutex::new(()), Condvar::new());
                move |timeout| drop(condvar.wait_timeout(mutex.lock().unwrap(), timeout).unwrap())
            }),
            entrant("pl-0.12", timeout, || {
                let mutex = parking_lot_0_12::Mutex::new(());
                std::mem::forget(mutex.lock());
                move |timeout| assert!(mutex.try_lock_for(timeout).is_none())
            }),
            entrant("pl-0.13", timeout, || {
                let mutex = parking_lot_0_13::Mutex::new(());
                std::mem::forget(mutex.lock());
                move |timeout| assert!(mutex.try_lock_for(timeout).is_none())
            }),
            entrant("pysync", timeout, || {
                let mutex = pysync_lock::Mutex::new();
                mutex.lock();
                move |timeout| {
                    let status = mutex.lock_timed(Some(timeout), LockFlags::DETACH);
                    assert_eq!(status, LockStatus::Failure);
                }
            }),
            entrant("pysync event", timeout, || {
                let event = Event::new();
                move |timeout| assert!(!event.wait_timed(Some(timeout), false))
            }),
            entrant("pysync park", timeout, || {
                let word = AtomicU8::new(0);
                move |timeout| {
                    park(&word, 0, Some(timeout), ptr::null_mut(), false);
                }
            }),
        ];
        Job::new([("timeout", name.to_owned())], entrants)
    };
    Plan {
        name: "timeout",
        title: "Timed wait that nobody ends: how late it returns",
        unit: "µs",
        higher_is_better: false,
        x: "timeout",
        timed_rounds: 0,
        jobs: TIMEOUTS.map(job).into(),
    }
}

fn entrant<W: FnMut(Duration)>(
    name: &str,
    timeout: Duration,
    set_up: impl Fn() -> W + 'static,
) -> Entrant {
    Entrant::new(name, move |Pass { window, .. }| {
        let mut wait = set_up();
        let tries = (window.as_nanos() / timeout.as_nanos()).clamp(5, 200);
        let late = |_| {
            let started = Instant::now();
            wait(timeout);
            started.elapsed().as_nanos() as f64 / 1e3 - timeout.as_nanos() as f64 / 1e3
        };
        let late: Vec<f64> = (0..tries).map(late).collect();
        let early = late.iter().filter(|&&late| late < 0.0).count();
        Sample::new(median(&late))
            .with("longest_us", late.iter().copied().fold(0.0, f64::max))
            .with("longest_early_count", early as f64)
    })
}
