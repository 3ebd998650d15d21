use std::convert::Infallible;
use std::fmt;
use std::mem::MaybeUninit;

use pysync_platform::primitive::StaticCell;
use pysync_platform::{Native, Runtime};

use crate::OnceFlag;

/// A cell that is written once, by the thread that comes first, and read by all.
///
/// A failed or panicking initialisation leaves it empty for the next one. Usable in a `static`.
///
/// **Fork**: a cell that is full stays so in the child. If a thread that no longer exists was about
/// to fill it, [`after_fork`](Self::after_fork) lets another try.
///
/// ```
/// use pysync_lock::guarded::OnceCell;
///
/// static NAME: OnceCell<String> = OnceCell::new();
/// assert_eq!(NAME.get(), None);
/// assert_eq!(NAME.get_or_init(|| "pysync".into()), "pysync");
/// assert_eq!(NAME.set("other".into()), Err("other".into()));
/// ```
pub struct OnceCell<T> {
    once: OnceFlag,
    // Initialised once `once` is.
    value: StaticCell<Slot<T>>,
}

/// Room for a value.
struct Slot<T>(MaybeUninit<T>);

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self(MaybeUninit::uninit())
    }
}

// SAFETY: written under the once flag, then only shared. The thread that initialises sends the value
// to the thread that drops it.
unsafe impl<T: Send + Sync> Sync for OnceCell<T> {}

impl<T> OnceCell<T> {
    /// An empty cell.
    pub const fn new() -> Self {
        Self { once: OnceFlag::new(), value: StaticCell::new(Slot(MaybeUninit::uninit())) }
    }

    /// The value, if there is one. Never blocks.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        // SAFETY: initialised, and from then on no thread writes while the cell is shared.
        self.once
            .is_initialized()
            .then(|| self.value.with(|value| unsafe { (*value).0.assume_init_ref() }))
    }

    /// The value, if there is one.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        // SAFETY: initialised, and the cell is ours alone.
        self.once
            .is_initialized()
            .then(|| self.value.with_mut(|value| unsafe { (*value).0.assume_init_mut() }))
    }

    /// Fills the cell. Blocks while another thread is trying to.
    ///
    /// # Errors
    /// `value` itself, if the cell is full.
    pub fn set(&self, value: T) -> Result<(), T> {
        let mut value = Some(value);
        self.get_or_init(|| value.take().expect("called once"));
        value.map_or(Ok(()), Err)
    }

    /// The value; the first caller makes it, others wait for it.
    ///
    /// # Panics
    /// If `f` does; the cell stays empty. An `f` that asks the same cell waits for itself,
    /// forever.
    #[inline]
    pub fn get_or_init(&self, f: impl FnOnce() -> T) -> &T {
        self.get_or_init_in::<Native>(f)
    }

    /// [`get_or_init`](Self::get_or_init) in another runtime, whose threads wait.
    ///
    /// # Panics
    /// As for [`get_or_init`](Self::get_or_init).
    #[inline]
    pub fn get_or_init_in<R: Runtime>(&self, f: impl FnOnce() -> T) -> &T {
        match self.get_or_try_init_in::<R, _>(|| Ok::<T, Infallible>(f())) {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }

    /// The value; the first caller makes it, others wait for it.
    ///
    /// # Errors
    /// What `f` returns; the cell stays empty, and the next caller tries again.
    ///
    /// # Panics
    /// As for [`get_or_init`](Self::get_or_init).
    #[inline]
    pub fn get_or_try_init<E>(&self, f: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        self.get_or_try_init_in::<Native, E>(f)
    }

    /// [`get_or_try_init`](Self::get_or_try_init) in another runtime, whose threads wait.
    ///
    /// # Errors
    /// As for [`get_or_try_init`](Self::get_or_try_init).
    ///
    /// # Panics
    /// As for [`get_or_init`](Self::get_or_init).
    #[inline]
    pub fn get_or_try_init_in<R: Runtime, E>(
        &self,
        f: impl FnOnce() -> Result<T, E>,
    ) -> Result<&T, E> {
        match self.get() {
            Some(value) => Ok(value),
            None => self.init::<R, E>(f),
        }
    }

    #[cold]
    fn init<R: Runtime, E>(&self, f: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        self.once.call_once_in::<R, E>(|| {
            let value = f()?;
            // SAFETY: no thread reads before the flag says so, and the flag lets in one at a time.
            self.value.with_mut(|slot| unsafe { (*slot).0.write(value) });
            Ok(())
        })?;
        Ok(self.get().expect("initialised just now"))
    }

    /// Empties the cell in the child of a `fork`, if the thread that was about to fill it no longer
    /// exists. What that thread has made so far is leaked. A cell that is full stays so.
    ///
    /// # Safety
    /// The calling thread is the only one in the process, and is not itself inside the `f` that is
    /// to fill this cell.
    pub unsafe fn after_fork(&self) {
        // SAFETY: by contract.
        unsafe { self.once.after_fork() };
    }

    /// The value, leaving the cell empty.
    pub fn take(&mut self) -> Option<T> {
        std::mem::take(self).into_inner()
    }

    /// The value, if there is one.
    pub fn into_inner(mut self) -> Option<T> {
        let full = self.once.is_initialized();
        // The value is moved out, so that dropping `self` must find the cell empty.
        self.once = OnceFlag::new();
        // SAFETY: initialised, and not dropped twice thanks to the line above.
        full.then(|| self.value.with(|value| unsafe { (*value).0.assume_init_read() }))
    }
}

impl<T> Drop for OnceCell<T> {
    fn drop(&mut self) {
        if let Some(value) = self.get_mut() {
            // SAFETY: initialised, and no thread looks again.
            unsafe { std::ptr::drop_in_place(value) };
        }
    }
}

/// An empty cell; in a loom model its state is made at once, and not at its first use.
impl<T> Default for OnceCell<T> {
    fn default() -> Self {
        Self { once: OnceFlag::default(), value: StaticCell::default() }
    }
}

/// A cell with a value in it.
impl<T> From<T> for OnceCell<T> {
    fn from(value: T) -> Self {
        let cell = Self::default();
        cell.get_or_init(|| value);
        cell
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OnceCell").field(&self.get()).finish()
    }
}
