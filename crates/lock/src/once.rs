use std::fmt;
use std::ptr;

use pysync_parking_lot::{park_in, unpark_all};
use pysync_platform::primitive::atomic::{AtomicU8, Ordering};
use pysync_platform::primitive::const_fn;
use pysync_platform::{Deadline, Native, Runtime};

use crate::bits::{HAS_PARKED, LOCKED, ONCE_INITIALIZED, UNLOCKED};

/// A flag of one byte for something that is to succeed once.
///
/// | value | state |
/// |---|---|
/// | 0 | not done |
/// | 1 | a thread is at it |
/// | 3 | a thread is at it, others are parked |
/// | 4 | done |
///
/// Usable in a `static`; zeroed memory is a flag that is not done.
/// [`guarded::OnceCell`](crate::guarded::OnceCell) keeps a value with it.
///
/// **Fork**: if a thread that no longer exists was at it, [`after_fork`](Self::after_fork) resets
/// the flag.
///
/// ```
/// use pysync_lock::OnceFlag;
///
/// static ONCE: OnceFlag = OnceFlag::new();
/// assert_eq!(ONCE.call_once(|| Err("no luck")), Err("no luck"));
/// assert_eq!(ONCE.call_once(|| Ok::<(), &str>(())), Ok(()));
/// assert!(ONCE.is_initialized());
/// ```
///
/// CPython: Include/cpython/modsupport.h:L7 _PyOnceFlag
#[doc(alias = "_PyOnceFlag")]
#[repr(transparent)]
pub struct OnceFlag {
    // L8: all of its state.
    v: AtomicU8,
}

impl OnceFlag {
    const_fn! {
        /// A flag for something that is not done.
        #[inline]
        pub const fn new() -> Self {
            Self { v: AtomicU8::new(UNLOCKED) }
        }
    }

    /// Whether it is done. Never blocks. What `f` did is seen by whoever gets true.
    #[inline]
    pub fn is_initialized(&self) -> bool {
        // Ordering: Acquire pairs with the Release at the end of `call_once`.
        self.v.load(Ordering::Acquire) == ONCE_INITIALIZED
    }

    /// Calls `f`, unless a call has succeeded before. Threads that come meanwhile wait, through
    /// signals and detached; if the call fails, one of them tries its own.
    ///
    /// `f` must not call `call_once` on the same flag: that waits for itself, forever.
    ///
    /// # Errors
    /// What `f` returns; the flag is then as if nobody had tried.
    ///
    /// # Panics
    /// If `f` panics; the flag is then as if nobody had tried.
    ///
    /// CPython: Include/internal/pycore_lock.h:L146 _PyOnceFlag_CallOnce
    /// CPython: Include/internal/pycore_lock.h:L133 _Py_once_fn_t
    #[doc(alias("_PyOnceFlag_CallOnce", "_Py_once_fn_t"))]
    #[inline]
    pub fn call_once<E>(&self, f: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        self.call_once_in::<Native, E>(f)
    }

    /// [`call_once`](Self::call_once) in another runtime.
    ///
    /// CPython: Include/internal/pycore_lock.h:L146 _PyOnceFlag_CallOnce
    #[inline]
    pub fn call_once_in<R: Runtime, E>(&self, f: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        // L148-L150: done long ago, the usual case.
        if self.is_initialized() {
            return Ok(());
        }
        // L151: out of line.
        self.call_once_slow::<R, E>(f)
    }

    /// Resets the flag in the child of a `fork`, if whoever was at it no longer exists.
    ///
    /// # Safety
    /// The calling thread is the only one in the process, and is not inside `f` itself.
    pub unsafe fn after_fork(&self) {
        if !self.is_initialized() {
            // Ordering: Relaxed, there is nobody to order with.
            self.v.store(UNLOCKED, Ordering::Relaxed);
        }
    }

    /// CPython: Python/lock.c:L333 _PyOnceFlag_CallOnceSlow
    #[doc(alias = "_PyOnceFlag_CallOnceSlow")]
    #[cold]
    fn call_once_slow<R: Runtime, E>(&self, f: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        // Ordering: Acquire here and after each wait, for what the thread that is done has done.
        // L335-L336: the state, until it says what to do.
        let mut v = self.v.load(Ordering::Acquire);
        loop {
            // L337-L340: nobody is at it, so it is us.
            if v == UNLOCKED {
                // Ordering: Acquire on success, for what a call that failed has done before us.
                match self.v.compare_exchange_weak(v, LOCKED, Ordering::Acquire, Ordering::Acquire)
                {
                    Ok(_) => {
                        // L341-L342: a panic leaves through the attempt, as a failure.
                        let attempt = Attempt { flag: self, outcome: UNLOCKED };
                        f()?;
                        attempt.succeed();
                        return Ok(());
                    }
                    Err(actual) => {
                        v = actual;
                        continue;
                    }
                }
            }
            // L345-L347: somebody else has done it.
            if v == ONCE_INITIALIZED {
                return Ok(());
            }
            // L349-L358: somebody else is at it; the first to park announces it.
            if v & HAS_PARKED == 0 {
                // Ordering: Relaxed on success, as it publishes nothing and the bucket lock
                // orders the park; Acquire on failure as above.
                if let Err(actual) = self.v.compare_exchange_weak(
                    v,
                    v | HAS_PARKED,
                    Ordering::Relaxed,
                    Ordering::Acquire,
                ) {
                    v = actual;
                    continue;
                }
            }
            // L360-L362: however the wait ends, look again.
            let parked = LOCKED | HAS_PARKED;
            park_in::<R, _>(&self.v, parked, Deadline::NEVER, ptr::null_mut(), true);
            v = self.v.load(Ordering::Acquire);
        }
    }
}

/// A call in progress; its end, by whichever way, frees the flag and wakes who waits.
struct Attempt<'a> {
    flag: &'a OnceFlag,
    outcome: u8,
}

impl Attempt<'_> {
    /// CPython: Python/lock.c:L309 unlock_once
    fn succeed(mut self) {
        // L316: only success is for good.
        self.outcome = ONCE_INITIALIZED;
    }
}

impl Drop for Attempt<'_> {
    /// CPython: Python/lock.c:L309 unlock_once
    #[doc(alias = "unlock_once")]
    fn drop(&mut self) {
        // L313-L322: a `Result` has no third value to complain about.
        // L324-L329: publish, then wake who parked meanwhile.
        let key = &raw const self.flag.v;
        // Ordering: Release pairs with the Acquire of whoever sees the outcome.
        if self.flag.v.swap(self.outcome, Ordering::Release) & HAS_PARKED != 0 {
            unpark_all(key);
        }
    }
}

impl Default for OnceFlag {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for OnceFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnceFlag").field("initialized", &self.is_initialized()).finish()
    }
}
