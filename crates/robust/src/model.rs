//! The protocol for models: a block that lies in no buffer, and what the kernel does.
//!
//! In a model each thread is a process. It dies where [`live`] says, and then its body does what the
//! kernel would: [`Block::owner_dies`].

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use pysync_platform::primitive::atomic::AtomicU64;
use pysync_platform::primitive::{model_static, plain};
use pysync_platform::{LockFlags, Native, Runtime};

pub use crate::death::{Lived, live};
use crate::inner::Awake;
use crate::{Error, Kind, Ownership, State, Timeout, block};

/// A block. Its methods are those of [`RawMutex`](crate::RawMutex).
#[derive(Default)]
pub struct Block(block::Block);

#[allow(missing_docs)]
impl Block {
    pub fn attach(&self) -> Result<(), Error> {
        self.0.attach()
    }

    pub fn initialize(&self, kind: Kind) -> Result<(), Error> {
        self.0.initialize(kind, 0, || ())
    }

    pub fn initialize_with(&self, kind: Kind, prepare: impl FnOnce()) -> Result<(), Error> {
        self.0.initialize(kind, 0, prepare)
    }

    pub fn open(&self, kind: Kind, wait: Timeout) -> Result<bool, Error> {
        self.0.open(kind, 0, wait, || ())
    }

    pub fn open_with(
        &self,
        kind: Kind,
        wait: Timeout,
        prepare: impl FnOnce(),
    ) -> Result<bool, Error> {
        self.0.open(kind, 0, wait, prepare)
    }

    pub fn acquire(&self, timeout: Timeout) -> Result<Ownership, Error> {
        self.acquire_with(timeout, LockFlags::empty())
    }

    pub fn acquire_with(&self, timeout: Timeout, flags: LockFlags) -> Result<Ownership, Error> {
        self.0.acquire::<Native>(timeout, flags)
    }

    pub fn release(&self) -> Result<(), Error> {
        self.0.release()
    }

    pub fn make_consistent(&self) -> Result<(), Error> {
        self.0.make_consistent()
    }

    pub fn give_up(&self) -> Result<(), Error> {
        self.0.give_up()
    }

    pub fn destroy(&self) -> Result<(), Error> {
        self.0.destroy()
    }

    pub fn state(&self) -> Result<State, Error> {
        self.0.look()
    }

    /// Bytes that are no mutex, and not zero.
    pub fn garbage() -> Self {
        let block = Self::default();
        block.0.state.store(0x5eed, Relaxed);
        block
    }

    /// Whether the calling thread is the owner.
    pub fn is_mine(&self) -> bool {
        self.0.inner.is_mine()
    }

    /// The calling thread has died: what the kernel does. Its claims are those of a dead process from
    /// now on, and it does nothing more.
    pub fn owner_dies(&self) {
        // Before its mutex is marked: the kernel does that on the way out.
        // Ordering: Release, with the Acquire of `is_dead`: who finds a process dead sees all that it
        // has stored.
        DEAD.fetch_or(1 << (Native::thread_ident() % 64), Release);
        self.0.inner.owner_dies();
    }
}

model_static! {
    /// The threads that have died, by their idents modulo 64.
    static DEAD: AtomicU64 = AtomicU64::new(0)
}

// Not the checker's atomics: these are the environment of a model.
static BOUNDED: AtomicBool = AtomicBool::new(false);
static BOOT: plain::AtomicU64 = plain::AtomicU64::new(1);

/// To be called at the start of each execution. `bounded`: each sleep may end by itself at any time, as
/// it does by its slice.
pub fn begin(bounded: bool) {
    BOUNDED.store(bounded, Relaxed);
    BOOT.store(1, Relaxed);
}

/// The system has booted again. Blocks stay as they are, as those in files do.
pub fn reboot() {
    BOOT.fetch_add(1, Relaxed);
}

pub(crate) fn boot() -> u64 {
    BOOT.load(Relaxed)
}

pub(crate) fn is_dead(pid: u32) -> bool {
    DEAD.load(Acquire) & 1 << (pid % 64) != 0
}

/// How a sleep ends without a wake, if it does. Time passes for the caller until then.
#[cfg(pysync_loom)]
pub(crate) fn sleep_ends(timed: bool) -> Option<Awake> {
    if !timed && !BOUNDED.load(Relaxed) {
        return None;
    }
    pysync_platform::primitive::yield_now();
    Some(Awake::TimedOut)
}

/// How a sleep ends without a wake, if it does. Time passes for the caller until then.
#[cfg(all(pysync_shuttle, not(pysync_loom)))]
pub(crate) fn sleep_ends(timed: bool) -> Option<Awake> {
    use pysync_platform::primitive::checker::{rand, thread};
    use rand::Rng;

    let mut random = rand::thread_rng();
    let interrupted = random.gen_ratio(1, 8);
    if !timed && !BOUNDED.load(Relaxed) && !interrupted {
        return None;
    }
    for _ in 0..random.gen_range(0..4) {
        thread::yield_now();
    }
    Some(if interrupted { Awake::Interrupted } else { Awake::TimedOut })
}
