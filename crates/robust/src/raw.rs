use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr::NonNull;

use pysync_platform::{LockFlags, Native, Runtime};

use crate::block::Block;
use crate::{ALIGN, Error, Kind, Timeout, inner};

/// How a mutex was acquired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "if the owner has died, the data may be in any state"]
pub enum Ownership {
    /// The owner before has released it.
    Clean,
    /// An owner has died with it, and no later one has said that the data is consistent.
    OwnerDied,
}

/// What a mutex is at a moment, for a look from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// There is no mutex: zeroes, garbage, or one from before a reboot.
    Uninitialized,
    /// A thread is making one.
    Initializing,
    /// No thread holds it.
    Free,
    /// A thread holds it.
    Held {
        /// Its id.
        owner: u32,
        /// An earlier owner has died, and this one has not said that the data is consistent.
        inconsistent: bool,
    },
    /// An owner has died, and no thread has acquired the mutex since.
    OwnerDied,
    /// An owner has died, and the next has given up the data.
    NotRecoverable,
    /// It was destroyed.
    Destroyed,
}

/// The mutex at an address, without guards: for C, Python and other languages, and the ground that the
/// types of this crate stand on.
///
/// It is a pointer: cheap to copy, and dropping it does nothing. The owner is a thread. What the owner
/// has acquired it releases itself, by [`release`](Self::release) or [`give_up`](Self::give_up).
///
/// **Blocking**: only to acquire blocks, and the thread sleeps in the kernel. **Signals**: a handler
/// must not call any of this, as with any pthread mutex. **Fork**: the child holds nothing, and its
/// attempts to release are [`NotOwner`](Error::NotOwner); what the parent held stays held until the
/// parent releases or dies.
///
/// ```
/// # #[cfg(all(target_os = "linux", target_pointer_width = "64"))] {
/// use pysync_robust::{Error, Kind, Ownership, RawMutex, SIZE, Timeout};
///
/// #[repr(align(8))]
/// struct Bytes([u8; SIZE]);
///
/// let bytes = Box::leak(Box::new(Bytes([0; SIZE])));
/// // SAFETY: the bytes live for ever, are aligned, and nothing else uses them.
/// let mutex = unsafe { RawMutex::at(bytes.0.as_mut_ptr()) }?;
/// mutex.initialize(Kind::Plain)?;
/// assert_eq!(mutex.acquire(Timeout::Never)?, Ownership::Clean);
/// assert_eq!(mutex.acquire(Timeout::Never), Err(Error::Deadlock));
/// mutex.release()?;
/// assert_eq!(mutex.release(), Err(Error::NotOwner));
/// # }
/// # Ok::<_, pysync_robust::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RawMutex {
    block: NonNull<Block>,
}

// SAFETY: a block is made for many threads, and by contract of `at` it stays.
unsafe impl Send for RawMutex {}
// SAFETY: as above.
unsafe impl Sync for RawMutex {}

// A panic leaves the mutex as it is, held or not, and nothing half done.
impl UnwindSafe for RawMutex {}
impl RefUnwindSafe for RawMutex {}

impl RawMutex {
    /// The mutex at these bytes, whether there is one already or not.
    ///
    /// # Safety
    /// For as long as a copy of the result is used, and for as long as any thread of this process
    /// holds the mutex: [`SIZE`](crate::SIZE) bytes at `bytes` are mapped, readable and writable, at this
    /// address; and nothing in this process accesses them but this crate. If other processes access
    /// them, they do so through this crate too.
    ///
    /// [`attach`](Self::attach), [`initialize`](Self::initialize) or [`open`](Self::open) succeeds in this
    /// process before the mutex is acquired, released or destroyed for the first time, and again after a
    /// change of the pid namespace: only these look whether the mutex is of another namespace or boot.
    ///
    /// # Errors
    /// [`Misaligned`](Error::Misaligned), and [`Unsupported`](Error::Unsupported) where there is no
    /// robust mutex.
    pub unsafe fn at(bytes: *mut u8) -> Result<Self, Error> {
        inner::supported()?;
        let by = bytes.addr() % ALIGN;
        if by != 0 {
            return Err(Error::Misaligned { by });
        }
        let block =
            NonNull::new(bytes.cast()).ok_or(Error::TooSmall { len: 0, need: crate::SIZE })?;
        Ok(Self { block })
    }

    #[inline(always)]
    pub(crate) fn block(&self) -> &Block {
        // SAFETY: by contract of `at` the bytes are there. All fields may have any value.
        unsafe { self.block.as_ref() }
    }

    /// Whether there is a mutex that this process can acquire.
    ///
    /// # Errors
    /// [`Uninitialized`](Error::Uninitialized), [`Initializing`](Error::Initializing),
    /// [`Layout`](Error::Layout), [`Namespace`](Error::Namespace), [`Damaged`](Error::Damaged);
    /// [`NotRecoverable`](Error::NotRecoverable) and [`Destroyed`](Error::Destroyed), of which
    /// [`initialize`](Self::initialize) makes a new one.
    pub fn attach(&self) -> Result<(), Error> {
        self.block().attach()
    }

    /// Makes a mutex of the bytes, whatever they hold; or makes one that was destroyed, or is not
    /// recoverable, ready again. Threads that have waited for it since before wait on.
    ///
    /// Any number of threads and processes may try at the same time: one succeeds. If a process dies on
    /// the way, the next one begins again.
    ///
    /// # Errors
    /// [`AlreadyInitialized`](Error::AlreadyInitialized), [`Initializing`](Error::Initializing),
    /// [`Busy`](Error::Busy) if a thread holds what was destroyed or lost; and what is not made by a
    /// program like this one is left alone: [`Layout`](Error::Layout),
    /// [`Namespace`](Error::Namespace), [`Damaged`](Error::Damaged). To get rid of that, write zeroes
    /// when no process uses it.
    pub fn initialize(&self, kind: Kind) -> Result<(), Error> {
        self.block().initialize(kind, 0, || ())
    }

    /// [`initialize`](Self::initialize) if there is no mutex or it was destroyed, and otherwise
    /// [`attach`](Self::attach); true if this call has initialised it. Waits for another initialiser for
    /// as long as `wait` says.
    ///
    /// # Errors
    /// Theirs, and [`TimedOut`](Error::TimedOut).
    pub fn open(&self, kind: Kind, wait: Timeout) -> Result<bool, Error> {
        self.block().open(kind, 0, wait, || ())
    }

    /// Acquires the mutex for the calling thread.
    ///
    /// # Errors
    /// [`Busy`](Error::Busy), [`TimedOut`](Error::TimedOut), [`Deadlock`](Error::Deadlock),
    /// [`DepthOverflow`](Error::DepthOverflow), [`TooManyHeld`](Error::TooManyHeld),
    /// [`Uninitialized`](Error::Uninitialized), [`NotRecoverable`](Error::NotRecoverable),
    /// [`Destroyed`](Error::Destroyed), [`Damaged`](Error::Damaged).
    #[inline]
    pub fn acquire(&self, timeout: Timeout) -> Result<Ownership, Error> {
        self.acquire_in::<Native>(timeout, LockFlags::DETACH)
    }

    /// [`acquire`](Self::acquire) inside the runtime `R`, with `flags` that say what the wait may do.
    /// The thread is detached for each sleep, and attached when it takes the mutex. With
    /// `HANDLE_SIGNALS` it runs the pending calls after each sleep, which then lasts 32 ms at most.
    ///
    /// # Errors
    /// Those of [`acquire`](Self::acquire), and [`Interrupted`](Error::Interrupted).
    #[inline]
    pub fn acquire_in<R: Runtime>(
        &self,
        timeout: Timeout,
        flags: LockFlags,
    ) -> Result<Ownership, Error> {
        self.block().acquire::<R>(timeout, flags)
    }

    /// Releases the mutex once. If an owner has died and no later one has called
    /// [`make_consistent`](Self::make_consistent), this is [`give_up`](Self::give_up).
    ///
    /// # Errors
    /// [`NotOwner`](Error::NotOwner), [`Uninitialized`](Error::Uninitialized),
    /// [`Destroyed`](Error::Destroyed), [`Damaged`](Error::Damaged).
    #[inline]
    pub fn release(&self) -> Result<(), Error> {
        self.block().release()
    }

    /// The owner says that the data is consistent, after the death of another owner.
    ///
    /// # Errors
    /// [`NotOwner`](Error::NotOwner); [`NotRecoverable`](Error::NotRecoverable) if the owner has
    /// given up the data at another level of a recursive mutex.
    pub fn make_consistent(&self) -> Result<(), Error> {
        self.block().make_consistent()
    }

    /// The owner says that the data is beyond repair, and releases the mutex once. All who want it get
    /// [`NotRecoverable`](Error::NotRecoverable), those who wait already too, until it is
    /// [initialised](Self::initialize) again.
    ///
    /// # Errors
    /// [`NotOwner`](Error::NotOwner).
    pub fn give_up(&self) -> Result<(), Error> {
        self.block().give_up()
    }

    /// The owner takes its last acquisition back, as if it had not been. Unlike [`release`](Self::release)
    /// this gives up nothing: if the death of an owner is not repaired, the next one is told of it.
    ///
    /// ```
    /// # #[cfg(all(target_os = "linux", target_pointer_width = "64"))] {
    /// use pysync_robust::{Error, Kind, Ownership, RawMutex, SIZE, Timeout};
    ///
    /// #[repr(align(8))]
    /// struct Bytes([u8; SIZE]);
    ///
    /// let bytes = Box::leak(Box::new(Bytes([0; SIZE])));
    /// // SAFETY: the bytes live for ever, are aligned, and nothing else uses them.
    /// let mutex = unsafe { RawMutex::at(bytes.0.as_mut_ptr()) }?;
    /// mutex.initialize(Kind::Recursive)?;
    /// std::thread::spawn(move || mutex.acquire(Timeout::Never)).join().unwrap()?;
    /// assert_eq!(mutex.acquire(Timeout::Never)?, Ownership::OwnerDied);
    /// assert_eq!(mutex.acquire(Timeout::Never)?, Ownership::OwnerDied);
    /// assert_eq!(mutex.depth(), 1);
    /// mutex.put_back()?;
    /// mutex.put_back()?;
    /// assert_eq!(mutex.put_back(), Err(Error::NotOwner));
    /// assert_eq!(mutex.acquire(Timeout::Never)?, Ownership::OwnerDied);
    /// mutex.make_consistent()?;
    /// mutex.release()?;
    /// # }
    /// # Ok::<_, pysync_robust::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`NotOwner`](Error::NotOwner), [`Uninitialized`](Error::Uninitialized),
    /// [`Destroyed`](Error::Destroyed), [`Damaged`](Error::Damaged).
    pub fn put_back(&self) -> Result<(), Error> {
        self.block().put_back()
    }

    /// How often the owner has acquired the mutex beyond the first time. Only the owner can rely on it.
    #[inline]
    pub fn depth(&self) -> u32 {
        self.block().depth()
    }

    /// Ends the mutex. All who want it get [`Destroyed`](Error::Destroyed), those who wait already too,
    /// until it is [initialised](Self::initialize) again. The bytes may then be used for something
    /// else, once no thread is in a call on it.
    ///
    /// # Errors
    /// [`Busy`](Error::Busy) if a thread holds it, the caller too; [`Uninitialized`](Error::Uninitialized),
    /// [`Destroyed`](Error::Destroyed).
    pub fn destroy(&self) -> Result<(), Error> {
        self.block().destroy()
    }

    /// What the mutex is at the moment. Changes nothing, and may be outdated when it returns.
    ///
    /// # Errors
    /// [`Layout`](Error::Layout), [`Namespace`](Error::Namespace), [`Damaged`](Error::Damaged).
    pub fn state(&self) -> Result<State, Error> {
        self.block().look()
    }

    /// The address.
    pub fn as_ptr(&self) -> *mut u8 {
        self.block.as_ptr().cast()
    }
}

impl fmt::Debug for RawMutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawMutex").field("at", &self.block).field("state", &self.state()).finish()
    }
}
