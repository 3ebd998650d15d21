//! CPython's locks in Rust: one-byte locks that are fair, timed, interruptible, fork-safe and
//! model-checkable.
//!
//! | type | bytes | for |
//! |---|---|---|
//! | [`Mutex`] | 1 | mutual exclusion; fair after 1 ms, with timeouts and flags |
//! | [`RecursiveMutex`] | 24 | a mutex that its owner may lock again |
//! | [`RwMutex`] | 8 | many readers or one writer, writers first |
//! | [`SeqLock`] | 4 | readers that write nothing |
//! | [`Event`] | 1 | something that happens once |
//! | [`OnceFlag`] | 1 | something that is to succeed once |
//! | [`RawMutex`] | 8 | the lock below the parking lot |
//!
//! (`usize` is 8 bytes here.) All work in a `static`, and zeroed memory is a valid unlocked or
//! unset one. They guard no data; [`guarded`] has the types that do. Waiting threads sleep in
//! `pysync_parking_lot`; nothing is allocated.
//!
//! ```
//! use pysync_lock::guarded::Mutex;
//! use std::thread;
//!
//! static TOTAL: Mutex<u64> = Mutex::new(0);
//!
//! thread::scope(|scope| {
//!     for _ in 0..4 {
//!         scope.spawn(|| (0..1000).for_each(|_| *TOTAL.lock() += 1));
//!     }
//! });
//! assert_eq!(*TOTAL.lock(), 4000);
//! ```
//!
//! # Inside a runtime
//! An interpreter wants its threads detached while they sleep, its pending calls run after a
//! signal, and its own way to report a fatal error. It implements
//! [`Runtime`](pysync_platform::Runtime) and calls the methods that end in `_in`, which take that
//! runtime and, if the wait can end early, a [`Deadline`](pysync_platform::Deadline) and
//! [`LockFlags`]. There is one for each way to block: [`Mutex::lock_in`],
//! [`RwMutex::read_lock_in`], [`Event::wait_in`]. The other methods are these for
//! [`Native`](pysync_platform::Native), the runtime of a program without an interpreter.
//!
//! # Misuse
//! To unlock what is not locked is a mistake that changes nothing. `unlock` and its like report it
//! to [`Native`](pysync_platform::Native), which panics. `try_unlock` and its like return an error.
//!
//! # Model checking
//! Built with `RUSTFLAGS="--cfg pysync_loom"` or `"--cfg pysync_shuttle"` the locks stand on that
//! checker's atomics, and code that uses them can be modelled:
//!
//! ```
//! # #[cfg(pysync_loom)]
//! loom::model(|| {
//!     use pysync_lock::Mutex;
//!     use std::sync::Arc;
//!
//!     let lock = Arc::new(Mutex::new());
//!     let other = loom::thread::spawn({
//!         let lock = lock.clone();
//!         move || {
//!             lock.lock();
//!             lock.unlock();
//!         }
//!     });
//!     lock.lock();
//!     lock.unlock();
//!     other.join().unwrap();
//! });
//! ```
//!
//! # Platforms
//! Those of [`pysync_parking_lot`](pysync_parking_lot#platforms).
//!
//! # Mirrors
//! `Python/lock.c`, `pycore_lock.h` and `cpython/lock.h` as of CPython 3.13.15, in whose order
//! the modules stand.

mod bits;
mod event;
pub mod guarded;
mod mutex;
mod mutex_waiter;
mod once;
mod recursive_mutex;
mod rw_mutex;
mod seq_lock;
mod trace;
mod wait;

pub use event::Event;
pub use mutex::Mutex;
pub use mutex_waiter::{MutexWaiter, Requeue};
pub use once::OnceFlag;
pub use pysync_parking_lot::RawMutex;
pub use pysync_platform::{LockFlags, LockStatus, NotLocked};
pub use recursive_mutex::{Levels, NotOwner, RecursiveMutex};
pub use rw_mutex::RwMutex;
pub use seq_lock::SeqLock;
