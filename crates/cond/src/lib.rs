//! To wait for something that another thread brings about: condition variables, notify lists,
//! semaphores, wait groups, latches and barriers, on the parking lot and the locks of pysync.
//!
//! | type | bytes | for |
//! |---|---|---|
//! | [`Cond`] | 1 | a condition that a lock guards |
//! | [`guarded::Condvar`] | 1 | the same with guards, as parking_lot 0.12 has it |
//! | [`NotifyList`] | 1 | a condition that no lock guards |
//! | [`Semaphore`] | 4 | so many at a time |
//! | [`WaitGroup`] | 4 | all tasks have ended; it can be used again |
//! | [`Latch`] | 4 | so many things have happened, once |
//! | [`Barrier`] | 8 | so many threads have come, again and again |
//!
//! All work in a `static`. Waiting threads sleep in `pysync_parking_lot`; nothing is allocated. Every
//! queue is first in, first out. A wait ends by what it waits for, its deadline, or what else its
//! caller asked for, and never "spuriously", by itself.
//!
//! ```
//! use pysync_cond::guarded::Condvar;
//! use pysync_lock::guarded::Mutex;
//! use std::collections::VecDeque;
//!
//! static QUEUE: Mutex<VecDeque<u32>> = Mutex::new(VecDeque::new());
//! static NOT_EMPTY: Condvar = Condvar::new();
//!
//! let consumer = std::thread::spawn(|| {
//!     let mut queue = QUEUE.lock();
//!     NOT_EMPTY.wait_while(&mut queue, |queue| queue.is_empty());
//!     queue.pop_front()
//! });
//! QUEUE.lock().push_back(7);
//! NOT_EMPTY.notify_one();
//! assert_eq!(consumer.join().unwrap(), Some(7));
//! ```
//!
//! # No herd
//! A condition variable that wakes its waiters while their mutex is held sends them to sleep again,
//! each in turn. [`Cond`] moves them, asleep, to the queue of the mutex, whose unlocks then wake them
//! one by one. So it costs little to notify with the lock held, and little to do so after the unlock.
//!
//! # Inside a runtime
//! Each wait has a generic form with `_in` in its name, over
//! [`Runtime`](pysync_platform::Runtime): see [`pysync_lock`](pysync_lock#inside-a-runtime).
//!
//! # Model checking
//! Built with `RUSTFLAGS="--cfg pysync_loom"` or `"--cfg pysync_shuttle"` the types stand on that
//! checker's atomics, and code that uses them can be modelled: `tests/model_your_own.rs` has a
//! bounded buffer. There, make them with `default()` where there is one.
//!
//! # Platforms
//! Those of [`pysync_parking_lot`](pysync_parking_lot#platforms).

mod barrier;
mod cancel;
mod cond;
pub mod guarded;
mod latch;
mod lock;
mod notify_list;
mod permit;
mod semaphore;
mod status;
mod trace;
mod wait_group;

pub use barrier::Barrier;
pub use cancel::Cancel;
pub use cond::Cond;
#[doc(hidden)]
pub use cond::WAITER_BYTES;
pub use latch::Latch;
pub use lock::{AsReader, AsWriter, Lock, NotHeld};
pub use notify_list::{NotifyList, Ticket};
pub use permit::Permit;
pub use pysync_platform::{Deadline, LockFlags, LockStatus};
pub use semaphore::Semaphore;
pub use status::WaitStatus;
pub use wait_group::{Task, WaitGroup};
