//! Undefined behaviour by the letter: small tests of cowns and behaviours for Miri, under several seeds. They
//! run natively too, with more rounds.
//!
//! What cowns hold is on the heap and not atomic, so that Miri reports a race where they do not order the
//! accesses, a use after the drop, and a leak.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use pysync_boc::{
    Batch, Cown, Failed, Outcome, Runtime, Use, acquire_all, acquire_all_timed, read,
};
use pysync_testing::{hush_panics, together, wait_until, watchdog};

const BOOM: &str = "boom";

/// `native` rounds of a test, or `miri` ones, which take a thousand times as long each.
const fn rounds(miri: usize, native: usize) -> usize {
    if cfg!(miri) { miri } else { native }
}

/// A timeout about as long as the other threads take for a step.
fn soon(step: usize) -> Option<Duration> {
    let unit = if cfg!(miri) { 300_000 } else { 500 };
    Some(Duration::from_nanos(step as u64 % 4 * unit))
}

/// Runs `test` with a runtime of two workers, until nothing is pending.
fn with_runtime(test: impl FnOnce(&Runtime)) {
    let _watchdog = watchdog();
    let runtime = Runtime::builder().workers(2).build().expect("threads");
    test(&runtime);
    assert_eq!(runtime.quiesce(None), Ok(()));
}

/// Waits for a result.
#[track_caller]
fn result<R: Send + 'static>(outcome: Outcome<R>) -> Result<R, Failed> {
    outcome.wait(None).expect("there is no deadline")
}

/// A value on the heap.
fn boxed() -> Cown<Box<usize>> {
    Cown::new(Box::new(0))
}

/// What is counted while it is alive, and panics in its drop if it is told to.
struct Alive(Arc<AtomicUsize>, bool);

impl Alive {
    fn new(count: &Arc<AtomicUsize>, panics: bool) -> Self {
        count.fetch_add(1, SeqCst);
        Self(count.clone(), panics)
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
        if self.1 {
            panic!("{BOOM}");
        }
    }
}

#[test]
fn behaviours_over_pairs_from_two_threads() {
    with_runtime(|runtime| {
        let cowns: [_; 3] = std::array::from_fn(|_| boxed());
        let rounds = rounds(4, 2_000);
        together(2, |id| {
            for round in 0..rounds {
                let (a, b) = (&cowns[(id + round) % 3], &cowns[(id + round + 1) % 3]);
                runtime.fire((a, b), |(a, b)| {
                    **a += 1;
                    **b += 1;
                });
            }
        });
        let mut all = acquire_all(&cowns[..]);
        assert_eq!(all.access().iter().map(|value| **value).sum::<usize>(), 4 * rounds);
    });
}

#[test]
fn readers_and_writers() {
    with_runtime(|runtime| {
        let cown = boxed();
        together(2, |_| {
            for _ in 0..rounds(3, 1_000) {
                runtime.fire(read(&cown), |value| _ = **value);
                runtime.fire(&cown, |value| **value += 1);
                runtime.fire(read(&cown), |value| assert_ne!(**value, 0));
            }
        });
        let mut held = acquire_all(read(&cown));
        assert_eq!(**held.access(), 2 * rounds(3, 1_000));
    });
}

#[test]
fn a_batch_is_scheduled_or_dropped() {
    with_runtime(|runtime| {
        let (a, b) = (boxed(), boxed());
        let counts = Arc::new(AtomicUsize::new(0));
        together(2, |id| {
            for round in 0..rounds(3, 500) {
                let alive = Alive::new(&counts, false);
                let mut batch = Batch::on(runtime);
                let first = batch.when((&a, read(&b)), |(a, b)| **a += **b);
                let second = batch.when((&first, &b), move |(first, b)| {
                    _ = &alive;
                    **b += 1;
                    first.is_ok()
                });
                let third = runtime.when(&second, |second| matches!(second, Ok(true)));
                if (id + round) % 2 == 0 {
                    batch.schedule();
                    assert!(result(third).unwrap());
                } else {
                    drop(batch);
                    assert!(!result(third).unwrap());
                }
            }
        });
        assert_eq!(counts.load(SeqCst), 0);
    });
}

/// More cowns than lie on the stack, some of them often, by every way to name them.
#[test]
fn duplicates_and_many() {
    with_runtime(|runtime| {
        let cowns: [_; 10] = std::array::from_fn(|_| boxed());
        let [a, b, ..] = &cowns;
        let uses = [Use::write(a), Use::read(b), Use::read(a), Use::write(b), Use::read(b)];
        let outcome = runtime.when_any(&uses, |held| {
            **held.get_mut::<Box<usize>>(0).unwrap() += 1;
            assert!(held.pair_mut::<Box<usize>, Box<usize>>(0, 0).is_none());
            assert!(held.get_mut::<Box<usize>>(1).is_none() && held.get::<u8>(0).is_none());
            let (a, b) = held.pair_mut::<Box<usize>, Box<usize>>(0, 3).unwrap();
            std::mem::swap(a, b);
            (**held.get::<Box<usize>>(2).unwrap(), **held.get::<Box<usize>>(4).unwrap())
        });
        assert_eq!(result(outcome).unwrap(), (0, 1));
        let twice = [cowns.to_vec(), cowns.to_vec()].concat();
        let outcome =
            runtime.when((&twice, (), [read(&Cown::new(3)); 2]), |(mut all, (), [n, m])| {
                all.for_each(|value| **value += 1);
                assert!(all.pair_mut(0, 10).is_none());
                let (first, second) = all.pair_mut(0, 1).unwrap();
                std::mem::swap(first, second);
                (all.len(), *n + *m)
            });
        assert_eq!(result(outcome).unwrap(), (20, 6));
        assert_eq!((**a.acquire(), **b.acquire()), (3, 2));
    });
}

#[test]
fn threads_acquire_and_give_up() {
    with_runtime(|runtime| {
        let (a, b, other) = (boxed(), boxed(), boxed());
        let counted = AtomicUsize::new(0);
        together(3, |id| {
            for round in 0..rounds(4, 1_000) {
                let step = id + round;
                match step % 4 {
                    0 => **a.acquire() += 1,
                    1 => {
                        let Some(mut held) = b.acquire_timed(soon(step)) else { continue };
                        **held += 1;
                        // It goes with a behaviour, to the thread that runs that.
                        runtime.fire(&other, move |_| drop(held));
                    }
                    2 => {
                        let Ok(mut both) = acquire_all_timed((&b, &a), soon(step)) else {
                            continue;
                        };
                        **both.access().1 += 1;
                    }
                    _ => {
                        runtime.fire([&a, &b], |[a, _]| **a += 1);
                    }
                }
                counted.fetch_add(1, SeqCst);
            }
        });
        assert_eq!(**a.acquire() + **b.acquire(), counted.load(SeqCst));
    });
}

/// Each outcome is waited for, cancelled, dropped or followed, as it completes.
#[test]
fn outcomes_come_to_every_end() {
    with_runtime(|runtime| {
        let cown = boxed();
        let count = Arc::new(AtomicUsize::new(0));
        for round in 0..rounds(12, 3_000) {
            let (closure, result) = (Alive::new(&count, false), Alive::new(&count, false));
            let outcome = runtime.when(&cown, move |value| {
                _ = &closure;
                **value += 1;
                result
            });
            match round % 6 {
                0 => drop(outcome.wait(None).ok()),
                1 => drop(outcome.wait(soon(round)).map_err(drop)),
                2 => _ = outcome.cancel(),
                3 => _ = outcome.try_look().is_some_and(|result| result.is_ok()),
                4 => assert!(runtime.fire(&outcome, |result| assert!(result.is_ok()))),
                // One takes the result as the other asks for it.
                _ => thread::scope(|scope| {
                    let cown = Cown::clone(&outcome);
                    scope.spawn(move || drop(runtime.when((&cown, &boxed()), |_| ())));
                    drop(outcome.wait(None).ok());
                }),
            }
        }
        assert_eq!(runtime.quiesce(None), Ok(()));
        assert_eq!(count.load(SeqCst), 0);
    });
}

/// As one thread takes the value away, another one asks for the cown and one more.
#[test]
fn a_value_is_disowned_as_another_asks_for_it() {
    with_runtime(|runtime| {
        let other = boxed();
        for _ in 0..rounds(4, 5_000) {
            let (cown, held) = Cown::held(Box::new(0));
            thread::scope(|scope| {
                scope.spawn(|| held.disown());
                let outcome = runtime.when((&cown, &other), |_| ());
                assert!(matches!(result(outcome), Err(Failed::Disowned)));
            });
            assert!(cown.try_acquire().is_none());
        }
    });
}

/// The last handle is a behaviour's, a thread's or an outcome's.
#[test]
fn the_last_handle_drops_the_value() {
    with_runtime(|runtime| {
        let count = Arc::new(AtomicUsize::new(0));
        for _ in 0..rounds(4, 1_000) {
            let cown = Cown::new(Alive::new(&count, false));
            let inner = cown.clone();
            // Its result has a handle, and its closure another.
            let outcome = runtime.when(&cown, move |_| inner);
            runtime.fire(cown, |_| ());
            drop(outcome);
        }
        wait_until(|| count.load(SeqCst) == 0);
    });
}

/// Values, closures and results that are large, aligned like nothing else, or nothing.
#[test]
fn layouts() {
    #[repr(align(128))]
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Wide(u8);
    with_runtime(|runtime| {
        let (wide, nothing, bytes) = (Cown::new(Wide(1)), Cown::new(()), Cown::new([0_u8; 3]));
        let captured = Wide(2);
        let body = move |(wide, (), bytes): (&mut Wide, &mut (), &mut [u8; 3])| {
            assert_eq!((&raw const captured).addr() % 128, 0);
            assert_eq!((&raw const *wide).addr() % 128, 0);
            bytes[2] = wide.0 + captured.0;
            Wide(bytes[2])
        };
        let outcome = runtime.when((&wide, &nothing, &bytes), body);
        assert_eq!(result(outcome).unwrap(), Wide(3));
        assert_eq!(*bytes.acquire(), [0, 0, 3]);
        assert_eq!(result(runtime.when((), |()| ())).ok(), Some(()));
        assert_eq!(result(runtime.when(&nothing, move |()| captured)).ok(), Some(Wide(2)));
    });
}

/// Drops an outcome whose result panics in its drop: here, if the behaviour has ended before.
fn drop_here_or_there<R: Send + 'static>(outcome: Outcome<R>) {
    _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(outcome)));
}

/// Bodies, closures, results and values that panic, in every place where they are dropped. The cowns come
/// free, all is counted and freed, and what follows runs.
#[test]
fn panics_in_bodies_and_drops() {
    hush_panics(BOOM);
    with_runtime(|runtime| {
        let count = Arc::new(AtomicUsize::new(0));
        let alive = |panics| Alive::new(&count, panics);
        let cown = boxed();
        for _ in 0..rounds(1, 200) {
            // A body, with a value that is dropped as it unwinds; waited for, dropped and fired.
            let boom = || {
                let closure = alive(false);
                move |value: &mut Box<usize>| {
                    _ = &closure;
                    **value += 1;
                    panic!("{BOOM}");
                }
            };
            let failed = result::<()>(runtime.when(&cown, boom())).expect_err("it panics");
            assert_eq!(failed.message(), Some(BOOM));
            drop::<Outcome<()>>(runtime.when(&cown, boom()));
            runtime.fire(&cown, boom());
            // A payload that panics in its drop.
            let payload = alive(true);
            runtime.fire(&cown, move |_| std::panic::panic_any(payload));
            let payload = alive(true);
            drop_here_or_there(runtime.when(&cown, move |_| {
                if cfg!(any()) {
                    return;
                }
                std::panic::panic_any(payload)
            }));
            // A closure, at its end, and at its cancellation.
            let closure = alive(true);
            let outcome = runtime.when(&cown, move |_| drop(closure));
            assert_eq!(result(outcome).expect_err("it panics").message(), Some(BOOM));
            let (held, closure) = (cown.acquire(), alive(true));
            let outcome = runtime.when(&cown, move |_| _ = &closure);
            let cancel = std::panic::AssertUnwindSafe(|| outcome.cancel());
            assert!(std::panic::catch_unwind(cancel).is_err());
            assert!(matches!(outcome.wait(None).unwrap(), Err(Failed::Cancelled)));
            drop(held);
            // A closure that does not run, since there is no value.
            let (gone, held) = Cown::held(());
            held.disown();
            let closure = alive(true);
            let outcome = runtime.when(&gone, move |_| _ = &closure);
            assert!(matches!(result(outcome), Err(Failed::Disowned)));
            // The closures of a batch that is dropped.
            let mut batch = Batch::on(runtime);
            let closures = [alive(true), alive(true)];
            let outcomes = closures.map(|closure| batch.when(&cown, move |_| _ = &closure));
            drop(batch);
            assert!(outcomes.map(result).iter().all(|result| result.is_err()));
            // A result that is dropped where the behaviour ends, and a value.
            let returned = alive(true);
            drop_here_or_there(runtime.when(&cown, move |_| returned));
            runtime.fire(Cown::new(alive(true)), |_| ());
            assert_eq!(runtime.quiesce(None), Ok(()));
            // A value whose last handle is a thread's.
            let last = std::panic::AssertUnwindSafe(|| drop(Cown::new(alive(true))));
            assert!(std::panic::catch_unwind(last).is_err());
        }
        assert_eq!(count.load(SeqCst), 0);
        assert_eq!(**cown.acquire(), 3 * rounds(1, 200));
    });
}

/// The runtime is stopped while behaviours wait for a cown: they are given up, and their closures dropped.
#[test]
fn what_is_pending_at_a_stop_is_given_up() {
    let _watchdog = watchdog();
    let count = Arc::new(AtomicUsize::new(0));
    for _ in 0..rounds(2, 100) {
        let runtime = Runtime::builder().workers(1).build().expect("threads");
        let (cown, held) = Cown::held(());
        let outcomes: [_; 3] = std::array::from_fn(|_| {
            let closure = Alive::new(&count, false);
            runtime.when(&cown, move |()| drop(closure))
        });
        drop(runtime);
        drop(held);
        assert!(outcomes.map(result).iter().all(|result| matches!(result, Err(Failed::Stopped))));
        assert_eq!(count.load(SeqCst), 0);
    }
}
