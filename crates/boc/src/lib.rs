//! Tagged queues, on which a thread waits for several tags at once; and behaviours, which run once all the
//! data that they need is theirs.
//!
//! | type | is |
//! |---|---|
//! | [`Queues`] | named queues of bounded length: a receiver parks on any number of them, until a deadline, and is woken once |
//! | [`Cown`] | a value that behaviours and threads take in turn: a *concurrent owner* |
//! | [`when`] | asks for a behaviour: a closure over cowns, which runs once all of them are its own |
//! | [`Outcome`] | what becomes of a behaviour: waited for, cancelled, or a cown for the next one |
//! | [`Batch`] | several behaviours in one step |
//! | [`Runtime`] | the workers that run behaviours |
//! | [`Lane`] | a thread of one's choice for the behaviours of certain cowns |
//!
//! ```
//! use pysync_boc::{Cown, when};
//!
//! let (from, to) = (Cown::new(100), Cown::new(0));
//! let moved = when((&from, &to), |(from, to)| {
//!     *from -= 30;
//!     *to += 30;
//! });
//! // It shares a cown with the one before, and so it runs after that.
//! let left = when(&from, |from| *from);
//! assert_eq!(left.wait(None).unwrap().unwrap(), 70);
//! moved.wait(None).unwrap().unwrap();
//! ```
//!
//! # Behaviours
//! A lock makes a thread wait; a behaviour waits by itself, and no thread with it. It names its cowns before it
//! begins, has all of them at once, and gives them back at its end. So there is no data race, since the value
//! of a cown can be reached in no other way; no deadlock, since no behaviour has one cown and waits for
//! another; and no order but the one that was asked for: of two behaviours that share a cown, the first that
//! was asked for runs first.
//!
//! What can be asked for is in [`Cowns`]; what is guaranteed, and where each guarantee is tested, in
//! `docs/boc.md`.
//!
//! # Queues
//! ```
//! use std::time::Duration;
//! use pysync_boc::Queues;
//!
//! let queues = Queues::default();
//! queues.send("prices", 3).unwrap();
//! let received = queues.receive(["orders", "prices"], Some(Duration::from_millis(50))).unwrap();
//! assert_eq!((received.index, received.message), (1, 3));
//! ```
//!
//! A receiver is parked on all of its tags at once, and woken once. What happens to messages when queues are
//! drained, closed or given other names is told at [`Queues`].
//!
//! # Inside a runtime
//! What blocks has a generic form with `_in` in its name, over
//! [`Runtime`](pysync_platform::Runtime): see [`pysync_lock`](pysync_lock#inside-a-runtime).
//!
//! # Fork
//! The child of a `fork` has one thread, and so no workers. It calls [`Runtime::after_fork`] and
//! [`Queues::after_fork`], after [`pysync_parking_lot::after_fork`].
//!
//! # Model checking
//! Built with `RUSTFLAGS="--cfg pysync_loom"` or `"--cfg pysync_shuttle"` the types stand on that
//! checker's atomics.
//!
//! # Platforms
//! Those of [`pysync_parking_lot`](pysync_parking_lot#platforms).

mod behaviour;
mod cown;
mod padded;
mod queues;
mod scheduler;

pub use behaviour::acquire::{HeldAll, acquire_all, acquire_all_timed};
pub use behaviour::batch::Batch;
pub use behaviour::cowns::{Cowns, Read, read};
pub use behaviour::failed::Failed;
pub use behaviour::group::{Group, ReadGroup};
pub use behaviour::outcome::Outcome;
pub use behaviour::when::{fire, when};
pub use behaviour::when_any::{HeldSet, Use, when_any};
pub use cown::{Cown, Held, NotAcquired};
pub use pysync_platform::{Deadline, LockFlags};
pub use queues::{
    AsTag, Limits, NoTagLeft, QueueStats, Queues, ReceiveError, Received, SendError,
    SendTimedError, SetTagsError, Tag, Tags,
};
pub use scheduler::builder::Builder;
pub use scheduler::lane::{Bounds, Lane, Pumped};
#[cfg(any(test, pysync_loom, pysync_shuttle))]
#[doc(hidden)]
pub use scheduler::model as scheduler_model;
pub use scheduler::runtime::{Busy, NotQuiet, Runtime};
pub use scheduler::stats::{OutsideStats, Stats, WorkerStats};
pub use scheduler::stop::Stopped;
