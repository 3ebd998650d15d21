use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use pysync_platform::{LockFlags, Native, Runtime};

use crate::{Error, Kind, Memory, Ownership, RawMutex, SIZE, State, Timeout};

/// A mutex in some memory, shared with all who have that memory.
///
/// It keeps the memory `M`, and each guard borrows it. If a guard is leaked, the memory is leaked too
/// when the mutex is dropped: the thread's list of held mutexes, which the kernel and the C library
/// go through, then still leads to mapped memory. Dropping the mutex does nothing to the bytes.
///
/// What the memory holds besides is [`Shared`](crate::Shared)'s.
///
/// **Blocking, signals, fork**: as [`RawMutex`].
///
/// ```
/// # #[cfg(all(target_os = "linux", target_pointer_width = "64"))] {
/// use pysync_robust::{Acquired, Kind, RobustMutex, SIZE, Segment, Timeout};
///
/// let memory = Segment::new(SIZE)?;
/// let mutex = RobustMutex::initialize(memory.part(0, SIZE)?, Kind::Plain)?;
/// std::thread::scope(|s| {
///     // A thread that ends while it holds the mutex, with a guard that is never dropped.
///     s.spawn(|| std::mem::forget(mutex.acquire(Timeout::Never)));
/// });
/// let guard = match mutex.acquire(Timeout::Never)? {
///     Acquired::Clean(_) => unreachable!("the owner has died"),
///     Acquired::OwnerDied(died) => {
///         // Repair here what the mutex protects.
///         died.make_consistent()
///     }
/// };
/// drop(guard);
/// # }
/// # Ok::<_, pysync_robust::Error>(())
/// ```
pub struct RobustMutex<M: Memory> {
    raw: RawMutex,
    /// How many guards there are. Stored by the owner only, so that no exchange is needed.
    guards: AtomicU32,
    /// A guard was dropped and could not release.
    stuck: AtomicBool,
    memory: ManuallyDrop<M>,
}

/// The mutex at the start of `memory`, which has room for `need` bytes.
pub(crate) fn raw_in(memory: NonNull<[u8]>, need: usize) -> Result<RawMutex, Error> {
    if memory.len() < need {
        return Err(Error::TooSmall { len: memory.len(), need });
    }
    // SAFETY: by contract of `Memory`, or of the caller's borrow, the bytes stay and are ours.
    unsafe { RawMutex::at(memory.cast().as_ptr()) }
}

impl<M: Memory> RobustMutex<M> {
    pub(crate) fn new(memory: M, need: usize) -> Result<Self, Error> {
        let raw = raw_in(memory.bytes(), need)?;
        Ok(Self {
            raw,
            guards: AtomicU32::new(0),
            stuck: AtomicBool::new(false),
            memory: ManuallyDrop::new(memory),
        })
    }

    /// The mutex that is in `memory`.
    ///
    /// # Errors
    /// [`TooSmall`](Error::TooSmall), those of [`RawMutex::at`] and of [`RawMutex::attach`].
    pub fn attach(memory: M) -> Result<Self, Error> {
        let mutex = Self::new(memory, SIZE)?;
        mutex.raw.attach()?;
        Ok(mutex)
    }

    /// Makes a mutex in `memory`: see [`RawMutex::initialize`].
    ///
    /// # Errors
    /// [`TooSmall`](Error::TooSmall), those of [`RawMutex::at`] and of [`RawMutex::initialize`].
    pub fn initialize(memory: M, kind: Kind) -> Result<Self, Error> {
        let mutex = Self::new(memory, SIZE)?;
        mutex.raw.initialize(kind)?;
        Ok(mutex)
    }

    /// Makes a mutex in `memory` unless there is one: see [`RawMutex::open`]. True if this call has made
    /// it.
    ///
    /// # Errors
    /// [`TooSmall`](Error::TooSmall), those of [`RawMutex::at`] and of [`RawMutex::open`].
    pub fn open(memory: M, kind: Kind, wait: Timeout) -> Result<(Self, bool), Error> {
        let mutex = Self::new(memory, SIZE)?;
        let made = mutex.raw.open(kind, wait)?;
        Ok((mutex, made))
    }

    /// Acquires the mutex for the calling thread.
    ///
    /// # Errors
    /// Those of [`RawMutex::acquire`].
    #[inline]
    pub fn acquire(&self, timeout: Timeout) -> Result<Acquired<'_, M>, Error> {
        self.acquire_in::<Native>(timeout, LockFlags::DETACH)
    }

    /// [`acquire`](Self::acquire) inside the runtime `R`: see [`RawMutex::acquire_in`].
    ///
    /// # Errors
    /// Those of [`RawMutex::acquire_in`].
    #[inline]
    pub fn acquire_in<R: Runtime>(
        &self,
        timeout: Timeout,
        flags: LockFlags,
    ) -> Result<Acquired<'_, M>, Error> {
        let ownership = self.raw.acquire_in::<R>(timeout, flags)?;
        Ok(self.guard(ownership))
    }

    /// The guard of a caller that has just acquired the mutex.
    #[inline]
    pub(crate) fn guard(&self, ownership: Ownership) -> Acquired<'_, M> {
        self.guards.store(self.guards.load(Relaxed) + 1, Relaxed);
        let guard = Guard { mutex: self, _not_send: PhantomData };
        match ownership {
            Ownership::Clean => Acquired::Clean(guard),
            Ownership::OwnerDied => {
                Acquired::OwnerDied(OwnerDied { guard: ManuallyDrop::new(guard) })
            }
        }
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
        let acquired = self.acquire(timeout)?;
        // `acquired` is dropped at the end: a mutex that was not made consistent is given up.
        Ok(body(&mut Entered::new(self.raw, matches!(acquired, Acquired::OwnerDied(_)))))
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

    /// The memory.
    pub fn memory(&self) -> &M {
        &self.memory
    }

    pub(crate) fn raw(&self) -> RawMutex {
        self.raw
    }

    /// A guard goes: `release` is how.
    #[inline]
    fn leave(&self, release: impl FnOnce(&RawMutex) -> Result<(), Error>) {
        // Before the release, as long as no other owner can store.
        self.guards.store(self.guards.load(Relaxed) - 1, Relaxed);
        if release(&self.raw).is_err() {
            // The child of a fork, or bytes that are not what they were.
            self.stuck.store(true, Relaxed);
        }
    }
}

impl<M: Memory> Drop for RobustMutex<M> {
    fn drop(&mut self) {
        // A guard was leaked: a list of held mutexes may lead to the memory.
        if *self.guards.get_mut() == 0 && !*self.stuck.get_mut() {
            // SAFETY: dropped here only.
            unsafe { ManuallyDrop::drop(&mut self.memory) };
        }
    }
}

impl<M: Memory> fmt::Debug for RobustMutex<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RobustMutex").field(&self.raw).finish()
    }
}

/// An acquired mutex, and whether the owner before it has died.
#[must_use = "the mutex is released at once, and given up if its owner has died"]
pub enum Acquired<'m, M: Memory> {
    /// The owner before has released it.
    Clean(Guard<'m, M>),
    /// An owner has died with it: what it protects may be in any state.
    OwnerDied(OwnerDied<'m, M>),
}

impl<'m, M: Memory> Acquired<'m, M> {
    /// The guard, after `repair` if an owner has died.
    ///
    /// # Panics
    /// If `repair` does: then the mutex is given up.
    pub fn repaired(self, repair: impl FnOnce()) -> Guard<'m, M> {
        match self {
            Self::Clean(guard) => guard,
            Self::OwnerDied(died) => {
                repair();
                died.make_consistent()
            }
        }
    }
}

/// Holds the mutex, and releases it when dropped. It stays on its thread.
///
/// ```compile_fail,E0277
/// # use pysync_robust::{Guard, Private};
/// fn send(guard: Guard<'static, Private>) {
///     std::thread::spawn(|| drop(guard));
/// }
/// ```
///
/// It does not outlive the mutex.
///
/// ```compile_fail,E0505
/// # use pysync_robust::{Private, RobustMutex, Timeout};
/// fn outlive(mutex: RobustMutex<Private>) {
///     let guard = mutex.acquire(Timeout::Never);
///     drop(mutex);
///     drop(guard);
/// }
/// ```
#[must_use = "the mutex is released at once"]
pub struct Guard<'m, M: Memory> {
    mutex: &'m RobustMutex<M>,
    /// The owner is the thread.
    _not_send: PhantomData<*mut ()>,
}

impl<M: Memory> Drop for Guard<'_, M> {
    #[inline]
    fn drop(&mut self) {
        self.mutex.leave(RawMutex::release);
    }
}

/// Holds the mutex of an owner that has died. What it protects may be in any state.
///
/// Dropped, it [gives up](Self::give_up), unless an inner guard of a recursive mutex has made the mutex
/// consistent.
#[must_use = "the mutex is given up at once"]
pub struct OwnerDied<'m, M: Memory> {
    guard: ManuallyDrop<Guard<'m, M>>,
}

impl<'m, M: Memory> OwnerDied<'m, M> {
    /// What the mutex protects is as it should be: the mutex is as any other.
    ///
    /// If an inner guard of a recursive mutex has given up, the mutex stays not recoverable.
    pub fn make_consistent(self) -> Guard<'m, M> {
        let mut this = ManuallyDrop::new(self);
        // It fails in the child of a fork, or after an inner guard has given up: neither changes what
        // is held.
        let _ = this.guard.mutex.raw.make_consistent();
        // SAFETY: `this` is not used again.
        unsafe { ManuallyDrop::take(&mut this.guard) }
    }

    /// What the mutex protects is beyond repair. All who want it get
    /// [`NotRecoverable`](Error::NotRecoverable), until it is
    /// [initialised again](RobustMutex::reinitialize).
    pub fn give_up(self) {
        ManuallyDrop::new(self).guard.mutex.leave(RawMutex::give_up);
    }
}

impl<M: Memory> Drop for OwnerDied<'_, M> {
    fn drop(&mut self) {
        // Gives up, but if an inner guard of a recursive mutex has made it consistent.
        self.guard.mutex.leave(RawMutex::release);
    }
}

impl<M: Memory> fmt::Debug for Acquired<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clean(guard) => guard.fmt(f),
            Self::OwnerDied(died) => died.fmt(f),
        }
    }
}

impl<M: Memory> fmt::Debug for Guard<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Guard").field(&self.mutex.raw).finish()
    }
}

impl<M: Memory> fmt::Debug for OwnerDied<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OwnerDied").field(&self.guard.mutex.raw).finish()
    }
}

/// The inside of a [scope](RobustMutex::scope).
#[derive(Debug)]
pub struct Entered<'s> {
    owner_died: bool,
    raw: RawMutex,
    /// Of the scope and of its thread.
    _scope: PhantomData<(&'s (), *mut ())>,
}

impl Entered<'_> {
    pub(crate) fn new(raw: RawMutex, owner_died: bool) -> Self {
        Self { owner_died, raw, _scope: PhantomData }
    }

    /// Whether an owner has died, and no later one has said that what the mutex protects is consistent.
    /// If that stays so, the mutex is given up at the end of the scope.
    pub fn owner_died(&self) -> bool {
        self.owner_died
    }

    /// What the mutex protects is as it should be.
    pub fn make_consistent(&mut self) {
        // It fails if an inner scope has given up, and then the mutex stays so.
        let _ = self.raw.make_consistent();
        self.owner_died = false;
    }
}
