//! Layer 0 of pysync: what every lock and queue above it stands on.
//!
//! | part | is |
//! |---|---|
//! | [`Parker`] | what one thread sleeps on, until a wakeup, a deadline or a signal |
//! | [`futex`] | the kernel's wait and wake on a word, private or shared (Linux and Android) |
//! | [`Deadline`] | a point on the monotonic clock at which a wait gives up, or never |
//! | [`spin`] | what a thread does before it parks: [`Spin`], [`Backoff`] and their limits |
//! | [`Runtime`], [`Native`] | what a wait asks of the interpreter around it, and the answer of a program that has none |
//! | [`LockFlags`], [`LockStatus`], [`ParkStatus`] | what a wait may do, and how it ended |
//! | [`abort_on_unwind`] | the end of a process whose waiters can no longer be trusted |
//! | [`preserve_errno`] | `errno` as a lock must leave it |
//! | [`trace`] | the rules for events on a slow path |
//! | [`primitive`] | the atomics, cells and thread locals, which a model checker can swap |
//!
//! A program that needs a lock uses `pysync-lock`, and a lock that parks by address is built on
//! `pysync-parking-lot`. Both give what they use of this crate under their own name. This one is for
//! authors of primitives with queues of their own.
//!
//! # Model checking
//! Built with `RUSTFLAGS="--cfg pysync_loom"` and the feature `loom`, or `--cfg pysync_shuttle` and
//! the feature `shuttle`, this crate and all above it stand on that checker's atomics. The names
//! are pysync's own, so that a build which models something else is left alone.

#[cfg(all(pysync_loom, not(feature = "loom")))]
compile_error!("`--cfg pysync_loom` needs the feature `loom` of the pysync crate that you use");
#[cfg(all(pysync_shuttle, not(feature = "shuttle")))]
compile_error!(
    "`--cfg pysync_shuttle` needs the feature `shuttle` of the pysync crate that you use"
);
#[cfg(all(pysync_loom, pysync_shuttle))]
compile_error!("`--cfg pysync_loom` and `--cfg pysync_shuttle` exclude each other");

mod abort;
mod clock;
mod deadline;
mod errno;
#[cfg(any(target_os = "linux", target_os = "android"))]
pub mod futex;
mod ident;
#[cfg(any(pysync_loom, pysync_shuttle))]
pub mod model;
mod parker;
pub mod primitive;
mod runtime;
pub mod spin;
mod status;
pub mod trace;

pub use abort::{AbortOnUnwind, abort, abort_on_unwind};
pub use clock::monotonic_now;
pub use deadline::Deadline;
pub use errno::preserve_errno;
pub use parker::Parker;
pub use runtime::{Native, PendingCallError, Runtime, ThreadHooks, detached};
pub use spin::{Backoff, Spin, TIME_TO_BE_FAIR};
pub use status::{LockFlags, LockStatus, NotLocked, ParkStatus};
