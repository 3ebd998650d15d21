//! Reference counts that do not bounce between processors, and finalizers on a thread of their own.
//!
//! | type | is |
//! |---|---|
//! | [`Shared`] | a counted reference, whose owner counts without an atomic read-modify-write |
//! | [`Spread`] | the base of an object that many threads clone and drop, each in its own memory |
//! | [`away`], [`Reclaiming`] | how a thread says that it does not look after its objects for a while |
//! | [`Finalized`], [`Finalize`] | a core whose end is work for another thread |
//! | [`Finalizer`] | the queue and the thread that do it |
//! | [`after_fork`] | the child of a fork |
//!
//! ```
//! use pysync_reclaim::{Deadline, Finalize, Finalized, Finalizer, Shared};
//! use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
//!
//! static CLOSED: AtomicUsize = AtomicUsize::new(0);
//!
//! struct Connection(u16);
//!
//! impl Finalize for Connection {
//!     fn finalize(self) {
//!         CLOSED.fetch_add(usize::from(self.0), Relaxed);
//!     }
//! }
//!
//! let connection = Shared::new(Finalized::new(Connection(80)));
//! std::thread::scope(|s| {
//!     for _ in 0..4 {
//!         let connection = connection.clone();
//!         s.spawn(move || assert_eq!(connection.0, 80));
//!     }
//! });
//! // The last handle is dropped here, and the connection closed elsewhere.
//! drop(connection);
//! assert_eq!(Finalizer::global().drain(Deadline::NEVER).left, 0);
//! assert_eq!(CLOSED.load(Relaxed), 80);
//! ```
//!
//! # Features
//! `tracing`: finalizers emit events. No clone and no drop does.
//!
//! # Model checking
//! Built with `RUSTFLAGS="--cfg pysync_loom"` or `"--cfg pysync_shuttle"` the crate stands on that checker's
//! atomics. A thread of a model says itself that it ends, by `model::end_of_thread`, and a finalizer has
//! no thread: `model::Queue` has the queue alone.
//!
//! # Platforms
//! Those of [`pysync_parking_lot`](pysync_parking_lot#platforms).

// A model has one slot and one row.
#![cfg_attr(any(pysync_loom, pysync_shuttle), allow(clippy::modulo_one))]

mod absence;
mod finalize;
mod fork;
mod locked;
#[cfg(any(pysync_loom, pysync_shuttle))]
#[doc(hidden)]
pub mod model;
mod padded;
mod shared;
mod spread;
mod trace;

pub use absence::{Detached, Reclaiming, away};
pub use finalize::{Drained, Finalize, Finalized, Finalizer, Panic};
pub use fork::after_fork;
pub use pysync_platform::Deadline;
pub use shared::Shared;
pub use spread::Spread;
