//! What is promised of cowns and behaviours, each promise by its name: see `docs/boc.md`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use crate::common::*;
use pysync_boc::{Batch, Cown, Failed, Outcome, Use, acquire_all, read, when};
use pysync_testing::{Sleeper, sleeping, together, watchdog};

const SOON: Option<Duration> = Some(Duration::from_millis(20));

/// Asserts that a behaviour has not run yet. It may be about to: so a test is weak here, never wrong.
#[track_caller]
fn waits<R: Send + 'static>(outcome: Outcome<R>) -> Outcome<R> {
    match outcome.wait(SOON) {
        Err(outcome) => outcome,
        Ok(_) => panic!("it has run"),
    }
}

/// Of two behaviours that share a cown, the first that was asked for runs first, and has ended when the
/// second begins. Each behaviour here writes its number into each of its cowns.
#[test]
fn overlap_and_spawn_order() {
    let _watchdog = watchdog();
    let count = if cfg!(debug_assertions) { 2_000 } else { 20_000 };
    for seed in 0..4 {
        with_workers(|runtime| {
            let mut random = Seeded::new(seed);
            let cowns: Vec<_> = (0..8).map(|_| Cown::new(Vec::new())).collect();
            for number in 0..count {
                let [a, b, c] = random.different(8).map(|index: usize| &cowns[index]);
                match random.below(3) {
                    0 => runtime.fire(a, move |a| a.push(number)),
                    1 => runtime.fire((a, b), move |(a, b)| {
                        a.push(number);
                        b.push(number);
                    }),
                    _ => runtime.fire([a, b, c], move |cowns| {
                        cowns.into_iter().for_each(|cown| cown.push(number));
                    }),
                };
            }
            for cown in &cowns {
                // Behind all of them.
                assert!(cown.acquire().is_sorted());
            }
        });
    }
}

/// The first has ended, and not only begun, when the second begins.
#[test]
fn what_overlaps_does_not_run_at_the_same_time() {
    let _watchdog = watchdog();
    let runtime = runtime(4);
    let (a, b, c) = (Cown::new(1), Cown::new(2), Cown::new(3));
    let gate = Gate::default();
    let first = runtime.when((&a, &b), {
        let gate = gate.clone();
        move |_| gate.pass()
    });
    gate.wait_until_reached();
    let second = runtime.when((&b, &c), |_| ());
    let third = runtime.when(&c, |_| ());
    let apart = runtime.when((), |()| ());
    result(apart);
    // The second waits for the first, and the third for the second, though its cown is free.
    let (second, third) = (waits(second), waits(third));
    gate.open();
    result(third);
    assert!(second.is_done());
    result(first);
}

/// A behaviour that is asked for inside of another comes behind all that were asked for before: bocpy's
/// outer1 {1, nested 3}, outer2 {2}.
#[test]
fn nested_behind_what_is_queued() {
    let _watchdog = watchdog();
    with_workers(|runtime| {
        let (list, held) = Cown::held(Vec::new());
        let nested = list.clone();
        runtime.fire(&list, move |list| {
            list.push(1);
            when(&nested, |list| list.push(3));
        });
        runtime.fire(&list, |list| list.push(2));
        drop(held);
        assert_eq!(runtime.quiesce(None), Ok(()));
        assert_eq!(*list.acquire(), [1, 2, 3]);
    });
}

/// Two nested ones of the same parent keep their order too.
#[test]
fn nested_ones_follow_in_the_order_of_their_parent() {
    let _watchdog = watchdog();
    with_workers(|runtime| {
        let (list, other) = (Cown::new(Vec::new()), Cown::new(()));
        let names = (list.clone(), other.clone());
        result(runtime.when(&other, move |_| {
            for number in 0..100 {
                match number % 3 {
                    0 => _ = when((&names.0, &names.1), move |(list, _)| list.push(number)),
                    _ => _ = when(&names.0, move |list| list.push(number)),
                }
            }
        }));
        assert_eq!(*list.acquire(), (0..100).collect::<Vec<_>>());
    });
}

/// Between the behaviours of a batch there is no other, on any of their cowns.
#[test]
fn nothing_inside_a_batch() {
    let _watchdog = watchdog();
    let rounds = if cfg!(debug_assertions) { 300 } else { 3_000 };
    with_workers(|runtime| {
        let (a, b) = (Cown::new(Vec::new()), Cown::new(Vec::new()));
        together(3, |id| {
            for round in 0..rounds {
                // Of a thread's batch or behaviour, so many entries of the same mark.
                let mark = (id, round);
                if id == 2 {
                    runtime.fire((&a, &b), move |(a, b)| {
                        a.push(mark);
                        b.push(mark);
                    });
                    continue;
                }
                let mut batch = Batch::on(runtime);
                let (first, second) = if id == 0 { (&a, &b) } else { (&b, &a) };
                batch.when(first, move |list| list.push(mark));
                batch.when(second, move |list| list.push(mark));
                batch.when((first, second), move |(first, second)| {
                    first.push(mark);
                    second.push(mark);
                });
                batch.when(first, move |list| list.push(mark));
                batch.schedule();
            }
        });
        let (a, b) = (a.acquire(), b.acquire());
        let runs = |list: &[(usize, usize)]| {
            let runs = list.chunk_by(|a, b| a == b).map(|run| (run[0], run.len()));
            runs.collect::<Vec<_>>()
        };
        let (a, b) = (runs(&a), runs(&b));
        // One run of each mark, with all its entries, in the same order on both.
        assert_eq!((a.len(), b.len()), (3 * rounds, 3 * rounds));
        for (&(mark, in_a), &(other, in_b)) in a.iter().zip(&b) {
            assert_eq!(mark, other);
            assert_eq!((in_a, in_b), [(3, 2), (2, 3), (1, 1)][mark.0]);
        }
    });
}

/// A thread that acquires has its place among the behaviours, before and behind.
#[test]
fn acquire_is_a_behaviour() {
    let _watchdog = watchdog();
    with_workers(|runtime| {
        let (a, b) = (Cown::new(Vec::new()), Cown::new(Vec::new()));
        let (one, all) = (Sleeper::new(), Sleeper::new());
        let held = a.acquire();
        thread::scope(|scope| {
            runtime.fire(&a, |a| a.push(1));
            scope.spawn(|| {
                one.enter();
                a.acquire().push(2);
            });
            one.wait_until_asleep();
            runtime.fire((&a, &b), |(a, b)| {
                a.push(3);
                b.push(3);
            });
            scope.spawn(|| {
                all.enter();
                let mut held = acquire_all((&b, &a));
                let (b, a) = held.access();
                a.push(4);
                b.push(4);
            });
            all.wait_until_asleep();
            runtime.fire(&b, |b| b.push(5));
            runtime.fire(&a, |a| a.push(5));
            drop(held);
        });
        assert_eq!(*a.acquire(), [1, 2, 3, 4, 5]);
        assert_eq!(*b.acquire(), [3, 4, 5]);
    });
}

/// A thread's own order: what it asked for before it acquires has run by then.
#[test]
fn acquire_sees_all_that_was_asked_for_before() {
    let _watchdog = watchdog();
    with_workers(|runtime| {
        let cown = Cown::new(0);
        for round in 1..=200 {
            runtime.fire(&cown, |count| *count += 1);
            assert_eq!(*cown.acquire(), round);
        }
    });
}

/// Two readers meet inside of their bodies.
#[test]
fn readers_run_in_parallel() {
    let _watchdog = watchdog();
    let runtime = runtime(2);
    let cown = Cown::new(7);
    for _ in 0..200 {
        let inside = Arc::new(AtomicUsize::new(0));
        let readers = [(); 2].map(|()| {
            let inside = inside.clone();
            runtime.when(read(&cown), move |value| {
                inside.fetch_add(1, SeqCst);
                pysync_testing::wait_until(|| inside.load(SeqCst) == 2);
                *value
            })
        });
        assert_eq!(readers.map(result), [7, 7]);
    }
}

/// A reader joins those inside, unless a writer waits; then it waits behind that one.
#[test]
fn writers_are_first_in_first_out() {
    let _watchdog = watchdog();
    let runtime = runtime(4);
    let (cown, gate) = (Cown::new(vec![0]), Gate::default());
    let first = runtime.when(read(&cown), {
        let gate = gate.clone();
        move |list| {
            gate.pass();
            list.clone()
        }
    });
    gate.wait_until_reached();
    // A reader that comes later joins it.
    assert_eq!(result(runtime.when(read(&cown), |list| list.clone())), [0]);
    let writer = waits(runtime.when(&cown, |list| list.push(1)));
    let reader = waits(runtime.when(read(&cown), |list| list.clone()));
    let second_writer = runtime.when(&cown, |list| list.push(2));
    let last = runtime.when(read(&cown), |list| list.clone());
    gate.open();
    assert_eq!(result(first), [0]);
    assert_eq!(result(reader), [0, 1]);
    assert_eq!(result(last), [0, 1, 2]);
    result(writer);
    result(second_writer);
}

/// Behaviours and threads over the same cowns in every order, nested ones and readers among them.
#[test]
fn no_deadlock_by_construction() {
    let _watchdog = watchdog();
    let rounds = if cfg!(debug_assertions) { 300 } else { 3_000 };
    with_workers(|runtime| {
        let cowns: Arc<Vec<_>> = Arc::new((0..4).map(|_| Cown::new(0_usize)).collect());
        together(3, |id| {
            let mut random = Seeded::new(id);
            for _ in 0..rounds {
                let [a, b, c] = random.different(4);
                let (all, nested) = (cowns.clone(), cowns.clone());
                match random.below(4) {
                    0 => {
                        _ = runtime.fire((&all[a], &all[b]), move |(a, b)| {
                            std::mem::swap(a, b);
                            // It takes what its parent has, and more.
                            when((&nested[c], &nested[1 - usize::from(c == 1)]), |(a, b)| {
                                std::mem::swap(a, b);
                            });
                        })
                    }
                    1 => _ = runtime.fire((read(&all[a]), &all[b], &all[c]), |_| ()),
                    2 => _ = acquire_all([&all[a], &all[c], &all[b]]),
                    _ => {
                        let uses = [&all[a], &all[b], &all[a], &all[c]].map(Use::write);
                        drop(runtime.when_any(&uses, |_| ()));
                    }
                }
            }
        });
    });
}

/// Each body runs once, or its closure is dropped once, and its outcome says which.
#[test]
fn exactly_once() {
    let _watchdog = watchdog();
    let rounds = if cfg!(debug_assertions) { 2_000 } else { 20_000 };
    for workers in WORKERS {
        let (runtime, census) = (runtime(workers), Census::default());
        let ran = Arc::new(AtomicUsize::new(0));
        let cowns: Vec<_> = (0..4).map(|_| Cown::new(())).collect();
        let mut random = Seeded::new(workers);
        let outcomes: Vec<_> = (0..rounds)
            .map(|round| {
                let [a, b] = random.different(4);
                let (ran, closure) = (ran.clone(), census.one());
                let outcome = runtime.when((&cowns[a], &cowns[b]), move |_| {
                    let _closure = closure;
                    ran.fetch_add(1, SeqCst);
                });
                if round % 8 == 0 {
                    outcome.cancel();
                }
                outcome
            })
            .collect();
        let stopped = runtime.stop(None);
        let (mut done, mut cancelled, mut dropped) = (0, 0, 0);
        for outcome in outcomes {
            match finished(outcome) {
                Ok(()) => done += 1,
                Err(Failed::Cancelled) => cancelled += 1,
                Err(Failed::Stopped) => dropped += 1,
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!((done, census.alive()), (ran.load(SeqCst), 0));
        assert_eq!(done + cancelled + dropped, rounds);
        // A cancelled one may have been given up too, in its turn.
        assert!((dropped..=dropped + cancelled).contains(&stopped.dropped), "{stopped:?}");
        assert!(!cowns.iter().any(Cown::is_held));
    }
}

/// A panic leaves the value as the body had made it, and the cowns to the next.
#[test]
fn what_a_panic_leaves() {
    let _watchdog = watchdog();
    let runtime = runtime(1);
    let (a, b) = (Cown::new(vec![1]), Cown::new(0));
    let (census, held) = (Census::default(), b.acquire());
    let closure = census.one();
    let panics = runtime.when((&a, &b), move |(a, _)| {
        let _closure = closure;
        a.push(2);
        panic!("half way");
    });
    let next = runtime.when((&a, &b), |(a, _)| a.clone());
    drop(held);
    assert_eq!(result(next), [1, 2], "there is no poison");
    assert_eq!(census.alive(), 0);
    assert_eq!(panicked(panics), "half way");
    assert_eq!(runtime.stats().panicked(), 1);
}

/// A stop lets the running bodies end, gives up the others in order, and leaves the cowns free.
#[test]
fn what_stop_leaves() {
    let _watchdog = watchdog();
    let (runtime, census, log) = (runtime(1), Census::default(), Log::default());
    struct Logs(Log, usize, #[allow(dead_code)] Counted);
    impl Drop for Logs {
        fn drop(&mut self) {
            self.0.add(self.1);
        }
    }
    let (cown, gate) = (Cown::new(Vec::new()), Gate::default());
    let running = runtime.when(&cown, {
        let gate = gate.clone();
        move |list| {
            gate.pass();
            list.push(1);
        }
    });
    gate.wait_until_reached();
    let queued: Vec<_> = (0..3)
        .map(|number| {
            let logs = Logs(log.clone(), number, census.one());
            runtime.when(&cown, move |_| drop(logs))
        })
        .collect();
    let stopped = runtime.stop(Some(Duration::ZERO));
    assert_eq!((stopped.dropped, stopped.still_running), (0, 1));
    gate.open();
    let stopped = runtime.stop(None);
    assert_eq!((stopped.dropped, stopped.still_running), (3, 0));
    result(running);
    assert_eq!((log.take(), census.alive()), (vec![0, 1, 2], 0));
    for outcome in queued {
        assert!(matches!(finished(outcome), Err(Failed::Stopped)));
    }
    assert!(!cown.is_held());
    assert_eq!(*cown.acquire(), [1]);
    // Another runtime goes on with the cown.
    result(when(&cown, |list| list.push(2)));
    assert_eq!(*cown.acquire(), [1, 2]);
}

/// A cancelled behaviour keeps its place: those behind it do not overtake those before it.
#[test]
fn what_cancel_leaves() {
    let _watchdog = watchdog();
    with_workers(|runtime| {
        let (a, held) = Cown::held(Vec::new());
        let b = Cown::new(Vec::new());
        let first = runtime.when(&a, |a| a.push(1));
        let cancelled = runtime.when((&a, &b), |(a, b)| {
            a.push(2);
            b.push(2);
        });
        let behind = runtime.when(&b, |b| b.push(3));
        assert!(cancelled.cancel());
        let behind = if runtime.workers() == 1 { waits(behind) } else { behind };
        assert!(b.is_held(), "it waits for its turn on the other cown");
        drop(held);
        result(behind);
        result(first);
        assert_eq!((&*a.acquire(), &*b.acquire()), (&vec![1], &vec![3]));
    });
}

/// Disowned, a cown has no value: what waits for it does not run, and holds up no other.
#[test]
fn what_disown_leaves() {
    let _watchdog = watchdog();
    let (runtime, census) = (runtime(1), Census::default());
    let (cown, held) = Cown::held(census.one());
    let other = Cown::new(0);
    let closure = census.one();
    let waiting = runtime.when((&cown, &other), move |_| drop(closure));
    let reader = runtime.when(&other, |other| *other += 1);
    let sleepers: [Sleeper; 2] = Default::default();
    thread::scope(|scope| {
        for sleeper in &sleepers {
            scope.spawn(|| {
                sleeper.enter();
                assert!(cown.acquire_timed(None).is_none());
            });
        }
        sleeping(&sleepers);
        held.disown();
    });
    assert!(matches!(finished(waiting), Err(Failed::Disowned)));
    result(reader);
    assert_eq!(census.alive(), 0);
    assert_eq!(*other.acquire(), 1);
    assert!(!cown.is_held());
}
