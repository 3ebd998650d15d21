//! One thread wakes many.

use std::ptr;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use pysync_parking_lot::{park, unpark_all};
use pysync_platform::monotonic_now;

use crate::cli::Matrix;
use crate::runner::{Entrant, Job, Plan, Sample};

/// Something that all wait at until it opens, once.
trait Gate: Send + Sync + Default + 'static {
    fn wait(&self);
    fn open(&self);
}

impl Gate for pysync_lock::Event {
    fn wait(&self) {
        self.wait();
    }

    fn open(&self) {
        self.notify();
    }
}

/// On the parking lot itself.
#[derive(Default)]
struct Lot(AtomicU8);

impl Gate for Lot {
    fn wait(&self) {
        while self.0.load(Ordering::Acquire) == 0 {
            park(&self.0, 0, None, ptr::null_mut(), false);
        }
    }

    fn open(&self) {
        self.0.store(1, Ordering::Release);
        unpark_all(&raw const self.0);
    }
}

/// On the parking lot of the crate of that name.
#[derive(Default)]
struct LotCore(AtomicU8);

impl Gate for LotCore {
    fn wait(&self) {
        while self.0.load(Ordering::Acquire) == 0 {
            let key = ptr::from_ref(&self.0).addr();
            let still = || self.0.load(Ordering::Relaxed) == 0;
            let token = parking_lot_core::DEFAULT_PARK_TOKEN;
            // SAFETY: the key is an address of ours, and the callbacks neither panic nor park.
            unsafe { parking_lot_core::park(key, still, || {}, |_, _| {}, token, None) };
        }
    }

    fn open(&self) {
        self.0.store(1, Ordering::Release);
        let key = ptr::from_ref(&self.0).addr();
        // SAFETY: as above.
        unsafe { parking_lot_core::unpark_all(key, parking_lot_core::DEFAULT_UNPARK_TOKEN) };
    }
}

impl Gate for (Mutex<bool>, Condvar) {
    fn wait(&self) {
        let open = self.0.lock().unwrap();
        drop(self.1.wait_while(open, |open| !*open).unwrap());
    }

    fn open(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }
}

impl Gate for (parking_lot_0_13::Mutex<bool>, parking_lot_0_13::Condvar) {
    fn wait(&self) {
        self.1.wait_while(&mut self.0.lock(), |open| !*open);
    }

    fn open(&self) {
        *self.0.lock() = true;
        self.1.notify_all();
    }
}

pub(crate) fn plan(matrix: &Matrix) -> Plan {
    let job = |waiters: usize| {
        let entrants = vec![
            Entrant::new("std cond", move |_| measure::<(Mutex<bool>, Condvar)>(waiters)),
            Entrant::new("pl cond", move |_| {
                measure::<(parking_lot_0_13::Mutex<bool>, parking_lot_0_13::Condvar)>(waiters)
            }),
            Entrant::new("pl-core", move |_| measure::<LotCore>(waiters)),
            Entrant::new("pysync", move |_| measure::<pysync_lock::Event>(waiters)),
            Entrant::new("pysync lot", move |_| measure::<Lot>(waiters)),
        ];
        Job::new([("waiters", waiters.to_string())], entrants)
    };
    Plan {
        name: "wake",
        title: "Event: from the notification to the last of the waiters being awake",
        unit: "µs",
        higher_is_better: false,
        x: "waiters",
        timed_rounds: 0,
        jobs: matrix.threads_or(&[1, 10, 100, 1000]).into_iter().map(job).collect(),
    }
}

fn measure<G: Gate>(waiters: usize) -> Sample {
    let gate = Arc::new(G::default());
    let ready = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..waiters)
        .map(|_| {
            let (gate, ready) = (gate.clone(), ready.clone());
            let waiter = move || {
                ready.fetch_add(1, Ordering::Release);
                gate.wait();
                monotonic_now()
            };
            thread::Builder::new().stack_size(64 << 10).spawn(waiter).expect("a thread")
        })
        .collect();
    while ready.load(Ordering::Acquire) < waiters {
        thread::sleep(Duration::from_millis(1));
    }
    // From "about to wait" to "asleep" nothing can be seen from outside.
    thread::sleep(Duration::from_millis(5));

    let (opened, started) = (monotonic_now(), Instant::now());
    gate.open();
    let call = started.elapsed();
    let awake = threads.into_iter().map(|thread| thread.join().expect("a waiter does not panic"));
    let last = awake.max().unwrap_or(opened);
    Sample::new((last - opened) as f64 / 1e3).with("call_us", call.as_nanos() as f64 / 1e3)
}
