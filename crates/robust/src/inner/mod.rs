//! The mutex inside the block: it is tried and unlocked, and never waited for by its own library.
//!
//! | file | where |
//! |---|---|
//! | `pthread.rs` | Linux with 64 bits, on glibc or musl: the robust mutex of the C library |
//! | `robust_list.rs` | there too: what the kernel goes through when a thread dies |
//! | `fake.rs` | loom, shuttle and Miri; and, never reached, all other systems |

#[cfg(all(
    target_os = "linux",
    any(target_env = "gnu", target_env = "musl"),
    target_pointer_width = "64",
    not(any(miri, pysync_loom, pysync_shuttle))
))]
#[path = "pthread.rs"]
mod imp;
#[cfg(not(all(
    target_os = "linux",
    any(target_env = "gnu", target_env = "musl"),
    target_pointer_width = "64",
    not(any(miri, pysync_loom, pysync_shuttle))
)))]
#[path = "fake.rs"]
mod imp;

pub(crate) use imp::{Inner, LIBRARY, supported};

/// How many bytes of the block are kept for it: as many as it has anywhere.
pub(crate) const INNER_BYTES: usize = 48;

/// Bit 31 of the mutex's word. Threads sleep on the word, or have slept. The unlocker of either
/// library, and the kernel for an owner that dies, then wakes one of them.
pub(crate) const WAITERS: u32 = 0x8000_0000;
/// Bit 30. The owner has died.
#[allow(dead_code)] // The C library and the kernel look at it; ours is in the fake.
pub(crate) const OWNER_DIED: u32 = 0x4000_0000;
/// The owner's thread id; 0 if there is none.
pub(crate) const OWNER: u32 = 0x3fff_ffff;

/// How an attempt to lock the inner mutex has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code)] // A fake has not all of them.
pub(crate) enum TryLock {
    /// The caller is the owner.
    Locked,
    /// The caller is the owner, and the one before has died. [`Inner::make_consistent`] is next.
    OwnerDied,
    /// The caller was the owner before.
    Mine,
    /// Another thread is the owner.
    Others,
    /// The caller is the owner of as many mutexes as the kernel looks at.
    TooMany,
    /// The library refuses, with this error number: the bytes are not what they were.
    Refused(i32),
}

/// Why a sleep has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code)] // A fake has not all of them.
pub(crate) enum Awake {
    /// A wake, or another word than expected.
    Woken,
    /// A signal.
    Interrupted,
    /// The time is over.
    TimedOut,
}

/// Whether there are robust mutexes on this system. A model's are fakes, which need nothing of it.
pub(crate) fn supported_here() -> Result<(), crate::Error> {
    if cfg!(any(pysync_loom, pysync_shuttle)) { Ok(()) } else { supported() }
}
