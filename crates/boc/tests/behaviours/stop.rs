//! The end of a runtime: what is queued is given up, in order, and nothing is lost.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use pysync_boc::{Cown, Failed, Held, Outcome, Runtime};
use pysync_testing::{random, together, wait_until, watchdog};

fn runtime(workers: usize) -> Runtime {
    Runtime::builder().workers(workers).build().unwrap()
}

fn wait<R: Send + 'static>(outcome: Outcome<R>) -> Result<R, Failed> {
    outcome.wait(None).unwrap()
}

/// Tells when it is dropped.
struct Tells(Arc<Mutex<Vec<usize>>>, usize);

impl Drop for Tells {
    fn drop(&mut self) {
        self.0.lock().unwrap().push(self.1);
    }
}

/// A body that runs until it is told to end.
fn blocked(runtime: &Runtime, cown: &Cown<()>) -> (Outcome<()>, Arc<AtomicBool>) {
    let (begun, over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let outcome = runtime.when(cown, {
        let (begun, over) = (Arc::clone(&begun), Arc::clone(&over));
        move |_| {
            begun.store(true, SeqCst);
            wait_until(|| over.load(SeqCst));
        }
    });
    wait_until(|| begun.load(SeqCst));
    (outcome, over)
}

#[test]
fn a_runtime_that_has_been_stopped_takes_nothing() {
    let _watchdog = watchdog();
    let runtime = runtime(2);
    for _ in 0..3 {
        let stopped = runtime.stop(None);
        assert_eq!((stopped.dropped, stopped.still_running), (0, 0));
    }
    let value = Arc::new(());
    let outcome = runtime.when((), {
        let value = Arc::clone(&value);
        move |()| drop(value)
    });
    assert!(matches!(wait(outcome), Err(Failed::Stopped)));
    assert_eq!(Arc::strong_count(&value), 1);
    assert!(!runtime.fire((), |()| ()));
    runtime.quiesce(None).unwrap();
}

/// The running body ends, those behind it on its cown and in the queue are given up in order.
#[test]
fn what_is_queued_is_given_up_in_order() {
    let _watchdog = watchdog();
    let runtime = runtime(1);
    let cown = Cown::new(());
    let order = Arc::new(Mutex::new(Vec::new()));
    let (running, over) = blocked(&runtime, &cown);
    let behind: Vec<_> = (0..10)
        .map(|i| {
            let tells = Tells(Arc::clone(&order), i);
            runtime.when(&cown, move |_| drop(tells))
        })
        .collect();
    let queued: Vec<_> = (0..10).map(|_| runtime.when((), |()| ())).collect();

    let stopped = runtime.stop(Some(Duration::ZERO));
    // Those on the cown are out of reach.
    assert_eq!((stopped.dropped, stopped.still_running), (10, 1));
    assert!(queued.into_iter().all(|outcome| matches!(wait(outcome), Err(Failed::Stopped))));
    let stopped = runtime.stop(Some(Duration::from_millis(5)));
    assert_eq!((stopped.dropped, stopped.still_running), (10, 1));
    assert!(order.lock().unwrap().is_empty());

    over.store(true, SeqCst);
    let stopped = runtime.stop(None);
    assert_eq!((stopped.dropped, stopped.still_running), (20, 0));
    wait(running).unwrap();
    assert!(behind.into_iter().all(|outcome| matches!(wait(outcome), Err(Failed::Stopped))));
    assert!(order.lock().unwrap().iter().copied().eq(0..10));
    runtime.quiesce(None).unwrap();
}

/// The thread that releases a cown gives up those that wait for it, though their runtime is gone.
#[test]
fn who_waits_for_a_held_cown_is_given_up_by_its_holder() {
    let _watchdog = watchdog();
    for _ in 0..50 {
        let runtime = runtime(1);
        let cown = Cown::new(());
        let held = cown.acquire();
        let order = Arc::new(Mutex::new(Vec::new()));
        let outcomes: Vec<_> = (0..5)
            .map(|i| {
                let tells = Tells(Arc::clone(&order), i);
                runtime.when(&cown, move |_| drop(tells))
            })
            .collect();
        drop(runtime);
        assert!(order.lock().unwrap().is_empty());
        thread::spawn(move || drop(held)).join().unwrap();
        assert!(order.lock().unwrap().iter().copied().eq(0..5));
        assert!(outcomes.into_iter().all(|outcome| matches!(wait(outcome), Err(Failed::Stopped))));
    }
}

/// Those of a stopped runtime are given up by the workers of another one, which goes on.
#[test]
fn another_runtime_gives_up_what_it_makes_ready() {
    let _watchdog = watchdog();
    for _ in 0..50 {
        let (stopped, other) = (runtime(1), runtime(1));
        let cown = Cown::new(());
        let (first, over) = blocked(&other, &cown);
        let second = stopped.when(&cown, |_| ());
        let third = other.when(&cown, |_| ());
        drop(stopped);
        over.store(true, SeqCst);
        wait(first).unwrap();
        assert!(matches!(wait(second), Err(Failed::Stopped)));
        wait(third).unwrap();
    }
}

/// A million behind each other: no recursion by their releases.
#[test]
fn a_long_queue_is_given_up_on_a_small_stack() {
    const LEN: usize = 1_000_000;
    let _watchdog = watchdog();
    let small = |f: fn()| {
        thread::Builder::new().stack_size(128 << 10).spawn(f).unwrap().join().unwrap();
    };
    small(|| {
        let runtime = runtime(1);
        let cown = Cown::new(());
        let (_, over) = blocked(&runtime, &cown);
        (0..LEN).for_each(|_| _ = runtime.fire(&cown, |_| ()));
        runtime.stop(Some(Duration::ZERO));
        over.store(true, SeqCst);
        assert_eq!(runtime.stop(None).dropped, LEN);
    });
    // Each closure holds the cown that the next one waits for: its drop releases it.
    small(|| {
        let runtime = runtime(1);
        let (mut cown, first) = Cown::held(());
        for _ in 0..LEN / 10 {
            let (next, held): (_, Held<()>) = Cown::held(());
            runtime.fire(&cown, move |_| drop(held));
            cown = next;
        }
        let last = runtime.when(&cown, |_| ());
        drop(runtime);
        drop(first);
        assert!(matches!(wait(last), Err(Failed::Stopped)));
    });
}

/// A closure that is dropped asks for more: refused at once. In another runtime it is not.
#[test]
fn a_closure_that_is_given_up_may_ask_for_behaviours() {
    struct Asks(Option<Runtime>, Arc<Mutex<Vec<Outcome<()>>>>);
    impl Drop for Asks {
        fn drop(&mut self) {
            let outcome = match &self.0 {
                Some(runtime) => runtime.when((), |()| ()),
                None => pysync_boc::when((), |()| ()),
            };
            self.1.lock().unwrap().push(outcome);
        }
    }
    let _watchdog = watchdog();
    let (stopped, other) = (runtime(1), runtime(1));
    let outcomes = Arc::new(Mutex::new(Vec::new()));
    let (_running, over) = blocked(&stopped, &Cown::new(()));
    for asked in [None, Some(stopped.clone()), Some(other.clone())] {
        let asks = Asks(asked, Arc::clone(&outcomes));
        stopped.fire((), move |()| drop(asks));
    }
    stopped.stop(Some(Duration::ZERO));
    over.store(true, SeqCst);
    stopped.stop(None);
    let outcomes = std::mem::take(&mut *outcomes.lock().unwrap());
    let results: Vec<_> = outcomes.into_iter().map(wait).collect();
    assert!(
        matches!(results[..], [Err(Failed::Stopped), Err(Failed::Stopped), Ok(())]),
        "{results:?}"
    );
}

#[test]
fn a_body_may_stop_its_own_runtime() {
    let _watchdog = watchdog();
    for _ in 0..50 {
        let runtime = runtime(2);
        let own = runtime.clone();
        let outcome = runtime.when((), move |()| own.stop(None).still_running);
        assert!((1..=2).contains(&wait(outcome).unwrap()));
        let late = runtime.when((), |()| ());
        assert!(matches!(wait(late), Err(Failed::Stopped)));
        assert_eq!(runtime.stop(None).still_running, 0);
    }
}

/// A stop at any time: each behaviour has run, or has been given up, once and never neither.
#[test]
fn nothing_is_lost_in_a_stop() {
    const THREADS: usize = 3;
    let _watchdog = watchdog();
    for seed in 0..100 {
        let runtime = runtime(1 + seed % 3);
        let cowns: Vec<_> = (0..4).map(|_| Cown::new(0_usize)).collect();
        let (ran, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let nested = Arc::new(Mutex::new(Vec::new()));
        together(THREADS + 1, |thread| {
            if thread == THREADS {
                for _ in 0..seed % 10 * 10 {
                    thread::yield_now();
                }
                let stopped = runtime.stop(None);
                assert_eq!(stopped.still_running, 0);
                return;
            }
            let outcomes: Vec<_> = (0..100)
                .map(|_| {
                    let (a, b) = (random(4), random(3));
                    let b = (a + 1 + b) % 4;
                    let (own, cown, nested) =
                        (runtime.clone(), cowns[a].clone(), Arc::clone(&nested));
                    runtime.when((&cowns[a], &cowns[b]), move |(a, b)| {
                        *a += 1;
                        *b += 1;
                        let outcome = own.when(&cown, |a| *a += 1);
                        nested.lock().unwrap().push(outcome);
                    })
                })
                .collect();
            for outcome in outcomes {
                match wait(outcome) {
                    Ok(()) => ran.fetch_add(2, SeqCst),
                    Err(Failed::Stopped) => refused.fetch_add(1, SeqCst),
                    Err(failed) => panic!("{failed:?}"),
                };
            }
        });
        for outcome in std::mem::take(&mut *nested.lock().unwrap()) {
            if wait(outcome).is_ok() {
                ran.fetch_add(1, SeqCst);
            }
        }
        runtime.quiesce(None).unwrap();
        assert_eq!(cowns.iter().map(|cown| *cown.acquire()).sum::<usize>(), ran.load(SeqCst));
    }
}

#[test]
fn many_may_stop_at_once() {
    let _watchdog = watchdog();
    for _ in 0..50 {
        let runtime = runtime(2);
        let value = Arc::new(());
        for _ in 0..100 {
            let value = Arc::clone(&value);
            runtime.fire((), move |()| drop(value));
        }
        together(3, |_| assert_eq!(runtime.stop(None).still_running, 0));
        assert_eq!(Arc::strong_count(&value), 1);
        runtime.quiesce(None).unwrap();
    }
}
