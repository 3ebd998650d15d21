//! Threads that contend and die, with plain data behind the mutex, for ThreadSanitizer and
//! AddressSanitizer: what is not ordered is a race that the first reports, and what is in the list of a
//! thread that has ended, and is memory no more, the second.
//!
//! Each test takes a second, or as many as `PYSYNC_STRESS_SECONDS` in the environment says:
//!
//! ```text
//! PYSYNC_STRESS_SECONDS=60 cargo test --release -p pysync-robust --test stress -- --nocapture
//! ```
#![cfg(all(
    target_os = "linux",
    target_pointer_width = "64",
    not(any(miri, pysync_loom, pysync_shuttle))
))]

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::thread;
use std::time::Duration;

use pysync_robust::{
    Error, Kind, LockFlags, Ownership, Private, RawMutex, RobustMutex, SIZE, Timeout,
};
use pysync_testing::{StressTime, alone, random, report_stress, together};

fn any_timeout() -> Timeout {
    match random(4) {
        0 => Timeout::Never,
        1 => Timeout::Try,
        _ => Timeout::After(Duration::from_nanos(random(300_000) as u64)),
    }
}

#[repr(align(8))]
struct Block(UnsafeCell<[u8; SIZE]>);

/// Two numbers that are equal whenever the mutex is free.
struct Guarded {
    mutex: RawMutex,
    data: UnsafeCell<[usize; 2]>,
}

// SAFETY: the data is what the mutex guards, or the sanitizer says so.
unsafe impl Sync for Guarded {}

impl Guarded {
    fn new(kind: Kind) -> Self {
        // Never freed: what a thread holds when it dies must be there.
        let block = Box::leak(Box::new(Block(UnsafeCell::new([0; SIZE]))));
        // SAFETY: leaked, aligned, and of this test alone.
        let mutex = unsafe { RawMutex::at(block.0.get().cast()) }.unwrap();
        mutex.initialize(kind).unwrap();
        Self { mutex, data: UnsafeCell::new([0; 2]) }
    }

    /// The holder adds one to both.
    fn add(&self) {
        // SAFETY: the caller holds the mutex.
        let data = unsafe { &mut *self.data.get() };
        assert_eq!(data[0], data[1]);
        data[0] += 1;
        data[1] += 1;
    }
}

/// Workers acquire in every way. Mortals acquire, and end with the mutex. Each death is told once, and
/// repaired or given up; who finds the mutex given up initialises it again.
#[test]
fn deaths_are_told_and_counts_add_up() {
    let time = StressTime::begin();
    let guarded = Guarded::new(Kind::Recursive);
    let (stop, counted) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (died, told, lost) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        let mut mine = 0;
        while !stop.load(Relaxed) {
            match guarded.mutex.acquire(any_timeout()) {
                Ok(Ownership::Clean) => {
                    guarded.add();
                    mine += 1;
                    if random(4) == 0 {
                        assert_eq!(guarded.mutex.acquire(Timeout::Try), Ok(Ownership::Clean));
                        guarded.mutex.release().unwrap();
                    }
                    guarded.mutex.release().unwrap();
                }
                Ok(Ownership::OwnerDied) => {
                    told.fetch_add(1, Relaxed);
                    if random(4) == 0 {
                        guarded.mutex.give_up().unwrap();
                    } else {
                        guarded.mutex.make_consistent().unwrap();
                        guarded.mutex.release().unwrap();
                    }
                }
                Err(Error::NotRecoverable) => match guarded.mutex.initialize(Kind::Recursive) {
                    Ok(()) => drop(lost.fetch_add(1, Relaxed)),
                    Err(Error::AlreadyInitialized | Error::Busy) => {}
                    Err(error) => panic!("{error}"),
                },
                Err(Error::Busy | Error::TimedOut) => {}
                Err(error) => panic!("{error}"),
            }
        }
        counted.fetch_add(mine, Relaxed);
    };
    let mortal = || {
        // Writes nothing: ThreadSanitizer does not know that the end of a thread orders what it has
        // done before the next owner.
        match guarded.mutex.acquire(any_timeout()) {
            Ok(Ownership::Clean) => drop(died.fetch_add(1, Relaxed)),
            // Dies with the news, which the next one then gets.
            Ok(Ownership::OwnerDied) => {}
            Err(_) => {}
        }
    };
    together(5, |id| {
        if id < 4 {
            return work();
        }
        while !time.is_up() {
            thread::scope(|s| drop(s.spawn(mortal).join()));
        }
        // What the last one held is told to a worker.
        while died.load(Relaxed) > told.load(Relaxed) {
            thread::yield_now();
        }
        stop.store(true, Relaxed);
    });
    let (counted, died, told) = (counted.into_inner(), died.into_inner(), told.into_inner());
    assert_eq!(guarded.data.into_inner(), [counted; 2]);
    assert_eq!(told, died, "each death is told once");
    assert!(died > 0);
    report_stress(|| format!("{counted} counts, {died} deaths, {} given up", lost.into_inner()));
}

/// Mutexes that come and go, with guards that are leaked now and then.
#[test]
fn leaked_guards_leave_valid_lists() {
    let time = StressTime::begin();
    together(4, |_| {
        while !time.is_up() {
            thread::scope(|s| {
                let thread = s.spawn(|| {
                    for _ in 0..random(20) {
                        let memory = Private::new(SIZE + random(SIZE));
                        let mutex = RobustMutex::initialize(memory, Kind::Plain).unwrap();
                        let acquired = mutex.acquire(any_timeout()).unwrap();
                        if random(3) == 0 {
                            std::mem::forget(acquired);
                        }
                    }
                });
                thread.join().unwrap();
            });
        }
    });
}

/// Signals on waiters, of which some let a signal end their wait.
#[test]
fn signals_end_only_waits_that_ask_for_it() {
    let _alone = alone();
    let time = StressTime::begin();
    let guarded = Guarded::new(Kind::Plain);
    let (counted, interrupted) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let stop = AtomicBool::new(false);
    let threads: [AtomicUsize; 4] = Default::default();
    together(5, |id| {
        if id == 4 {
            while !time.is_up() {
                for thread in &threads {
                    match thread.load(Acquire) {
                        0 => thread::yield_now(),
                        // SAFETY: it is not joined before this thread has set `stop`.
                        thread => unsafe {
                            libc::pthread_kill(thread as libc::pthread_t, libc::SIGUSR1);
                        },
                    }
                }
            }
            stop.store(true, Relaxed);
            return;
        }
        // SAFETY: always succeeds.
        threads[id].store(unsafe { libc::pthread_self() } as usize, Release);
        let (mut mine, mut cut) = (0, 0);
        while !stop.load(Relaxed) {
            let asks = random(2) == 0;
            let flags = if asks { LockFlags::FAIL_IF_INTERRUPTED } else { LockFlags::empty() };
            match guarded.mutex.acquire_in::<pysync_platform::Native>(any_timeout(), flags) {
                Ok(ownership) => {
                    assert_eq!(ownership, Ownership::Clean);
                    guarded.add();
                    mine += 1;
                    guarded.mutex.release().unwrap();
                }
                Err(Error::Interrupted) => {
                    assert!(asks);
                    cut += 1;
                }
                Err(Error::Busy | Error::TimedOut) => {}
                Err(error) => panic!("{error}"),
            }
        }
        counted.fetch_add(mine, Relaxed);
        interrupted.fetch_add(cut, Relaxed);
    });
    assert_eq!(guarded.data.into_inner(), [counted.into_inner(); 2]);
    report_stress(|| format!("{} waits ended by a signal", interrupted.into_inner()));
}
