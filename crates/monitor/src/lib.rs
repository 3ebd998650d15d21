//! Monitors that break deadlocks. A thread that would wait for ever, with others that wait for it, is told so
//! at once, and the youngest of them gets an error that it can handle.
//!
//! | item | is |
//! |---|---|
//! | [`Monitor`] | a value that one thread at a time is inside of |
//! | [`Inside`] | what a body inside has: the value, waits for conditions, and what to undo if the body fails |
//! | [`Condition`] | what several threads wait for a value to be, with a name |
//! | [`enter_all`](enter_all()) | enters several monitors in one order, which makes no cycle |
//! | [`attempt`](attempt()) | tries again after a deadlock, with the age of the first try |
//! | [`Deadlock`] | who was inside of what, who waited for what, and who has lost |
//! | [`set_deadlock_hook`], [`snapshot`] | tell the program of each deadlock, and who waits for whom now |
//! | [`branch`](branch()) | threads that end where they began; the first that fails cancels the others |
//! | [`branch_closed`] | one in which a wait for a condition that no thread can make true ends with an error |
//! | [`check`], [`sleep`], [`shield`] | what a thread in a branch has to do with being cancelled |
//!
//! ```
//! # #[cfg(not(any(pysync_loom, pysync_shuttle)))] {
//! use pysync_monitor::{Deadlock, Monitor, attempt};
//!
//! static HERS: Monitor<i64> = Monitor::named("her account", 100);
//! static HIS: Monitor<i64> = Monitor::named("his account", 0);
//!
//! /// Accounts are entered in any order.
//! fn transfer(from: &Monitor<i64>, to: &Monitor<i64>, amount: i64) -> Result<(), Deadlock> {
//!     attempt(|| {
//!         from.with(|mut from| {
//!             *from -= amount;
//!             // Undone if the entry below fails, and then all of it is tried again.
//!             from.undo(move |from| *from += amount);
//!             to.enter(|mut to| *to += amount)
//!         })
//!     })
//! }
//!
//! std::thread::scope(|scope| {
//!     scope.spawn(|| transfer(&HERS, &HIS, 30).unwrap());
//!     scope.spawn(|| transfer(&HIS, &HERS, 10).unwrap());
//! });
//! assert_eq!(HERS.enter(|account| *account).unwrap(), 80);
//! # }
//! ```
//!
//! # Deadlocks
//! A thread that waits wants one monitor, and one thread is inside of that. So what it waits for is a chain,
//! and a thread follows its chain each time that it has been queued. If it comes back to itself, there is a
//! cycle, which is looked at a second time before any thread is told. Then the youngest thread of the cycle
//! loses: its wait ends with a [`Deadlock`]. Its body leaves by that error, and with it all monitors around,
//! which it cannot take back before threads that wait for them have had them. [`attempt`](attempt()) then
//! calls the body again. The thread keeps its age, and so becomes the oldest of all, which loses only if all
//! others of its cycle wait for threads of theirs.
//!
//! A body that loses has to leave values as others may see them. In order of preference: enter what is needed
//! by [`enter_all`](enter_all()); write after the last entry; give an [`undo`](Inside::undo), in
//! [`with`](Monitor::with); or look at [`dirty`](Deadlock::dirty). The rules are in `docs/monitor.md`.
//!
//! In the graph are the waits of this crate: to enter, for a condition, and for threads of a branch. A thread
//! that waits for another kind of lock, for input or for a channel counts as one that runs.
//!
//! # Fork
//! The child of a `fork` has one thread. It calls [`after_fork`], after [`pysync_parking_lot::after_fork`],
//! and [`Monitor::after_fork`] of each monitor that another thread may have been inside of.
//!
//! # Signals
//! A signal does not end a wait. The forms with `_in` in their name take a
//! [`Runtime`](pysync_platform::Runtime), a deadline and flags, by which it does, or has pending calls run. A
//! handler must not enter a monitor: it may have interrupted its thread in the middle of that.
//!
//! # Inside a runtime
//! What blocks detaches its thread from the language runtime that it is attached to, by the hooks of
//! [`Native`](pysync_platform::Native) or by the runtime that the forms with `_in` are given.
//!
//! # Features
//! `tracing` emits an event for each deadlock. No feature changes what a type can do.
//!
//! # Model checking
//! Built with `RUSTFLAGS="--cfg pysync_loom"` or `"--cfg pysync_shuttle"` the types stand on that checker's
//! atomics. The features `loom` and `shuttle` are what these need besides.
//!
//! # Platforms
//! Those of [`pysync_parking_lot`](pysync_parking_lot#platforms).

mod attempt;
mod branch;
mod condition;
mod enter_all;
mod error;
mod fork;
mod frame;
mod global;
mod graph;
mod hook;
mod inside;
mod leave;
mod lock;
mod monitor;
mod name;
mod node;
mod nodes;
mod predicate;
mod report;
mod scope;
mod trace;
mod undo;
mod value;

pub use attempt::attempt;
pub use branch::{Branch, Builder, Child, Failure, Failures, branch, branch_closed};
pub use enter_all::{Monitors, enter_all, with_all};
pub use error::{AsDeadlock, EnterError, Stopped};
pub use fork::after_fork;
pub use graph::snapshot;
pub use hook::set_deadlock_hook;
pub use inside::Inside;
pub use monitor::Monitor;
pub use predicate::{Condition, Predicate};
pub use report::{Deadlock, Link, MonitorId, Waits};
pub use scope::{Cancelled, check, shield, sleep};
