//! Long chains: a million behaviours neither recurse when they run, nor when a runtime gives them up, nor
//! when they are dropped. The stacks are small, so that one that did would crash.

use std::thread;
use std::time::Duration;

use crate::common::*;
use pysync_boc::{Batch, Cown, Failed, Outcome, Runtime, read, when};
use pysync_testing::watchdog_for;

const LENGTH: usize = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
/// Room for some hundred calls.
const STACK: usize = 128 << 10;

fn small() -> Runtime {
    Runtime::builder().workers(2).stack_size(STACK).build().expect("threads")
}

/// Runs `body` on a thread with a small stack.
fn on_a_small_stack(body: impl FnOnce() + Send) {
    let _watchdog = watchdog_for(Duration::from_secs(180));
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, body);
        thread.expect("a thread").join().unwrap();
    });
}

/// Each asks for the next.
#[test]
fn a_chain_that_asks_for_itself() {
    fn step(cown: Cown<usize>, left: usize) {
        let again = cown.clone();
        when(cown, move |count| {
            *count += 1;
            if left > 1 {
                step(again, left - 1);
            }
        });
    }

    on_a_small_stack(|| {
        let (runtime, cown) = (small(), Cown::new(0));
        let first = cown.clone();
        runtime.fire((), move |()| step(first, LENGTH));
        assert_eq!(runtime.quiesce(None), Ok(()));
        assert_eq!(*cown.acquire(), LENGTH);
    });
}

/// All are queued on one cown, which a thread then releases.
#[test]
fn a_queue_that_a_thread_releases() {
    on_a_small_stack(|| {
        let (runtime, (cown, held)) = (small(), Cown::held(0));
        for _ in 0..LENGTH {
            runtime.fire(&cown, |count| *count += 1);
        }
        drop(held);
        assert_eq!(*cown.acquire(), LENGTH);
        assert_eq!(runtime.quiesce(None), Ok(()));
    });
}

/// All readers are admitted by one release.
#[test]
fn readers_that_one_release_admits() {
    on_a_small_stack(|| {
        let (runtime, (cown, mut held)) = (small(), Cown::held(0));
        let census = Census::default();
        for _ in 0..LENGTH {
            let closure = census.one();
            runtime.fire(read(&cown), move |value| {
                assert_eq!(*value, 1);
                drop(closure);
            });
        }
        *held = 1;
        drop(held);
        drop(cown.acquire());
        assert_eq!(runtime.quiesce(None), Ok(()));
        assert_eq!((census.alive(), runtime.stats().panicked()), (0, 0));
    });
}

/// Each behaviour is over the outcome of the one before.
fn chain_of_outcomes(runtime: &Runtime, first: Outcome<usize>, census: &Census) -> Outcome<usize> {
    (0..LENGTH).fold(first, |outcome, _| {
        let closure = census.one();
        runtime.when(&outcome, move |before| {
            let _closure = closure;
            before.as_ref().map_or(0, |before| before + 1)
        })
    })
}

#[test]
fn outcomes_that_follow_each_other() {
    on_a_small_stack(|| {
        let (runtime, census, (cown, held)) = (small(), Census::default(), Cown::held(()));
        let last = chain_of_outcomes(&runtime, runtime.when(&cown, |_| 0), &census);
        assert_eq!(census.alive(), LENGTH);
        drop(held);
        assert_eq!(result(last), LENGTH);
        assert_eq!(runtime.quiesce(None), Ok(()));
        assert_eq!(census.alive(), 0);
    });
}

/// All are cancelled before the first has its turn, in order or against it.
#[test]
fn outcomes_that_are_cancelled() {
    on_a_small_stack(|| {
        for is_reversed in [false, true] {
            let (runtime, census, (cown, held)) = (small(), Census::default(), Cown::held(()));
            let mut outcomes = vec![runtime.when(&cown, |_| ())];
            for index in 0..LENGTH {
                let closure = census.one();
                outcomes.push(runtime.when((&cown, &outcomes[index]), move |_| drop(closure)));
            }
            if is_reversed {
                outcomes.reverse();
            }
            assert!(outcomes.iter().all(Outcome::cancel));
            assert_eq!(census.alive(), 0);
            drop((outcomes, held));
            assert_eq!(runtime.quiesce(None), Ok(()));
            assert!(!cown.is_held());
        }
    });
}

/// A stop gives up a queue, and a chain of outcomes, that wait behind a running body.
#[test]
fn a_stop_gives_up_a_long_queue_and_a_long_chain() {
    on_a_small_stack(|| {
        let (runtime, census, cown) = (small(), Census::default(), Cown::new(0));
        let gate = Gate::default();
        let running = runtime.when(&cown, {
            let gate = gate.clone();
            move |_| {
                gate.pass();
                0
            }
        });
        gate.wait_until_reached();
        for _ in 0..LENGTH {
            let closure = census.one();
            runtime.fire(&cown, move |_| drop(closure));
        }
        let last = chain_of_outcomes(&runtime, running, &census);
        assert_ne!(runtime.stop(Some(Duration::ZERO)).still_running, 0);
        gate.open();
        let stopped = runtime.stop(None);
        assert_eq!((stopped.dropped, stopped.still_running), (2 * LENGTH, 0));
        assert!(matches!(finished(last), Err(Failed::Stopped)));
        assert_eq!((census.alive(), cown.is_held()), (0, false));
    });
}

/// The same for the drop of the last handle, with a thread that holds the cown and lets go after that.
#[test]
fn a_holder_that_lets_go_gives_up_what_waits_for_a_runtime_that_is_gone() {
    on_a_small_stack(|| {
        let (runtime, census, (cown, held)) = (small(), Census::default(), Cown::held(()));
        for _ in 0..LENGTH {
            let closure = census.one();
            runtime.fire(&cown, move |_| drop(closure));
        }
        let last = chain_of_outcomes(&runtime, runtime.when(&cown, |_| 0), &census);
        drop(runtime);
        assert_eq!(census.alive(), 2 * LENGTH);
        drop(held);
        assert!(matches!(finished(last), Err(Failed::Stopped)));
        assert_eq!(census.alive(), 0);
    });
}

/// A disowned cown, which a million wait for.
#[test]
fn a_disowned_cown_refuses_a_long_queue() {
    on_a_small_stack(|| {
        let (runtime, census, (cown, held)) = (small(), Census::default(), Cown::held(()));
        for _ in 0..LENGTH {
            let closure = census.one();
            runtime.fire(&cown, move |_| drop(closure));
        }
        held.disown();
        assert_eq!(runtime.quiesce(None), Ok(()));
        assert_eq!(census.alive(), 0);
    });
}

/// A batch of a million, scheduled, and one that is dropped.
#[test]
fn long_batches() {
    on_a_small_stack(|| {
        let (runtime, census, cown) = (small(), Census::default(), Cown::new(0));
        for is_scheduled in [true, false] {
            let mut batch = Batch::on(&runtime);
            for _ in 0..LENGTH {
                let closure = census.one();
                drop(batch.when(&cown, move |count| {
                    let _closure = closure;
                    *count += 1;
                }));
            }
            if is_scheduled {
                batch.schedule();
            }
        }
        assert_eq!(runtime.quiesce(None), Ok(()));
        assert_eq!((*cown.acquire(), census.alive()), (LENGTH, 0));
    });
}
