//! The C library's robust mutex: error-checking, shared between processes, without priority
//! inheritance.
//!
//! Of its functions only trylock, unlock and consistent are called. So none of the ways in which a
//! library's own waiting goes wrong concerns us: `docs/robust.md` has a list. How a thread waits is
//! ours, on the mutex's word. Its bits are the kernel's interface and not the library's: the thread
//! id of the owner, [`WAITERS`] and `OWNER_DIED`.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;

use pysync_platform::futex::{self, Outcome, Scope};
use pysync_platform::primitive::plain::AtomicUsize;
use pysync_platform::primitive::plain::Ordering::Relaxed;
use pysync_platform::{Deadline, preserve_errno};

use super::{Awake, INNER_BYTES, OWNER, TryLock, WAITERS};
use crate::Error;
use crate::word::Word32;
use robust_list::Room;

#[path = "robust_list.rs"]
mod robust_list;

/// Where the word is in the library's mutex.
#[cfg(target_env = "gnu")]
const WORD: usize = 0;
#[cfg(target_env = "musl")]
const WORD: usize = 4;

/// What the layout says of the library: which it is, and the size, alignment and word of its mutex.
pub(crate) const LIBRARY: [usize; 4] = [
    if cfg!(target_env = "gnu") { 1 } else { 2 },
    size_of::<libc::pthread_mutex_t>(),
    align_of::<libc::pthread_mutex_t>(),
    WORD,
];

// libc does not have these.
const PTHREAD_MUTEX_ROBUST: libc::c_int = 1;
unsafe extern "C" {
    fn pthread_mutexattr_setrobust(
        attributes: *mut libc::pthread_mutexattr_t,
        robust: libc::c_int,
    ) -> libc::c_int;
    fn pthread_mutex_consistent(mutex: *mut libc::pthread_mutex_t) -> libc::c_int;
}

#[repr(C, align(8))]
pub(crate) struct Inner {
    mutex: UnsafeCell<MaybeUninit<libc::pthread_mutex_t>>,
    _rest: [u8; INNER_BYTES - size_of::<libc::pthread_mutex_t>()],
}

impl Inner {
    /// Makes the bytes an unlocked mutex.
    ///
    /// # Safety
    /// No thread uses them, and no thread holds what they were before.
    pub(crate) unsafe fn initialize(&self) -> Result<(), Error> {
        let mut attributes = MaybeUninit::<libc::pthread_mutexattr_t>::uninit();
        let attributes = attributes.as_mut_ptr();
        // SAFETY: the attributes are a local; no other thread uses the mutex, by contract.
        let results = unsafe {
            check(libc::pthread_mutexattr_init(attributes))?;
            let results = [
                libc::pthread_mutexattr_settype(attributes, libc::PTHREAD_MUTEX_ERRORCHECK),
                libc::pthread_mutexattr_setpshared(attributes, libc::PTHREAD_PROCESS_SHARED),
                pthread_mutexattr_setrobust(attributes, PTHREAD_MUTEX_ROBUST),
                libc::pthread_mutex_init(self.raw(), attributes),
            ];
            libc::pthread_mutexattr_destroy(attributes);
            results
        };
        results.into_iter().try_for_each(check)
    }

    /// Locks it if it is free.
    #[inline]
    pub(crate) fn try_lock(&self) -> TryLock {
        let Some(room) = Room::find() else {
            // What the thread holds already takes no more room.
            return if self.is_mine() { TryLock::Mine } else { TryLock::TooMany };
        };
        // SAFETY: the block is initialised, so these bytes are a mutex.
        match unsafe { libc::pthread_mutex_trylock(self.raw()) } {
            0 => {
                room.take();
                TryLock::Locked
            }
            libc::EOWNERDEAD => {
                room.take();
                TryLock::OwnerDied
            }
            libc::EDEADLK => TryLock::Mine,
            // musl's says the same of the owner's own.
            libc::EBUSY if cfg!(target_env = "musl") && self.is_mine() => TryLock::Mine,
            libc::EBUSY => TryLock::Others,
            errno => TryLock::Refused(errno),
        }
    }

    /// Unlocks it; false if the caller is not the owner. Wakes one of the threads that sleep on it.
    #[inline]
    pub(crate) fn unlock(&self) -> bool {
        // SAFETY: the block is initialised, so these bytes are a mutex.
        let unlocked = unsafe { libc::pthread_mutex_unlock(self.raw()) } == 0;
        if unlocked {
            Room::give_back();
        }
        unlocked
    }

    /// The owner says that the death of the one before is dealt with.
    pub(crate) fn make_consistent(&self) {
        // SAFETY: as for `unlock`. It fails only if there is nothing to say.
        unsafe { pthread_mutex_consistent(self.raw()) };
    }

    /// Whether the calling thread is the owner. Asks the kernel for the thread's id each time: a child
    /// of a fork has another one than its parent, however it was made.
    pub(crate) fn is_mine(&self) -> bool {
        // SAFETY: only asks.
        let me = unsafe { libc::gettid() };
        // Ordering: Relaxed; only the caller itself could have stored its own id.
        self.word().load(Relaxed) & OWNER == me as u32
    }

    /// What threads sleep on.
    #[inline(always)]
    pub(crate) fn word(&self) -> &Word32 {
        // SAFETY: a word of the mutex, which the library and the kernel too access with atomics only.
        unsafe { &*self.mutex.get().byte_add(WORD).cast::<Word32>() }
    }

    /// Sleeps while the word is `word`, but for `slice` at most, which never ends after `deadline`.
    pub(crate) fn sleep(&self, word: u32, slice: Deadline, _deadline: Deadline) -> Awake {
        let outcome =
            preserve_errno(|| futex::wait(self.word().atomic(), word, slice, Scope::Shared));
        match outcome {
            Outcome::Woken | Outcome::Changed => Awake::Woken,
            Outcome::Interrupted => Awake::Interrupted,
            Outcome::TimedOut => Awake::TimedOut,
        }
    }

    /// Wakes up to `most` of the threads that sleep on the word.
    pub(crate) fn wake(&self, most: u32) {
        preserve_errno(|| futex::wake(self.word().atomic(), most, Scope::Shared));
    }

    #[inline(always)]
    fn raw(&self) -> *mut libc::pthread_mutex_t {
        self.mutex.get().cast()
    }
}

fn check(errno: libc::c_int) -> Result<(), Error> {
    if errno == 0 { Ok(()) } else { Err(Error::Os(errno)) }
}

/// Whether the system does what we count on. Tries it once, on a mutex of its own: an emulator may
/// lack the kernel's part, and a future library may do things in another way.
pub(crate) fn supported() -> Result<(), Error> {
    /// 0 until a thread has tried; then 1, or 2 and more for a reason.
    static TRIED: AtomicUsize = AtomicUsize::new(0);
    // Ordering: Relaxed; the number is all there is. Threads that try at the same time find the same.
    match TRIED.load(Relaxed) {
        1 => return Ok(()),
        0 => {}
        tried => return Err(Error::Unsupported(REASONS[tried - 2])),
    }
    match probe() {
        Ok(()) => {
            TRIED.store(1, Relaxed);
            Ok(())
        }
        Err(reason) => {
            TRIED.store(reason + 2, Relaxed);
            Err(Error::Unsupported(REASONS[reason]))
        }
    }
}

/// What may be missing.
const REASONS: [&str; 6] = [
    "the C library does not make a robust mutex",
    "the C library does not lock a robust mutex",
    "the C library keeps the owner of a robust mutex elsewhere",
    "the kernel knows nothing of the thread's robust mutexes",
    "the C library does not unlock a robust mutex with waiters",
    "the C library has no room for what a fork has to do",
];

/// The number of what is missing.
fn probe() -> Result<(), usize> {
    // Not on the stack: if a step fails, the thread's list may keep an entry in it.
    let leaked: *mut Inner = Box::into_raw(Box::new(Inner {
        mutex: UnsafeCell::new(MaybeUninit::zeroed()),
        _rest: [0; INNER_BYTES - size_of::<libc::pthread_mutex_t>()],
    }));
    // SAFETY: leaked, and no other thread has its address.
    let inner = unsafe { &*leaked };
    // SAFETY: as above.
    unsafe { inner.initialize() }.map_err(|_| 0_usize)?;
    if inner.try_lock() != TryLock::Locked {
        return Err(1);
    }
    if !inner.is_mine() {
        return Err(2);
    }
    let address = std::ptr::from_ref(inner.word()).addr();
    if !robust_list::words().is_some_and(|mut words| words.any(|word| word == address)) {
        return Err(3);
    }
    inner.word().fetch_or(WAITERS, Relaxed);
    if !inner.unlock() || inner.word().load(Relaxed) != 0 {
        return Err(4);
    }
    #[cfg(target_env = "musl")]
    if !robust_list::empty_in_children() {
        return Err(5);
    }
    // SAFETY: no list leads to it any more.
    drop(unsafe { Box::from_raw(leaked) });
    Ok(())
}
