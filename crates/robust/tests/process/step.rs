//! A process is killed after every single instruction of what it does with a mutex. Then the next one
//! gets the mutex within a second, and is told of the death exactly if the dead one had it.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Instant;

use pysync_robust::{Error, Kind, Ownership, SIZE, State, Timeout};
use pysync_testing::wait_until;

use crate::common::{Memory, SECOND, state_of};
use crate::region::*;
use crate::trace::{At, Traced};
use crate::waiter::Waiter;

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

#[test]
fn acquire_and_release() {
    let _watchdog = patience();
    sweep(&Region {
        name: "acquire and release",
        block: block(Kind::Plain, nothing),
        before: nothing,
        body: acquire_use_release,
        points: Points::All,
        other: Other::None,
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
        other: Other::None,
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
        other: Other::None,
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
        other: Other::None,
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
        other: Other::None,
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
        other: Other::None,
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
        other: Other::None,
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
        other: Other::None,
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
        other: Other::None,
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
            other: Other::None,
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
        other: Other::None,
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
        other: Other::None,
    });
}
