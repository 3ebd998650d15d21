//! Child processes, and memory that they share with this one.

use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

use crate::harness::{Seen, Worker};

/// Values in memory that children of this process share with it.
pub(in crate::family) struct Shared<T> {
    start: NonNull<T>,
    len: usize,
}

// SAFETY: it owns the values.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: it gives out shared references only.
unsafe impl<T: Sync> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// `len` values of zeroes.
    ///
    /// # Safety
    /// Zeroes are a `T`, and dropping it does nothing.
    pub(in crate::family) unsafe fn zeroed(len: usize) -> Self {
        assert!(len > 0 && align_of::<T>() <= 4096);
        // SAFETY: a new mapping, wherever the kernel puts it.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                size_of::<T>() * len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert_ne!(start, libc::MAP_FAILED, "{}", std::io::Error::last_os_error());
        Self { start: NonNull::new(start.cast()).expect("the kernel does not map address 0"), len }
    }

    /// The values for ever.
    pub(in crate::family) fn leak(self) -> &'static [T] {
        // SAFETY: the mapping has so many values, and is not unmapped.
        let values = unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) };
        std::mem::forget(self);
        values
    }
}

impl<T> Deref for Shared<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the mapping has so many values, zeroes at first by contract of `zeroed`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: mapped by `zeroed`, and no longer borrowed.
        unsafe { libc::munmap(self.start.as_ptr().cast(), size_of::<T>() * self.len) };
    }
}

/// A child process. Dropping it kills it.
pub(in crate::family) struct Child {
    pid: libc::pid_t,
}

/// Starts a child that calls `body` and ends.
pub(in crate::family) fn spawn(body: impl FnOnce()) -> Child {
    // SAFETY: the child only calls `body`, which is for a child, and ends without unwinding.
    let pid = unsafe { libc::fork() };
    assert_ne!(pid, -1, "{}", std::io::Error::last_os_error());
    if pid > 0 {
        return Child { pid };
    }
    // SAFETY: only asks for a signal, so that no child outlives a killed benchmark.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let failed = catch_unwind(AssertUnwindSafe(body)).is_err();
    // SAFETY: ends the child at once: what the parent would do at its end is not the child's.
    unsafe { libc::_exit(failed.into()) }
}

impl Child {
    /// Kills it. Returns before it is dead.
    pub(in crate::family) fn kill(&self) {
        // SAFETY: a child that was not waited for, so the pid is its own.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
    }

    /// Waits for its end, which must be a success.
    pub(in crate::family) fn join(self) {
        let status = self.wait();
        std::mem::forget(self);
        assert_eq!(status, 0, "a child has failed");
    }

    fn wait(&self) -> i32 {
        let mut status = 0;
        // SAFETY: writes to a local.
        let pid = unsafe { libc::waitpid(self.pid, &raw mut status, 0) };
        assert_eq!(pid, self.pid, "{}", std::io::Error::last_os_error());
        status
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
        self.wait();
    }
}

/// What a child brings back.
pub(in crate::family) type Tally = [u64; 4];

struct Slot {
    counter: CachePadded<AtomicU64>,
    tally: CachePadded<[AtomicU64; 4]>,
}

/// What [`run`] and its children have in common.
struct Control {
    ready: AtomicU32,
    go: AtomicBool,
    stop: CachePadded<AtomicBool>,
}

/// [`harness::run`](crate::harness::run) with processes instead of threads.
pub(in crate::family) fn run(
    processes: usize,
    window: Duration,
    body: impl Fn(Worker<'_>) -> Tally,
) -> Seen<Tally> {
    // SAFETY: atomics may be zero.
    let control = unsafe { Shared::<Control>::zeroed(1) };
    // SAFETY: as above.
    let slots = unsafe { Shared::<Slot>::zeroed(processes) };
    let control = &control[0];
    let children: Vec<Child> = (0..processes)
        .map(|id| {
            spawn(|| {
                control.ready.fetch_add(1, Ordering::Release);
                while !control.go.load(Ordering::Acquire) {
                    thread::yield_now();
                }
                let slot = &slots[id];
                let tally = body(Worker::new(id, &slot.counter, &control.stop));
                for (cell, value) in slot.tally.iter().zip(tally) {
                    cell.store(value, Ordering::Relaxed);
                }
            })
        })
        .collect();
    while control.ready.load(Ordering::Acquire) < processes as u32 {
        thread::sleep(Duration::from_micros(100));
    }
    let read =
        || -> Vec<u64> { slots.iter().map(|slot| slot.counter.load(Ordering::Relaxed)).collect() };
    control.go.store(true, Ordering::Release);
    thread::sleep(window / 10);
    let (before, started) = (read(), Instant::now());
    thread::sleep(window);
    let (after, elapsed) = (read(), started.elapsed());
    control.stop.store(true, Ordering::Relaxed);
    children.into_iter().for_each(Child::join);
    let tally = |slot: &Slot| slot.tally.each_ref().map(|cell| cell.load(Ordering::Relaxed));
    Seen {
        shares: before.iter().zip(after).map(|(before, after)| after - before).collect(),
        elapsed,
        results: slots.iter().map(tally).collect(),
    }
}
