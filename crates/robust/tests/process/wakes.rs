//! Which system calls wake and sleep. A waiter would be slow without these wakes, but no test of a death
//! would fail.

use std::time::Duration;

use pysync_robust::{Error, Kind, SIZE, Timeout};

use crate::common::Memory;
use crate::region::*;
use crate::trace::Call;
use crate::waiter::Waiter;

/// The system calls of a region in which no process is killed.
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

#[test]
fn wakes_those_who_sleep() {
    let _watchdog = patience();
    let fresh = block(Kind::Plain, nothing);
    let dead = block(Kind::Plain, owner_dies);
    assert_eq!(calls(fresh, nothing, acquire_use_release, Other::None), [], "there is no waiter");
    let all = i32::MAX as u32..=u32::MAX;

    let released = calls(fresh, acquire, release, Other::Waiter);
    assert_eq!(wakes(&released), [1], "a waiter sleeps");

    let given_up = wakes(&calls(dead, acquire_after_death, give_up, Other::Waiter));
    assert!(all.contains(given_up.last().unwrap()), "all fail: {given_up:?}");

    let destroyed = wakes(&calls(fresh, nothing, is_destroyed, Other::None));
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
    let timed_out = calls(held, nothing, gives_up, Other::None);
    assert!(timed_out[0].is_sleep());
    assert_eq!(wakes(&timed_out), [1], "it may have taken a wake that another needs");
}
