//! A region is what a child does with the mutex, one instruction after the other, and what others do
//! meanwhile.
//!
//! Where something else goes before it, the sweep begins after the last system call before the first
//! change of the mutex's bytes: until then nothing has happened that another process could see.

use std::collections::HashMap;
use std::time::Duration;

use pysync_robust::{Error, Kind, Ownership, SIZE, State, Timeout};
use pysync_testing::{Watchdog, watchdog_for};

use crate::common::{Memory, SECOND, Status, child};
use crate::trace::{At, Call, Traced};
use crate::waiter::{Sleep, Waiter};

/// There are hundreds of children in each test, so it may take longer than others on a busy machine.
pub(crate) fn patience() -> Watchdog {
    watchdog_for(Duration::from_secs(300))
}

/// What the next one may find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Acquires(Ownership),
    Fails(Error),
}

/// What a child does, which dies on the way.
pub(crate) struct Region {
    pub(crate) name: &'static str,
    /// The bytes of the mutex before it.
    pub(crate) block: [u8; SIZE],
    /// What the child does before the sweep begins.
    pub(crate) before: fn(&Memory),
    pub(crate) body: fn(&Memory),
    /// Where it is killed.
    pub(crate) points: Points,
    /// Who else wants the mutex.
    pub(crate) other: Other,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Points {
    /// After each instruction.
    All,
    /// Before and after each instruction that changes the bytes of the mutex. If the child holds
    /// nothing, neither in its list nor as the mutex that it is about to lock, a death between two
    /// changes leaves what a death right after the first one does.
    Changes,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Other {
    None,
    /// The test holds the mutex until the child sleeps.
    Holder,
    /// A process sleeps until it gets the mutex, from the child.
    Waiter,
    /// The test holds the mutex until both sleep, the child and then a process.
    HolderAndWaiter,
    /// None, and the child is the first in its process to lock any.
    Stranger,
}

/// An unoptimised build has ten times as many instructions, most of them in functions that would be
/// inlined. There a child is killed after each of so many, and around each change of the bytes.
pub(crate) const DEBUG_STRIDE: usize = 7;

/// What a region does if the child is not killed.
#[derive(Default)]
pub(crate) struct Survey {
    /// How many system calls there are before the sweep begins.
    pub(crate) skipped: usize,
    /// Where the child is after each instruction from there on, before the first one to begin with, and
    /// how often it has been there by then.
    pub(crate) places: Vec<(usize, usize)>,
    /// After which of these the bytes are others than before.
    pub(crate) changes: Vec<usize>,
    pub(crate) calls: Vec<Call>,
}

/// A region under way.
pub(crate) struct Run<'a> {
    pub(crate) region: &'a Region,
    pub(crate) memory: &'a Memory,
    pub(crate) waiter: Option<&'a mut Waiter>,
    pub(crate) child: Traced,
    /// The test holds the mutex.
    pub(crate) is_held: bool,
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        region: &'a Region,
        memory: &'a Memory,
        mut waiter: Option<&'a mut Waiter>,
    ) -> Self {
        memory.set_block(&region.block);
        let is_held = matches!(region.other, Other::Holder | Other::HolderAndWaiter);
        if is_held {
            assert!(memory.mutex().acquire(Timeout::Try).is_ok());
        }
        let before = || {
            if region.other != Other::Stranger {
                // musl tells the kernel of its list at the first lock of a process.
                let other = memory.mutex_at(1);
                assert_eq!(other.acquire(Timeout::Try), Ok(Ownership::Clean));
                other.release().unwrap();
            }
            (region.before)(memory);
        };
        let child = Traced::new(before, || (region.body)(memory));
        if let (Some(waiter), Other::Waiter) = (&mut waiter, region.other) {
            waiter.go(memory);
        }
        Self { region, memory, waiter, child, is_held }
    }

    /// One instruction.
    pub(crate) fn step(&mut self) -> At {
        if !self.is_held {
            return self.child.step();
        }
        self.with_turn(|child, turn| child.step_idly(turn))
    }

    /// Has the child go on. While it does, and sleeps, it is the turn of the test, which holds the mutex.
    pub(crate) fn with_turn(
        &mut self,
        go: impl FnOnce(&mut Traced, &mut dyn FnMut(&Traced)) -> At,
    ) -> At {
        let Self { region, memory, child, waiter, is_held } = self;
        let mut sleep = Sleep::default();
        go(child, &mut |child| {
            if *is_held && sleep.has_begun(memory, child.pid()) {
                if let (Some(waiter), Other::HolderAndWaiter) = (&mut *waiter, region.other) {
                    waiter.go(memory);
                }
                *is_held = false;
                memory.mutex().release().unwrap();
            }
        })
    }

    pub(crate) fn let_go(&mut self) {
        if self.is_held {
            self.is_held = false;
            self.memory.mutex().release().unwrap();
        }
    }

    /// Goes through all of it.
    pub(crate) fn survey(mut self) -> Survey {
        let mut survey = Survey::default();
        let mut begins = 0;
        let mut places = vec![];
        let mut seen = self.memory.block();
        loop {
            let mut registers = self.child.registers();
            places.push(registers.rip as usize);
            if let Some(call) = self.child.next_call(&registers) {
                survey.calls.push(call);
                if call.is_sleep() && self.is_held {
                    // By single steps it is late for its first sleeps. One that lasts is enough.
                    registers.r10 = 0;
                    self.child.set_registers(&registers);
                }
                // All that no other process could see is skipped.
                if survey.changes.is_empty() {
                    survey.skipped = survey.calls.len();
                    begins = places.len();
                }
            }
            match self.step() {
                At::Stopped => {}
                At::Ended(status) => {
                    assert_eq!(status, Status::Exited(0), "{}", self.region.name);
                    break;
                }
            }
            let block = self.memory.block();
            if block != seen {
                seen = block;
                survey.changes.push(places.len());
            }
        }
        if survey.changes.is_empty() {
            (survey.skipped, begins) = (0, 0);
        }
        self.let_go();
        survey.changes.iter_mut().for_each(|step| *step -= begins);
        let mut visits = HashMap::new();
        survey.places.extend(places.drain(begins..).map(|place| {
            let times = visits.entry(place).or_insert(0);
            *times += 1;
            (place, *times)
        }));
        survey
    }

    /// Goes to where the sweep begins.
    pub(crate) fn skip(&mut self, calls: usize) {
        for _ in 0..2 * calls {
            assert_eq!(self.child.go_to_border(), At::Stopped);
        }
    }

    /// Goes on to a point of the sweep.
    pub(crate) fn go_to(&mut self, (place, nth): (usize, usize)) -> At {
        self.with_turn(|child, turn| child.go_to(place, nth, turn))
    }

    /// What the next one is going to find if the child dies here.
    pub(crate) fn next(&self) -> Next {
        let is_inside = !self.memory.data().is_whole();
        let its = self.memory.is_owned_by(self.child.pid());
        assert!(its || !is_inside, "the child is inside and does not hold the mutex");
        match self.memory.mutex().state().expect("a block of ours") {
            State::Held { inconsistent: true, .. } | State::OwnerDied => {
                Next::Acquires(Ownership::OwnerDied)
            }
            State::Held { .. } if its => Next::Acquires(Ownership::OwnerDied),
            State::Held { .. } | State::Free => Next::Acquires(Ownership::Clean),
            State::NotRecoverable => Next::Fails(Error::NotRecoverable),
            State::Destroyed => Next::Fails(Error::Destroyed),
            State::Initializing => {
                // Two that initialise would be as bad as two owners.
                let second = self.memory.mutex().initialize(Kind::Plain);
                assert_eq!(second, Err(Error::Initializing));
                Next::Fails(Error::Uninitialized)
            }
            State::Uninitialized => Next::Fails(Error::Uninitialized),
            state => panic!("{state:?}"),
        }
    }
}

/// Memory with a mutex at each of the two places that a region uses.
pub(crate) fn memory_for_two() -> Memory {
    let memory = Memory::with_mutex(Kind::Plain);
    memory.mutex_at(1).initialize(Kind::Plain).unwrap();
    memory
}

/// The bytes of a mutex with which something has happened.
pub(crate) fn block(kind: Kind, happens: impl FnOnce(&Memory)) -> [u8; SIZE] {
    let memory = Memory::with_mutex(kind);
    happens(&memory);
    let block = memory.block();
    // The thread must not hold what is about to be unmapped.
    let _ = memory.mutex().release();
    block
}

/// An owner has died.
pub(crate) fn owner_dies(memory: &Memory) {
    child(|| assert_eq!(memory.mutex().acquire(SECOND), Ok(Ownership::Clean))).succeeds();
    assert_eq!(memory.mutex().state(), Ok(State::OwnerDied));
}

/// An owner has died, and the next has given up.
pub(crate) fn is_lost(memory: &Memory) {
    owner_dies(memory);
    assert_eq!(memory.mutex().acquire(SECOND), Ok(Ownership::OwnerDied));
    memory.mutex().give_up().unwrap();
}

pub(crate) fn is_destroyed(memory: &Memory) {
    memory.mutex().destroy().unwrap();
}

pub(crate) fn nothing(_: &Memory) {}

/// Changes the data, as an owner does.
pub(crate) fn use_it(memory: &Memory) {
    memory.data().begin();
    memory.data().end();
}

pub(crate) fn acquire(memory: &Memory) {
    assert_eq!(memory.mutex().acquire(Timeout::Never), Ok(Ownership::Clean));
}

pub(crate) fn acquire_after_death(memory: &Memory) {
    assert_eq!(memory.mutex().acquire(Timeout::Never), Ok(Ownership::OwnerDied));
}

pub(crate) fn release(memory: &Memory) {
    memory.mutex().release().unwrap();
}

pub(crate) fn repair(memory: &Memory) {
    memory.data().repair();
    memory.mutex().make_consistent().unwrap();
}

pub(crate) fn give_up(memory: &Memory) {
    memory.mutex().give_up().unwrap();
}

pub(crate) fn acquire_use_release(memory: &Memory) {
    acquire(memory);
    use_it(memory);
    release(memory);
}

pub(crate) fn initialize(memory: &Memory) {
    memory.mutex().initialize(Kind::Plain).unwrap();
}
