//! PEP 703 critical sections: nested locks that let go when their thread blocks.
//!
//! A critical section locks a mutex, and is a promise that holds until the thread blocks: then
//! all of the thread's sections release their mutexes, and the innermost takes its own again
//! before the thread goes on. Since nobody sleeps in an open section holding its mutex, the order
//! in which sections are nested cannot deadlock, which is what lets per-object locks replace a
//! global one. Waits that these crates cannot see belong into [`Attached::detached`].
//!
//! - [`critical_section`] and [`critical_section2`] run a closure with one or two mutexes locked.
//! - [`CriticalSection`] and [`CriticalSection2`] are the raw forms, with C's layout.
//! - [`ThreadState`] is what a thread attaches to have sections at all;
//!   [`Attached::detached`] suspends them around foreign blocking calls.
//!
//! ```
//! use pysync_critical_section::{ThreadState, critical_section};
//! use pysync_lock::Mutex;
//! use std::thread;
//!
//! static A: Mutex = Mutex::new();
//! static B: Mutex = Mutex::new();
//!
//! // Opposite orders: with plain locks this would deadlock sooner or later.
//! let nest = |outer: &'static Mutex, inner: &'static Mutex| {
//!     let _attached = ThreadState::attach();
//!     for _ in 0..100 {
//!         critical_section(outer, || critical_section(inner, || ()));
//!     }
//! };
//! thread::scope(|scope| {
//!     scope.spawn(|| nest(&A, &B));
//!     scope.spawn(|| nest(&B, &A));
//! });
//! ```
//!
//! # Platforms
//! Those of [`pysync_parking_lot`](pysync_parking_lot#platforms).
//!
//! # Mirrors
//! `Python/critical_section.c` and its two headers as of CPython 3.13.15, and of `pystate.c` the
//! little that attaching and detaching takes.

mod scope;
mod section;
mod section2;
mod stack;
mod tag;
mod thread_state;
mod trace;

pub use scope::{critical_section, critical_section2};
pub use section::{CriticalSection, assert_held};
pub use section2::CriticalSection2;
pub use thread_state::{Attached, ThreadState};

/// What a runtime with thread states of its own builds on; `pysync-capi` is one. Not covered by
/// any promise of stability.
#[doc(hidden)]
pub mod raw {
    pub use crate::stack::{SectionThread, resume, suspend_all};
    pub use crate::tag::Tagged;
}
