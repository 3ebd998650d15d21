//! A process is killed after every single instruction of what it does with a mutex. Then the next one
//! gets the mutex within a second, and is told of the death exactly if the dead one had it.
//!
//! A region is the part of a child that is swept. Where something else goes before it, the sweep
//! begins after the last system call before the first change of the mutex's bytes: until then nothing
//! has happened that anybody else could see.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use pysync_robust::{Error, Kind, Ownership, SIZE, State, Timeout};
use pysync_testing::{Watchdog, wait_until, watchdog_for};

use crate::common::{Child, Memory, SECOND, Status, child, state_of};
use crate::trace::{At, Call, Traced};

/// There are hundreds of children in each test, so it may take longer than others on a busy machine.
fn patience() -> Watchdog {
    watchdog_for(Duration::from_secs(300))
}

/// What the next one may find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Acquires(Ownership),
    Fails(Error),
}

/// What a child does, which dies on the way.
struct Region {
    name: &'static str,
    /// The bytes of the mutex before it.
    block: [u8; SIZE],
    /// What the child does before the sweep begins.
    before: fn(&Memory),
    body: fn(&Memory),
    /// Where it is killed.
    points: Points,
    /// Who else wants the mutex.
    other: Other,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Points {
    /// After each instruction.
    All,
    /// Before and after each instruction that changes the bytes of the mutex. If the child holds
    /// nothing, neither in its list nor as the mutex that it is about to lock, a death between two
    /// changes leaves what a death right after the first one does.
    Changes,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Other {
    Nobody,
    /// The test holds the mutex until the child sleeps.
    Holder,
    /// A process sleeps until it gets the mutex, from the child.
    Waiter,
    /// The test holds the mutex until both sleep, the child and then a process.
    HolderAndWaiter,
    /// Nobody, and the child is the first in its process to lock any.
    Stranger,
}

/// An unoptimised build has ten times as many instructions, most of them in functions that would be
/// inlined. There a child is killed after each of so many, and around each change of the bytes.
const DEBUG_STRIDE: usize = 7;

/// What a region does if nobody is killed.
#[derive(Default)]
struct Survey {
    /// How many system calls there are before the sweep begins.
    skipped: usize,
    /// Where the child is after each instruction from there on, before the first one to begin with, and
    /// how often it has been there by then.
    places: Vec<(usize, usize)>,
    /// After which of these the bytes are others than before.
    changes: Vec<usize>,
    calls: Vec<Call>,
}

/// Whether a process sleeps until it gets the mutex. A busy machine may not run the test while it
/// sleeps, which is for a millisecond at first: then it has done so before.
#[derive(Default)]
struct Sleep {
    announced: Option<Instant>,
}

impl Sleep {
    fn has_begun(&mut self, memory: &Memory, pid: libc::pid_t) -> bool {
        if !memory.has_waiters() {
            return false;
        }
        let since = *self.announced.get_or_insert_with(Instant::now);
        state_of(pid) == Some('S') || since.elapsed() > Duration::from_millis(10)
    }

    fn wait(memory: &Memory, pid: libc::pid_t) {
        let mut sleep = Self::default();
        while !sleep.has_begun(memory, pid) {
            thread::yield_now();
        }
    }
}

/// A process that acquires the mutex each time that it is told to.
struct Waiter {
    process: Child,
    /// It was told to, and nobody has asked for the result.
    is_waiting: bool,
    longest: Duration,
}

// The cells of the waiter.
const GO: usize = 0;
const BEGUN: usize = 1;
const DONE: usize = 2;
const RESULT: usize = 3;
const CLEAN: u32 = 1000;
const OWNER_DIED: u32 = 1001;
const BROKEN: u32 = 1002;

impl Waiter {
    fn new(memory: &Memory) -> Self {
        memory.cell(GO).store(0, SeqCst);
        memory.cell(BEGUN).store(0, SeqCst);
        memory.cell(DONE).store(0, SeqCst);
        let process = child(|| {
            let mutex = memory.mutex();
            for turn in 1.. {
                wait_until(|| memory.cell(GO).load(SeqCst) == turn);
                memory.cell(BEGUN).store(turn, SeqCst);
                let result = match mutex.acquire(Timeout::Never) {
                    Ok(Ownership::Clean) if !memory.data().is_whole() => BROKEN,
                    Ok(Ownership::Clean) => CLEAN,
                    Ok(Ownership::OwnerDied) => {
                        memory.data().repair();
                        mutex.make_consistent().unwrap();
                        OWNER_DIED
                    }
                    Err(error) => error.errno() as u32,
                };
                if result >= CLEAN {
                    mutex.release().unwrap();
                }
                memory.cell(RESULT).store(result, SeqCst);
                memory.cell(DONE).store(turn, SeqCst);
            }
        });
        Self { process, is_waiting: false, longest: Duration::ZERO }
    }

    /// It goes to sleep.
    fn go(&mut self, memory: &Memory) {
        self.is_waiting = true;
        let turn = memory.cell(GO).fetch_add(1, SeqCst) + 1;
        wait_until(|| memory.cell(BEGUN).load(SeqCst) == turn);
        Sleep::wait(memory, self.process.pid);
    }

    /// What it has got.
    fn result(&mut self, memory: &Memory) -> Next {
        self.is_waiting = false;
        let began = Instant::now();
        let is_done = || memory.cell(DONE).load(SeqCst) == memory.cell(GO).load(SeqCst);
        wait_until(|| is_done() || began.elapsed() > Duration::from_secs(2));
        assert!(is_done(), "a waiter sleeps for ever: {:?}", memory.mutex());
        self.longest = self.longest.max(began.elapsed());
        match memory.cell(RESULT).load(SeqCst) {
            CLEAN => Next::Acquires(Ownership::Clean),
            OWNER_DIED => Next::Acquires(Ownership::OwnerDied),
            BROKEN => panic!("a waiter finds the data broken, and nobody has told it"),
            errno if errno == libc::ENOTRECOVERABLE as u32 => Next::Fails(Error::NotRecoverable),
            errno => panic!("a waiter fails with {errno}"),
        }
    }
}

/// A region under way.
struct Run<'a> {
    region: &'a Region,
    memory: &'a Memory,
    waiter: Option<&'a mut Waiter>,
    child: Traced,
    /// The test holds the mutex.
    is_held: bool,
}

impl<'a> Run<'a> {
    fn new(region: &'a Region, memory: &'a Memory, mut waiter: Option<&'a mut Waiter>) -> Self {
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
    fn step(&mut self) -> At {
        if !self.is_held {
            return self.child.step();
        }
        self.with_turn(|child, turn| child.step_idly(turn))
    }

    /// Has the child go on. While it does, and sleeps, it is the turn of the test, which holds the mutex.
    fn with_turn(&mut self, go: impl FnOnce(&mut Traced, &mut dyn FnMut(&Traced)) -> At) -> At {
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

    fn let_go(&mut self) {
        if self.is_held {
            self.is_held = false;
            self.memory.mutex().release().unwrap();
        }
    }

    /// Goes through all of it.
    fn survey(mut self) -> Survey {
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
                // All that nobody else could see is skipped.
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
    fn skip(&mut self, calls: usize) {
        for _ in 0..2 * calls {
            assert_eq!(self.child.go_to_border(), At::Stopped);
        }
    }

    /// Goes on to a point of the sweep.
    fn go_to(&mut self, (place, nth): (usize, usize)) -> At {
        self.with_turn(|child, turn| child.go_to(place, nth, turn))
    }

    /// What the next one is going to find if the child dies here.
    fn next(&self) -> Next {
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

/// The child is dead. If no waiter is the next one, the test is; true then.
fn judge(memory: &Memory, expected: Next, waiter: Option<&mut Waiter>) -> bool {
    if let Some(waiter) = waiter.filter(|waiter| waiter.is_waiting) {
        let found = waiter.result(memory);
        // If both slept, the waiter may have been quicker than the child.
        let is_before = Next::Acquires(Ownership::Clean);
        if found == expected || found != is_before {
            assert_eq!(found, expected);
            return false;
        }
    }
    let found = match memory.mutex().acquire(SECOND) {
        Ok(ownership) => Next::Acquires(ownership),
        Err(error) => Next::Fails(error),
    };
    assert_eq!(found, expected);
    true
}

/// Brings the mutex back to use, whatever it is now, and sees that it is like any other.
fn revive(memory: &Memory, found: Next, is_held: bool) {
    let mutex = memory.mutex();
    match found {
        Next::Acquires(ownership) if is_held => {
            if ownership == Ownership::OwnerDied {
                memory.data().repair();
                mutex.make_consistent().unwrap();
            }
            mutex.release().unwrap();
        }
        Next::Acquires(_) => {}
        Next::Fails(_) => mutex.initialize(Kind::Plain).unwrap(),
    }
    assert!(memory.is_sound());
}

/// Memory with a mutex at each of the two places that a region uses.
fn memory_for_two() -> Memory {
    let memory = Memory::with_mutex(Kind::Plain);
    memory.mutex_at(1).initialize(Kind::Plain).unwrap();
    memory
}

/// Kills a child at each point of the region.
fn sweep(region: &Region) {
    let memory = memory_for_two();
    if region.other != Other::Stranger {
        // A child goes on with what the test's thread knows of its list, which it learns here.
        assert!(memory.is_sound());
    }
    let has_waiter = matches!(region.other, Other::Waiter | Other::HolderAndWaiter);
    let mut waiter = has_waiter.then(|| Waiter::new(&memory));
    let survey = Run::new(region, &memory, waiter.as_mut()).survey();
    if let Some(waiter) = &mut waiter {
        waiter.result(&memory);
    }
    let every = if cfg!(debug_assertions) { DEBUG_STRIDE } else { 1 };
    let steps = survey.places.len();
    let mut points: BTreeSet<usize> =
        survey.changes.iter().flat_map(|&step| [step - 1, step]).collect();
    if region.points == Points::All {
        points.extend((0..steps).step_by(every));
    }
    let began = Instant::now();
    let (mut ended, mut told, mut failed) = (0, 0, 0);
    for &point in &points {
        let mut run = Run::new(region, &memory, waiter.as_mut());
        run.skip(survey.skipped);
        // One that sleeps takes more instructions now and fewer then.
        if run.go_to(survey.places[point]) != At::Stopped {
            ended += 1;
            run.let_go();
            if let Some(waiter) = waiter.as_mut().filter(|waiter| waiter.is_waiting) {
                waiter.result(&memory);
            }
            continue;
        }
        let expected = run.next();
        run.child.kill();
        run.let_go();
        if region.other == Other::Stranger {
            let stranger = || revive(&memory, expected, judge(&memory, expected, None));
            thread::scope(|s| s.spawn(stranger).join().unwrap());
        } else {
            let is_held = judge(&memory, expected, waiter.as_mut());
            revive(&memory, expected, is_held);
        }
        match expected {
            Next::Acquires(Ownership::Clean) => {}
            Next::Acquires(Ownership::OwnerDied) => told += 1,
            Next::Fails(_) => failed += 1,
        }
    }
    println!(
        "{}: {steps} instructions, killed at {} points, the next was told of {told} deaths and found no \
         mutex after {failed}; {:.1} s{}",
        region.name,
        points.len() - ended,
        began.elapsed().as_secs_f64(),
        waiter.map_or(String::new(), |waiter| format!(", a waiter waited {:?}", waiter.longest)),
    );
    assert!(ended <= points.len() / 10, "{ended} of {} were not killed", points.len());
}

/// The bytes of a mutex with which something has happened.
fn block(kind: Kind, happens: impl FnOnce(&Memory)) -> [u8; SIZE] {
    let memory = Memory::with_mutex(kind);
    happens(&memory);
    let block = memory.block();
    // The thread must not hold what is about to be unmapped.
    let _ = memory.mutex().release();
    block
}

/// An owner has died.
fn owner_dies(memory: &Memory) {
    child(|| assert_eq!(memory.mutex().acquire(SECOND), Ok(Ownership::Clean))).succeeds();
    assert_eq!(memory.mutex().state(), Ok(State::OwnerDied));
}

/// An owner has died, and the next has given up.
fn is_lost(memory: &Memory) {
    owner_dies(memory);
    assert_eq!(memory.mutex().acquire(SECOND), Ok(Ownership::OwnerDied));
    memory.mutex().give_up().unwrap();
}

fn is_destroyed(memory: &Memory) {
    memory.mutex().destroy().unwrap();
}

fn nothing(_: &Memory) {}

/// Changes the data, as an owner does.
fn use_it(memory: &Memory) {
    memory.data().begin();
    memory.data().end();
}

fn acquire(memory: &Memory) {
    assert_eq!(memory.mutex().acquire(Timeout::Never), Ok(Ownership::Clean));
}

fn acquire_after_death(memory: &Memory) {
    assert_eq!(memory.mutex().acquire(Timeout::Never), Ok(Ownership::OwnerDied));
}

fn release(memory: &Memory) {
    memory.mutex().release().unwrap();
}

fn repair(memory: &Memory) {
    memory.data().repair();
    memory.mutex().make_consistent().unwrap();
}

fn give_up(memory: &Memory) {
    memory.mutex().give_up().unwrap();
}

fn acquire_use_release(memory: &Memory) {
    acquire(memory);
    use_it(memory);
    release(memory);
}

fn initialize(memory: &Memory) {
    memory.mutex().initialize(Kind::Plain).unwrap();
}

#[test]
fn acquire_and_release() {
    let _watchdog = patience();
    sweep(&Region {
        name: "acquire and release",
        block: block(Kind::Plain, nothing),
        before: nothing,
        body: acquire_use_release,
        points: Points::All,
        other: Other::Nobody,
    });
}

#[test]
fn acquire_for_the_first_time() {
    let _watchdog = patience();
    // Whether the system has robust mutexes is tried by locking one.
    thread::spawn(|| drop(Memory::new())).join().unwrap();
    sweep(&Region {
        name: "acquire and release, the first time",
        block: block(Kind::Plain, nothing),
        before: nothing,
        body: acquire_use_release,
        points: Points::All,
        other: Other::Stranger,
    });
}

#[test]
fn twice_recursively() {
    let _watchdog = patience();
    sweep(&Region {
        name: "acquire and release twice, recursively",
        block: block(Kind::Recursive, nothing),
        before: nothing,
        body: |memory| {
            acquire(memory);
            memory.data().begin();
            acquire(memory);
            release(memory);
            memory.data().end();
            release(memory);
        },
        points: Points::All,
        other: Other::Nobody,
    });
}

#[test]
fn repair_after_a_death() {
    let _watchdog = patience();
    sweep(&Region {
        name: "acquire after a death, repair and release",
        block: block(Kind::Plain, owner_dies),
        before: nothing,
        body: |memory| {
            acquire_after_death(memory);
            repair(memory);
            use_it(memory);
            release(memory);
        },
        points: Points::All,
        other: Other::Nobody,
    });
}

#[test]
fn give_up_after_a_death() {
    let _watchdog = patience();
    sweep(&Region {
        name: "acquire after a death and give up",
        block: block(Kind::Plain, owner_dies),
        before: nothing,
        body: |memory| {
            acquire_after_death(memory);
            give_up(memory);
        },
        points: Points::All,
        other: Other::Nobody,
    });
}

#[test]
fn acquire_what_is_lost() {
    let _watchdog = patience();
    sweep(&Region {
        name: "acquire what its owner gave up, and died before it was released",
        block: block(Kind::Plain, |memory| {
            owner_dies(memory);
            let mut dies = Traced::new(|| acquire_after_death(memory), || give_up(memory));
            while memory.mutex().state() != Ok(State::NotRecoverable) {
                assert_eq!(dies.step(), At::Stopped);
            }
            dies.kill();
        }),
        before: nothing,
        body: |memory| {
            // It is lost before and after it is locked; here it was so only after.
            let lost = Err(Error::NotRecoverable);
            assert_eq!(memory.mutex().acquire(Timeout::Never), lost);
            initialize(memory);
        },
        points: Points::All,
        other: Other::Nobody,
    });
}

#[test]
fn a_wait_with_a_sleep() {
    let _watchdog = patience();
    sweep(&Region {
        name: "acquire with a sleep, and release",
        block: block(Kind::Plain, nothing),
        before: nothing,
        body: acquire_use_release,
        points: Points::All,
        other: Other::Holder,
    });
}

#[test]
fn a_wait_with_a_sleep_and_a_waiter() {
    let _watchdog = patience();
    sweep(&Region {
        name: "acquire with a sleep, and release, with a waiter",
        block: block(Kind::Plain, nothing),
        before: nothing,
        body: acquire_use_release,
        points: Points::All,
        other: Other::HolderAndWaiter,
    });
}

#[test]
fn release_with_a_waiter() {
    let _watchdog = patience();
    sweep(&Region {
        name: "release with a waiter",
        block: block(Kind::Plain, nothing),
        before: acquire,
        body: |memory| {
            use_it(memory);
            release(memory);
        },
        points: Points::All,
        other: Other::Waiter,
    });
}

#[test]
fn repair_with_a_waiter() {
    let _watchdog = patience();
    sweep(&Region {
        name: "repair and release with a waiter",
        block: block(Kind::Plain, owner_dies),
        before: acquire_after_death,
        body: |memory| {
            repair(memory);
            release(memory);
        },
        points: Points::All,
        other: Other::Waiter,
    });
}

#[test]
fn give_up_with_a_waiter() {
    let _watchdog = patience();
    sweep(&Region {
        name: "give up with a waiter",
        block: block(Kind::Plain, owner_dies),
        before: acquire_after_death,
        body: give_up,
        points: Points::All,
        other: Other::Waiter,
    });
}

#[test]
fn destroy() {
    let _watchdog = patience();
    sweep(&Region {
        name: "destroy",
        block: block(Kind::Plain, nothing),
        before: nothing,
        body: is_destroyed,
        points: Points::All,
        other: Other::Nobody,
    });
}

#[test]
fn destroy_after_a_death() {
    let _watchdog = patience();
    sweep(&Region {
        name: "destroy after a death",
        block: block(Kind::Plain, owner_dies),
        before: nothing,
        body: is_destroyed,
        points: Points::All,
        other: Other::Nobody,
    });
}

#[test]
fn initialize_zeroes() {
    let _watchdog = patience();
    sweep(&Region {
        name: "initialise zeroes",
        block: [0; SIZE],
        before: nothing,
        body: initialize,
        points: Points::Changes,
        other: Other::Nobody,
    });
}

#[test]
fn initialize_garbage() {
    let _watchdog = patience();
    sweep(&Region {
        name: "initialise garbage",
        block: std::array::from_fn(|at| (37 * at + 11) as u8),
        before: nothing,
        body: initialize,
        points: Points::Changes,
        other: Other::Nobody,
    });
}

/// A claim is taken over at whatever point its process died.
#[test]
fn initialize_what_another_began() {
    let _watchdog = patience();
    let memory = Memory::new();
    let mut began = Traced::new(|| (), || initialize(&memory));
    let mut halves = Vec::new();
    let mut seen = memory.block();
    while began.step() == At::Stopped {
        if memory.block() != seen {
            seen = memory.block();
            halves.push(seen);
        }
    }
    // The last change is that the claim is dropped, and the one before that it is ready.
    halves.truncate(halves.len() - 2);
    assert!(halves.len() > 5);
    for block in halves {
        sweep(&Region {
            name: "initialise what another began",
            block,
            before: nothing,
            body: initialize,
            points: Points::Changes,
            other: Other::Nobody,
        });
    }
}

/// The first thread of a process has ended, and another one initialises. The system calls the process a
/// zombie; it is none.
#[test]
fn initialize_without_the_first_thread() {
    const GO_ON: usize = 200;
    let _watchdog = patience();
    let memory = Memory::new();
    let mut process = Traced::new(
        || (),
        || {
            initialize(&memory);
            thread::scope(|s| {
                s.spawn(|| {
                    wait_until(|| memory.cell(GO_ON).load(SeqCst) == 1);
                    // SAFETY: ends the process.
                    unsafe { libc::_exit(0) }
                });
                // SAFETY: ends the first thread only, as the kernel sees it.
                unsafe { libc::syscall(libc::SYS_exit, 0) };
            });
        },
    );
    while memory.mutex().state() != Ok(State::Initializing) {
        assert_eq!(process.step(), At::Stopped);
    }
    let began = memory.block();
    let process = process.let_go();
    wait_until(|| state_of(process.pid) == Some('Z'));
    // As if the other thread had just begun.
    memory.set_block(&began);
    assert_eq!(memory.mutex().state(), Ok(State::Initializing));
    assert_eq!(memory.mutex().initialize(Kind::Plain), Err(Error::Initializing), "two initialise");
    memory.cell(GO_ON).store(1, SeqCst);
    // A zombie now.
    process.wait_until_zombie();
    initialize(&memory);
    process.succeeds();
    assert!(memory.is_sound());
}

#[test]
fn initialize_what_is_lost() {
    let _watchdog = patience();
    sweep(&Region {
        name: "initialise what is lost",
        block: block(Kind::Plain, is_lost),
        before: nothing,
        body: initialize,
        points: Points::All,
        other: Other::Nobody,
    });
}

#[test]
fn initialize_what_was_destroyed() {
    let _watchdog = patience();
    sweep(&Region {
        name: "initialise what was destroyed",
        block: block(Kind::Plain, is_destroyed),
        before: nothing,
        body: initialize,
        points: Points::All,
        other: Other::Nobody,
    });
}

/// The system calls of a region in which nobody is killed.
fn calls(block: [u8; SIZE], before: fn(&Memory), body: fn(&Memory), other: Other) -> Vec<Call> {
    let memory = memory_for_two();
    let mut waiter = (other == Other::Waiter).then(|| Waiter::new(&memory));
    let region = Region { name: "calls", block, before, body, points: Points::All, other };
    let mut calls = Run::new(&region, &memory, waiter.as_mut()).survey().calls;
    if let Some(waiter) = &mut waiter {
        waiter.result(&memory);
    }
    calls.retain(|call| call.is_sleep() || call.is_wake());
    calls
}

/// How many threads each call wakes.
fn wakes(calls: &[Call]) -> Vec<u32> {
    calls.iter().filter(|call| call.is_wake()).map(|call| call.count).collect()
}

/// A waiter would be slow without these wakes, but no test of a death would fail.
#[test]
fn wakes_those_who_sleep() {
    let _watchdog = patience();
    let fresh = block(Kind::Plain, nothing);
    let dead = block(Kind::Plain, owner_dies);
    assert_eq!(calls(fresh, nothing, acquire_use_release, Other::Nobody), [], "nobody sleeps");
    let all = i32::MAX as u32..=u32::MAX;

    let released = calls(fresh, acquire, release, Other::Waiter);
    assert_eq!(wakes(&released), [1], "a waiter sleeps");

    let given_up = wakes(&calls(dead, acquire_after_death, give_up, Other::Waiter));
    assert!(all.contains(given_up.last().unwrap()), "all fail: {given_up:?}");

    let destroyed = wakes(&calls(fresh, nothing, is_destroyed, Other::Nobody));
    assert!(all.contains(destroyed.last().unwrap()), "all fail: {destroyed:?}");

    let waited = calls(fresh, nothing, acquire_use_release, Other::Holder);
    assert!(
        waited[0].is_sleep() && waited.last().unwrap().is_wake(),
        "others may sleep: {waited:?}"
    );

    let held = block(Kind::Plain, acquire);
    let gives_up = |memory: &Memory| {
        let after = Timeout::After(Duration::from_millis(1));
        assert_eq!(memory.mutex().acquire(after), Err(Error::TimedOut));
    };
    let timed_out = calls(held, nothing, gives_up, Other::Nobody);
    assert!(timed_out[0].is_sleep());
    assert_eq!(wakes(&timed_out), [1], "it may have taken a wake that another needs");
}

/// Says to a child that the test has got in, so that the child must not.
const INTRUDER: usize = 100;

/// The test acts after every single instruction of a child that nobody kills. The child has to end
/// well. Returns how many instructions there were.
fn interleave(region: &Region, mut act: impl FnMut(&mut Run)) -> usize {
    let memory = memory_for_two();
    assert!(memory.is_sound());
    let survey = Run::new(region, &memory, None).survey();
    let every = if cfg!(debug_assertions) { DEBUG_STRIDE } else { 1 };
    let mut ended = 0;
    for &place in survey.places.iter().step_by(every) {
        let mut run = Run::new(region, &memory, None);
        run.skip(survey.skipped);
        match run.go_to(place) {
            At::Stopped => act(&mut run),
            // What it reads in /proc is longer at times.
            At::Ended(status) => {
                assert_eq!(status, Status::Exited(0));
                ended += 1;
            }
        }
        memory.cell(INTRUDER).store(0, SeqCst);
        if memory.mutex().attach().is_err() {
            initialize(&memory);
        }
        assert!(memory.is_sound());
    }
    assert!(ended <= survey.places.len() / every / 10, "{ended} ended before");
    survey.places.len()
}

/// Acquires without a wait, if nobody has got in before.
fn try_to_acquire(memory: &Memory) {
    match memory.mutex().acquire(Timeout::Try) {
        Ok(_) => {
            assert_eq!(memory.cell(INTRUDER).load(SeqCst), 0, "the mutex is no more");
            memory.mutex().make_consistent().unwrap();
            use_it(memory);
            release(memory);
        }
        Err(error) => {
            assert!([Error::Busy, Error::Destroyed, Error::NotRecoverable].contains(&error))
        }
    }
}

/// Only one is inside, and nobody sleeps for ever.
#[test]
fn acquired_between_any_two_instructions() {
    let _watchdog = patience();
    let region = Region {
        name: "acquired in between",
        block: block(Kind::Plain, nothing),
        before: nothing,
        body: |memory| {
            acquire(memory);
            assert_eq!(memory.cell(INTRUDER).load(SeqCst), 0, "two owners");
            use_it(memory);
            assert_eq!(memory.cell(INTRUDER).load(SeqCst), 0, "two owners");
            release(memory);
        },
        points: Points::All,
        other: Other::Nobody,
    };
    let (mut got_in, mut slept) = (0, 0);
    let steps = interleave(&region, |run| {
        let memory = run.memory;
        match memory.mutex().acquire(Timeout::Try) {
            Ok(ownership) => {
                assert!(ownership == Ownership::Clean && memory.data().is_whole());
                memory.cell(INTRUDER).store(1, SeqCst);
                run.is_held = true;
                got_in += 1;
            }
            Err(error) => assert!(error == Error::Busy && memory.is_owned_by(run.child.pid())),
        }
        let is_held = &mut run.is_held;
        let mut sleep = Sleep::default();
        let ended = run.child.finish(|child| {
            if *is_held && sleep.has_begun(memory, child.pid()) {
                *is_held = false;
                slept += 1;
                memory.cell(INTRUDER).store(0, SeqCst);
                release(memory);
            }
        });
        assert_eq!(ended, Status::Exited(0));
        run.let_go();
    });
    println!("{steps} instructions, got in at {got_in}, had the other sleep at {slept}");
    assert!(slept > 0 && got_in > slept && got_in < steps);
}

/// Who has looked at the mutex before it was destroyed does not get it.
#[test]
fn destroyed_between_any_two_instructions() {
    let _watchdog = patience();
    let region = Region {
        name: "destroyed in between",
        block: block(Kind::Plain, nothing),
        before: nothing,
        body: try_to_acquire,
        points: Points::All,
        other: Other::Nobody,
    };
    let mut destroyed = 0;
    let steps = interleave(&region, |run| {
        match run.memory.mutex().destroy() {
            Ok(()) => {
                run.memory.cell(INTRUDER).store(1, SeqCst);
                destroyed += 1;
            }
            Err(error) => {
                assert!(error == Error::Busy && run.memory.is_owned_by(run.child.pid()));
            }
        }
        assert_eq!(run.child.finish(|_| ()), Status::Exited(0));
    });
    println!("{steps} instructions, destroyed at {destroyed}");
    assert!(destroyed > 0 && destroyed < steps);
}

/// Who has looked at the mutex before it was given up does not get it.
#[test]
fn given_up_between_any_two_instructions() {
    let _watchdog = patience();
    let region = Region {
        name: "given up in between",
        block: block(Kind::Plain, owner_dies),
        before: nothing,
        body: try_to_acquire,
        points: Points::All,
        other: Other::Holder,
    };
    let steps = interleave(&region, |run| {
        run.is_held = false;
        run.memory.mutex().give_up().unwrap();
        run.memory.cell(INTRUDER).store(1, SeqCst);
        assert_eq!(run.child.finish(|_| ()), Status::Exited(0));
    });
    println!("{steps} instructions, given up at each");
}

/// Who has acquired it does not lose it.
#[test]
fn acquired_between_any_two_instructions_of_destroy() {
    let _watchdog = patience();
    let region = Region {
        name: "acquired while it is destroyed",
        block: block(Kind::Plain, nothing),
        before: nothing,
        body: |memory| match memory.mutex().destroy() {
            Ok(()) => assert_eq!(memory.cell(INTRUDER).load(SeqCst), 0, "it is held"),
            Err(error) => assert_eq!(error, Error::Busy),
        },
        points: Points::All,
        other: Other::Nobody,
    };
    let mut got_in = 0;
    let steps = interleave(&region, |run| {
        match run.memory.mutex().acquire(Timeout::Try) {
            Ok(ownership) => {
                assert_eq!(ownership, Ownership::Clean);
                run.memory.cell(INTRUDER).store(1, SeqCst);
                run.is_held = true;
                got_in += 1;
            }
            Err(error) => assert!([Error::Busy, Error::Destroyed].contains(&error)),
        }
        assert_eq!(run.child.finish(|_| ()), Status::Exited(0));
        run.let_go();
    });
    println!("{steps} instructions, got in at {got_in}");
    assert!(got_in > 0 && got_in < steps);
}

/// The same bytes are initialised by two, and one succeeds.
fn initialized_in_between(name: &'static str, block: [u8; SIZE]) {
    let _watchdog = patience();
    let region = Region {
        name,
        block,
        before: nothing,
        body: |memory| match memory.mutex().initialize(Kind::Plain) {
            Ok(()) => assert_eq!(memory.cell(INTRUDER).load(SeqCst), 0, "both succeed"),
            Err(error) => assert!([Error::AlreadyInitialized, Error::Busy].contains(&error)),
        },
        points: Points::All,
        other: Other::Nobody,
    };
    let mut got_in = 0;
    let steps = interleave(&region, |run| {
        match run.memory.mutex().initialize(Kind::Plain) {
            Ok(()) => {
                run.memory.cell(INTRUDER).store(1, SeqCst);
                got_in += 1;
            }
            Err(error) => assert!(
                [Error::AlreadyInitialized, Error::Initializing, Error::Busy].contains(&error)
            ),
        }
        assert_eq!(run.child.finish(|_| ()), Status::Exited(0));
        assert_eq!(run.memory.mutex().attach(), Ok(()));
    });
    println!("{name}: {steps} instructions, got in at {got_in}");
    assert!(got_in > 0 && got_in < steps);
}

#[test]
fn zeroes_initialized_between_any_two_instructions() {
    initialized_in_between("zeroes initialised in between", [0; SIZE]);
}

#[test]
fn initialized_again_between_any_two_instructions() {
    let block = block(Kind::Plain, is_destroyed);
    initialized_in_between("initialised again in between", block);
}
