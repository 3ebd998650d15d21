//! The mutexes that compete, each used as its users would, around the same data.

use std::cell::UnsafeCell;

/// What a lock guards. With the largest of the locks, pthread's, it fills one cache line.
#[derive(Default)]
pub(crate) struct Data {
    pub(crate) value: f64,
    /// When the last holder let go, and who that was, from 1. Only used where waits are timed.
    pub(crate) released_at: u64,
    pub(crate) last_holder: u32,
}

pub(crate) trait Contender: Sync {
    fn new() -> Self;
    fn locked<R>(&self, f: impl FnOnce(&mut Data) -> R) -> R;
}

impl Contender for std::sync::Mutex<Data> {
    fn new() -> Self {
        Self::default()
    }

    #[inline(always)]
    fn locked<R>(&self, f: impl FnOnce(&mut Data) -> R) -> R {
        f(&mut self.lock().unwrap())
    }
}

macro_rules! with_guards {
    ($($mutex:ty),*) => {$(
        impl Contender for $mutex {
            fn new() -> Self {
                Self::default()
            }

            #[inline(always)]
            fn locked<R>(&self, f: impl FnOnce(&mut Data) -> R) -> R {
                f(&mut self.lock())
            }
        }
    )*};
}

with_guards! {
    parking_lot_0_12::Mutex<Data>, parking_lot_0_13::Mutex<Data>, usync::Mutex<Data>,
    pysync_lock::guarded::Mutex<Data>
}

/// A lock without guards, beside its data.
#[repr(C)]
pub(crate) struct Bare<L> {
    lock: L,
    data: UnsafeCell<Data>,
}

// SAFETY: the data is reached with the lock held only.
unsafe impl<L: BareLock> Sync for Bare<L> {}

pub(crate) trait BareLock: Sync {
    fn new() -> Self;
    fn lock(&self);
    /// Only called by a thread that has locked it.
    fn unlock(&self);
}

impl<L: BareLock> Contender for Bare<L> {
    fn new() -> Self {
        Self { lock: L::new(), data: UnsafeCell::default() }
    }

    #[inline(always)]
    fn locked<R>(&self, f: impl FnOnce(&mut Data) -> R) -> R {
        self.lock.lock();
        // SAFETY: the lock is held.
        let result = f(unsafe { &mut *self.data.get() });
        self.lock.unlock();
        result
    }
}

impl BareLock for pysync_lock::Mutex {
    fn new() -> Self {
        Self::new()
    }

    #[inline(always)]
    fn lock(&self) {
        self.lock();
    }

    #[inline(always)]
    fn unlock(&self) {
        self.unlock();
    }
}

/// The C library's mutex of the default kind.
pub(crate) struct Pthread(UnsafeCell<libc::pthread_mutex_t>);

// SAFETY: a mutex is for many threads. It stays where it is: its users box their locks.
unsafe impl Sync for Pthread {}

impl BareLock for Pthread {
    fn new() -> Self {
        Self(UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER))
    }

    #[inline(always)]
    fn lock(&self) {
        // SAFETY: initialised, and not moved once it is in use.
        unsafe { libc::pthread_mutex_lock(self.0.get()) };
    }

    #[inline(always)]
    fn unlock(&self) {
        // SAFETY: as above, and locked by this thread.
        unsafe { libc::pthread_mutex_unlock(self.0.get()) };
    }
}
