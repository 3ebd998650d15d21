//! PEP 703 critical sections: nested locks that let go when their thread blocks.
//!
//! A critical section holds its mutex until the thread blocks. Then all of the thread's sections
//! unlock their mutexes, and the innermost one takes its own again before the thread goes on. So a
//! thread that sleeps holds the mutex of no section that has begun, and the order in which sections
//! are nested cannot deadlock. That is what lets per-object locks replace a global lock. Waits that
//! these crates cannot see belong into [`Attached::detached`].
//!
//! - [`critical_section`] and [`critical_section2`] run a closure with one or two mutexes locked.
//! - [`CriticalSection`] and [`CriticalSection2`] are the raw forms, with C's layout.
//! - [`ThreadState`] is what a thread attaches before it can have sections.
//! - [`Attached::detached`] suspends a thread's sections around foreign calls that block.
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
//! `Python/critical_section.c` and its two headers as of CPython 3.13.15, and the little of
//! `pystate.c` that attaching and detaching takes.

mod attached;
mod scope;
mod section;
mod section2;
mod section_thread;
mod stack;
mod tag;
mod thread_state;
mod trace;

pub use attached::Attached;
pub use scope::{critical_section, critical_section2};
pub use section::CriticalSection;
pub use section2::CriticalSection2;
pub use stack::assert_held;
pub use thread_state::ThreadState;

/// What a runtime with thread states of its own builds on, such as `pysync-capi`. No promise of
/// stability covers it.
#[doc(hidden)]
pub mod raw {
    pub use crate::section_thread::SectionThread;
    pub use crate::stack::{resume, suspend_all};
    pub use crate::tag::Tagged;
}
