//! Signals on threads that count, that wait detached and that finalize: each value is dropped once, each
//! core is finalized once, and a drain ends when it should.
#![cfg(all(unix, not(any(pysync_loom, pysync_shuttle))))]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use pysync_platform::{Deadline, Native, ParkStatus, Parker};
use pysync_reclaim::{Finalize, Finalized, Finalizer, Reclaiming, Shared, Spread, away};
use pysync_testing::{
    Target, ThreadId, alone, rain, rain_until, random, signals_handled, wait_until, watchdog,
};

/// How many signals are handled while the threads of a test are busy.
const SIGNALS: usize = 200;

/// Counts the values that are made, and those that are dropped.
#[derive(Default)]
struct Log {
    made: AtomicUsize,
    dropped: AtomicUsize,
}

struct Probe(Arc<Log>);

impl Probe {
    fn new(log: &Arc<Log>) -> Self {
        log.made.fetch_add(1, SeqCst);
        Self(log.clone())
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, SeqCst);
    }
}

/// Waits for a wakeup as the owner of objects, detached, whatever signals come.
fn sleep_detached(parker: &Parker) {
    loop {
        match parker.wait_in::<Reclaiming<Native>>(Deadline::NEVER, true) {
            ParkStatus::Ok => return,
            status => assert_eq!(status, ParkStatus::Interrupted),
        }
    }
}

/// Threads that are hit all the time, until enough signals have been handled. Each calls `step` until then, and
/// has ended when this returns, the destructors of its thread locals too.
fn busy_under_fire<const N: usize>(step: impl Fn(usize) + Sync) {
    let targets = [(); N].map(|()| Target::default());
    let (stop, ended) = (AtomicBool::new(false), AtomicUsize::new(0));
    let busy = |id: usize, target: &Target| {
        target.enter();
        while !stop.load(SeqCst) {
            step(id);
        }
        ended.fetch_add(1, SeqCst);
    };
    let busy = &busy;
    thread::scope(|scope| {
        let handles: Vec<_> = targets
            .iter()
            .enumerate()
            .map(|(id, target)| scope.spawn(move || busy(id, target)))
            .collect();
        let threads: Vec<ThreadId> = targets.iter().map(Target::thread).collect();
        // SAFETY: joined below.
        unsafe {
            rain(&threads, SIGNALS);
            stop.store(true, SeqCst);
            rain_until(&threads, || ended.load(SeqCst) == N);
        }
        // A scope does not wait for the inboxes of its threads, which are emptied after their closures.
        handles.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// Handles, some of them spread, go from thread to thread. A handler interrupts counts between their steps,
/// and merges of objects whose owner is away.
#[test]
fn counts_stay_right_under_fire() {
    let _alone = alone();
    let _watchdog = watchdog();
    let log = Arc::<Log>::default();
    let places: [Mutex<Option<Shared<Probe>>>; 4] = Default::default();
    let bases: [Mutex<Option<Spread<Probe>>>; 2] = Default::default();
    let swap = |new| std::mem::replace(&mut *places[random(4)].lock().unwrap(), new);
    busy_under_fire::<4>(|_| {
        let handle = Shared::new(Probe::new(&log));
        let clones = [handle.clone(), handle.clone()];
        drop(swap(Some(handle)));
        match random(4) {
            0 => {
                let base = Shared::spread(&clones[0]);
                let old = bases[random(2)].lock().unwrap().replace(base);
                drop(old);
            }
            1 => drop(bases[random(2)].lock().unwrap().take()),
            2 => away(|| drop((swap(None), clones[0].clone()))),
            _ => {
                if let Some(handle) = swap(None) {
                    drop(handle.clone());
                    drop(swap(Some(handle)));
                }
            }
        }
    });
    drop((places, bases));
    Shared::collect();
    assert_eq!(log.made.load(SeqCst), log.dropped.load(SeqCst));
    assert!(signals_handled() > 0);
}

/// Owners that wait detached are woken by signals and wait again. Meanwhile others merge and drop their
/// objects.
#[test]
fn counts_of_owners_that_sleep_are_merged_under_fire() {
    const ROUNDS: usize = 100;
    let _alone = alone();
    let _watchdog = watchdog();
    let (log, target, parker) = (Arc::<Log>::default(), Target::default(), Parker::new());
    let (sender, receiver) = mpsc::channel::<Shared<Probe>>();
    let ended = AtomicUsize::new(0);
    thread::scope(|scope| {
        let (log, parker, ended, owner_target) = (&log, &parker, &ended, &target);
        scope.spawn(move || {
            owner_target.enter();
            for _ in 0..ROUNDS {
                let handle = Shared::new(Probe::new(log));
                sender.send(handle.clone()).unwrap();
                sleep_detached(parker);
                drop(handle);
            }
            ended.fetch_add(1, SeqCst);
            wait_until(|| ended.load(SeqCst) > 1);
        });
        scope.spawn(move || {
            for handle in receiver {
                // By way of the inbox, of the lock of the inbox, or after a merge.
                drop((handle.clone(), handle));
                parker.wakeup();
            }
        });
        // SAFETY: the owner waits for the count.
        unsafe { rain_until(&[target.thread()], || ended.load(SeqCst) == 1) };
        ended.fetch_add(1, SeqCst);
    });
    assert_eq!((log.made.load(SeqCst), log.dropped.load(SeqCst)), (ROUNDS, ROUNDS));
}

enum Core {
    /// Makes the finalizer's thread a target.
    Target(Arc<Target>),
    /// Keeps it until the sender is dropped.
    Block(mpsc::Receiver<()>),
    /// Counts that it has run.
    Count(Arc<[AtomicUsize]>, usize),
}

impl Finalize for Core {
    fn finalize(self) {
        match self {
            Self::Target(target) => target.enter(),
            Self::Block(receiver) => _ = receiver.recv(),
            Self::Count(runs, number) => _ = runs[number].fetch_add(1, SeqCst),
        }
    }
}

fn finalizer_under_fire() -> (Finalizer, ThreadId) {
    let (finalizer, target) = (Finalizer::new("under fire").unwrap(), Arc::<Target>::default());
    drop(Finalized::new_on(&finalizer, Core::Target(target.clone())));
    let thread = target.thread();
    (finalizer, thread)
}

/// Droppers, the finalizer's thread and a thread that drains are hit, and each core runs once.
#[test]
fn cores_are_finalized_once_under_fire() {
    const CORES: usize = 200;
    let _alone = alone();
    let _watchdog = watchdog();
    let (finalizer, thread) = finalizer_under_fire();
    let runs: Arc<[AtomicUsize]> = (0..2 * CORES).map(|_| AtomicUsize::new(0)).collect();
    let (targets, ended) = ([(); 3].map(|()| Target::default()), AtomicUsize::new(0));
    thread::scope(|scope| {
        for (id, target) in targets.iter().enumerate() {
            let (finalizer, runs, ended) = (&finalizer, &runs, &ended);
            scope.spawn(move || {
                target.enter();
                for number in 0..CORES {
                    if id == 2 {
                        // Until a moment, or until nothing is left.
                        let moment = Duration::from_micros(random(200) as u64);
                        finalizer.drain(Deadline::after(Some(moment)));
                    } else {
                        let core = Core::Count(runs.clone(), id * CORES + number);
                        drop(Finalized::new_on(finalizer, core));
                    }
                }
                ended.fetch_add(1, SeqCst);
                wait_until(|| ended.load(SeqCst) > 3);
            });
        }
        let mut threads: Vec<ThreadId> = targets.iter().map(Target::thread).collect();
        threads.push(thread);
        // SAFETY: the threads wait for the count, and the finalizer is there.
        unsafe { rain_until(&threads, || ended.load(SeqCst) == 3) };
        ended.fetch_add(1, SeqCst);
    });
    assert_eq!(finalizer.shutdown(Deadline::NEVER).left, 0);
    assert!(runs.iter().all(|runs| runs.load(SeqCst) == 1));
}

/// Signals neither end a drain before its deadline or its end, nor keep it from either.
#[test]
fn drains_sleep_through_signals() {
    let _alone = alone();
    let _watchdog = watchdog();
    let (finalizer, thread) = finalizer_under_fire();
    assert_eq!(finalizer.drain(Deadline::NEVER).left, 0);
    let (unblock, blocked) = mpsc::channel();
    let runs: Arc<[AtomicUsize]> = [AtomicUsize::new(0)].into();
    drop(Finalized::new_on(&finalizer, Core::Block(blocked)));
    drop(Finalized::new_on(&finalizer, Core::Count(runs.clone(), 0)));
    let time = Duration::from_millis(50);
    let target = Target::default();
    thread::scope(|scope| {
        let drainer = scope.spawn(|| {
            target.enter();
            let start = Instant::now();
            let left = finalizer.drain(Deadline::after(Some(time))).left;
            (left, start.elapsed())
        });
        // SAFETY: joined below; the finalizer is there.
        unsafe { rain_until(&[target.thread(), thread], || drainer.is_finished()) };
        let (left, elapsed) = drainer.join().unwrap();
        assert_eq!(left, 2);
        assert!(elapsed >= time, "{elapsed:?}");
    });
    let target = Target::default();
    thread::scope(|scope| {
        let drainer = scope.spawn(|| {
            target.enter();
            finalizer.drain(Deadline::NEVER)
        });
        let threads = [target.thread(), thread];
        target.sleeper.wait_until_asleep();
        // SAFETY: as above.
        unsafe { rain(&threads, 200) };
        assert!(!drainer.is_finished());
        drop(unblock);
        // SAFETY: as above.
        unsafe { rain_until(&threads, || drainer.is_finished()) };
        let drained = drainer.join().unwrap();
        assert_eq!((drained.ran, drained.panicked, drained.left), (2, 0, 0));
    });
    assert_eq!(runs[0].load(SeqCst), 1);
    assert_eq!(finalizer.shutdown(Deadline::NEVER).left, 0);
}
