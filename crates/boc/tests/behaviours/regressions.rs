//! Bugs that verona-rt has had, as tests: each is named by where it was found. And those that were found here.
//! What is not here is in the tests of verona-rt, in `cowns.rs` (empty groups that shift what follows) and in
//! `cowns_any.rs` (verona-rt #34 and #66: repeated cowns).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Instant;

use pysync_boc::{Batch, Cown, Failed, acquire_all, when};
use pysync_lock::guarded::Mutex;
use pysync_testing::{together, wait_until, watchdog};

use crate::common::*;

/// verona-rt #67: an array behind a closure was misaligned when that wanted more than a word.
#[test]
fn verona_67_closures_values_and_results_may_be_over_aligned() {
    #[repr(align(4096))]
    struct Page(u8);
    #[repr(align(128))]
    #[derive(Clone, Copy)]
    struct Line(u8);

    fn is_aligned<T>(value: &T) -> bool {
        (&raw const *value).addr() % align_of::<T>() == 0
    }

    let _watchdog = watchdog();
    let cowns: Vec<_> = (0..20).map(|n| Cown::new(Line(n))).collect();
    for count in 0..=cowns.len() {
        for _ in 0..3 {
            let (page, cown) = (Page(7), Cown::new(Page(1)));
            let outcome = when((&cowns[..count], &cown), move |(lines, value)| {
                assert!(lines.iter().all(is_aligned) && is_aligned(value));
                let sum: u8 = lines.iter().map(|line| line.0).sum();
                // The closure is moved to the stack, whole.
                (is_aligned(&page), Page(sum + page.0 + value.0))
            });
            let (closure_is, page) = result(outcome);
            assert!(closure_is && is_aligned(&page));
            assert_eq!(usize::from(page.0), 8 + (0..count).sum::<usize>());
        }
        let line = Line(3);
        let outcome = when(&cowns[..count], move |_| line);
        wait_until(|| outcome.is_done());
        let mut held = acquire_all(&outcome);
        let look = held.access().as_ref().unwrap();
        assert!(is_aligned(look) && look.0 == 3);
    }
    assert!(cowns.iter().all(|cown| is_aligned(&*cown.acquire())));
}

/// verona-rt #84: a queue that looked empty for a moment lost a wake. One behaviour at a time goes from worker
/// to worker, all of which fall asleep meanwhile.
#[test]
fn verona_84_no_wake_is_lost_when_there_is_one_thing_to_do() {
    let _watchdog = watchdog();
    let rounds = if cfg!(debug_assertions) { 100 } else { 1_000 };
    for workers in WORKERS {
        let runtime = runtime(workers);
        let cown = Cown::new(0);
        for round in 0..rounds {
            let nested = cown.clone();
            // From outside, then from inside, by a release, and by a thread that holds.
            let held = (round % 3 == 0).then(|| cown.acquire());
            let outcome = runtime.when((), move |()| when(nested, |count| *count += 1));
            drop(held);
            result(result(outcome));
        }
        assert_eq!(*cown.acquire(), rounds);
    }
}

/// verona-rt's threadpool: an external source that was removed on a thread of none of the workers put all to
/// sleep for good. Here: handles of the runtime come and go on other threads.
#[test]
fn verona_handles_that_are_dropped_elsewhere_leave_the_workers_awake() {
    let _watchdog = watchdog();
    let runtime = runtime(2);
    let cown = Cown::new(0);
    together(3, |_| {
        for _ in 0..200 {
            let handle = runtime.clone();
            handle.fire(&cown, |count| *count += 1);
            drop(handle);
        }
    });
    // The last one goes in a body.
    let last = runtime.clone();
    let outcome = runtime.when(&cown, move |count| {
        drop(last);
        *count
    });
    assert_eq!(result(outcome), 600);
    let moved = Mutex::new(Some(runtime));
    let cown_of_thread = cown.clone();
    thread::spawn(move || {
        let runtime = moved.lock().take().unwrap();
        let own = runtime.clone();
        let outcome = runtime.when(&cown_of_thread, move |count| {
            own.fire((), |()| ());
            *count += 1;
        });
        drop(runtime);
        // It has run, or its runtime went before.
        assert!(matches!(finished(outcome), Ok(()) | Err(Failed::Stopped)));
    })
    .join()
    .unwrap();
    assert!(!cown.is_held());
}

/// Found here: a holder disowns the cown while another thread, which has the lock of the word, queues a
/// request. The request must not write over what the holder says, or the value is dropped twice.
#[test]
fn a_cown_that_is_disowned_while_another_thread_asks_for_it_stays_so() {
    static DROPPED: AtomicUsize = AtomicUsize::new(0);

    struct Counts;
    impl Drop for Counts {
        fn drop(&mut self) {
            DROPPED.fetch_add(1, SeqCst);
        }
    }

    const ROUNDS: usize = if cfg!(debug_assertions) { 40 } else { 150 };
    /// A batch of so many has the lock for a while.
    const BATCH: usize = if cfg!(debug_assertions) { 5_000 } else { 50_000 };

    let _watchdog = watchdog();
    let runtime = runtime(1);
    let (cowns, held): (Vec<_>, Vec<_>) = (0..ROUNDS).map(|_| Cown::held(Counts)).unzip();
    let held = Mutex::new(held);
    let (asking, disowned) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let took = AtomicUsize::new(0);
    let ran = Arc::new(AtomicUsize::new(0));
    together(2, |id| {
        if id == 0 {
            for (round, held) in std::mem::take(&mut *held.lock()).into_iter().enumerate() {
                wait_until(|| asking.load(SeqCst) > round);
                // While the batch is queued, which takes about as long as for the one before, and comes last.
                let delay = took.load(SeqCst) * (20 + round % 20) / 40;
                let begin = Instant::now();
                wait_until(|| begin.elapsed().as_nanos() >= delay as u128);
                held.disown();
                disowned.store(round + 1, SeqCst);
            }
            return;
        }
        for (round, cown) in cowns.iter().enumerate() {
            let mut batch = Batch::on(&runtime);
            for _ in 0..BATCH {
                let ran = ran.clone();
                drop(batch.when(cown, move |_| _ = ran.fetch_add(1, SeqCst)));
            }
            asking.store(round + 1, SeqCst);
            let begin = Instant::now();
            batch.schedule();
            took.store(begin.elapsed().as_nanos() as usize, SeqCst);
            wait_until(|| disowned.load(SeqCst) > round);
        }
    });
    assert_eq!(runtime.quiesce(None), Ok(()));
    drop(cowns);
    assert_eq!((DROPPED.load(SeqCst), ran.load(SeqCst)), (ROUNDS, 0));
}
