//! Processes that share a mutex are killed at any moment, a thousand times. No process that is left waits
//! for more than a second, every death of an owner is reported, and the data is broken only where a
//! death was.
//!
//! `PYSYNC_KILLS` is the number of kills of the campaign; the variants take a part of it.
#![cfg(all(
    target_os = "linux",
    any(target_env = "gnu", target_env = "musl"),
    target_pointer_width = "64",
    not(any(miri, pysync_loom, pysync_shuttle))
))]

#[path = "process/common.rs"]
mod common;

use std::hint::spin_loop;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use pysync_robust::{Error, Kind, Ownership, RawMutex, Timeout};
use pysync_testing::{Watchdog, watchdog_for};

use common::{Child, Memory, Status, child};

const WORKERS: usize = 4;
/// How many processes there may be in a campaign.
const LIVES: usize = 1 << 14;
/// The exit code of a worker that ends while it owns the mutex.
const LEFT: i32 = 3;
/// No progress for so long is a failure. A second is what is promised; the machine may be loaded.
const TOO_LONG: Duration = Duration::from_secs(5);

/// What the workers share besides the mutexes and the data.
struct Shared {
    /// Time to end.
    stop: AtomicU32,
    /// The life that is inside; 0 if none.
    inside: [AtomicU32; 2],
    /// The data was given up. Who initialises the mutex finds it in any state.
    is_lost: [AtomicU32; 2],
    /// Per slot: it waits for the mutex, or is about to.
    waits: [AtomicU32; WORKERS],
    /// When an owner was inside last, and the longest time between two, in nanoseconds.
    last: AtomicU64,
    longest: AtomicU64,
    /// How many of these were longer than a second.
    stalls: AtomicU64,
    longest_wait: AtomicU64,
    /// How often.
    turns: AtomicU64,
    deaths: AtomicU64,
    repairs: AtomicU64,
    given_up: AtomicU64,
    revived: AtomicU64,
    timed_out: AtomicU64,
    busy: AtomicU64,
    /// Per life: what has become of it.
    lives: [AtomicU32; LIVES],
}

// What has become of a life.
/// It is going to die: a signal is on its way, or it ends by itself.
const CONDEMNED: u32 = 1;

/// It owns the mutex with this number, and is inside.
const fn inside(number: usize) -> u32 {
    2 << number
}

/// An owner after it was told of a death, and has found that this one was inside.
const fn reported(number: usize) -> u32 {
    8 << number
}

/// A generator of random numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % bound
    }

    /// A pause of an owner: mostly short, sometimes long enough for others to fall asleep.
    fn pause(&mut self) {
        match self.below(8) {
            0..4 => (0..self.below(2000)).for_each(|_| spin_loop()),
            4..7 => (0..self.below(6)).for_each(|_| thread::yield_now()),
            _ => thread::sleep(Duration::from_micros(self.below(600))),
        }
    }
}

fn shared(memory: &Memory) -> &Shared {
    // SAFETY: atomics, of which zeroes are the beginning.
    unsafe { memory.other() }
}

/// Nanoseconds on the clock that all processes have.
fn now() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes to a local.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// What a campaign is like.
#[derive(Clone, Copy)]
struct Plan {
    name: &'static str,
    /// The share of the kills.
    part: u32,
    /// The first worker is never killed, and waits for ever each time.
    has_sleeper: bool,
    /// Only those are killed that wait.
    aims_at_waiters: bool,
    /// Half of the workers take the mutexes in the other order.
    has_two: bool,
}

/// One worker.
struct Worker<'a> {
    memory: &'a Memory,
    shared: &'a Shared,
    plan: Plan,
    slot: usize,
    life: u32,
    random: Random,
}

impl Worker<'_> {
    fn work(&mut self) {
        while self.shared.stop.load(Relaxed) == 0 {
            let timeout = match self.random.below(3) {
                _ if self.plan.has_sleeper && self.slot == 0 => Timeout::Never,
                0 => Timeout::Never,
                1 => Timeout::After(Duration::from_micros(self.random.below(6000))),
                _ => Timeout::Try,
            };
            let first = if self.plan.has_two { self.slot % 2 } else { 0 };
            self.shared.waits[self.slot].store(1, Relaxed);
            let began = now();
            let acquired = self.acquire(first, timeout);
            self.shared.longest_wait.fetch_max(now() - began, Relaxed);
            self.shared.waits[self.slot].store(0, Relaxed);
            if !acquired {
                continue;
            }
            if self.plan.has_two {
                let soon = Timeout::After(Duration::from_micros(self.random.below(3000)));
                if self.acquire(1 - first, soon) {
                    self.change(1 - first);
                    self.release(1 - first);
                }
            }
            self.change(first);
            self.release(first);
        }
    }

    fn mutex(&self, number: usize) -> RawMutex {
        self.memory.mutex_at(number)
    }

    /// True if the worker is inside, with whole data.
    fn acquire(&mut self, number: usize, timeout: Timeout) -> bool {
        let Self { memory, shared, .. } = *self;
        let data = memory.data_at(number);
        let mutex = self.mutex(number);
        match mutex.acquire(timeout) {
            Ok(Ownership::Clean) => {
                let other = shared.inside[number].load(Relaxed);
                assert_eq!(other, 0, "another is inside, or has died, and the next is not told");
                if shared.is_lost[number].load(Relaxed) == 1 {
                    data.repair();
                    shared.is_lost[number].store(0, Relaxed);
                }
                assert!(data.is_whole(), "the data is broken, and the next is not told");
                self.enter(number);
            }
            Ok(Ownership::OwnerDied) => {
                shared.deaths.fetch_add(1, Relaxed);
                let dead = shared.inside[number].load(Relaxed);
                if dead != 0 {
                    let fate = shared.lives[dead as usize].fetch_or(reported(number), SeqCst);
                    assert_ne!(fate & CONDEMNED, 0, "life {dead} is said to be dead, and is not");
                }
                self.enter(number);
                match self.random.below(8) {
                    0 => {
                        shared.given_up.fetch_add(1, Relaxed);
                        shared.is_lost[number].store(1, Relaxed);
                        self.leave(number);
                        // Either way means that.
                        if self.random.below(2) == 0 {
                            mutex.give_up().unwrap();
                        } else {
                            mutex.release().unwrap();
                        }
                        return false;
                    }
                    1 => self.end_inside(),
                    _ => {}
                }
                data.repair();
                self.random.pause();
                // It has been repaired, whatever it was.
                shared.is_lost[number].store(0, Relaxed);
                mutex.make_consistent().unwrap();
                shared.repairs.fetch_add(1, Relaxed);
            }
            Err(Error::Busy) if timeout == Timeout::Try => {
                shared.busy.fetch_add(1, Relaxed);
                return false;
            }
            Err(Error::TimedOut) if matches!(timeout, Timeout::After(_)) => {
                shared.timed_out.fetch_add(1, Relaxed);
                return false;
            }
            Err(Error::NotRecoverable) => {
                match mutex.initialize(Kind::Plain) {
                    Ok(()) => drop(shared.revived.fetch_add(1, Relaxed)),
                    Err(Error::AlreadyInitialized | Error::Busy) => {}
                    Err(error) => panic!("initialise: {error}"),
                }
                return false;
            }
            Err(error) => panic!("acquire: {error}"),
        }
        true
    }

    // A life that says of itself that it was inside is to be found by the next owner.

    fn enter(&self, number: usize) {
        self.shared.inside[number].store(self.life, SeqCst);
        self.shared.lives[self.life as usize].fetch_or(inside(number), SeqCst);
    }

    fn leave(&self, number: usize) {
        self.shared.lives[self.life as usize].fetch_and(!inside(number), SeqCst);
        self.shared.inside[number].store(0, SeqCst);
    }

    /// The owner's work.
    fn change(&mut self, number: usize) {
        let data = self.memory.data_at(number);
        data.begin();
        self.random.pause();
        if self.random.below(2000) == 0 {
            self.end_inside();
        }
        assert_eq!(self.shared.inside[number].load(Relaxed), self.life, "two owners");
        data.end();
        let (shared, now) = (self.shared, now());
        let pause = now.saturating_sub(shared.last.swap(now, Relaxed));
        shared.longest.fetch_max(pause, Relaxed);
        if pause > 1_000_000_000 {
            shared.stalls.fetch_add(1, Relaxed);
        }
        shared.turns.fetch_add(1, Relaxed);
    }

    fn release(&self, number: usize) {
        assert!(self.memory.data_at(number).is_whole(), "two owners");
        self.leave(number);
        self.mutex(number).release().unwrap();
    }

    /// Ends while it owns the mutex.
    fn end_inside(&self) -> ! {
        self.shared.lives[self.life as usize].fetch_or(CONDEMNED, Relaxed);
        // SAFETY: ends the process.
        unsafe { libc::_exit(LEFT) }
    }
}

/// The processes, and the one who kills them.
struct Campaign<'a> {
    memory: &'a Memory,
    plan: Plan,
    workers: Vec<(Child, u32)>,
    lives: u32,
    random: Random,
    kills: u32,
    /// Of these, how many were inside.
    hits: u32,
    left: u32,
    /// By how much a sleep of the killer was too long, at most. So long is a stall the machine's.
    late: Duration,
}

impl<'a> Campaign<'a> {
    fn new(memory: &'a Memory, plan: Plan) -> Self {
        let random = Random(0x9e37_79b9_7f4a_7c15);
        let mut campaign = Self {
            memory,
            plan,
            workers: Vec::new(),
            lives: 0,
            random,
            kills: 0,
            hits: 0,
            left: 0,
            late: Duration::ZERO,
        };
        for slot in 0..WORKERS {
            let worker = campaign.start(slot);
            campaign.workers.push(worker);
        }
        campaign
    }

    fn start(&mut self, slot: usize) -> (Child, u32) {
        self.lives += 1;
        let (life, plan) = (self.lives, self.plan);
        assert!((life as usize) < LIVES);
        let seed = u64::from(life) << 32 | 0x5bd1_e995;
        let child = child(|| {
            // At an address of its own.
            let memory = self.memory.again();
            let shared = shared(&memory);
            let random = Random(seed);
            Worker { memory: &memory, shared, plan, slot, life, random }.work();
        });
        (child, life)
    }

    fn fate(&self, life: u32) -> &AtomicU32 {
        &shared(self.memory).lives[life as usize]
    }

    /// Kills one, and starts another in its place.
    fn kill(&mut self) {
        let slot = self.victim();
        let life = self.workers[slot].1;
        self.fate(life).fetch_or(CONDEMNED, SeqCst);
        self.workers[slot].0.signal(libc::SIGKILL);
        match self.workers[slot].0.wait() {
            Status::Killed(libc::SIGKILL) => {
                self.kills += 1;
                let fate = self.fate(life).load(SeqCst);
                if fate & (inside(0) | inside(1)) != 0 {
                    self.hits += 1;
                }
            }
            // It was quicker.
            Status::Exited(LEFT) => self.left += 1,
            status => panic!("life {life}: {status:?}"),
        }
        self.workers[slot] = self.start(slot);
    }

    fn victim(&mut self) -> usize {
        let first = usize::from(self.plan.has_sleeper);
        for _ in 0..1000 {
            let slot = first + self.random.below((WORKERS - first) as u64) as usize;
            let waits = &shared(self.memory).waits[slot];
            if !self.plan.aims_at_waiters || waits.load(Relaxed) == 1 {
                return slot;
            }
        }
        // There is no waiter, for once.
        first
    }

    /// Those that have ended while they were inside are started again. Any other end is wrong.
    fn look_after(&mut self) {
        for slot in 0..WORKERS {
            match self.workers[slot].0.poll() {
                None => continue,
                Some(Status::Exited(LEFT)) => self.left += 1,
                Some(status) => panic!("life {}: {status:?}", self.workers[slot].1),
            }
            self.workers[slot] = self.start(slot);
        }
    }

    fn run(&mut self, kills: u32) {
        let shared = shared(self.memory);
        let mut seen = (shared.turns.load(Relaxed), Instant::now());
        while self.kills < kills {
            let pause = Duration::from_micros(300 + self.random.below(2000));
            let (_, slept) = common::timed(|| thread::sleep(pause));
            self.late = self.late.max(slept.saturating_sub(pause));
            self.kill();
            self.look_after();
            let turns = shared.turns.load(Relaxed);
            if turns != seen.0 {
                seen = (turns, Instant::now());
            }
            assert!(seen.1.elapsed() < TOO_LONG, "no progress: {:?}", self.memory.mutex());
        }
    }

    /// All end by themselves.
    fn stop(&mut self) {
        shared(self.memory).stop.store(1, SeqCst);
        let began = Instant::now();
        let mut workers = std::mem::take(&mut self.workers);
        while !workers.is_empty() {
            assert!(began.elapsed() < TOO_LONG, "{} workers do not end", workers.len());
            workers.retain_mut(|(worker, life)| match worker.poll() {
                None => true,
                Some(Status::Exited(0)) => false,
                Some(Status::Exited(LEFT)) => {
                    self.left += 1;
                    false
                }
                Some(status) => panic!("life {life}: {status:?}"),
            });
            thread::yield_now();
        }
    }

    /// The last owner, by which every death is reported.
    fn settle(&self) {
        let shared = shared(self.memory);
        for number in 0..if self.plan.has_two { 2 } else { 1 } {
            let mutex = self.memory.mutex_at(number);
            match mutex.acquire(common::SECOND) {
                Ok(Ownership::Clean) => assert_eq!(shared.inside[number].load(SeqCst), 0),
                Ok(Ownership::OwnerDied) => {
                    let dead = shared.inside[number].load(SeqCst);
                    self.fate(dead).fetch_or(reported(number), SeqCst);
                    mutex.make_consistent().unwrap();
                }
                Err(Error::NotRecoverable) => {
                    assert_eq!(shared.inside[number].load(SeqCst), 0);
                    mutex.initialize(Kind::Plain).unwrap();
                    continue;
                }
                Err(error) => panic!("{error}"),
            }
            mutex.release().unwrap();
        }
        for life in 1..=self.lives {
            let fate = self.fate(life).load(SeqCst);
            for number in 0..2 {
                if fate & inside(number) != 0 {
                    assert_ne!(fate & CONDEMNED, 0, "life {life} has ended while it was inside");
                    assert_ne!(
                        fate & reported(number),
                        0,
                        "no owner was told that life {life} died"
                    );
                }
            }
        }
        // Each time one is told, it is of another death: those who were told before have repaired the
        // data, or have died themselves.
        let deaths = self.kills + self.left;
        let most = if self.plan.has_two { 2 * deaths } else { deaths };
        assert!(shared.deaths.load(SeqCst) <= most.into(), "told of deaths that were none");
    }
}

/// One campaign at a time, or they would take each other's processors.
static ALONE: Mutex<()> = Mutex::new(());

fn kills() -> u32 {
    match std::env::var("PYSYNC_KILLS") {
        Ok(kills) => kills.parse().expect("a number of kills"),
        Err(_) => 1000,
    }
}

fn campaign(plan: Plan) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let kills = kills() / plan.part;
    let _watchdog: Watchdog = watchdog_for(Duration::from_secs(60 + u64::from(kills) / 20));
    let memory = Memory::new();
    memory.mutex_at(0).initialize(Kind::Plain).unwrap();
    memory.mutex_at(1).initialize(Kind::Plain).unwrap();
    let shared = shared(&memory);
    shared.last.store(now(), SeqCst);
    let began = Instant::now();
    let mut campaign = Campaign::new(&memory, plan);
    campaign.run(kills);
    campaign.stop();
    campaign.settle();

    let longest = Duration::from_nanos(shared.longest.load(SeqCst));
    let count = |count: &AtomicU64| count.load(SeqCst);
    println!(
        "{}: {} kills in {:.1} s, {} of them of one inside; {} ended inside; {} turns, {} told of a \
         death, {} repairs, {} given up, {} initialised again, {} timed out, {} busy; longest stall \
         {longest:?}, {} over a second, longest wait {:?}; the killer was late by {:?}",
        plan.name,
        campaign.kills,
        began.elapsed().as_secs_f64(),
        campaign.hits,
        campaign.left,
        count(&shared.turns),
        count(&shared.deaths),
        count(&shared.repairs),
        count(&shared.given_up),
        count(&shared.revived),
        count(&shared.timed_out),
        count(&shared.busy),
        count(&shared.stalls),
        Duration::from_nanos(count(&shared.longest_wait)),
        campaign.late,
    );
    assert!(longest < TOO_LONG);
    if !plan.aims_at_waiters {
        assert!(campaign.hits > 0 && count(&shared.deaths) > 0 && count(&shared.repairs) > 0);
    }
}

const PLAN: Plan =
    Plan { name: "", part: 4, has_sleeper: false, aims_at_waiters: false, has_two: false };

#[test]
fn kills_any() {
    campaign(Plan { name: "any", part: 1, ..PLAN });
}

#[test]
fn kills_with_one_that_always_waits() {
    campaign(Plan { name: "with one that always waits", has_sleeper: true, ..PLAN });
}

#[test]
fn kills_waiters() {
    campaign(Plan { name: "waiters", aims_at_waiters: true, ..PLAN });
}

#[test]
fn kills_two_in_opposite_order() {
    campaign(Plan { name: "two in opposite order", has_two: true, ..PLAN });
}
