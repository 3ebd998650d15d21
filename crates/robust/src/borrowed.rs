use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;

use pysync_platform::{LockFlags, Native, Runtime};

use crate::mutex::raw_in;
use crate::{Entered, Error, Kind, Ownership, RawMutex, SIZE, State, Timeout};

/// A mutex in a borrowed buffer. It is held in scopes only.
///
/// A guard can be leaked, and then the end of the borrow would take the memory from under a mutex that
/// is held: the C library and the kernel would go on to write there. A scope ends before the borrow
/// does, whatever happens in it.
///
/// The buffer is one of initialised bytes, since a mutex begins by looking what there is.
///
/// **Blocking, signals, fork**: as [`RawMutex`].
///
/// ```
/// # #[cfg(all(target_os = "linux", target_pointer_width = "64"))] {
/// use pysync_robust::{BorrowedMutex, Error, Kind, Timeout};
///
/// let mut words = [0_u64; 16];
/// let mutex = BorrowedMutex::initialize(bytemuck::cast_slice_mut(&mut words), Kind::Plain)?;
/// let answer = mutex.scope(Timeout::Never, |entered| {
///     assert!(!entered.owner_died());
///     assert_eq!(mutex.scope(Timeout::Never, |_| ()), Err(Error::Deadlock));
///     42
/// })?;
/// assert_eq!(answer, 42);
/// # }
/// # Ok::<_, pysync_robust::Error>(())
/// ```
///
/// The buffer is not to be had while there is the mutex.
///
/// ```compile_fail,E0505
/// # use pysync_robust::{BorrowedMutex, Kind, Timeout};
/// let mut bytes = vec![0_u8; 128];
/// let mutex = BorrowedMutex::initialize(&mut bytes, Kind::Plain).unwrap();
/// drop(bytes);
/// mutex.scope(Timeout::Never, |_| ()).unwrap();
/// ```
pub struct BorrowedMutex<'buf> {
    raw: RawMutex,
    _borrow: PhantomData<&'buf mut [u8]>,
}

impl<'buf> BorrowedMutex<'buf> {
    fn new(buf: &'buf mut [u8]) -> Result<Self, Error> {
        Ok(Self { raw: raw_in(NonNull::from(buf), SIZE)?, _borrow: PhantomData })
    }

    /// The mutex that is in the first [`SIZE`] bytes of `buf`.
    ///
    /// # Errors
    /// [`TooSmall`](Error::TooSmall), those of [`RawMutex::at`] and of [`RawMutex::attach`].
    pub fn attach(buf: &'buf mut [u8]) -> Result<Self, Error> {
        let mutex = Self::new(buf)?;
        mutex.raw.attach()?;
        Ok(mutex)
    }

    /// Makes a mutex in the first [`SIZE`] bytes of `buf`: see [`RawMutex::initialize`].
    ///
    /// # Errors
    /// [`TooSmall`](Error::TooSmall), those of [`RawMutex::at`] and of [`RawMutex::initialize`].
    pub fn initialize(buf: &'buf mut [u8], kind: Kind) -> Result<Self, Error> {
        let mutex = Self::new(buf)?;
        mutex.raw.initialize(kind)?;
        Ok(mutex)
    }

    /// Makes a mutex there unless there is one: see [`RawMutex::open`]. True if this call has made it.
    ///
    /// # Errors
    /// [`TooSmall`](Error::TooSmall), those of [`RawMutex::at`] and of [`RawMutex::open`].
    pub fn open(buf: &'buf mut [u8], kind: Kind, wait: Timeout) -> Result<(Self, bool), Error> {
        let mutex = Self::new(buf)?;
        let made = mutex.raw.open(kind, wait)?;
        Ok((mutex, made))
    }

    /// Acquires the mutex, calls `body`, and releases the mutex, also if `body` panics.
    ///
    /// # Errors
    /// Those of [`RawMutex::acquire`]; `body` is not called then.
    pub fn scope<T>(
        &self,
        timeout: Timeout,
        body: impl FnOnce(&mut Entered<'_>) -> T,
    ) -> Result<T, Error> {
        self.scope_in::<Native, T>(timeout, LockFlags::DETACH, body)
    }

    /// [`scope`](Self::scope) inside the runtime `R`: see [`RawMutex::acquire_in`].
    ///
    /// # Errors
    /// Those of [`RawMutex::acquire_in`]; `body` is not called then.
    pub fn scope_in<R: Runtime, T>(
        &self,
        timeout: Timeout,
        flags: LockFlags,
        body: impl FnOnce(&mut Entered<'_>) -> T,
    ) -> Result<T, Error> {
        let ownership = self.raw.acquire_in::<R>(timeout, flags)?;
        let _release = Release(self.raw);
        Ok(body(&mut Entered::new(self.raw, ownership == Ownership::OwnerDied)))
    }

    /// Makes a mutex that was destroyed, or is not recoverable, ready again.
    ///
    /// # Errors
    /// Those of [`RawMutex::initialize`].
    pub fn reinitialize(&self, kind: Kind) -> Result<(), Error> {
        self.raw.initialize(kind)
    }

    /// Ends the mutex for all who share it: see [`RawMutex::destroy`].
    ///
    /// # Errors
    /// Those of [`RawMutex::destroy`].
    pub fn destroy(&self) -> Result<(), Error> {
        self.raw.destroy()
    }

    /// What the mutex is at the moment: see [`RawMutex::state`].
    ///
    /// # Errors
    /// Those of [`RawMutex::state`].
    pub fn state(&self) -> Result<State, Error> {
        self.raw.state()
    }
}

/// Releases the mutex when dropped; one that was not made consistent is given up.
struct Release(RawMutex);

impl Drop for Release {
    fn drop(&mut self) {
        // It fails in the child of a fork, which holds nothing.
        let _ = self.0.release();
    }
}

impl fmt::Debug for BorrowedMutex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BorrowedMutex").field(&self.raw).finish()
    }
}
