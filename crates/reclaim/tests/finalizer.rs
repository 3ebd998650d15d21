//! Finalizers: each core once, in order, whatever panics, and what is left is told.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, ThreadId};
use std::time::Duration;

use pysync_monitor::{Deadlock, Monitor, attempt};
use pysync_reclaim::{Deadline, Drained, Finalize, Finalized, Finalizer, Shared};
use pysync_testing::{hush_panics, together, wait_until, watchdog};

/// A core that runs a closure.
struct Core<F>(F);

impl<F: FnOnce() + Send + 'static> Finalize for Core<F> {
    fn finalize(self) {
        (self.0)();
    }
}

/// What has been finalized, by which thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(usize, ThreadId)>>>);

impl Log {
    fn core(&self, number: usize) -> Core<impl FnOnce() + Send + 'static + use<>> {
        let log = self.0.clone();
        Core(move || log.lock().unwrap().push((number, thread::current().id())))
    }

    fn numbers(&self) -> Vec<usize> {
        self.0.lock().unwrap().iter().map(|(number, _)| *number).collect()
    }

    fn is_all_by_me(&self) -> bool {
        self.0.lock().unwrap().iter().all(|(_, by)| *by == thread::current().id())
    }
}

fn finalizer() -> Finalizer {
    Finalizer::new("of a test").unwrap()
}

/// Blocks the thread of a finalizer until the result is dropped, or told.
fn block(finalizer: &Finalizer) -> mpsc::Sender<()> {
    let (sender, receiver) = mpsc::channel::<()>();
    drop(Finalized::new_on(finalizer, Core(move || _ = receiver.recv())));
    sender
}

#[test]
fn a_core_is_finalized_on_the_thread_of_its_finalizer() {
    let _watchdog = watchdog();
    let (sender, receiver) = mpsc::channel();
    let finalizer = finalizer();
    let core = Core(move || {
        let name = thread::current().name().map(str::to_owned);
        sender.send((name, thread::current().id())).unwrap();
    });
    drop(Finalized::new_on(&finalizer, core));
    let (name, id) = receiver.recv().unwrap();
    assert_eq!(name.as_deref(), Some("of a test"));
    assert_ne!(id, thread::current().id());
}

#[test]
fn the_global_finalizer_is_one() {
    let _watchdog = watchdog();
    let log = Log::default();
    drop(Finalized::new(log.core(1)));
    let drained = Finalizer::global().drain(Deadline::NEVER);
    assert_eq!((drained.panicked, drained.left), (0, 0));
    assert_eq!(log.numbers(), [1]);
    assert!(format!("{:?}", Finalizer::global()).contains("\"finalizer\""));
}

#[test]
fn a_core_can_be_used_finalized_and_disarmed() {
    struct Number(Arc<AtomicUsize>, usize);
    impl Finalize for Number {
        fn finalize(self) {
            self.0.fetch_add(self.1, SeqCst);
        }
    }
    let _watchdog = watchdog();
    let (finalizer, sum) = (finalizer(), Arc::<AtomicUsize>::default());
    let mut first = Finalized::new_on(&finalizer, Number(sum.clone(), 0));
    first.1 = 7;
    assert_eq!(first.1, 7);
    // Here and now, and not once more.
    Finalized::finalize(first);
    assert_eq!(sum.load(SeqCst), 7);
    let core = Finalized::disarm(Finalized::new_on(&finalizer, Number(sum.clone(), 100)));
    assert_eq!((core.1, Arc::strong_count(&sum)), (100, 2));
    drop(core);
    let drained = finalizer.drain(Deadline::NEVER);
    assert_eq!(drained, Drained::default());
    assert_eq!(sum.load(SeqCst), 7);
}

/// safethread's: a finalizer that is called by hand and fails tells its caller, and does not run again.
#[test]
fn a_panic_of_a_finalizer_that_was_called_is_its_callers() {
    const MESSAGE: &str = "called by hand";
    hush_panics(MESSAGE);
    let _watchdog = watchdog();
    let finalizer = finalizer();
    let core = Finalized::new_on(&finalizer, Core(|| panic!("{MESSAGE}")));
    assert!(catch_unwind(AssertUnwindSafe(|| Finalized::finalize(core))).is_err());
    assert_eq!(finalizer.drain(Deadline::NEVER), Drained::default());
}

#[test]
fn cores_are_finalized_in_the_order_of_their_drops() {
    let _watchdog = watchdog();
    let (finalizer, log) = (finalizer(), Log::default());
    let unblock = block(&finalizer);
    let cores: Vec<_> = (0..100).map(|n| Finalized::new_on(&finalizer, log.core(n))).collect();
    cores.into_iter().rev().for_each(drop);
    assert_eq!(finalizer.queued(), 101);
    drop(unblock);
    let drained = finalizer.drain(Deadline::NEVER);
    assert_eq!((drained.left, finalizer.queued()), (0, 0));
    assert_eq!(log.numbers(), (0..100).rev().collect::<Vec<_>>());
}

/// Those of each thread in its order, and all of them.
#[test]
fn many_threads_drop() {
    let _watchdog = watchdog();
    let (finalizer, log) = (finalizer(), Log::default());
    let each = if cfg!(miri) { 5 } else { 1000 };
    together(4, |id| {
        for number in 0..each {
            drop(Finalized::new_on(&finalizer, log.core(id * each + number)));
        }
    });
    assert_eq!(finalizer.drain(Deadline::NEVER).left, 0);
    let numbers = log.numbers();
    for id in 0..4 {
        let own: Vec<_> = numbers.iter().filter(|number| **number / each == id).collect();
        assert!(own.is_sorted() && own.len() == each);
    }
}

/// The first defect of safethread's: its finalizer thread ended with the first exception.
#[test]
fn a_finalizer_that_panics_is_reported_and_the_next_one_runs() {
    const MESSAGE: &str = "a finalizer of the test";
    const HOOK: &str = "a hook of the test";
    hush_panics(MESSAGE);
    hush_panics(HOOK);
    let _watchdog = watchdog();
    let (finalizer, log) = (finalizer(), Log::default());
    let reports = Arc::<Mutex<Vec<_>>>::default();
    let by_hook = reports.clone();
    finalizer.on_panic(move |panic| {
        let of_core = panic.type_name().contains("Core");
        by_hook.lock().unwrap().push((of_core, panic.message().map(str::to_owned)));
        assert!(format!("{panic:?}").contains("type_name"));
        if panic.message().is_none() {
            panic!("{HOOK}");
        }
    });
    let unblock = block(&finalizer);
    drop(Finalized::new_on(&finalizer, Core(|| panic!("{MESSAGE}"))));
    drop(Finalized::new_on(&finalizer, log.core(1)));
    // A payload that is no message, and whose drop panics too.
    struct Payload;
    impl Drop for Payload {
        fn drop(&mut self) {
            panic!("{MESSAGE}");
        }
    }
    drop(Finalized::new_on(&finalizer, Core(|| std::panic::resume_unwind(Box::new(Payload)))));
    drop(Finalized::new_on(&finalizer, log.core(2)));
    drop(unblock);
    let drained = finalizer.shutdown(Deadline::NEVER);
    assert_eq!((drained.panicked, drained.left), (2, 0));
    assert_eq!(log.numbers(), [1, 2]);
    assert_eq!(*reports.lock().unwrap(), [(true, Some(MESSAGE.to_owned())), (true, None)]);
}

/// What a finalizer queues is part of the drain.
#[test]
fn a_drain_runs_what_finalizers_queue() {
    fn chain(finalizer: Finalizer, left: usize, log: Log) {
        let next = finalizer.clone();
        let core = Core(move || {
            drop(Finalized::new_on(&next, log.core(left)));
            if left > 0 {
                chain(next, left - 1, log);
            }
        });
        drop(Finalized::new_on(&finalizer, core));
    }
    let _watchdog = watchdog();
    let (finalizer, log) = (finalizer(), Log::default());
    let unblock = block(&finalizer);
    chain(finalizer.clone(), 5, log.clone());
    let drained = finalizer.drain(Deadline::NOW);
    assert_eq!(drained, Drained { ran: 0, panicked: 0, left: 2 });
    // The drain is under way before the chain begins, or else a part of it has been counted before.
    let drained = thread::scope(|s| {
        let drain = s.spawn(|| finalizer.drain(Deadline::NEVER));
        drop(unblock);
        drain.join().unwrap()
    });
    assert!(drained.ran <= 13 && drained.left == 0);
    assert_eq!(log.numbers().len(), 6);
}

/// Boehm's collector runs no finalizer behind one that blocks, and does not say so. Nor do others run here,
/// but it is told.
#[test]
fn a_drain_says_what_is_left_behind_one_that_blocks() {
    let _watchdog = watchdog();
    let (finalizer, log) = (finalizer(), Log::default());
    let unblock = block(&finalizer);
    drop(Finalized::new_on(&finalizer, log.core(1)));
    let soon = Deadline::after(Some(Duration::from_millis(5)));
    assert_eq!(finalizer.drain(soon), Drained { ran: 0, panicked: 0, left: 2 });
    assert!(soon.has_passed());
    drop(unblock);
    assert_eq!(finalizer.drain(Deadline::NEVER).left, 0);
    assert_eq!(log.numbers(), [1]);
}

/// A finalizer that drains its own queue would wait for itself.
#[test]
fn a_drain_in_a_finalizer_only_looks() {
    let _watchdog = watchdog();
    let finalizer = finalizer();
    let (sender, receiver) = mpsc::channel();
    let own = finalizer.clone();
    let core = Core(move || sender.send(own.shutdown(Deadline::NEVER)).unwrap());
    drop(Finalized::new_on(&finalizer, core));
    assert_eq!(receiver.recv().unwrap(), Drained { ran: 0, panicked: 0, left: 1 });
    assert_eq!(finalizer.drain(Deadline::NEVER).left, 0);
    assert!(finalizer.is_closed());
}

#[test]
fn a_core_that_is_dropped_after_the_shutdown_is_finalized_in_place() {
    const MESSAGE: &str = "in place";
    hush_panics(MESSAGE);
    let _watchdog = watchdog();
    let (finalizer, log) = (finalizer(), Log::default());
    let late = Finalized::new_on(&finalizer, log.core(1));
    assert!(!finalizer.is_closed());
    assert_eq!(finalizer.shutdown(Deadline::NEVER), Drained::default());
    assert!(finalizer.is_closed());
    drop(late);
    assert_eq!(log.numbers(), [1]);
    assert!(log.is_all_by_me());
    // Its panic is not the dropper's.
    let reports = Arc::new(AtomicUsize::new(0));
    let by_hook = reports.clone();
    finalizer.on_panic(move |_| _ = by_hook.fetch_add(1, SeqCst));
    drop(Finalized::new_on(&finalizer, Core(|| panic!("{MESSAGE}"))));
    assert_eq!(reports.load(SeqCst), 1);
    // Nothing comes of it.
    assert_eq!(finalizer.shutdown(Deadline::NEVER), Drained::default());
}

/// A shutdown whose deadline passes: what is queued is finalized by the thread still, what comes later in
/// place.
#[test]
fn a_shutdown_behind_one_that_blocks() {
    let _watchdog = watchdog();
    let (finalizer, log) = (finalizer(), Log::default());
    let unblock = block(&finalizer);
    drop(Finalized::new_on(&finalizer, log.core(1)));
    assert_eq!(finalizer.shutdown(Deadline::NOW).left, 2);
    drop(Finalized::new_on(&finalizer, log.core(2)));
    assert_eq!(log.numbers(), [2]);
    drop(unblock);
    assert_eq!(finalizer.shutdown(Deadline::NEVER).left, 0);
    assert_eq!(log.numbers(), [2, 1]);
}

/// The last handle closes the finalizer. What is queued is finalized, and what lives on later in place.
#[test]
fn the_last_handle_of_a_finalizer_closes_it() {
    let _watchdog = watchdog();
    let (finalizer, log) = (finalizer(), Log::default());
    let (queued, late) =
        (Finalized::new_on(&finalizer, log.core(1)), Finalized::new_on(&finalizer, log.core(2)));
    let unblock = block(&finalizer);
    drop(queued);
    drop(finalizer.clone());
    assert!(!finalizer.is_closed());
    drop(finalizer);
    drop(late);
    assert_eq!(log.numbers(), [2]);
    drop(unblock);
    wait_until(|| log.numbers() == [2, 1]);
}

/// The common use: the object is shared, and its last handle, wherever it is dropped, queues the core.
#[test]
fn a_core_in_a_shared_object() {
    let _watchdog = watchdog();
    let (finalizer, log) = (finalizer(), Log::default());
    let shared = Shared::new(Finalized::new_on(&finalizer, Plain(log.clone())));
    together(4, |_| drop(shared.clone()));
    assert_eq!(finalizer.drain(Deadline::NEVER).ran, 0);
    drop(shared);
    assert_eq!(finalizer.drain(Deadline::NEVER).left, 0);
    assert_eq!(log.numbers(), [0]);

    let base = Shared::spread(&Shared::new(Finalized::new_on(&finalizer, Plain(log.clone()))));
    together(4, |_| drop(base.clone()));
    drop(base);
    assert_eq!(finalizer.drain(Deadline::NEVER).left, 0);
    assert_eq!(log.numbers(), [0, 0]);

    struct Plain(Log);
    impl Finalize for Plain {
        fn finalize(self) {
            self.0.core(0).finalize();
        }
    }
}

/// A finalizer deadlocks: its thread has the monitor that another one wants, and wants the one that the other
/// has. It is the youngest of the cycle, loses, and tries again.
#[test]
fn a_finalizer_that_deadlocks_loses_and_tries_again() {
    /// Takes the second monitor, and then the first.
    fn younger(
        monitors: &Arc<[Monitor<i32>; 2]>,
        holds: &Arc<AtomicBool>,
        tries: &Arc<AtomicUsize>,
    ) -> Core<impl FnOnce() + Send + 'static + use<>> {
        let (monitors, holds, tries) = (monitors.clone(), holds.clone(), tries.clone());
        Core(move || {
            attempt(|| -> Result<(), Deadlock> {
                tries.fetch_add(1, SeqCst);
                monitors[1].enter(|mut b| {
                    holds.store(true, SeqCst);
                    monitors[0].enter(|mut a| {
                        *a += 1;
                        *b += 1;
                    })
                })?
            })
            .unwrap();
        })
    }

    let _watchdog = watchdog();
    let finalizer = finalizer();
    let monitors = Arc::new([Monitor::new(0), Monitor::new(0)]);
    let (holds, tries) = (Arc::new(AtomicBool::new(false)), Arc::<AtomicUsize>::default());

    // The other thread is the older one: it is in its attempt before the finalizer begins.
    let waits = Monitor::new(());
    let won = thread::scope(|s| {
        let (block, blocked) = mpsc::channel::<()>();
        let older = s.spawn({
            let (monitors, holds) = (&monitors, &holds);
            let (waits, finalizer, tries) = (&waits, &finalizer, &tries);
            move || {
                attempt(|| -> Result<(), Deadlock> {
                    monitors[0].enter(|mut a| {
                        _ = blocked.recv();
                        // It has waited, and so it has an age.
                        waits.enter(|_| ())?;
                        drop(Finalized::new_on(finalizer, younger(monitors, holds, tries)));
                        wait_until(|| holds.load(SeqCst));
                        monitors[1].enter(|mut b| {
                            *a += 1;
                            *b += 1;
                        })
                    })?
                })
                .is_ok()
            }
        });
        waits
            .enter(|_| {
                drop(block);
                // Until the other one is queued for this monitor.
                wait_until(|| !pysync_monitor::snapshot().is_empty());
            })
            .unwrap();
        older.join().unwrap()
    });
    assert!(won, "the older one loses nothing");
    let drained = finalizer.drain(Deadline::NEVER);
    assert_eq!((drained.panicked, drained.left), (0, 0));
    assert!(tries.load(SeqCst) >= 2, "the finalizer has lost once");
    let values = monitors.each_ref().map(|monitor| monitor.enter(|value| *value).unwrap());
    assert_eq!(values, [2, 2]);
}

/// Objects that finalizers make are theirs, and freed though the thread sleeps.
#[test]
fn the_thread_is_no_owner_that_is_waited_for() {
    struct Probe(Arc<AtomicUsize>);
    impl Drop for Probe {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    let _watchdog = watchdog();
    let (finalizer, drops) = (finalizer(), Arc::<AtomicUsize>::default());
    let (sender, receiver) = mpsc::channel();
    let probe = Probe(drops.clone());
    drop(Finalized::new_on(&finalizer, Core(move || sender.send(Shared::new(probe)).unwrap())));
    drop(receiver.recv().unwrap());
    // By this thread while the other one sleeps, or by that one before it does.
    wait_until(|| drops.load(SeqCst) == 1);
}
