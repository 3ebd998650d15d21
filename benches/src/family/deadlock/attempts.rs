//! Threads that need several monitors, in any order: those that are entered one by one, where deadlocks are broken and
//! tried again, beside locks that are known beforehand and taken in one order.

use std::cell::Cell;
use std::sync::Mutex;
use std::thread;

use happylock::{LockCollection, ThreadKey};
use pysync_monitor::{Deadlock, Monitor, attempt, enter_all};

use crate::cli::Matrix;
use crate::harness::{self, random, seed};
use crate::runner::{Entrant, Job, Pass, Plan, Sample};
use crate::stats::{jain, min_by_max};

const MONITORS: usize = 6;

pub(super) fn plan(matrix: &Matrix) -> Plan {
    let mut jobs = Vec::new();
    for yields in [0, 4] {
        for threads in matrix.threads_or(&[2, 8]) {
            let entrants = vec![
                Entrant::new("std sorted", move |pass| measure::<Sorted>(threads, yields, pass)),
                Entrant::new("happylock", move |pass| measure::<Happy>(threads, yields, pass)),
                // The same monitors, which are not known beforehand in the other.
                Entrant::new("enter_all", move |pass| measure::<EnterAll>(threads, yields, pass)),
                Entrant::new("pysync", move |pass| measure::<Attempts>(threads, yields, pass)),
            ];
            let share = if yields == 0 { "never".to_owned() } else { format!("1 in {yields}") };
            jobs.push(Job::new([("yields", share), ("threads", threads.to_string())], entrants));
        }
    }
    Plan {
        name: "deadlock attempts",
        title: "Monitor: attempts that need 2 to 4 of 6 in any order, and yield after an entry",
        unit: "k/s",
        higher_is_better: true,
        x: "threads",
        timed_rounds: 0,
        jobs,
    }
}

/// Numbers that look random, and when to yield.
struct Chance {
    state: Cell<u32>,
    /// After one entry in so many; 0 is never.
    yields: u32,
}

impl Chance {
    fn below(&self, bound: u32) -> u32 {
        let mut state = self.state.get();
        let number = random(&mut state) % bound;
        self.state.set(state);
        number
    }

    fn may_yield(&self) {
        if self.yields != 0 && self.below(self.yields) == 0 {
            thread::yield_now();
        }
    }

    /// 2 to 4 of the monitors in any order, the first ones of `all`.
    fn order<'a>(&self, all: &'a mut [usize; MONITORS]) -> &'a mut [usize] {
        for at in (1..MONITORS).rev() {
            all.swap(at, self.below(at as u32 + 1) as usize);
        }
        &mut all[..2 + self.below(3) as usize]
    }
}

trait Locks: Sync {
    fn new() -> Self;
    /// Adds one to each; returns how often that was aborted.
    fn add(&self, order: &mut [usize], chance: &Chance) -> u64;
    /// The sum of all.
    fn total(self) -> u64;
}

struct Attempts([Monitor<u64>; MONITORS]);

impl Attempts {
    fn go(&self, order: &[usize], chance: &Chance) -> Result<(), Deadlock> {
        let Some((&first, rest)) = order.split_first() else { return Ok(()) };
        self.0[first].enter(|mut count| {
            chance.may_yield();
            self.go(rest, chance)?;
            *count += 1;
            Ok(())
        })?
    }
}

impl Locks for Attempts {
    fn new() -> Self {
        Self(Default::default())
    }

    fn add(&self, order: &mut [usize], chance: &Chance) -> u64 {
        let mut tries = 0;
        attempt(|| {
            tries += 1;
            self.go(order, chance)
        })
        .expect("the thread is inside of nothing before");
        tries - 1
    }

    fn total(self) -> u64 {
        self.0.into_iter().map(Monitor::into_inner).sum()
    }
}

struct EnterAll([Monitor<u64>; MONITORS]);

impl Locks for EnterAll {
    fn new() -> Self {
        Self(Default::default())
    }

    fn add(&self, order: &mut [usize], chance: &Chance) -> u64 {
        let monitors: Vec<_> = order.iter().map(|&i| &self.0[i]).collect();
        let entered = enter_all(&*monitors, |counts| {
            for mut count in counts {
                chance.may_yield();
                *count += 1;
            }
        });
        entered.expect("they differ");
        0
    }

    fn total(self) -> u64 {
        self.0.into_iter().map(Monitor::into_inner).sum()
    }
}

struct Sorted([Mutex<u64>; MONITORS]);

impl Locks for Sorted {
    fn new() -> Self {
        Self(Default::default())
    }

    fn add(&self, order: &mut [usize], chance: &Chance) -> u64 {
        order.sort_unstable();
        let lock = |&mut i: &mut usize| {
            let guard = self.0[i].lock().expect("no thread panics");
            chance.may_yield();
            guard
        };
        let guards: Vec<_> = order.iter_mut().map(lock).collect();
        guards.into_iter().for_each(|mut count| *count += 1);
        0
    }

    fn total(self) -> u64 {
        self.0.into_iter().map(|count| count.into_inner().expect("no thread panics")).sum()
    }
}

struct Happy([happylock::Mutex<u64>; MONITORS]);

impl Locks for Happy {
    fn new() -> Self {
        Self([(); MONITORS].map(|()| happylock::Mutex::new(0)))
    }

    fn add(&self, order: &mut [usize], chance: &Chance) -> u64 {
        let locks: Vec<_> = order.iter().map(|&i| &self.0[i]).collect();
        let all = LockCollection::try_new(locks).expect("they differ");
        let mut counts = all.lock(ThreadKey::get().expect("a thread locks once at a time"));
        for count in counts.iter_mut() {
            chance.may_yield();
            **count += 1;
        }
        0
    }

    fn total(self) -> u64 {
        self.0.into_iter().map(happylock::Mutex::into_inner).sum()
    }
}

fn measure<L: Locks>(threads: usize, yields: u32, pass: Pass) -> Sample {
    let locks = L::new();
    let seen = harness::run(threads, &[], pass.window, |worker| {
        let chance = Chance { state: Cell::new(seed(worker.id)), yields };
        let mut all: [usize; MONITORS] = std::array::from_fn(|i| i);
        let (mut aborts, mut entries) = (0, 0);
        let attempts = worker.repeat(|| {
            let order = chance.order(&mut all);
            entries += order.len() as u64;
            aborts += locks.add(order, &chance);
        });
        [attempts, aborts, entries]
    });
    let total = |part: usize| seen.results.iter().map(|tally| tally[part]).sum::<u64>();
    assert_eq!(locks.total(), total(2), "two threads were inside at once");
    Sample::new(seen.mops() * 1e3)
        .with("aborts_each", total(1) as f64 / total(0).max(1) as f64)
        .with("jain", jain(&seen.shares))
        .with("min_by_max", min_by_max(&seen.shares))
}
