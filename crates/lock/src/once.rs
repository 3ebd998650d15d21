use std::fmt;
use std::ptr;

use pysync_parking_lot::unpark_all;
use pysync_platform::primitive::Zeroed;
use pysync_platform::primitive::atomic::{
    AtomicU8,
    Ordering::{Acquire, Relaxed, Release},
};
use pysync_platform::{Deadline, LockFlags, Native, Runtime};

use crate::bits::{HAS_PARKED, LOCKED, ONCE_INITIALIZED, UNLOCKED};
use crate::wait::announce_and_park;

/// No call has succeeded, and none is running.
const INCOMPLETE: u8 = UNLOCKED;
/// A thread runs its call.
const RUNNING: u8 = LOCKED;
/// A call has succeeded.
const COMPLETE: u8 = ONCE_INITIALIZED;

/// A flag of one byte for something that is to succeed once.
///
/// | byte | state | who may change it |
/// |---|---|---|
/// | 0 | incomplete | a caller that runs its function: to 1 |
/// | 1 | a call is running | a waiter before it parks: to 3; the running caller at its end: to 4 if it has succeeded, else to 0 |
/// | 3 | a call is running, and threads are parked or about to be | the running caller at its end: to 4 or 0, and it wakes all who are parked |
/// | 4 | complete | none |
///
/// Each change is one exchange or swap without a lock. A waiter parks only if the byte is 3, which
/// the parking lot compares under the bucket lock.
///
/// The flag can stand in a `static`, and zeroed memory is an incomplete flag.
/// [`guarded::OnceCell`](crate::guarded::OnceCell) keeps a value with it.
///
/// **Fork**: a child inherits the flag as it stood. If a thread that the child does not have was
/// running its call, [`after_fork`](Self::after_fork) resets the flag.
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
#[derive(Default)]
#[repr(transparent)]
pub struct OnceFlag {
    // L8
    state: Zeroed<AtomicU8>,
}

impl OnceFlag {
    /// An incomplete flag.
    #[inline]
    pub const fn new() -> Self {
        Self { state: Zeroed::<AtomicU8>::new() }
    }

    /// Whether a call has succeeded. Never blocks. A thread that gets true sees all that the call
    /// has done.
    #[inline]
    pub fn is_initialized(&self) -> bool {
        // Ordering: Acquire pairs with the Release at the end of a call.
        self.state.load(Acquire) == COMPLETE
    }

    /// Calls `f`, unless a call has succeeded before. While another thread runs its call, blocks
    /// through signals, and detached while it sleeps. If that call fails, one of the waiting
    /// threads runs its own.
    ///
    /// An `f` that calls `call_once` on the same flag waits for itself, forever.
    ///
    /// # Errors
    /// Returns what `f` returns. The flag is incomplete again.
    ///
    /// # Panics
    /// If `f` panics. The flag is incomplete again.
    ///
    /// CPython: Include/internal/pycore_lock.h:L146 _PyOnceFlag_CallOnce
    /// CPython: Include/internal/pycore_lock.h:L133 _Py_once_fn_t
    #[doc(alias("_PyOnceFlag_CallOnce", "_Py_once_fn_t"))]
    #[inline]
    pub fn call_once<E>(&self, f: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        self.call_once_in::<Native, E>(f)
    }

    /// [`call_once`](Self::call_once) in a runtime of the caller's choice.
    ///
    /// CPython: Include/internal/pycore_lock.h:L146 _PyOnceFlag_CallOnce
    #[inline]
    pub fn call_once_in<R: Runtime, E>(&self, f: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        // L148-L150: the usual case.
        if self.is_initialized() {
            return Ok(());
        }
        // L151
        self.call_once_slow::<R, E>(f)
    }

    /// Resets the flag in the child of a `fork`, if a thread that the child does not have was
    /// running its call. A flag that is complete stays so.
    ///
    /// # Safety
    /// - The calling thread is the only one in the process.
    /// - It is not running a call of this flag itself.
    pub unsafe fn after_fork(&self) {
        if !self.is_initialized() {
            // Ordering: Relaxed. There is no other thread.
            self.state.store(INCOMPLETE, Relaxed);
        }
    }

    /// CPython: Python/lock.c:L333 _PyOnceFlag_CallOnceSlow
    #[doc(alias = "_PyOnceFlag_CallOnceSlow")]
    #[cold]
    fn call_once_slow<R: Runtime, E>(&self, f: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        // Ordering: Acquire for each look: it pairs with the Release at the end of a call.
        // L335-L336
        let mut state = self.state.load(Acquire);
        loop {
            // L337-L340
            if state == INCOMPLETE {
                // Ordering: Acquire on success too, for what a call has done that has failed.
                match self.state.compare_exchange_weak(state, RUNNING, Acquire, Acquire) {
                    Ok(_) => {
                        // L341-L342: an error and a panic both drop the call as failed.
                        let call = Call { flag: self, outcome: INCOMPLETE };
                        f()?;
                        call.succeed();
                        return Ok(());
                    }
                    Err(actual) => state = actual,
                }
                continue;
            }
            // L345-L347
            if state == COMPLETE {
                return Ok(());
            }
            // L349-L361: a call is running.
            let _ = announce_and_park::<R, _>(
                &*self.state,
                state,
                ptr::null_mut(),
                Deadline::NEVER,
                LockFlags::DETACH,
            );
            // L362: however the wait has ended, the byte decides.
            state = self.state.load(Acquire);
        }
    }
}

/// A call that is running. Its drop ends it, and wakes the threads that wait for that.
struct Call<'a> {
    flag: &'a OnceFlag,
    outcome: u8,
}

impl Call<'_> {
    /// CPython: Python/lock.c:L309 unlock_once
    fn succeed(mut self) {
        // L316
        self.outcome = COMPLETE;
    }
}

impl Drop for Call<'_> {
    /// CPython: Python/lock.c:L309 unlock_once
    #[doc(alias = "unlock_once")]
    fn drop(&mut self) {
        // A thread that finds the flag complete may free it. From then on its address is only a
        // key.
        let key = &raw const *self.flag.state;
        // L313-L322: the type `Result` rules out other results, which C rejects here.
        // L324-L329
        // Ordering: Release pairs with the Acquire of the threads that look.
        if self.flag.state.swap(self.outcome, Release) & HAS_PARKED != 0 {
            unpark_all(key);
        }
    }
}

impl fmt::Debug for OnceFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnceFlag").field("initialized", &self.is_initialized()).finish()
    }
}
