//! Sizes: of handles, and of what is allocated for cowns and behaviours.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

#[path = "behaviours/common.rs"]
mod behaviours_common;

use std::mem::size_of;

use behaviours_common::*;
use pysync_boc::{Cown, Held, Lane, Outcome, Read, Runtime, Use, read};
use pysync_testing::{CountingAllocator, measured, watchdog};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// What one allocation of `body` takes.
fn bytes<R>(body: impl FnOnce() -> R) -> (R, usize) {
    let (result, asked) = measured(body);
    assert_eq!(asked.allocated, 1);
    (result, asked.bytes)
}

#[test]
fn handles_are_pointers() {
    let word = size_of::<usize>();
    assert_eq!(size_of::<Cown<[u8; 100]>>(), word);
    assert_eq!(size_of::<Option<Cown<u8>>>(), word);
    assert_eq!(size_of::<Held<[u8; 100]>>(), word);
    assert_eq!(size_of::<Option<Held<u8>>>(), word);
    assert_eq!(size_of::<Outcome<[u8; 100]>>(), word);
    assert_eq!(size_of::<Read<&Cown<u8>>>(), word);
    assert_eq!((size_of::<Runtime>(), size_of::<Lane>()), (word, word));
    assert!(size_of::<Use<'_>>() <= 2 * word);
}

#[test]
fn a_cown_is_as_small_as_promised() {
    let (_cown, empty) = bytes(|| Cown::new(()));
    println!("{empty} bytes for a cown, besides its value");
    assert!(empty <= 4 * size_of::<usize>() + 8);
    let (_cown, full) = bytes(|| Cown::new([0_usize; 10]));
    assert_eq!(full, empty + 10 * size_of::<usize>());
}

/// A pending behaviour of one cown takes at most 160 bytes, besides its closure.
#[test]
fn a_pending_behaviour_is_as_small_as_promised() {
    let _watchdog = watchdog();
    let runtime = runtime(1);
    let (cown, held) = Cown::held(0_u64);
    let other = Cown::new(0_u64);
    let closure = [1_usize; 5];
    let uses_it = move |sum: &mut u64| *sum += closure.iter().sum::<usize>() as u64;
    let closure = size_of_val(&uses_it);
    assert_eq!(closure, 5 * size_of::<usize>());

    let (_, fired) = bytes(|| runtime.fire(&cown, uses_it));
    let (_, returned) = bytes(|| runtime.when(&cown, uses_it));
    let (_, pair) = bytes(|| runtime.fire((&cown, &other), move |(a, b)| *a += *b));
    let (_, reader) = bytes(|| runtime.when(read(&cown), |_| ()));
    let (_, none) = bytes(|| runtime.fire((), |()| ()));
    println!(
        "{} bytes for a behaviour without cowns, {} with one, {} with two; {} with one and an outcome",
        none,
        fired - closure,
        pair,
        returned - closure
    );
    assert!(returned - closure <= 160 && fired - closure <= 160);
    assert!(fired < returned && none < fired && fired - closure < pair);
    assert!(reader <= returned - closure);
    drop(held);
    assert_eq!(runtime.quiesce(None), Ok(()));
    assert_eq!(*cown.acquire(), 10);
}
