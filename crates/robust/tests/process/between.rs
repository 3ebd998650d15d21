//! The test acts between any two instructions of a child, which has to end well.

use std::collections::HashSet;
use std::sync::atomic::Ordering::SeqCst;

use pysync_robust::{Error, Kind, Ownership, SIZE, Timeout};

use crate::common::{Memory, Status};
use crate::region::*;
use crate::trace::At;
use crate::waiter::Sleep;

/// Says to a child that the test has got in, so that the child must not.
const INTRUDER: usize = 100;

/// How often a sweep stops at the same instruction. A loop, as that over the text of a file in /proc, does
/// in each turn what it does in the first ones.
const VISITS: usize = 4;

/// The test acts after each instruction of a child that is not killed, in a loop in its first turns and
/// around each change of the bytes. The child has to end well. Returns how often it acted.
fn interleave(region: &Region, mut act: impl FnMut(&mut Run)) -> usize {
    let memory = memory_for_two();
    assert!(memory.is_sound());
    let survey = Run::new(region, &memory, None).survey();
    let every = if cfg!(debug_assertions) { DEBUG_STRIDE } else { 1 };
    let around: HashSet<_> = survey.changes.iter().flat_map(|&step| [step - 1, step]).collect();
    let is_point = |&step: &usize| {
        around.contains(&step) || step % every == 0 && survey.places[step].1 <= VISITS
    };
    let points: Vec<_> = (0..survey.places.len()).filter(is_point).collect();
    let (mut acted, mut ended) = (0, 0);
    for &point in &points {
        let mut run = Run::new(region, &memory, None);
        run.skip(survey.skipped);
        match run.go_to(survey.places[point]) {
            At::Stopped => {
                act(&mut run);
                acted += 1;
            }
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
    assert!(ended <= points.len() / 10, "{ended} ended before");
    acted
}

/// Acquires without a wait, if the test has not got in before.
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

/// Only one is inside, and no waiter sleeps for ever.
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
        other: Other::None,
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
    println!("at {steps} instructions, got in at {got_in}, had the other sleep at {slept}");
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
        other: Other::None,
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
    println!("at {steps} instructions, destroyed at {destroyed}");
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
    println!("at {steps} instructions, given up at each");
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
        other: Other::None,
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
    println!("at {steps} instructions, got in at {got_in}");
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
        other: Other::None,
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
    println!("{name}: at {steps} instructions, got in at {got_in}");
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
