//! shuttle: is the protocol right? Random schedules in which any sleep may be cut short by a signal, any
//! timed one by its deadline, and a thread may die before any of its steps.
//!
//! `RUSTFLAGS="--cfg pysync_shuttle" cargo test --release -p pysync-robust --test shuttle -- --nocapture`
//!
//! In a model each thread is a process. A thread that sleeps for ever is a deadlock, which shuttle
//! reports. Where a waiter may die, each sleep ends by itself.
#![cfg(pysync_shuttle)]

mod deaths;
mod initialise;
mod wakes;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use pysync_robust::model::{self, Block, Lived};
use pysync_robust::{Error, Kind, Ownership, Timeout};
use pysync_testing::model::{Section, TryOut};
use shuttle::rand::{self, Rng};

/// True once in so many times.
fn once_in(times: u32) -> bool {
    rand::thread_rng().gen_ratio(1, times)
}

/// A number below `end`.
fn below(end: u32) -> u32 {
    rand::thread_rng().gen_range(0..end)
}

fn any_kind() -> Kind {
    if once_in(2) { Kind::Plain } else { Kind::Recursive }
}

/// A deadline is within a waiter's first sleep.
fn any_timeout() -> Timeout {
    match below(4) {
        0 => Timeout::Try,
        1 => Timeout::After(Duration::from_micros(500)),
        _ => Timeout::Never,
    }
}

/// A block, and what is known of its owners.
#[derive(Default)]
struct Shared {
    block: Block,
    /// Where only the owner may be.
    section: Section,
    // No steps of the model. The owner stores to it.
    /// An owner has died, and no other has been told.
    untold: AtomicBool,
    /// How often the mutex was made where there was none.
    made: AtomicU32,
}

impl Shared {
    /// Without a mutex. Says at the start of each execution whether sleeps end by themselves.
    fn around(block: Block, bounded: bool) -> Self {
        model::begin(bounded);
        Self { block, ..Self::default() }
    }

    fn with(kind: Kind, bounded: bool) -> Self {
        let shared = Self::around(Block::default(), bounded);
        assert_eq!(shared.block.initialize(kind), Ok(()));
        shared
    }

    /// Acquires a mutex that the thread does not hold.
    fn acquire(&self, timeout: Timeout) -> Result<Ownership, Error> {
        let ownership = self.block.acquire(timeout)?;
        self.is_told(ownership);
        self.section.enter();
        Ok(ownership)
    }

    /// The caller is the owner. It is told of the death of an owner of which no other was told, and of no
    /// other.
    fn is_told(&self, ownership: Ownership) {
        let untold = self.untold.swap(false, Relaxed);
        assert_eq!(untold, ownership == Ownership::OwnerDied, "untold, or told twice");
    }

    /// Makes it new: what came before is told to none.
    fn initialize(&self, kind: Kind) -> Result<(), Error> {
        self.block.initialize_with(kind, || self.untold.store(false, Relaxed))
    }

    fn open(&self, kind: Kind, wait: Timeout) -> Result<bool, Error> {
        self.block.open_with(kind, wait, || self.untold.store(false, Relaxed))
    }

    /// Runs `body` on a thread that may die in its first `steps` steps, or live.
    fn may_die(&self, steps: u32, body: impl FnOnce()) {
        let step = if once_in(2) { below(steps) } else { u32::MAX };
        if model::live(step, body) == Lived::NotSoLong {
            self.dies();
        }
    }

    fn dies(&self) {
        if self.block.is_mine() {
            self.untold.store(true, Relaxed);
        }
        self.block.owner_dies();
    }

    /// All threads have ended. Whatever they have left, the mutex can be had.
    fn is_usable(&self) {
        let ownership = loop {
            match self.acquire(Timeout::Never) {
                Ok(ownership) => break ownership,
                Err(Error::NotRecoverable | Error::Destroyed | Error::Uninitialized) => {
                    assert_eq!(self.initialize(Kind::Plain), Ok(()));
                }
                Err(error) => panic!("{error:?}"),
            }
        };
        if ownership == Ownership::OwnerDied {
            assert_eq!(self.block.make_consistent(), Ok(()));
        }
        assert_eq!(self.block.release(), Ok(()));
        assert_eq!(self.block.release(), Err(Error::NotOwner));
        assert_eq!(self.acquire(Timeout::Try), Ok(Ownership::Clean));
    }
}
