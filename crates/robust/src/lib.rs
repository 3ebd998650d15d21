//! A mutex in any buffer, between processes, that survives its owner.
//!
//! If a thread or a process dies while it holds the mutex, the next one gets the mutex and the news. It
//! repairs the data and goes on, or gives it up. No death anywhere leaves a waiter asleep, and nothing
//! safe that a program does with a guard corrupts its memory.
//!
//! | type | is | held by |
//! |---|---|---|
//! | [`Shared`] | data behind a mutex, its layout checked | guards that deref to the data |
//! | [`RobustMutex`] | a mutex in memory that it keeps: a [`Segment`]'s, [`Private`], [`Forever`] | guards |
//! | [`BorrowedMutex`] | a mutex in a borrowed buffer | scopes only |
//! | [`RawMutex`] | a mutex at an address, for C, Python and others | acquire and release |
//!
//! A mutex takes [`SIZE`] bytes at a multiple of [`ALIGN`].
//!
//! ```
//! # #[cfg(all(target_os = "linux", target_pointer_width = "64"))] {
//! use pysync_robust::{Segment, Shared, Timeout};
//! use std::time::Duration;
//!
//! // Memory for this process, its forks, and who is given its descriptor.
//! let memory = Segment::new(4096)?;
//!
//! // Each process does this. One of them makes the mutex, and stores the value.
//! let (accounts, _) = Shared::open(memory.part(0, 4096)?, 1, [100_i64, 0], Timeout::Never)?;
//!
//! std::thread::scope(|s| {
//!     // A thread that dies in the middle of a transfer. A process that is killed is no different.
//!     s.spawn(|| {
//!         let mut held = accounts.acquire(Timeout::Never).unwrap().repaired(|_| ());
//!         held[0] -= 30;
//!         std::mem::forget(held);
//!     });
//! });
//!
//! // The next one is told, and may look and repair.
//! let soon = Timeout::After(Duration::from_secs(1));
//! let accounts = accounts.acquire(soon)?.repaired(|accounts| accounts[1] = 100 - accounts[0]);
//! assert_eq!(*accounts, [70, 30]);
//! # }
//! # Ok::<_, pysync_robust::Error>(())
//! ```
//!
//! # The death of an owner
//! To acquire returns one of two: the mutex is clean, or its owner has died. The second is no error, since
//! the caller holds the mutex, and it is no ordinary guard, since the data may be in any state. From
//! there one call leads to a guard ([`OwnerDied::make_consistent`]), and all else, a drop too, makes the
//! mutex not recoverable: all get [`Error::NotRecoverable`] until it is
//! [initialised again](RobustMutex::reinitialize).
//!
//! The owner is a thread, and dies with it: by a return or a panic with a leaked guard, `exit`, `exec`, a
//! signal, the loss of its process. A process that is stopped is not dead.
//!
//! # Waiting
//! [`Timeout`] says for how long, on the monotonic clock. A waiter watches the mutex for some
//! microseconds, then sleeps. An unlock wakes one waiter, and so does the kernel when the owner dies,
//! within a tenth of a millisecond. A waiter that dies may take such a wake with it: therefore no
//! sleep is longer than 250 milliseconds. There is no queue: a thread that comes may overtake those that
//! sleep.
//!
//! # Inside a runtime
//! Each wait has a generic form with `_in` in its name, over [`Runtime`](pysync_platform::Runtime). The
//! thread is detached around each sleep, and takes the mutex when it is attached.
//!
//! # Who is trusted
//! What is in the header is checked: garbage, zeroes, another library or width or version, another boot or
//! pid namespace, a flipped bit give an error. The C library's mutex behind a good header is believed, and
//! so are other processes: they use the memory through this crate too. Where that leaves this process's
//! hands, in [`Segment::open`] say, there is an `unsafe`.
//!
//! # Platforms
//! Linux with 64 bits, on glibc and on musl. On all others the crate compiles, and the constructors return
//! [`Error::Unsupported`] with the reason.
//!
//! # Features
//! `capi`: the functions of `include/pysync_robust.h`, for programs in C.

mod acquire;
mod block;
mod borrowed;
#[cfg(feature = "capi")]
mod capi;
mod death;
mod error;
mod inner;
mod inspect;
mod layout;
mod memory;
#[cfg(any(pysync_loom, pysync_shuttle))]
#[doc(hidden)]
pub mod model;
mod mutex;
mod process;
mod raw;
mod segment;
mod shared;
mod timeout;
mod word;

pub use borrowed::BorrowedMutex;
pub use error::Error;
pub use inspect::{Header, Lock, Report, inspect};
pub use layout::{ALIGN, SIZE};
pub use memory::{Forever, Memory, Private};
pub use mutex::{Acquired, Entered, Guard, OwnerDied, RobustMutex};
pub use pysync_platform::LockFlags;
pub use raw::{Ownership, RawMutex, State};
pub use segment::{Part, Segment};
pub use shared::{Shared, SharedAcquired, SharedGuard, SharedOwnerDied};
pub use timeout::{Kind, Timeout};
