//! Random behaviours on a ring of cowns, of one, two or three of them, some to be read, some cancelled, from
//! outside and nested. Each ran exactly once, in one order on every cown.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering::*};
use std::time::Duration;

use crate::behaviours_common::*;
use pysync_boc::{Batch, Cown, Failed, Outcome, Runtime, Use, acquire_all_timed, read, when};
use pysync_lock::guarded::Mutex;
use pysync_testing::{StressTime, random, together, watchdog_for};

const RING: usize = 64;
/// The spawner of those that behaviours have asked for.
const NESTED: u8 = u8::MAX;
const NEVER: u32 = u32::MAX;

/// A cown of the ring.
#[derive(Default)]
struct Place {
    /// The numbers of those that have changed it, in order.
    log: Vec<u32>,
    readers: AtomicUsize,
    is_written: AtomicBool,
}

impl Place {
    fn write(&mut self, number: u32) {
        assert!(!self.is_written.swap(true, Relaxed) && self.readers.load(Relaxed) == 0);
        self.log.push(number);
        self.is_written.store(false, Relaxed);
    }

    /// Returns how many have changed it before.
    fn read(&self) -> u32 {
        self.readers.fetch_add(1, Relaxed);
        let before = self.log.len();
        std::hint::spin_loop();
        assert!(!self.is_written.load(Relaxed) && self.log.len() == before);
        self.readers.fetch_sub(1, Relaxed);
        before as u32
    }
}

/// What is noted of a behaviour.
struct Note {
    ran: AtomicU8,
    spawner: AtomicU8,
    is_cancelled: AtomicBool,
    /// Which cown it has read.
    read: AtomicU8,
    /// How many had changed that before, or [`NEVER`].
    seen: AtomicU32,
}

struct World {
    ring: Vec<Cown<Place>>,
    notes: Vec<Note>,
    next: AtomicUsize,
}

impl World {
    fn new(behaviours: usize) -> Arc<Self> {
        let note = |_| Note {
            ran: AtomicU8::new(0),
            spawner: AtomicU8::new(0),
            is_cancelled: AtomicBool::new(false),
            read: AtomicU8::new(0),
            seen: AtomicU32::new(NEVER),
        };
        Arc::new(Self {
            ring: (0..RING).map(|_| Cown::new(Place::default())).collect(),
            notes: (0..behaviours).map(note).collect(),
            next: AtomicUsize::new(0),
        })
    }

    /// The number of a behaviour that is about to be asked for; none if there are enough.
    fn number(&self, spawner: u8) -> Option<u32> {
        let number = self.next.fetch_add(1, Relaxed);
        self.notes.get(number)?.spawner.store(spawner, Relaxed);
        Some(number as u32)
    }

    fn ran(&self, number: u32) {
        self.notes[number as usize].ran.fetch_add(1, Relaxed);
    }

    fn saw(&self, number: u32, cown: usize, seen: u32) {
        let note = &self.notes[number as usize];
        note.read.store(cown as u8, Relaxed);
        note.seen.store(seen, Relaxed);
    }
}

/// Asks for one behaviour, of a random kind; false if there are enough.
fn ask(world: &Arc<World>, runtime: Option<&Runtime>, spawner: u8, random: &mut Seeded) -> bool {
    let Some(number) = world.number(spawner) else { return false };
    let at: [usize; 3] = random.different(RING);
    let [a, b, c] = at.map(|index| &world.ring[index]);
    let mine = world.clone();
    let mut nested = Seeded::new(random.below(1 << 40));
    let mut after = move |world: &Arc<World>| {
        world.ran(number);
        if nested.below(4) == 0 {
            ask(world, None, NESTED, &mut nested);
        }
    };
    macro_rules! asked {
        ($cowns:expr, $body:expr) => {
            match runtime {
                Some(runtime) => runtime.when($cowns, $body),
                None => when($cowns, $body),
            }
        };
    }
    let outcome: Outcome<()> = match random.below(8) {
        0 => asked!(a, move |a| {
            a.write(number);
            after(&mine);
        }),
        1..=3 => asked!((a, b), move |(a, b)| {
            a.write(number);
            b.write(number);
            after(&mine);
        }),
        4 => asked!([a, b, c], move |cowns| {
            cowns.into_iter().for_each(|cown| cown.write(number));
            after(&mine);
        }),
        5 => asked!((read(a), b), move |(a, b)| {
            b.write(number);
            mine.saw(number, at[0], a.read());
            after(&mine);
        }),
        6 => asked!(read(a), move |a| {
            mine.saw(number, at[0], a.read());
            after(&mine);
        }),
        _ => {
            let uses = [Use::write(a), Use::write(b), Use::read(a), Use::write(a)];
            let body = move |held: &mut pysync_boc::HeldSet<'_>| {
                held.get_mut::<Place>(3).unwrap().write(number);
                held.get_mut::<Place>(1).unwrap().write(number);
                after(&mine);
            };
            match runtime {
                Some(runtime) => runtime.when_any(&uses, body),
                None => pysync_boc::when_any(&uses, body),
            }
        }
    };
    if random.below(16) == 0 && outcome.cancel() {
        world.notes[number as usize].is_cancelled.store(true, Relaxed);
    }
    true
}

/// Runs so many behaviours, and checks what they have left.
fn run(behaviours: usize, workers: usize, seed: usize) {
    const SPAWNERS: usize = 2;

    let (runtime, world) = (runtime(workers), World::new(behaviours));
    together(SPAWNERS, |id| {
        let mut random = Seeded::new(seed * SPAWNERS + id);
        while ask(&world, Some(&runtime), id as u8, &mut random) {}
    });
    assert_eq!(runtime.quiesce(None), Ok(()));
    assert_eq!(runtime.stats().panicked(), 0);

    for note in &world.notes {
        let is_cancelled = note.is_cancelled.load(Relaxed);
        assert_eq!(note.ran.load(Relaxed), u8::from(!is_cancelled), "not exactly once");
    }
    let logs: Vec<_> =
        world.ring.iter().map(|cown| std::mem::take(&mut cown.acquire().log)).collect();
    for log in &logs {
        for spawner in 0..SPAWNERS as u8 {
            let of_it =
                |number: &&u32| world.notes[**number as usize].spawner.load(Relaxed) == spawner;
            assert!(log.iter().filter(of_it).is_sorted(), "not in the order of spawner {spawner}");
        }
    }
    one_order(&world, &logs);
}

/// On each cown a behaviour comes before the next in the log, and a reader between two of them. There is one
/// order of all if these relations have no cycle.
fn one_order(world: &World, logs: &[Vec<u32>]) {
    let mut edges: Vec<(u32, u32)> =
        logs.iter().flat_map(|log| log.windows(2).map(|pair| (pair[0], pair[1]))).collect();
    for (number, note) in world.notes.iter().enumerate() {
        let seen = note.seen.load(Relaxed);
        if seen != NEVER {
            let (log, seen) = (&logs[usize::from(note.read.load(Relaxed))], seen as usize);
            edges.extend(seen.checked_sub(1).map(|before| (log[before], number as u32)));
            edges.extend(log.get(seen).map(|&behind| (number as u32, behind)));
        }
    }
    edges.sort_unstable();
    let mut before = vec![0_u32; world.notes.len()];
    edges.iter().for_each(|&(_, behind)| before[behind as usize] += 1);
    let mut free: Vec<u32> =
        (0..before.len() as u32).filter(|&number| before[number as usize] == 0).collect();
    let mut ordered = 0;
    while let Some(number) = free.pop() {
        ordered += 1;
        let first = edges.partition_point(|&(from, _)| from < number);
        for &(_, behind) in edges[first..].iter().take_while(|&&(from, _)| from == number) {
            before[behind as usize] -= 1;
            if before[behind as usize] == 0 {
                free.push(behind);
            }
        }
    }
    assert_eq!(ordered, before.len(), "a cycle: no one order");
}

#[test]
fn a_million_behaviours_on_a_ring_of_64() {
    let _watchdog = watchdog_for(Duration::from_secs(180));
    run(if cfg!(debug_assertions) { 50_000 } else { 1_000_000 }, 2, 0);
}

#[test]
fn seeds_by_workers() {
    let _watchdog = watchdog_for(Duration::from_secs(180));
    for workers in 1..=8 {
        for seed in 1..=4 {
            run(if cfg!(debug_assertions) { 1_000 } else { 20_000 }, workers, seed);
        }
    }
}

/// All that there is, for a while, with plain data in the cowns: threads that acquire, in time or not, hold
/// and disown, batches, cancels, panics, waits with deadlines. For ThreadSanitizer and AddressSanitizer.
#[test]
fn everything_at_once() {
    pysync_testing::hush_panics("of the stress test");
    let time = StressTime::begin();
    let mut rounds = 0;
    while !time.is_up() {
        let (runtime, census) = (runtime(1 + random(4)), Census::default());
        let cowns: Vec<_> =
            (0..4).map(|_| Mutex::new(Cown::new((0_usize, census.one())))).collect();
        let cown = |index: usize| cowns[index % 4].lock().clone();
        together(3, |_| {
            let mut kept: Vec<Outcome<usize>> = Vec::new();
            for _ in 0..300 {
                let (at, closure) = (random(4), census.one());
                let (a, b) = (cown(at), cown(at + 1 + random(3)));
                let soon = Some(Duration::from_micros(random(100) as u64));
                // Another thread may have put another cown where `a` was.
                if a == b {
                    continue;
                }
                match random(12) {
                    0..=2 => kept.push(runtime.when((&a, &b), move |(a, b)| {
                        let _closure = closure;
                        a.0 += 1;
                        b.0 += 1;
                        let (a, value) = (a.0, b.0);
                        drop(when((), move |()| a));
                        value
                    })),
                    3 => kept
                        .push(runtime.when((read(&Cown::new(0)), &b), move |(zero, b)| b.0 + zero)),
                    4 => _ = runtime.fire((&b, a), |_| panic!("of the stress test")),
                    5 => {
                        let mut batch = Batch::on(&runtime);
                        kept.push(batch.when(&a, |a| std::mem::replace(&mut a.0, 0)));
                        kept.push(batch.when((&b, &a), move |(b, _)| {
                            let _closure = closure;
                            b.0
                        }));
                        if random(4) > 0 {
                            batch.schedule();
                        }
                    }
                    6 => _ = a.acquire_timed(soon).map(|mut held| held.0 += 1),
                    7 => {
                        if let Ok(mut held) = acquire_all_timed((&a, &b), soon) {
                            let (a, b) = held.access();
                            std::mem::swap(a, b);
                        }
                    }
                    8 => {
                        if let Some(held) = a.try_acquire() {
                            *cowns[at].lock() = Cown::new((0, census.one()));
                            held.disown();
                        }
                    }
                    9 => {
                        let (promise, mut held) = Cown::held((0, closure));
                        kept.push(runtime.when((&promise, &a), |(promise, a)| promise.0 + a.0));
                        held.0 = 1;
                        runtime.fire((), move |()| drop(held));
                    }
                    10 => {
                        if let Some(outcome) = kept.pop() {
                            outcome.cancel();
                            drop(outcome.wait(soon));
                        }
                    }
                    _ => {
                        if let Some(outcome) = kept.pop() {
                            kept.push(runtime.when(&outcome, move |result| {
                                let _closure = closure;
                                *result.as_ref().unwrap_or(&0)
                            }));
                        }
                    }
                }
            }
            for outcome in kept {
                match finished(outcome) {
                    Ok(_) | Err(Failed::Cancelled | Failed::Disowned) => {}
                    Err(other) => panic!("{other}"),
                }
            }
        });
        if random(2) == 0 {
            assert_eq!(runtime.quiesce(None), Ok(()));
        }
        drop((runtime, cowns));
        assert_eq!(census.alive(), 0);
        rounds += 1;
    }
    pysync_testing::report_stress(|| format!("{rounds} rounds"));
}
