//! Locks that own what they guard: data, guards, and no poisoning.
//!
//! | type | over | by |
//! |---|---|---|
//! | [`Mutex<T>`] | [`crate::Mutex`] | `lock_api` |
//! | [`RwLock<T>`] | [`crate::RwMutex`] | `lock_api` |
//! | [`ReentrantMutex<T>`] | [`crate::RecursiveMutex`] | this module |
//! | [`SeqLock<T>`] | [`crate::SeqLock`] | this module |
//! | [`OnceCell<T>`] | [`crate::OnceFlag`] | this module |
//!
//! Locking, blocking and signals are those of the lock below. A panic while a guard is alive unlocks
//! like any other end of its scope; the data is then as the panic left it. Guards of [`Mutex`] and
//! [`RwLock`] may be sent to another thread and dropped there.
//!
//! **Fork**: what a thread that is gone held stays held in the child until it is reset. This
//! module's types have an unsafe `after_fork`; for those of `lock_api` it is the lock's own,
//! `unsafe { mutex.raw().get().after_fork() }`. The data is then as that thread left it.
//!
//! All work in a loom or shuttle model. loom knows the locks by address there, so a model must not
//! move one that it has locked and whose guard it has forgotten.
//!
//! ```
//! use pysync_lock::guarded::{Mutex, RwLock};
//! use std::time::Duration;
//!
//! static COUNT: Mutex<u32> = Mutex::new(0);
//! *COUNT.lock() += 1;
//! if let Some(mut count) = COUNT.try_lock_for(Duration::from_millis(5)) {
//!     *count += 1;
//! }
//! assert_eq!(*COUNT.lock(), 2);
//!
//! let names = RwLock::new(vec!["park"]);
//! names.write().push("unpark");
//! assert_eq!(names.read().len(), 2);
//! ```

mod once_cell;
pub mod raw;
mod reentrant_mutex;
mod seq_lock;
mod words;

pub use once_cell::OnceCell;
pub use reentrant_mutex::{ReentrantMutex, ReentrantMutexGuard};
pub use seq_lock::SeqLock;

/// A mutex that owns its data; a byte more than the data before padding.
pub type Mutex<T> = lock_api::Mutex<raw::RawMutex, T>;
/// The guard of a [`Mutex`].
pub type MutexGuard<'a, T> = lock_api::MutexGuard<'a, raw::RawMutex, T>;
/// The guard of a part of what a [`Mutex`] guards.
pub type MappedMutexGuard<'a, T> = lock_api::MappedMutexGuard<'a, raw::RawMutex, T>;

/// A readers-writer lock that owns its data and prefers writers: a thread that reads must not
/// read again before it is done, lest it wait behind a writer that waits for it.
pub type RwLock<T> = lock_api::RwLock<raw::RawRwLock, T>;
/// The guard of a reader of an [`RwLock`].
pub type RwLockReadGuard<'a, T> = lock_api::RwLockReadGuard<'a, raw::RawRwLock, T>;
/// The guard of a writer of an [`RwLock`].
pub type RwLockWriteGuard<'a, T> = lock_api::RwLockWriteGuard<'a, raw::RawRwLock, T>;
