//! The latch: it opens once, for all that wait and all that come later.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::mem::{align_of, size_of};
use std::sync::atomic::{AtomicUsize, Ordering::*};
use std::thread;
use std::time::{Duration, Instant};

use pysync_cond::{Deadline, Latch, LockFlags, LockStatus};
use pysync_parking_lot::{Key, Native, inspect};
use pysync_testing::{panics_with, together, wait_until, watchdog};

const OPEN: &str = "the latch is open already";
const DETACH: LockFlags = LockFlags::DETACH;

#[test]
fn it_has_four_bytes() {
    assert_eq!((size_of::<Latch>(), align_of::<Latch>()), (4, 4));
    assert_eq!(format!("{:?}", Latch::new(2)), "Latch { count: 2 }");
}

#[test]
fn it_opens_with_the_last_count() {
    static LATCH: Latch = Latch::new(4);
    let soon = Some(Duration::from_millis(2));
    LATCH.count_down();
    LATCH.count_down_by(2);
    assert!(!LATCH.is_open());
    let begin = Instant::now();
    assert_eq!(LATCH.wait_timed(soon, DETACH), LockStatus::Failure);
    assert!(Some(begin.elapsed()) >= soon);
    assert_eq!(LATCH.wait_in::<Native>(Deadline::NOW, DETACH), LockStatus::Failure);
    LATCH.count_down();
    assert!(LATCH.is_open());
    LATCH.wait();
    assert_eq!(LATCH.wait_timed(soon, DETACH), LockStatus::Acquired);
    assert_eq!(LATCH.wait_in::<Native>(Deadline::NOW, DETACH), LockStatus::Acquired);
}

#[test]
fn one_of_zero_is_open() {
    let latch = Latch::new(0);
    assert!(latch.is_open());
    latch.wait();
    latch.count_down_by(0);
}

#[test]
fn counting_below_zero_panics_and_changes_nothing() {
    let latch = Latch::new(2);
    panics_with(OPEN, || latch.count_down_by(3));
    panics_with(OPEN, || latch.count_down_by(u32::MAX));
    assert_eq!(format!("{latch:?}"), "Latch { count: 2 }");
    latch.count_down_by(2);
    panics_with(OPEN, || latch.count_down());
    assert!(latch.is_open());
}

#[test]
fn a_count_that_is_too_large_panics() {
    panics_with("the count of a latch is too large", || Latch::new(1 << 31));
    assert!(!Latch::new((1 << 31) - 1).is_open());
}

#[test]
fn all_that_wait_go_on_when_it_opens_and_none_before() {
    const WAITERS: usize = 4;
    let _watchdog = watchdog();
    let (latch, gone) = (Latch::new(2), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..WAITERS {
            scope.spawn(|| {
                latch.wait();
                gone.fetch_add(1, SeqCst);
            });
        }
        let waiting = || inspect(Key::of(&latch), |waiters| waiters.count());
        wait_until(|| waiting() == WAITERS);
        latch.count_down();
        assert_eq!((waiting(), gone.load(SeqCst)), (WAITERS, 0));
        latch.count_down();
        assert_eq!(waiting(), 0);
    });
    assert_eq!(gone.into_inner(), WAITERS);
}

#[test]
fn threads_that_count_down_and_wait_see_each_others_work() {
    const THREADS: usize = 4;
    let _watchdog = watchdog();
    for _ in 0..500 {
        let latch = Latch::new(THREADS as u32);
        let work = [const { AtomicUsize::new(0) }; THREADS];
        together(THREADS, |id| {
            work[id].store(id + 1, Relaxed);
            latch.count_down();
            latch.wait();
            let seen: usize = work.iter().map(|work| work.load(Relaxed)).sum();
            assert_eq!(seen, THREADS * (THREADS + 1) / 2);
        });
    }
}
