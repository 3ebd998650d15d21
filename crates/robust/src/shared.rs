use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::atomic::Ordering::Relaxed;

use bytemuck::Pod;
use pysync_platform::{LockFlags, Native, Runtime};

use crate::layout::{FNV, mix};
use crate::{Acquired, Error, Guard, Kind, Memory, OwnerDied, RobustMutex, SIZE, State, Timeout};

/// Data that processes share, behind a mutex that survives its owner.
///
/// In memory the data follows the mutex: at [`SIZE`], or at the next multiple of its alignment. It is
/// [`Pod`]: any bytes are a value, there are no pointers in it, and no padding.
///
/// The caller gives the data a number, its `identity`: a version, say, which changes when the meaning of
/// a field does. The block remembers it, with the size and the alignment of `T`, and who asks for
/// another one gets [`Error::Data`].
///
/// The mutex is [`Plain`](Kind::Plain): a second guard on the same thread would be a second `&mut T`.
///
/// **Blocking, signals, fork**: as [`RawMutex`](crate::RawMutex).
///
/// ```
/// # #[cfg(all(target_os = "linux", target_pointer_width = "64"))] {
/// use pysync_robust::{Segment, Shared, Timeout};
///
/// let memory = Segment::new(4096)?;
/// // Each process does this. One of them makes the mutex and stores the value.
/// let (counter, made) = Shared::open(memory.part(0, 4096)?, 1, 0_u64, Timeout::Never)?;
/// assert!(made);
/// let mut count = counter.acquire(Timeout::Never)?.repaired(|count| {
///     // An owner has died. A number that is counted up is always whole.
///     eprintln!("an owner died at {count}");
/// });
/// *count += 1;
/// # drop(count);
/// # assert_eq!(*counter.acquire(Timeout::Try)?.repaired(|_| ()), 1);
/// # }
/// # Ok::<_, pysync_robust::Error>(())
/// ```
pub struct Shared<T: Pod, M: Memory> {
    mutex: RobustMutex<M>,
    data: NonNull<T>,
    identity: u64,
}

// SAFETY: the mutex lets one thread at a time at the data. It is plain data, and goes to other
// processes even.
unsafe impl<T: Pod, M: Memory + Send> Send for Shared<T, M> {}
// SAFETY: as above.
unsafe impl<T: Pod, M: Memory + Sync> Sync for Shared<T, M> {}

impl<T: Pod, M: Memory> Shared<T, M> {
    /// How far after the start of the memory the data is.
    pub const OFFSET: usize = SIZE.next_multiple_of(align_of::<T>());

    /// How many bytes of memory it takes.
    pub const BYTES: usize = Self::OFFSET + size_of::<T>();

    fn new(memory: M, identity: u64) -> Result<Self, Error> {
        let bytes = memory.bytes();
        let mutex = RobustMutex::new(memory, Self::BYTES)?;
        // SAFETY: there are so many bytes.
        let data = unsafe { bytes.cast::<u8>().add(Self::OFFSET) };
        let by = data.addr().get() % align_of::<T>();
        if by != 0 {
            return Err(Error::Misaligned { by });
        }
        let facts = [size_of::<T>() as u64, align_of::<T>() as u64, identity];
        let identity = facts.into_iter().fold(FNV, mix);
        Ok(Self { mutex, data: data.cast(), identity })
    }

    /// The data that is in `memory`.
    ///
    /// # Errors
    /// [`TooSmall`](Error::TooSmall), [`Misaligned`](Error::Misaligned), [`Data`](Error::Data), and those
    /// of [`RobustMutex::attach`].
    pub fn attach(memory: M, identity: u64) -> Result<Self, Error> {
        let shared = Self::new(memory, identity)?;
        shared.mutex.raw().attach()?;
        shared.check()?;
        Ok(shared)
    }

    /// Makes a mutex in `memory`, with `value` behind it.
    ///
    /// # Errors
    /// [`TooSmall`](Error::TooSmall), [`Misaligned`](Error::Misaligned), and those of
    /// [`RobustMutex::initialize`].
    pub fn initialize(memory: M, identity: u64, value: T) -> Result<Self, Error> {
        let shared = Self::new(memory, identity)?;
        shared.reinitialize(value)?;
        Ok(shared)
    }

    /// Makes a mutex in `memory`, with `value` behind it, unless there is one. True if this call has
    /// made it.
    ///
    /// # Errors
    /// Those of [`attach`](Self::attach) and [`RobustMutex::open`].
    pub fn open(memory: M, identity: u64, value: T, wait: Timeout) -> Result<(Self, bool), Error> {
        let shared = Self::new(memory, identity)?;
        let block = shared.mutex.raw();
        let made =
            block.block().open(Kind::Plain, shared.identity, wait, || shared.store(value))?;
        shared.check()?;
        Ok((shared, made))
    }

    /// Makes a mutex that was destroyed, or is not recoverable, ready again, with `value` behind it.
    ///
    /// # Errors
    /// Those of [`RobustMutex::reinitialize`].
    pub fn reinitialize(&self, value: T) -> Result<(), Error> {
        let raw = self.mutex.raw();
        raw.block().initialize(Kind::Plain, self.identity, || self.store(value))
    }

    fn store(&self, value: T) {
        // SAFETY: aligned and in the memory. Called when no other thread can acquire the mutex.
        unsafe { self.data.write(value) };
    }

    /// Whether the data is ours.
    fn check(&self) -> Result<(), Error> {
        // Ordering: Relaxed; what an initialiser has stored before the state, the caller has seen.
        let found = self.mutex.raw().block().data.load(Relaxed);
        if found == self.identity {
            Ok(())
        } else {
            Err(Error::Data { found, want: self.identity })
        }
    }

    /// Acquires the mutex for the calling thread, and with it the data.
    ///
    /// # Errors
    /// [`Data`](Error::Data) if the mutex was made again for other data, and those of
    /// [`RobustMutex::acquire`].
    pub fn acquire(&self, timeout: Timeout) -> Result<SharedAcquired<'_, T, M>, Error> {
        self.acquire_in::<Native>(timeout, LockFlags::DETACH)
    }

    /// [`acquire`](Self::acquire) inside the runtime `R`: see
    /// [`RawMutex::acquire_in`](crate::RawMutex::acquire_in).
    ///
    /// # Errors
    /// Those of [`acquire`](Self::acquire), and [`Interrupted`](Error::Interrupted).
    pub fn acquire_in<R: Runtime>(
        &self,
        timeout: Timeout,
        flags: LockFlags,
    ) -> Result<SharedAcquired<'_, T, M>, Error> {
        let raw = self.mutex.raw();
        let ownership = raw.acquire_in::<R>(timeout, flags)?;
        if let Err(error) = self.check() {
            raw.put_back()?;
            return Err(error);
        }
        let (data, _data) = (self.data, PhantomData);
        Ok(match self.mutex.guard(ownership) {
            Acquired::Clean(guard) => {
                SharedAcquired::Clean(SharedGuard { data, _data, _guard: guard })
            }
            Acquired::OwnerDied(died) => {
                SharedAcquired::OwnerDied(SharedOwnerDied { data, _data, died })
            }
        })
    }

    /// Ends the mutex for all who share it: see [`RawMutex::destroy`](crate::RawMutex::destroy).
    ///
    /// # Errors
    /// Those of [`RawMutex::destroy`](crate::RawMutex::destroy).
    pub fn destroy(&self) -> Result<(), Error> {
        self.mutex.destroy()
    }

    /// What the mutex is at the moment: see [`RawMutex::state`](crate::RawMutex::state).
    ///
    /// # Errors
    /// Those of [`RawMutex::state`](crate::RawMutex::state).
    pub fn state(&self) -> Result<State, Error> {
        self.mutex.state()
    }
}

impl<T: Pod, M: Memory> fmt::Debug for Shared<T, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shared").field(&self.mutex).finish()
    }
}

/// The data, and whether the owner before has died with it.
#[must_use = "the mutex is released at once, and given up if its owner has died"]
#[derive(Debug)]
pub enum SharedAcquired<'m, T: Pod, M: Memory> {
    /// The owner before has released the mutex.
    Clean(SharedGuard<'m, T, M>),
    /// An owner has died with it: the data may be half written.
    OwnerDied(SharedOwnerDied<'m, T, M>),
}

impl<'m, T: Pod, M: Memory> SharedAcquired<'m, T, M> {
    /// The guard, after `repair` of the data if an owner has died.
    ///
    /// # Panics
    /// If `repair` does: then the mutex is given up.
    pub fn repaired(self, repair: impl FnOnce(&mut T)) -> SharedGuard<'m, T, M> {
        match self {
            Self::Clean(guard) => guard,
            Self::OwnerDied(mut died) => {
                repair(&mut died);
                died.make_consistent()
            }
        }
    }
}

/// Holds the mutex, and derefs to the data. It stays on its thread.
#[must_use = "the mutex is released at once"]
pub struct SharedGuard<'m, T: Pod, M: Memory> {
    data: NonNull<T>,
    _data: PhantomData<&'m mut T>,
    _guard: Guard<'m, M>,
}

/// Holds the mutex of an owner that has died, and derefs to the data, which may be half written.
///
/// Dropped, it [gives up](Self::give_up).
#[must_use = "the mutex is given up at once"]
pub struct SharedOwnerDied<'m, T: Pod, M: Memory> {
    data: NonNull<T>,
    _data: PhantomData<&'m mut T>,
    died: OwnerDied<'m, M>,
}

impl<'m, T: Pod, M: Memory> SharedOwnerDied<'m, T, M> {
    /// The data is as it should be.
    pub fn make_consistent(self) -> SharedGuard<'m, T, M> {
        SharedGuard { data: self.data, _data: PhantomData, _guard: self.died.make_consistent() }
    }

    /// The data is beyond repair. All who want it get [`NotRecoverable`](Error::NotRecoverable), until it
    /// is [initialised again](Shared::reinitialize).
    pub fn give_up(self) {
        self.died.give_up();
    }
}

macro_rules! deref {
    ($guard:ident) => {
        impl<T: Pod, M: Memory> Deref for $guard<'_, T, M> {
            type Target = T;

            fn deref(&self) -> &T {
                // SAFETY: aligned and in the memory; the mutex is held.
                unsafe { self.data.as_ref() }
            }
        }

        impl<T: Pod, M: Memory> DerefMut for $guard<'_, T, M> {
            fn deref_mut(&mut self) -> &mut T {
                // SAFETY: as above, and the mutex is plain: there is no other guard.
                unsafe { self.data.as_mut() }
            }
        }

        impl<T: Pod + fmt::Debug, M: Memory> fmt::Debug for $guard<'_, T, M> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($guard)).field(&**self).finish()
            }
        }
    };
}

deref!(SharedGuard);
deref!(SharedOwnerDied);
