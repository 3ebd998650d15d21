//! Park and unpark threads by address: CPython's parking lot in Rust.
//!
//! A *parking lot* is a table of sleeping threads, keyed by the address that each of them waits
//! on. With it a lock needs no more room than its state does, a byte in the case of
//! `pysync_lock::Mutex`, and still puts its waiters to sleep: the queue lives in the table, the
//! entries on the waiters' stacks, and nothing is allocated.
//!
//! | C's operations | |
//! |---|---|
//! | [`park`], [`park_in`] | check a word and sleep, as one step |
//! | [`unpark`] | wakes the longest sleeper of an address, and runs a callback before another thread can park there |
//! | [`unpark_all`] | wakes all sleepers of an address |
//! | [`Parker`] | what one thread sleeps on |
//! | [`RawMutex`] | the lock of the table's buckets |
//! | [`after_fork`], [`register_fork_handler`] | empty the table in the child of a fork |
//!
//! | beyond C | |
//! |---|---|
//! | [`park_with`] | park with callbacks under the bucket lock and before the sleep |
//! | [`Waiter`] | a wait in three steps: queue, sleep, leave |
//! | [`unpark_filter`], [`inspect`] | choose among the sleepers of a [`Key`], or look at them |
//! | [`unpark_requeue`] | move sleepers to another key |
//!
//! [`Runtime`] is what a wait asks of an interpreter around it; [`Native`] is the answer of a program
//! that has none.
//!
//! # Example: an event in a dozen lines
//! ```
//! use pysync_parking_lot::{park, unpark_all};
//! use std::sync::atomic::{AtomicU8, Ordering::*};
//!
//! static EVENT: AtomicU8 = AtomicU8::new(0);
//!
//! let waiter = std::thread::spawn(|| {
//!     while EVENT.load(Acquire) == 0 {
//!         park(&EVENT, 0, None, std::ptr::null_mut(), false);
//!     }
//! });
//! EVENT.store(1, Release);
//! unpark_all(&EVENT);
//! waiter.join().unwrap();
//! ```
//!
//! # Platforms
//! This crate compiles for these, and so do those that stand on it, but for `pysync-capi`, which needs
//! a C compiler for the target:
//!
//! - Linux: `aarch64-unknown-linux-gnu`, `aarch64-unknown-linux-musl`,
//!   `armv7-unknown-linux-gnueabihf`, `i686-unknown-linux-gnu`, `i686-unknown-linux-musl`,
//!   `powerpc-unknown-linux-gnu`, `powerpc64le-unknown-linux-gnu`, `riscv64gc-unknown-linux-gnu`,
//!   `s390x-unknown-linux-gnu`, `x86_64-unknown-linux-gnu`, `x86_64-unknown-linux-musl`
//! - Android: `aarch64-linux-android`, `armv7-linux-androideabi`
//! - FreeBSD: `x86_64-unknown-freebsd`
//! - Apple's: `aarch64-apple-darwin`, `aarch64-apple-ios`, `x86_64-apple-darwin`
//! - Windows: `x86_64-pc-windows-gnu`, `x86_64-pc-windows-msvc`
//!
//! 32-bit Linux needs the futex call with a 32-bit time, which riscv32 lacks. The README says which
//! of them are tested.
//!
//! # Model checking
//! With `RUSTFLAGS="--cfg pysync_loom"` and the feature `loom`, or `--cfg pysync_shuttle` and the feature
//! `shuttle`, the crate stands on that checker's atomics, and code on top of it can be modelled. There
//! is one bucket, and `park` must be called inside the model. A timed wait does not block in loom: it
//! takes a wake that has come, or times out.
//!
//! # Mirrors
//! `Python/parking_lot.c`, `pycore_parking_lot.h`, `pycore_semaphore.h` and the raw mutex of
//! `lock.c`, as of CPython 3.13.15. Items cite their C as `CPython: FILE:Lnn symbol`.

mod bucket;
mod fork;
mod key;
mod latch;
mod park_word;
mod parking_lot;
mod raw_mutex;
mod requeue;
mod trace;
mod wait_queues;
mod waiter;

#[doc(hidden)]
pub use bucket::bucket_locks_held;
pub use fork::{after_fork, register_fork_handler};
pub use key::Key;
pub use park_word::ParkWord;
pub use parking_lot::{
    ParkArgs, Unparked, park, park_in, unpark, unpark_all, unpark_all_with, unpark_all_with_args,
};
pub use pysync_platform::{
    Deadline, LockFlags, Native, NotLocked, ParkStatus, Parker, PendingCallError, Runtime,
    ThreadHooks,
};
pub use raw_mutex::RawMutex;
pub use requeue::{Candidate, Choice, UnparkResult, inspect, unpark_filter, unpark_requeue};
#[doc(hidden)]
pub use wait_queues::WAITER_BYTES;
pub use waiter::{Position, Wait, Waiter, park_with};
