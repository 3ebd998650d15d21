//! loom: are the orderings enough, is no wake lost, and does each death leave what the next owner can
//! go on from? Two threads, or three within a bound of preemptions.
//!
//! `RUSTFLAGS="--cfg pysync_loom" cargo test --release -p pysync-robust --test loom -- --nocapture`
//!
//! In a model each thread is a process. Two owners show as two accesses to a `Section` that nothing
//! orders. Sleeps have no bound here unless a model says so: a lost wake shows as a deadlock. A thread
//! that dies does so before one access to a word of the block, and a model is explored for each of
//! them.
#![cfg(pysync_loom)]

mod deaths;
mod ends;
mod initialise;
mod revive;
mod wakes;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use pysync_robust::model::{self, Block, Lived};
use pysync_robust::{Error, Kind, Ownership, Timeout};
use pysync_testing::model::{Data, Explore, Section};

/// Soon for a waiter: within its first sleep, which may end before it is woken or after.
const SOON: Timeout = Timeout::After(Duration::from_micros(500));

/// A block, and what the threads of a model do with it.
#[derive(Default)]
struct Shared {
    block: Block,
    /// Where only the owner may be.
    section: Section,
    /// Written by one thread, and read by those that have learnt of it from the block.
    data: Data,
    /// The step at which a thread dies: see [`dies`](Self::dies).
    step: u32,
    // No step of the model.
    /// How often a thread has made the mutex.
    made: AtomicU32,
    /// How many were told that an owner has died.
    told: AtomicU32,
    /// How many owners have died.
    owners_died: AtomicU32,
}

/// Whether a thread has died in any execution of a model.
static DIED: AtomicBool = AtomicBool::new(false);

impl Shared {
    /// Around a block that is as [`Block::default`] is, at the start of an execution.
    fn around(block: Block, step: u32) -> Self {
        Self { block, step, ..Self::default() }
    }

    /// With a mutex of that kind. Sleeps have no bound.
    fn with(kind: Kind, step: u32) -> Self {
        model::begin(false);
        let shared = Self::around(Block::default(), step);
        assert_eq!(shared.block.initialize(kind), Ok(()));
        shared
    }

    fn plain() -> Self {
        Self::with(Kind::Plain, u32::MAX)
    }

    /// Goes in, and out again.
    fn enter(&self, timeout: Timeout) -> Result<Ownership, Error> {
        let ownership = self.block.acquire(timeout)?;
        self.section.enter();
        if ownership == Ownership::OwnerDied {
            self.told.fetch_add(1, Relaxed);
            self.block.make_consistent()?;
        }
        self.block.release()?;
        Ok(ownership)
    }

    /// Runs `body` on a thread that dies at the model's step, if it comes to that.
    fn dies(&self, body: impl FnOnce()) -> Lived {
        let lived = model::live(self.step, body);
        if lived == Lived::NotSoLong {
            DIED.store(true, Relaxed);
            self.owners_died.fetch_add(self.block.is_mine().into(), Relaxed);
            self.block.owner_dies();
        }
        lived
    }

    /// The mutex is there and free.
    fn is_usable(&self) {
        assert_eq!(self.block.attach(), Ok(()));
        let ownership = self.block.acquire(Timeout::Try).unwrap();
        self.section.enter();
        if ownership == Ownership::OwnerDied {
            self.told.fetch_add(1, Relaxed);
            assert_eq!(self.block.make_consistent(), Ok(()));
        }
        assert_eq!(self.block.release(), Ok(()));
        assert_eq!(self.block.acquire(Timeout::Try), Ok(Ownership::Clean));
        assert_eq!(self.block.release(), Ok(()));
    }
}

/// Explores a model in the orders with at most so many preemptions.
fn check_within<const N: usize>(
    preemptions: usize,
    name: &str,
    shared: fn() -> Shared,
    bodies: [fn(&Shared); N],
    after: fn(&Shared),
) {
    Explore::new(name).preemptions(preemptions).run(shared, bodies, after);
}

/// [`check_within`] two preemptions for two threads, and one for three.
fn check<const N: usize>(
    name: &str,
    shared: fn() -> Shared,
    bodies: [fn(&Shared); N],
    after: fn(&Shared),
) {
    check_within(if N == 2 { 2 } else { 1 }, name, shared, bodies, after);
}

/// [`check_within`] two preemptions, for a thread that dies at each of its steps, one after the other.
fn check_each_death<const N: usize>(
    name: &str,
    shared: fn(u32) -> Shared,
    bodies: [fn(&Shared); N],
    after: fn(&Shared),
) {
    check_each_death_within(2, name, shared, bodies, after);
}

fn check_each_death_within<const N: usize>(
    preemptions: usize,
    name: &str,
    shared: fn(u32) -> Shared,
    bodies: [fn(&Shared); N],
    after: fn(&Shared),
) {
    for step in 0.. {
        DIED.store(false, Relaxed);
        let model = Explore::new(format!("{name}, a death at step {step}"));
        model.preemptions(preemptions).run(move || shared(step), bodies, after);
        if !DIED.load(Relaxed) {
            return;
        }
    }
}
