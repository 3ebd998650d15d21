//! A futex word with an absolute monotonic deadline.

use std::ptr;

use crate::abort::abort;
use crate::primitive::atomic::{AtomicU32, Ordering};
use crate::{Deadline, ParkStatus, errno};

/// Wakeups that nobody has taken yet.
pub(super) struct Parker {
    count: AtomicU32,
}

impl Parker {
    pub(super) const fn new() -> Self {
        Self { count: AtomicU32::new(0) }
    }

    /// CPython: Python/parking_lot.c:L97 _PySemaphore_PlatformWait
    pub(super) fn wait(&self, deadline: Deadline) -> ParkStatus {
        // L99, L204: the result is what the arms below return.
        loop {
            // L166-L168: a wakeup is there.
            if self.take() {
                return ParkStatus::Ok;
            }
            // The kernel may let a timer sleep on for its slack, 50 us, even if it is due.
            if deadline.has_passed() {
                return ParkStatus::Timeout;
            }
            // Deviation D09: a futex word where C has a `sem_t`.
            // L127-L152: out of order: taking a wakeup comes first. Sleep, with or without a
            // deadline.
            match futex_wait(&self.count, 0, deadline) {
                // Woken, for us or for the last user of this address; or a wakeup came between
                // the look and the sleep. Look again.
                0 | libc::EAGAIN => {}
                // L153-L157: a handler ran.
                libc::EINTR => return ParkStatus::Interrupted,
                // L158-L160: the wakeup may have come with the deadline; then it counts. So the
                // next turn looks for one first, and then at the clock.
                libc::ETIMEDOUT => {}
                // L161-L165: cannot be; and the caller is queued, so nothing may unwind.
                _ => abort("unexpected error from futex"),
            }
        }
    }

    fn take(&self) -> bool {
        // Ordering: Relaxed to look; Acquire on taking pairs with the Release in `wake`. For a
        // lock that is handed off this is the one edge from its last holder to the next.
        let mut count = self.count.load(Ordering::Relaxed);
        while count > 0 {
            match self.count.compare_exchange_weak(
                count,
                count - 1,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(actual) => count = actual,
            }
        }
        false
    }

    /// CPython: Python/parking_lot.c:L230 _PySemaphore_Wakeup
    ///
    /// # Safety
    /// `this` is valid until its waiter has seen this wakeup.
    pub(super) unsafe fn wake(this: *const Self) {
        // SAFETY: by contract.
        futex_wake(unsafe { Self::grant(this) }, 1);
    }

    /// # Safety
    /// As for `wake`; and `last` is valid until `wake_last` is called on it, which it is.
    pub(super) unsafe fn wake_before(this: *const Self, last: *const Self) {
        // Deviation D14: to wake them one by one would be to be preempted by each, and to rouse
        // an idle processor for each. A sleeper is moved to the word of `last` instead.
        // SAFETY: by contract.
        let (from, to) = unsafe { (Self::grant(this), &raw const (*last).count) };
        // Miri knows waits and wakes only.
        if cfg!(miri) {
            return futex_wake(from, 1);
        }
        // SAFETY: FUTEX_REQUEUE accesses neither word.
        let result = unsafe {
            libc::syscall(
                libc::SYS_futex,
                from,
                libc::FUTEX_REQUEUE | libc::FUTEX_PRIVATE_FLAG,
                0_usize, // This many are woken,
                1_usize, // and this many are moved.
                to,
            )
        };
        // A sandbox may not know of it.
        if result < 0 {
            futex_wake(from, 1);
        }
    }

    /// # Safety
    /// As for `wake`.
    pub(super) unsafe fn wake_last(this: *const Self) {
        // SAFETY: by contract.
        futex_wake(unsafe { Self::grant(this) }, libc::c_int::MAX);
    }

    /// Stores a wakeup; returns the word that the waiter sleeps on, which is only a key to the
    /// kernel now: the waiter may take the wakeup, return, and reuse its stack. Whoever sleeps
    /// there by then looks again.
    ///
    /// CPython: Python/parking_lot.c:L230 _PySemaphore_Wakeup
    ///
    /// # Safety
    /// As for `wake`.
    unsafe fn grant(this: *const Self) -> *const AtomicU32 {
        // L239: one more.
        // Ordering: Release pairs with the Acquire in `take`.
        // SAFETY: valid until the addition, by contract.
        unsafe {
            let word = &raw const (*this).count;
            (*word).fetch_add(1, Ordering::Release);
            word
        }
    }
}

/// CPython: Python/parking_lot.c:L230 _PySemaphore_Wakeup
fn futex_wake(word: *const AtomicU32, most: libc::c_int) {
    // L240-L242: the call cannot fail on an address that was once a word.
    // SAFETY: FUTEX_WAKE does not access the memory.
    unsafe {
        libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, most)
    };
}

/// Sleeps if `word` holds `expected`; 0 for a wake, else the error.
fn futex_wait(word: &AtomicU32, expected: u32, deadline: Deadline) -> libc::c_int {
    let timespec = KernelTimespec::at(deadline);
    let timeout = if deadline.is_never() { ptr::null() } else { &raw const timespec };
    // FUTEX_WAIT_BITSET is the wait whose timeout is absolute, on CLOCK_MONOTONIC by default.
    // SAFETY: the word is a reference and the timeout null or a local.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word,
            libc::FUTEX_WAIT_BITSET | libc::FUTEX_PRIVATE_FLAG,
            expected,
            timeout,
            ptr::null::<u32>(),
            u32::MAX, // Any bit: FUTEX_BITSET_MATCH_ANY, which libc does not have on Android.
        )
    };
    if result == 0 { 0 } else { errno::get() }
}

/// The time that the system call `futex` takes: two words of the kernel's. `libc::timespec` has
/// 64-bit seconds on 32-bit machines whose C library says so, and the kernel has another system
/// call for these.
#[repr(C)]
struct KernelTimespec {
    tv_sec: KernelLong,
    tv_nsec: KernelLong,
}

#[cfg(target_arch = "x86_64")]
type KernelLong = i64;
#[cfg(not(target_arch = "x86_64"))]
type KernelLong = libc::c_long;

impl KernelTimespec {
    /// The deadline, or the last second that there is: 68 years after the machine was started, if
    /// a word has 32 bits. The caller looks whether the deadline itself has come.
    fn at(deadline: Deadline) -> Self {
        const NANOS: u64 = 1_000_000_000;
        let nanos = deadline.as_nanos();
        Self {
            tv_sec: KernelLong::try_from(nanos / NANOS).unwrap_or(KernelLong::MAX),
            tv_nsec: (nanos % NANOS) as KernelLong,
        }
    }
}
