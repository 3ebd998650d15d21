//! The workers of a runtime: that they run all there is, let nothing that is ready wait while one of them is
//! idle, sleep when there is nothing, and know when all is done.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use pysync_boc::{Busy, Cown, Failed, Runtime, fire};
use pysync_testing::{Sleeper, together, wait_until, watchdog};

fn runtime(workers: usize) -> Runtime {
    Runtime::builder().workers(workers).build().unwrap()
}

/// Blocks a body until a thread opens it.
#[derive(Clone, Default)]
struct Gate(Arc<AtomicBool>);

impl Gate {
    fn open(&self) {
        self.0.store(true, SeqCst);
    }

    fn wait(&self) {
        wait_until(|| self.0.load(SeqCst));
    }
}

#[test]
fn each_behaviour_runs_once_whatever_thread_has_asked_for_it() {
    const THREADS: usize = 3;
    const EACH: usize = 2_000;
    let _watchdog = watchdog();
    for workers in [1, 2, 4] {
        let runtime = runtime(workers);
        let runs: Arc<Vec<AtomicUsize>> =
            Arc::new((0..2 * THREADS * EACH).map(|_| AtomicUsize::new(0)).collect());
        together(THREADS, |thread| {
            for i in 0..EACH {
                let (runs, own) = (Arc::clone(&runs), runtime.clone());
                let first = 2 * (thread * EACH + i);
                runtime.fire((), move |()| {
                    runs[first].fetch_add(1, SeqCst);
                    // From inside, so by the other way.
                    own.fire((), move |()| _ = runs[first + 1].fetch_add(1, SeqCst));
                });
            }
        });
        runtime.quiesce(None).unwrap();
        assert!(runs.iter().all(|runs| runs.load(SeqCst) == 1));
        let stats = runtime.stats();
        assert_eq!(stats.scheduled(), 2 * THREADS * EACH);
        assert_eq!(stats.finished(), 2 * THREADS * EACH);
        assert_eq!(stats.outside.injected, THREADS * EACH);
    }
}

/// Each one that a body asks for runs while that body does, the last one too.
#[test]
fn what_is_ready_never_waits_behind_a_body_while_a_worker_is_idle() {
    let _watchdog = watchdog();
    let runtime = runtime(2);
    for asked in [1, 2, 3, 10] {
        for _ in 0..50 {
            let own = runtime.clone();
            let outcome = runtime.when((), move |()| {
                let ran = Arc::new(AtomicUsize::new(0));
                for _ in 0..asked {
                    let ran = Arc::clone(&ran);
                    own.fire((), move |()| _ = ran.fetch_add(1, SeqCst));
                }
                wait_until(|| ran.load(SeqCst) == asked);
            });
            outcome.wait(None).unwrap().unwrap();
        }
    }
}

/// A release makes several ready at a time. The worker goes on with one, and the others get another worker,
/// though that one never ends.
#[test]
fn what_a_release_makes_ready_does_not_wait_for_each_other() {
    let _watchdog = watchdog();
    let runtime = runtime(2);
    for _ in 0..100 {
        let (a, b) = (Cown::new(()), Cown::new(()));
        let begin = Gate::default();
        runtime.fire((&a, &b), {
            let begin = begin.clone();
            move |_| begin.wait()
        });
        // Each waits for the other.
        let arrived = Arc::new(AtomicUsize::new(0));
        for cown in [&a, &b] {
            let arrived = Arc::clone(&arrived);
            runtime.fire(cown, move |_| {
                arrived.fetch_add(1, SeqCst);
                wait_until(|| arrived.load(SeqCst) == 2);
            });
        }
        begin.open();
        runtime.quiesce(None).unwrap();
    }
}

/// The worker that runs a long body has a queue, from which the other one serves itself.
#[test]
fn others_take_from_the_queue_of_a_worker_that_is_busy() {
    let _watchdog = watchdog();
    let runtime = runtime(2);
    let own = runtime.clone();
    let outcome = runtime.when((), move |()| {
        let ran = Arc::new(AtomicUsize::new(0));
        for _ in 0..1_000 {
            let ran = Arc::clone(&ran);
            own.fire((), move |()| _ = ran.fetch_add(1, SeqCst));
        }
        wait_until(|| ran.load(SeqCst) == 1_000);
    });
    outcome.wait(None).unwrap().unwrap();
    let stats = runtime.stats();
    assert_eq!(stats.sum(|worker| worker.stolen), 1_000);
    assert!(stats.sum(|worker| worker.steal_attempts) >= stats.sum(|worker| worker.steal_failures));
}

/// A worker that has enough of its own looks at what comes from outside now and then.
#[test]
fn a_behaviour_that_goes_on_by_itself_keeps_no_other_from_running() {
    fn go_on(runtime: &Runtime, cown: &Cown<()>, over: &Gate) {
        if !over.0.load(SeqCst) {
            let (own, again, over) = (runtime.clone(), cown.clone(), over.clone());
            runtime.fire(cown, move |_| go_on(&own, &again, &over));
        }
    }
    let _watchdog = watchdog();
    let runtime = runtime(1);
    // One goes on without any queue, three of them keep the worker's own queue full.
    for chains in [1, 3] {
        let over = Gate::default();
        for _ in 0..chains {
            go_on(&runtime, &Cown::new(()), &over);
        }
        for _ in 0..20 {
            runtime.when((), |()| ()).wait(None).unwrap().unwrap();
        }
        over.open();
        runtime.quiesce(None).unwrap();
    }
    let stats = runtime.stats();
    assert!(stats.workers[0].continued > 0 && stats.workers[0].yielded > 0, "{stats:?}");
}

#[test]
fn a_chain_of_a_million_needs_no_stack() {
    fn count(cown: &Cown<usize>, n: &mut usize) {
        *n += 1;
        if *n < 1_000_000 {
            let again = cown.clone();
            fire(cown, move |n| count(&again, n));
        }
    }
    let _watchdog = watchdog();
    let runtime = Runtime::builder().workers(1).stack_size(128 << 10).build().unwrap();
    let cown = Cown::new(0);
    let again = cown.clone();
    runtime.fire(&cown, move |n| count(&again, n));
    runtime.quiesce(None).unwrap();
    assert_eq!(*cown.acquire(), 1_000_000);
}

/// No timer wakes them: once they sleep they count nothing more.
#[test]
fn workers_without_work_sleep() {
    let _watchdog = watchdog();
    let sleepers: Arc<[Sleeper; 3]> = Arc::default();
    let on_start = Arc::clone(&sleepers);
    let runtime = Runtime::builder()
        .workers(3)
        .on_start(move |index| on_start[index].enter())
        .build()
        .unwrap();
    let have_parked = || runtime.stats().workers.iter().all(|worker| worker.parked > 0);
    wait_until(have_parked);
    for _ in 0..10 {
        runtime.when((), |()| ()).wait(None).unwrap().unwrap();
    }
    // A worker may sleep for a lock, which is no rest.
    wait_until(|| {
        let before = runtime.stats();
        (0..100).all(|_| sleepers.iter().all(Sleeper::is_asleep)) && before == runtime.stats()
    });
}

#[test]
fn quiesce_waits_for_all_that_follows() {
    fn nest(runtime: &Runtime, depth: usize, ran: &Arc<AtomicUsize>) {
        ran.fetch_add(1, SeqCst);
        if depth > 0 {
            for _ in 0..2 {
                let (own, ran) = (runtime.clone(), Arc::clone(ran));
                runtime.fire((), move |()| nest(&own, depth - 1, &ran));
            }
        }
    }
    let _watchdog = watchdog();
    let runtime = runtime(2);
    runtime.quiesce(Some(Duration::ZERO)).unwrap();
    for _ in 0..200 {
        let ran = Arc::new(AtomicUsize::new(0));
        nest(&runtime, 6, &ran);
        runtime.quiesce(None).unwrap();
        assert_eq!(ran.load(SeqCst), 127);
    }
}

#[test]
fn quiesce_says_what_is_pending() {
    let _watchdog = watchdog();
    let runtime = runtime(1);
    let gate = Gate::default();
    let cown = Cown::new(());
    runtime.fire(&cown, {
        let gate = gate.clone();
        move |_| gate.wait()
    });
    runtime.fire(&cown, |_| ());
    for timeout in [Duration::ZERO, Duration::from_millis(5)] {
        let busy = runtime.quiesce(Some(timeout)).unwrap_err();
        assert_eq!(busy, Busy { pending: 2 });
        assert_eq!(busy.to_string(), "2 behaviours are pending");
    }
    together(3, |thread| {
        if thread == 0 {
            gate.open();
        } else {
            runtime.quiesce(None).unwrap();
        }
    });
    // One that waits for a cown that is held outside is pending too.
    let held = cown.acquire();
    runtime.fire(&cown, |_| ());
    assert_eq!(runtime.quiesce(Some(Duration::ZERO)), Err(Busy { pending: 1 }));
    drop(held);
    runtime.quiesce(None).unwrap();
}

/// A quiescer that has been woken is not late for the next one's.
#[test]
fn quiescers_come_and_go() {
    let _watchdog = watchdog();
    let runtime = runtime(2);
    together(3, |_| {
        for _ in 0..500 {
            let ran = Arc::new(AtomicBool::new(false));
            runtime.fire((), {
                let ran = Arc::clone(&ran);
                move |()| ran.store(true, SeqCst)
            });
            runtime.quiesce(None).unwrap();
            assert!(ran.load(SeqCst));
        }
    });
}

#[test]
fn a_body_knows_its_runtime_and_must_not_wait_for_it() {
    let _watchdog = watchdog();
    let runtime = runtime(1);
    assert_eq!(Runtime::current(), None);
    let own = runtime.clone();
    let outcome = runtime.when((), move |()| {
        assert_eq!(Runtime::current(), Some(own.clone()));
        _ = own.quiesce(None);
    });
    let failed = outcome.wait(None).unwrap().unwrap_err();
    assert_eq!(
        failed.message(),
        Some("quiesce was called inside a behaviour, and would wait for the end of it")
    );
    runtime.quiesce(None).unwrap();
    assert_eq!(runtime.stats().panicked(), 1);
}

/// Behaviours of two runtimes take turns on a cown.
#[test]
fn runtimes_share_cowns() {
    let _watchdog = watchdog();
    let runtimes = [runtime(1), runtime(2)];
    let cown = Cown::new(Vec::new());
    for i in 0..2_000 {
        runtimes[i % 2].fire(&cown, move |order| order.push(i));
    }
    runtimes.iter().for_each(|runtime| runtime.quiesce(None).unwrap());
    assert!(cown.acquire().iter().copied().eq(0..2_000));
}

#[test]
fn hooks_run_first_and_last_on_each_named_worker() {
    let _watchdog = watchdog();
    let log = Arc::new(Mutex::new(Vec::new()));
    let on_start = Arc::clone(&log);
    let on_stop = Arc::clone(&log);
    let runtime = Runtime::builder()
        .workers(2)
        .name("bee")
        .on_start(move |index| {
            let name = thread::current().name().map(str::to_owned);
            on_start.lock().unwrap().push(("start", index, name));
        })
        .on_stop(move |index| on_stop.lock().unwrap().push(("stop", index, None)))
        .build()
        .unwrap();
    runtime.when((), |()| ()).wait(None).unwrap().unwrap();
    drop(runtime);
    let mut log = log.lock().unwrap().clone();
    log.sort();
    assert_eq!(
        log,
        [
            ("start", 0, Some("bee-0".into())),
            ("start", 1, Some("bee-1".into())),
            ("stop", 0, None),
            ("stop", 1, None),
        ]
    );
}

#[test]
fn a_builder_refuses_what_cannot_be() {
    let _watchdog = watchdog();
    for workers in [0, 1025] {
        let built = std::panic::catch_unwind(|| Runtime::builder().workers(workers));
        assert!(built.is_err());
    }
    assert!(std::panic::catch_unwind(|| Runtime::builder().name("a\0b")).is_err());
}

/// A thread that cannot be spawned: no stack is so large.
#[cfg(target_os = "linux")]
#[test]
fn a_runtime_that_cannot_start_leaves_nothing() {
    let _watchdog = watchdog();
    Runtime::builder().workers(3).stack_size(1 << 46).build().unwrap_err();
}

/// What a worker schedules is dropped with the worker's runtime, and its value with it.
#[test]
fn nothing_is_left_of_a_runtime() {
    let _watchdog = watchdog();
    let value = Arc::new(());
    for _ in 0..50 {
        let runtime = runtime(2);
        for _ in 0..20 {
            let (own, value) = (runtime.clone(), Arc::clone(&value));
            runtime.fire((), move |()| _ = own.fire((), move |()| drop(value)));
        }
    }
    wait_until(|| Arc::strong_count(&value) == 1);
}

/// The last handle goes in a body: the worker cannot wait for itself.
#[test]
fn the_last_handle_may_go_in_a_body() {
    let _watchdog = watchdog();
    for _ in 0..50 {
        let runtime = runtime(2);
        let (sender, receiver) = mpsc::channel::<Failed>();
        let value = Arc::new(());
        let cown = Cown::new(());
        let gate = Gate::default();
        let outcome = runtime.when(&cown, {
            let (runtime, gate) = (runtime.clone(), gate.clone());
            move |_| {
                gate.wait();
                drop(runtime);
                drop(sender);
            }
        });
        // Behind it, so that the last worker gives it up, or it runs.
        let next = runtime.when(&cown, {
            let value = Arc::clone(&value);
            move |_| drop(value)
        });
        drop(runtime);
        gate.open();
        outcome.wait(None).unwrap().unwrap();
        assert!(receiver.recv().is_err());
        let next = next.wait(None).unwrap();
        assert!(matches!(next, Ok(()) | Err(Failed::Stopped)));
        wait_until(|| Arc::strong_count(&value) == 1);
    }
}
