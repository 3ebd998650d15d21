//! Two threads wake each other in turn.

use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use core_affinity::CoreId;
use pysync_parking_lot::{ParkStatus, Parker, park, unpark};

use crate::runner::{Entrant, Job, Pass, Plan, Sample};

/// A token for each of two sides: to wait is to take one's own, to wake is to give the other's.
trait Tokens: Sync + Default {
    fn wait(&self, side: usize);
    fn wake(&self, side: usize);
    /// Called on each side's thread before anything else.
    fn enter(&self, _side: usize) {}
}

fn take(word: &AtomicU32) -> bool {
    word.compare_exchange(1, 0, Ordering::Acquire, Ordering::Relaxed).is_ok()
}

#[derive(Default)]
struct Lot([AtomicU32; 2]);

impl Tokens for Lot {
    fn wait(&self, side: usize) {
        while !take(&self.0[side]) {
            park(&self.0[side], 0, None, ptr::null_mut(), false);
        }
    }

    fn wake(&self, side: usize) {
        self.0[side].store(1, Ordering::Release);
        unpark(&raw const self.0[side], |_| {});
    }
}

#[derive(Default)]
struct Semaphores([Parker; 2]);

impl Tokens for Semaphores {
    fn wait(&self, side: usize) {
        while self.0[side].wait(None, false) != ParkStatus::Ok {}
    }

    fn wake(&self, side: usize) {
        self.0[side].wakeup();
    }
}

#[derive(Default)]
struct LotCore([AtomicU32; 2]);

impl Tokens for LotCore {
    fn wait(&self, side: usize) {
        let word = &self.0[side];
        while !take(word) {
            let still = || word.load(Ordering::Relaxed) == 0;
            let token = parking_lot_core::DEFAULT_PARK_TOKEN;
            // SAFETY: the key is an address of ours, and the callbacks neither panic nor park.
            unsafe {
                parking_lot_core::park(
                    ptr::from_ref(word).addr(),
                    still,
                    || {},
                    |_, _| {},
                    token,
                    None,
                );
            }
        }
    }

    fn wake(&self, side: usize) {
        self.0[side].store(1, Ordering::Release);
        let token = |_| parking_lot_core::DEFAULT_UNPARK_TOKEN;
        // SAFETY: as above.
        unsafe { parking_lot_core::unpark_one(ptr::from_ref(&self.0[side]).addr(), token) };
    }
}

#[derive(Default)]
struct StdPark {
    words: [AtomicU32; 2],
    threads: [OnceLock<Thread>; 2],
}

impl Tokens for StdPark {
    fn enter(&self, side: usize) {
        self.threads[side].set(thread::current()).expect("each side enters once");
    }

    fn wait(&self, side: usize) {
        while !take(&self.words[side]) {
            thread::park();
        }
    }

    fn wake(&self, side: usize) {
        self.words[side].store(1, Ordering::Release);
        self.threads[side].get().expect("both sides have entered").unpark();
    }
}

/// Where two threads run: names, and the processors if the system is not to choose them.
pub(crate) fn placements() -> Vec<(&'static str, Option<[CoreId; 2]>)> {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let mut placements = vec![("free", None)];
    if let [first, ..] = cores[..] {
        placements.push(("one core", Some([first, first])));
    }
    if let [first, second, ..] = cores[..] {
        placements.push(("two cores", Some([first, second])));
    }
    placements
}

pub(crate) fn plan() -> Plan {
    let job = |(name, cores): (&str, Option<[CoreId; 2]>)| {
        let entrants = vec![
            Entrant::new("std park", move |pass| measure::<StdPark>(cores, pass)),
            Entrant::new("pl-core", move |pass| measure::<LotCore>(cores, pass)),
            Entrant::new("pysync", move |pass| measure::<Lot>(cores, pass)),
            Entrant::new("pysync sem", move |pass| measure::<Semaphores>(cores, pass)),
        ];
        Job::new([("placement", name.to_owned())], entrants)
    };
    Plan {
        name: "ping-pong",
        title: "Park and unpark: a round trip between two threads",
        unit: "µs",
        higher_is_better: false,
        x: "placement",
        timed_rounds: 0,
        jobs: placements().into_iter().map(job).collect(),
    }
}

fn measure<T: Tokens>(cores: Option<[CoreId; 2]>, pass: Pass) -> Sample {
    let tokens = T::default();
    let over = AtomicBool::new(false);
    let enter = |side: usize| {
        if let Some(cores) = cores {
            core_affinity::set_for_current(cores[side]);
        }
        tokens.enter(side);
    };
    let ready = std::sync::Barrier::new(2);
    thread::scope(|scope| {
        let (tokens, over, enter, ready) = (&tokens, &over, &enter, &ready);
        scope.spawn(move || {
            enter(1);
            ready.wait();
            loop {
                tokens.wait(1);
                // Read before the wake: after it the next round may have set it already.
                let last = over.load(Ordering::Acquire);
                tokens.wake(0);
                if last {
                    break;
                }
            }
        });
        let pinger = scope.spawn(move || {
            enter(0);
            ready.wait();
            let round_trip = || {
                tokens.wake(1);
                tokens.wait(0);
            };
            (0..10).for_each(|_| round_trip());
            let started = Instant::now();
            let mut count = 0;
            let elapsed: Duration = loop {
                round_trip();
                count += 1;
                let elapsed = started.elapsed();
                if elapsed >= pass.window {
                    break elapsed;
                }
            };
            over.store(true, Ordering::Release);
            round_trip();
            elapsed.as_nanos() as f64 / f64::from(count) / 1e3
        });
        Sample::new(pinger.join().expect("the pinger does not panic"))
    })
}
