//! Threads that do something over and over for as long as a window lasts.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use core_affinity::CoreId;
use crossbeam_utils::CachePadded;

/// What one of the threads is given.
pub(crate) struct Worker<'a> {
    /// From 0.
    pub(crate) id: usize,
    counter: &'a AtomicU64,
    stop: &'a AtomicBool,
}

/// What was seen of the threads.
pub(crate) struct Seen<T> {
    /// What each thread did within the window.
    pub(crate) shares: Vec<u64>,
    pub(crate) elapsed: Duration,
    /// What each thread brings back.
    pub(crate) results: Vec<T>,
}

impl<'a> Worker<'a> {
    pub(crate) fn new(id: usize, counter: &'a AtomicU64, stop: &'a AtomicBool) -> Self {
        Self { id, counter, stop }
    }

    /// Calls `operation` until the window is over; returns how often.
    #[inline(always)]
    pub(crate) fn repeat(&self, mut operation: impl FnMut()) -> u64 {
        let mut count = 0;
        while !self.stop.load(Ordering::Relaxed) {
            operation();
            count += 1;
            // Only this thread writes to the line, so that a store costs next to nothing.
            self.counter.store(count, Ordering::Relaxed);
        }
        count
    }
}

/// Runs `body` on as many threads as `threads`, thread `i` on the core `i` modulo their number if
/// there are any. Counts are read off from outside at both ends of the window, after a warm-up of
/// a tenth of it, so that starting and stopping do not count.
pub(crate) fn run<T: Send>(
    threads: usize,
    cores: &[CoreId],
    window: Duration,
    body: impl Fn(Worker) -> T + Sync,
) -> Seen<T> {
    let counters: Vec<CachePadded<AtomicU64>> =
        (0..threads).map(|_| CachePadded::default()).collect();
    let stop = CachePadded::new(AtomicBool::new(false));
    let start = Barrier::new(threads + 1);
    let read =
        || -> Vec<u64> { counters.iter().map(|count| count.load(Ordering::Relaxed)).collect() };

    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|id| {
                let worker = Worker::new(id, &counters[id], &stop);
                let (start, body) = (&start, &body);
                scope.spawn(move || {
                    if !cores.is_empty() {
                        core_affinity::set_for_current(cores[id % cores.len()]);
                    }
                    start.wait();
                    body(worker)
                })
            })
            .collect();
        start.wait();
        thread::sleep(window / 10);
        let (before, started) = (read(), Instant::now());
        thread::sleep(window);
        let (after, elapsed) = (read(), started.elapsed());
        stop.store(true, Ordering::Relaxed);
        let join = |thread: thread::ScopedJoinHandle<'_, T>| {
            thread.join().expect("a worker does not panic")
        };
        Seen {
            shares: before.iter().zip(after).map(|(before, after)| after - before).collect(),
            elapsed,
            results: threads.into_iter().map(join).collect(),
        }
    })
}

impl<T> Seen<T> {
    /// Millions of operations a second, of all threads together.
    pub(crate) fn mops(&self) -> f64 {
        mops(&self.shares, self.elapsed)
    }
}

pub(crate) fn mops(shares: &[u64], elapsed: Duration) -> f64 {
    shares.iter().sum::<u64>() as f64 / elapsed.as_secs_f64() / 1e6
}

/// How often the calling thread has slept, and how often it was taken off the processor or gave
/// it up to another, so far.
pub(crate) fn switches() -> (u64, u64) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: writes to a local, which zeroes are valid for in any case.
        let usage = unsafe {
            libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr());
            usage.assume_init()
        };
        (usage.ru_nvcsw as u64, usage.ru_nivcsw as u64)
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        (0, 0)
    }
}

/// The processor time of all threads of this process so far, or zero where it cannot be asked for.
pub(crate) fn processor_time() -> Duration {
    #[cfg(unix)]
    return read_clock(libc::CLOCK_PROCESS_CPUTIME_ID);
    #[cfg(not(unix))]
    Duration::ZERO
}

/// That of the calling thread.
pub(crate) fn thread_processor_time() -> Duration {
    #[cfg(unix)]
    return read_clock(libc::CLOCK_THREAD_CPUTIME_ID);
    #[cfg(not(unix))]
    Duration::ZERO
}

#[cfg(unix)]
fn read_clock(clock: libc::clockid_t) -> Duration {
    let mut time = std::mem::MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: writes to a local, which zeroes are valid for in any case.
    let time = unsafe {
        libc::clock_gettime(clock, time.as_mut_ptr());
        time.assume_init()
    };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Numbers that look random and are the same each time.
#[inline(always)]
pub(crate) fn random(state: &mut u32) -> u32 {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    *state
}

/// A start for [`random`], never 0.
pub(crate) fn seed(id: usize) -> u32 {
    (id as u32 + 1).wrapping_mul(0x9E37_79B9)
}
