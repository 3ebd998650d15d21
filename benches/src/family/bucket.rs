//! What an unpark costs beside threads that are parked on other addresses.

use std::ptr;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pysync_parking_lot::{park, unpark};

use crate::runner::{Entrant, Job, Pass, Plan, Sample};

/// How many buckets our table has; words at this distance share one.
const BUCKETS: usize = 257;

trait ParkingLot: 'static {
    fn park(word: &AtomicU8);
    fn unpark(word: &AtomicU8);
}

struct Ours;

impl ParkingLot for Ours {
    fn park(word: &AtomicU8) {
        park(word, 0, None, ptr::null_mut(), false);
    }

    #[inline(always)]
    fn unpark(word: &AtomicU8) {
        unpark(ptr::from_ref(word), |_| {});
    }
}

struct Core;

impl ParkingLot for Core {
    fn park(word: &AtomicU8) {
        let still = || word.load(Ordering::Relaxed) == 0;
        let token = parking_lot_core::DEFAULT_PARK_TOKEN;
        let key = ptr::from_ref(word).addr();
        // SAFETY: the key is an address of ours, and the callbacks neither panic nor park.
        unsafe { parking_lot_core::park(key, still, || {}, |_, _| {}, token, None) };
    }

    #[inline(always)]
    fn unpark(word: &AtomicU8) {
        let token = |_| parking_lot_core::DEFAULT_UNPARK_TOKEN;
        // SAFETY: as above.
        unsafe { parking_lot_core::unpark_one(ptr::from_ref(word).addr(), token) };
    }
}

pub(crate) fn plan(full: bool) -> Plan {
    let strangers: &[usize] =
        if full { &[0, 1, 10, 100, 1000, 10_000] } else { &[0, 1, 10, 100, 1000] };
    let mut jobs = Vec::new();
    for (addresses, stride) in [("neighbours", 1), ("one bucket", BUCKETS)] {
        for &strangers in strangers {
            let mut entrants =
                vec![Entrant::new("pysync", move |pass| measure::<Ours>(strangers, stride, pass))];
            // Which words share a bucket of theirs is not known; neighbours will do.
            if stride == 1 {
                entrants.insert(
                    0,
                    Entrant::new("pl-core", move |pass| measure::<Core>(strangers, stride, pass)),
                );
            }
            jobs.push(Job::new(
                [("addresses", addresses.to_owned()), ("strangers", strangers.to_string())],
                entrants,
            ));
        }
    }
    Plan {
        name: "bucket",
        title: "Unpark of an address without waiters, beside threads parked on others",
        unit: "ns",
        higher_is_better: false,
        x: "strangers",
        timed_rounds: 0,
        jobs,
    }
}

fn measure<P: ParkingLot>(strangers: usize, stride: usize, pass: Pass) -> Sample {
    let words: Box<[AtomicU8]> = (0..=strangers * stride).map(|_| AtomicU8::new(0)).collect();
    let (others, target) = words.split_at(strangers * stride);
    let target = &target[0];
    let ready = AtomicUsize::new(0);
    thread::scope(|scope| {
        for word in others.iter().step_by(stride) {
            let ready = &ready;
            let stranger = move || {
                ready.fetch_add(1, Ordering::Release);
                while word.load(Ordering::Acquire) == 0 {
                    P::park(word);
                }
            };
            let builder = thread::Builder::new().stack_size(32 << 10);
            builder.spawn_scoped(scope, stranger).expect("a thread");
        }
        while ready.load(Ordering::Acquire) < strangers {
            thread::sleep(Duration::from_millis(1));
        }
        // From "about to park" to "asleep" nothing can be seen from outside.
        thread::sleep(Duration::from_millis(5));

        const BATCH: u32 = 64;
        let (started, mut count) = (Instant::now(), 0);
        let elapsed = loop {
            (0..BATCH).for_each(|_| P::unpark(target));
            count += BATCH;
            let elapsed = started.elapsed();
            if elapsed >= pass.window {
                break elapsed;
            }
        };
        for word in others.iter().step_by(stride) {
            word.store(1, Ordering::Release);
            P::unpark(word);
        }
        Sample::new(elapsed.as_nanos() as f64 / f64::from(count))
    })
}
