//! Locks that own what they guard: data, guards, and no poisoning.
//!
//! | type | over | by |
//! |---|---|---|
//! | [`Mutex<T>`] | [`crate::Mutex`] | `lock_api` 0.4 |
//! | [`RwLock<T>`] | [`crate::RwMutex`] | `lock_api` 0.4 |
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
//! **`lock_api`**: what is generic over the raw traits of `lock_api` 0.4 takes these types, and
//! their extensions are here too: a feature of `lock_api`, `arc_lock` say, is on once any crate of
//! the build asks for it. The feature `lock_api_05` adds the same over `lock_api` 0.5, in the module
//! `lock_api_05`.
//!
//! **Runtimes**: the threads that wait for these types detach and attach as [`Native`] has them. For
//! those of another [`Runtime`](pysync_platform::Runtime) `R` there are `MutexIn<R, T>`,
//! `RwLockIn<R, T>` and `ReentrantMutexIn<R, T>`, and [`OnceCell::get_or_init_in`]. A [`SeqLock`]
//! never sleeps.
//!
//! **Models**: all work in a loom or shuttle model, in a `static` too. In a loom model the lock of a
//! type that comes from a `new` is made at its first use, which may hide an ordering: see
//! [`Zeroed`](pysync_platform::primitive::Zeroed). `default()` makes it at once, and so does `from`
//! a value for this module's own types. For those of `lock_api` it is
//! `Mutex::from_raw(raw::Mutex::default(), value)`.
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

#[cfg(feature = "lock_api_05")]
pub mod lock_api_05;
mod once_cell;
pub mod raw;
mod reentrant_mutex;
mod seq_lock;
mod words;

use pysync_platform::Native;

pub use once_cell::OnceCell;
pub use reentrant_mutex::{
    ReentrantMutex, ReentrantMutexGuard, ReentrantMutexGuardIn, ReentrantMutexIn,
};
pub use seq_lock::SeqLock;

/// A [`Mutex`] whose waiting threads are those of the runtime `R`.
pub type MutexIn<R, T> = lock_api::Mutex<raw::Mutex<R>, T>;
/// A mutex that owns its data; a byte more than the data before padding.
pub type Mutex<T> = MutexIn<Native, T>;
/// The guard of a [`MutexIn`].
pub type MutexGuardIn<'a, R, T> = lock_api::MutexGuard<'a, raw::Mutex<R>, T>;
/// The guard of a [`Mutex`].
pub type MutexGuard<'a, T> = MutexGuardIn<'a, Native, T>;
/// The guard of a part of what a [`MutexIn`] guards.
pub type MappedMutexGuardIn<'a, R, T> = lock_api::MappedMutexGuard<'a, raw::Mutex<R>, T>;
/// The guard of a part of what a [`Mutex`] guards.
pub type MappedMutexGuard<'a, T> = MappedMutexGuardIn<'a, Native, T>;

/// An [`RwLock`] whose waiting threads are those of the runtime `R`.
pub type RwLockIn<R, T> = lock_api::RwLock<raw::RwLock<R>, T>;
/// A readers-writer lock that owns its data and prefers writers: a thread that reads must not
/// read again before it is done, lest it wait behind a writer that waits for it.
pub type RwLock<T> = RwLockIn<Native, T>;
/// The guard of a reader of an [`RwLockIn`].
pub type RwLockReadGuardIn<'a, R, T> = lock_api::RwLockReadGuard<'a, raw::RwLock<R>, T>;
/// The guard of a reader of an [`RwLock`].
pub type RwLockReadGuard<'a, T> = RwLockReadGuardIn<'a, Native, T>;
/// The guard of a writer of an [`RwLockIn`].
pub type RwLockWriteGuardIn<'a, R, T> = lock_api::RwLockWriteGuard<'a, raw::RwLock<R>, T>;
/// The guard of a writer of an [`RwLock`].
pub type RwLockWriteGuard<'a, T> = RwLockWriteGuardIn<'a, Native, T>;
