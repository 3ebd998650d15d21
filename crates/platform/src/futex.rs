//! Linux's futex: to sleep while a word holds a value, and to wake the threads that sleep on it.
//!
//! The word of a [private](Scope::Private) futex is known to the threads of one process only. That
//! of a [shared](Scope::Shared) one may lie in memory that several processes have mapped. The
//! kernel keeps the two apart: a wake of one kind does not reach a sleeper of the other.
//!
//! Every function leaves `errno` as the system call does; see
//! [`preserve_errno`](crate::preserve_errno).
//!
//! ```
//! # #[cfg(not(any(pysync_loom, pysync_shuttle)))] {
//! use pysync_platform::Deadline;
//! use pysync_platform::futex::{self, Outcome, Scope};
//! use std::sync::atomic::AtomicU32;
//! use std::time::Duration;
//!
//! let word = AtomicU32::new(7);
//! let soon = Deadline::after(Some(Duration::from_millis(1)));
//! assert_eq!(futex::wait(&word, 8, soon, Scope::Private), Outcome::Changed);
//! assert_eq!(futex::wait(&word, 7, soon, Scope::Private), Outcome::TimedOut);
//! assert_eq!(futex::wake(&word, 1, Scope::Private), 0);
//! # }
//! ```

use std::io;
use std::ptr;
use std::sync::atomic::AtomicU32;

use crate::Deadline;
use crate::abort::abort;

/// Which threads a wake reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those of this process that wait on the same address. The quicker one.
    Private,
    /// Those of every process that wait on the same place in shared memory.
    Shared,
}

impl Scope {
    fn flag(self) -> libc::c_int {
        match self {
            Self::Private => libc::FUTEX_PRIVATE_FLAG,
            Self::Shared => 0,
        }
    }
}

/// How a [`wait`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A wake reached the thread, or the kernel ended the wait for no reason that it gives. Look at
    /// the word again.
    Woken,
    /// The word did not hold the expected value, so there was no wait.
    Changed,
    /// A signal handler ran on the thread. A handler installed with `SA_RESTART` ends only waits
    /// that have a deadline.
    Interrupted,
    /// The deadline has come. On 32-bit machines also if it lies 68 years or more after the
    /// machine was started, and the end of those has come: look at the clock.
    TimedOut,
}

/// Sleeps until a [`wake`] of the word's address, if `word` holds `expected`. The comparison and
/// the decision to sleep are one step as seen by wakes.
///
/// # Aborts
/// The process, if the kernel knows no such call or cannot read the word.
pub fn wait(word: &AtomicU32, expected: u32, deadline: Deadline, scope: Scope) -> Outcome {
    let timespec = KernelTimespec::at(deadline);
    let timeout = if deadline.is_never() { ptr::null() } else { &raw const timespec };
    // FUTEX_WAIT_BITSET is the wait whose timeout is absolute, on CLOCK_MONOTONIC by default.
    // SAFETY: the word is a reference and the timeout null or a local.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word,
            libc::FUTEX_WAIT_BITSET | scope.flag(),
            expected,
            timeout,
            ptr::null::<u32>(),
            u32::MAX, // Any bit: FUTEX_BITSET_MATCH_ANY, which libc does not have on Android.
        )
    };
    if result == 0 {
        return Outcome::Woken;
    }
    match crate::errno::get() {
        libc::EAGAIN => Outcome::Changed,
        libc::EINTR => Outcome::Interrupted,
        libc::ETIMEDOUT => Outcome::TimedOut,
        // The caller may be on a queue, so nothing may unwind.
        _ => abort("unexpected error from futex"),
    }
}

/// Wakes up to `most` of the threads that wait on the address `word`; says how many it woke.
///
/// `word` is a key and need not point to anything: the waiter may have returned, and have taken the
/// word with it. Then a stranger that waits at that address may be woken, and looks again.
// The pointers are keys: neither this function nor the kernel accesses the memory.
#[allow(clippy::not_unsafe_ptr_arg_deref)]
pub fn wake(word: *const AtomicU32, most: u32, scope: Scope) -> usize {
    let most = libc::c_int::try_from(most).unwrap_or(libc::c_int::MAX);
    // SAFETY: FUTEX_WAKE does not access the memory.
    let woken =
        unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAKE | scope.flag(), most) };
    // Of a shared futex whose memory is no longer mapped there is no sleeper to wake.
    usize::try_from(woken).unwrap_or(0)
}

/// Moves one thread that waits on the address `from` to the address `to`, where a [`wake`] finds it
/// from then on; says how many it moved. Both are keys, as in [`wake`].
///
/// # Errors
/// If the kernel, or a sandbox around the process, refuses.
// The pointers are keys: neither this function nor the kernel accesses the memory.
#[allow(clippy::not_unsafe_ptr_arg_deref)]
pub fn requeue(
    from: *const AtomicU32,
    to: *const AtomicU32,
    scope: Scope,
) -> Result<usize, io::Error> {
    // SAFETY: FUTEX_REQUEUE accesses neither word.
    let moved = unsafe {
        libc::syscall(
            libc::SYS_futex,
            from,
            libc::FUTEX_REQUEUE | scope.flag(),
            0_usize, // This many are woken,
            1_usize, // and this many are moved.
            to,
        )
    };
    usize::try_from(moved).map_err(|_| io::Error::last_os_error())
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
