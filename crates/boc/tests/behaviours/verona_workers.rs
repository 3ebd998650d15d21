//! Counterparts of verona-rt's functional tests of its scheduler, by their names there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

use crate::common::*;
use pysync_boc::{Cown, Outcome, Runtime, when};
use pysync_testing::{Sleeper, together, wait_until, watchdog};

/// `external_event_source`: a thread of none of the workers schedules while they are idle, and none of what
/// it schedules is left lying.
#[test]
fn external_event_source() {
    let _watchdog = watchdog();
    with_workers(|runtime| {
        let cown = Cown::new(0);
        together(2, |_| {
            for index in 0..scaled(2_000) {
                let outcome = runtime.when(&cown, |count| *count += 1);
                if index % 4 == 0 {
                    result(outcome);
                }
            }
        });
        assert_eq!(*cown.acquire(), 2 * scaled(2_000));
        assert_eq!(runtime.quiesce(None), Ok(()));
        // A promise stands for an event to come: quiescence waits for it.
        let (event, held) = Cown::held(());
        let outcome = runtime.when(&event, |()| ());
        let busy = runtime.quiesce(Some(std::time::Duration::from_millis(1)));
        assert_eq!(busy.unwrap_err().pending, 1);
        let sleeper = Sleeper::new();
        thread::scope(|scope| {
            scope.spawn(|| {
                sleeper.enter();
                assert_eq!(runtime.quiesce(None), Ok(()));
            });
            sleeper.wait_until_asleep();
            drop(held);
        });
        result(outcome);
    });
}

/// Six behaviours that ask for themselves again, until each has run so often: how often each has when the
/// first one is through.
fn laps(runtime: &Runtime, turns: usize) -> Vec<usize> {
    fn turn(cown: Cown<usize>, turns: Arc<Vec<AtomicUsize>>, id: usize, left: usize) {
        let again = cown.clone();
        when(cown, move |_| {
            turns[id].fetch_add(1, SeqCst);
            if left > 1 {
                turn(again, turns, id, left - 1);
            }
        });
    }

    let counts: Arc<Vec<_>> = Arc::new((0..6).map(|_| AtomicUsize::new(0)).collect());
    for id in 0..6 {
        let counts = counts.clone();
        runtime.fire((), move |()| turn(Cown::new(0), counts, id, turns));
    }
    wait_until(|| counts.iter().any(|count| count.load(SeqCst) == turns));
    let then = counts.iter().map(|count| count.load(SeqCst)).collect();
    assert_eq!(runtime.quiesce(None), Ok(()));
    assert!(counts.iter().all(|count| count.load(SeqCst) == turns));
    then
}

/// `fair`: none of several that are always ready is left out.
#[test]
fn fair() {
    let _watchdog = watchdog();
    with_workers(|runtime| {
        let counts = laps(runtime, scaled(100_000));
        assert!(counts.iter().all(|&count| count > 0), "{counts:?}");
    });
}

/// `fair_variance`: with one worker they take turns, so that none is far behind. With more, the kernel has
/// its say.
#[test]
fn fair_variance() {
    let _watchdog = watchdog();
    let turns = scaled(100_000);
    let runtime = runtime(1);
    let counts = laps(&runtime, turns);
    let least = *counts.iter().min().unwrap();
    assert!(least >= turns - turns * 15 / 100, "{counts:?} of {turns}");
}

/// `runtimepause`: the workers fall asleep, all of them, and are woken again and again.
#[test]
fn runtimepause() {
    let _watchdog = watchdog();
    for workers in WORKERS {
        let runtime = runtime(workers);
        let (cown, rounds) = (Cown::new(0), scaled(200).max(10));
        for round in 0..rounds {
            let parked = |runtime: &Runtime| runtime.stats().sum(|worker| worker.parked);
            // Each parks once more after it has been woken, and at the start.
            wait_until(|| parked(&runtime) >= workers.min(round + 1));
            result(runtime.when(&cown, |count| *count += 1));
            assert_eq!(runtime.quiesce(None), Ok(()));
        }
        assert_eq!(*cown.acquire(), rounds);
    }
}

/// `steal`: all work is made by one behaviour, on one worker, and the others take of it. Half of it waits for
/// the other half, which a worker alone could never run.
#[test]
fn steal() {
    let _watchdog = watchdog();
    for workers in [2, 4, 8] {
        let runtime = runtime(workers);
        for _ in 0..20 {
            let met = Arc::new(AtomicUsize::new(0));
            let outcomes = runtime.when((), move |()| {
                let meet = |_| {
                    let met = met.clone();
                    when((), move |()| {
                        met.fetch_add(1, SeqCst);
                        wait_until(|| met.load(SeqCst) >= workers);
                    })
                };
                (0..workers).map(meet).collect::<Vec<Outcome<()>>>()
            });
            result(outcomes).into_iter().for_each(result);
        }
        assert!(runtime.stats().sum(|worker| worker.stolen) > 0);
    }
}
