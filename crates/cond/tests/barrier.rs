//! The barrier: rounds that are complete and in order, one leader each.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::mem::{align_of, size_of};
use std::sync::atomic::{AtomicUsize, Ordering::*};
use std::thread;
use std::time::Duration;

use pysync_cond::{Barrier, LockFlags};
use pysync_parking_lot::{Key, Native, inspect};
use pysync_testing::{Sleeper, sleeping, together, wait_until, watchdog, watchdog_for};

fn waiting(barrier: &Barrier) -> usize {
    inspect(Key::of(barrier), |waiters| waiters.count())
}

#[test]
fn it_has_eight_bytes() {
    assert_eq!((size_of::<Barrier>(), align_of::<Barrier>()), (8, 4));
    assert_eq!(format!("{:?}", Barrier::new(2)), "Barrier { parties: 2, .. }");
}

#[test]
fn a_thread_alone_is_its_own_leader() {
    static OF_ONE: Barrier = Barrier::new(1);
    for _ in 0..3 {
        assert!(OF_ONE.wait());
        assert!(Barrier::new(0).wait_in::<Native>(LockFlags::empty()));
    }
    let of_none = Barrier::new(0);
    assert!(of_none.wait() && of_none.wait());
}

#[test]
fn nobody_goes_on_before_the_last_has_come() {
    let _watchdog = watchdog();
    let (barrier, gone) = (Barrier::new(4), AtomicUsize::new(0));
    let sleepers: [Sleeper; 3] = Default::default();
    thread::scope(|scope| {
        for sleeper in &sleepers {
            let (barrier, gone) = (&barrier, &gone);
            scope.spawn(move || {
                sleeper.enter();
                assert!(!barrier.wait(), "the last to come is the leader");
                gone.fetch_add(1, SeqCst);
            });
        }
        wait_until(|| waiting(&barrier) == 3);
        sleeping(&sleepers);
        assert_eq!(gone.load(SeqCst), 0);
        assert!(barrier.wait());
    });
    assert_eq!(gone.into_inner(), 3);
}

#[test]
fn round_after_round_has_one_leader_and_everybodys_work() {
    const THREADS: usize = 4;
    const ROUNDS: usize = 2_000;
    let _watchdog = watchdog_for(Duration::from_secs(300));
    let barrier = Barrier::new(THREADS as u32);
    let (work, leaders) = ([const { AtomicUsize::new(0) }; THREADS], AtomicUsize::new(0));
    together(THREADS, |id| {
        for round in 1..=ROUNDS {
            work[id].store(round, Relaxed);
            if barrier.wait() {
                leaders.fetch_add(1, Relaxed);
            }
            for other in &work {
                let of_other = other.load(Relaxed);
                assert!(of_other == round || of_other == round + 1, "{of_other} in {round}");
            }
        }
    });
    assert_eq!(leaders.into_inner(), ROUNDS);
    assert_eq!(waiting(&barrier), 0);
}

/// As many as like to, so that those of the next round are queued while a leader wakes.
#[test]
fn more_threads_than_parties_make_full_rounds() {
    const PARTIES: usize = 3;
    const ROUNDS: usize = 3_000;
    let _watchdog = watchdog_for(Duration::from_secs(300));
    let barrier = Barrier::new(PARTIES as u32);
    let tickets = AtomicUsize::new(0);
    let (come, gone, leaders) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    together(8, |_| {
        while tickets.fetch_add(1, Relaxed) < PARTIES * ROUNDS {
            come.fetch_add(1, SeqCst);
            if barrier.wait() {
                leaders.fetch_add(1, SeqCst);
            }
            let gone = gone.fetch_add(1, SeqCst) + 1;
            let complete = come.load(SeqCst) / PARTIES;
            assert!(gone <= complete * PARTIES, "{gone} have gone on of {complete} rounds");
        }
    });
    assert_eq!(gone.into_inner(), PARTIES * ROUNDS);
    assert_eq!(leaders.into_inner(), ROUNDS);
    assert_eq!(waiting(&barrier), 0);
}

#[cfg(all(target_os = "linux", not(pysync_portable)))]
#[test]
fn no_signal_ends_a_wait() {
    use pysync_testing::{ThreadId, rain, watch_signals};
    use std::sync::OnceLock;

    let _watchdog = watchdog();
    watch_signals();
    let (barrier, id) = (Barrier::new(2), OnceLock::new());
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            id.set(ThreadId::current()).unwrap();
            // None of the flags but one counts.
            barrier.wait_in::<Native>(LockFlags::all())
        });
        wait_until(|| waiting(&barrier) == 1);
        // SAFETY: not joined yet.
        unsafe { rain(&[*id.get().unwrap()], 100) };
        assert!(!waiter.is_finished());
        assert_eq!(waiting(&barrier), 1);
        assert!(barrier.wait());
        assert!(!waiter.join().unwrap());
    });
}

#[cfg(unix)]
#[test]
fn a_child_resets_the_count() {
    let _watchdog = watchdog();
    pysync_parking_lot::register_fork_handler();
    let barrier = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| barrier.wait());
        wait_until(|| waiting(&barrier) == 1);
        pysync_testing::fork(|| {
            // SAFETY: the only thread of the child, which does not wait.
            unsafe { barrier.after_fork() };
            thread::scope(|scope| {
                let other = scope.spawn(|| barrier.wait());
                let leads = barrier.wait();
                leads != other.join().unwrap()
            })
        });
        assert!(barrier.wait());
    });
}
