//! The mutexes, each in memory that processes share.

use std::cell::UnsafeCell;
use std::fs::File;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use posix_sync::mutex::guards::RobustGuardContainer;
use posix_sync::mutex::robustness_markers::Robust;
use posix_sync::mutex::{BorrowedMutex, MutexBuilder, MutexSharing, MutexType};
use pysync_platform::Deadline;
use pysync_platform::futex::{self, Scope};
use pysync_robust::{Guard, Kind, Memory, Ownership, RawMutex, RobustMutex, SIZE, Timeout};

use super::processes::Shared;
use crate::runner::{Entrant, Pass, Sample};

/// Memory for a mutex and for what it protects, on lines of their own. It is never unmapped: a thread
/// that dies may have a mutex in it.
#[repr(C, align(128))]
pub(super) struct Arena {
    mutex: UnsafeCell<[u8; SIZE]>,
    count: UnsafeCell<u64>,
}

// SAFETY: contenders synchronise their own accesses, and the count is the owner's.
unsafe impl Sync for Arena {}

impl Arena {
    pub(super) fn new() -> &'static Self {
        // SAFETY: zeroes are bytes and a number, and dropping them does nothing.
        let arena = unsafe { Shared::zeroed(1) };
        &Shared::leak(arena)[0]
    }

    /// Counts one more.
    ///
    /// # Safety
    /// The caller holds the mutex.
    #[inline(always)]
    pub(super) unsafe fn count(&self) {
        // SAFETY: no other thread accesses it, by contract.
        unsafe { *self.count.get() += 1 };
    }

    /// How often that was, if all who count have ended.
    pub(super) fn counted(&self) -> u64 {
        // SAFETY: no thread accesses it, by contract.
        unsafe { *self.count.get() }
    }

    fn mutex<T>(&self) -> NonNull<T> {
        const { assert!(size_of::<T>() <= SIZE && align_of::<T>() <= 128) };
        NonNull::new(self.mutex.get().cast()).expect("nothing is mapped at address 0")
    }
}

/// A mutex between processes. It is valid in the child of a fork too, once that has
/// [opened](Self::open) it.
pub(super) trait Contender: Send + Sync + Sized {
    const NAME: &'static str;
    /// Whether it survives its owner. One that does not has less to do.
    const IS_ROBUST: bool = true;

    /// Makes it.
    fn new(arena: &'static Arena) -> Self;

    /// The same mutex, for the child of a fork.
    fn open(&self) -> Self;

    /// Calls `body` with the mutex held. If an owner has died, repairs that before.
    fn with<T>(&self, body: impl FnOnce() -> T) -> T;

    /// Acquires it, and never releases it.
    fn abandon(&self);
}

fn check(errno: libc::c_int) {
    assert_eq!(errno, 0, "{}", std::io::Error::from_raw_os_error(errno));
}

/// Ours, raw.
pub(super) struct Raw(RawMutex);

impl Raw {
    #[inline(always)]
    fn acquire(&self) {
        if self.0.acquire(Timeout::Never).expect("the mutex is ready") == Ownership::OwnerDied {
            self.0.make_consistent().expect("acquired above");
        }
    }
}

impl Contender for Raw {
    const NAME: &'static str = "pysync";

    fn new(arena: &'static Arena) -> Self {
        // SAFETY: the bytes stay, are aligned, and are accessed by this crate only.
        let mutex = unsafe { RawMutex::at(arena.mutex().as_ptr()) }.expect("Linux with 64 bits");
        mutex.initialize(Kind::Plain).expect("the bytes are zeroes");
        Self(mutex)
    }

    fn open(&self) -> Self {
        Self(self.0)
    }

    #[inline(always)]
    fn with<T>(&self, body: impl FnOnce() -> T) -> T {
        self.acquire();
        let result = body();
        self.0.release().expect("acquired above");
        result
    }

    fn abandon(&self) {
        self.acquire();
    }
}

/// Ours, with guards.
pub(super) struct Guarded(RobustMutex<&'static Arena>);

// SAFETY: the bytes are mapped for ever, and accessed by this crate only.
unsafe impl Memory for &'static Arena {
    fn bytes(&self) -> NonNull<[u8]> {
        NonNull::slice_from_raw_parts(self.mutex(), SIZE)
    }
}

impl Guarded {
    #[inline(always)]
    fn acquire(&self) -> Guard<'_, &'static Arena> {
        self.0.acquire(Timeout::Never).expect("the mutex is ready").repaired(|| ())
    }
}

impl Contender for Guarded {
    const NAME: &'static str = "pysync guard";

    fn new(arena: &'static Arena) -> Self {
        Self(RobustMutex::initialize(arena, Kind::Plain).expect("the bytes are zeroes"))
    }

    fn open(&self) -> Self {
        Self(RobustMutex::attach(*self.0.memory()).expect("made before the fork"))
    }

    #[inline(always)]
    fn with<T>(&self, body: impl FnOnce() -> T) -> T {
        let _guard = self.acquire();
        body()
    }

    fn abandon(&self) {
        mem::forget(self.acquire());
    }
}

// libc does not have these.
unsafe extern "C" {
    fn pthread_mutexattr_setrobust(
        attributes: *mut libc::pthread_mutexattr_t,
        robust: libc::c_int,
    ) -> libc::c_int;
    fn pthread_mutex_consistent(mutex: *mut libc::pthread_mutex_t) -> libc::c_int;
}

/// The C library's, shared: error-checking if it is robust, as ours is.
struct Pthread(NonNull<libc::pthread_mutex_t>);

// SAFETY: a mutex is for many threads.
unsafe impl Send for Pthread {}
// SAFETY: as above.
unsafe impl Sync for Pthread {}

impl Pthread {
    fn new(arena: &'static Arena, is_robust: bool) -> Self {
        let mutex = arena.mutex();
        // SAFETY: zeroes are attributes as good as any; no other thread has the mutex yet.
        unsafe {
            let mut attributes: libc::pthread_mutexattr_t = mem::zeroed();
            let attributes = &raw mut attributes;
            check(libc::pthread_mutexattr_init(attributes));
            check(libc::pthread_mutexattr_setpshared(attributes, libc::PTHREAD_PROCESS_SHARED));
            if is_robust {
                check(libc::pthread_mutexattr_settype(attributes, libc::PTHREAD_MUTEX_ERRORCHECK));
                check(pthread_mutexattr_setrobust(attributes, libc::PTHREAD_MUTEX_ROBUST));
            }
            check(libc::pthread_mutex_init(mutex.as_ptr(), attributes));
            check(libc::pthread_mutexattr_destroy(attributes));
        }
        Self(mutex)
    }

    #[inline(always)]
    fn lock(&self) {
        // SAFETY: initialised, and never unmapped.
        self.locked(unsafe { libc::pthread_mutex_lock(self.0.as_ptr()) });
    }

    /// What a lock or trylock has returned.
    #[inline(always)]
    fn locked(&self, errno: libc::c_int) {
        if errno == libc::EOWNERDEAD {
            // SAFETY: the caller has just locked it.
            check(unsafe { pthread_mutex_consistent(self.0.as_ptr()) });
        } else {
            check(errno);
        }
    }

    #[inline(always)]
    fn unlock(&self) {
        // SAFETY: the caller has locked it.
        check(unsafe { libc::pthread_mutex_unlock(self.0.as_ptr()) });
    }
}

/// The C library's mutex, robust or only shared.
pub(super) struct PthreadLocked<const ROBUST: bool>(Pthread);

pub(super) type PthreadRobust = PthreadLocked<true>;
pub(super) type PthreadShared = PthreadLocked<false>;

impl<const ROBUST: bool> Contender for PthreadLocked<ROBUST> {
    const NAME: &'static str = if ROBUST { "robust" } else { "pthread" };
    const IS_ROBUST: bool = ROBUST;

    fn new(arena: &'static Arena) -> Self {
        Self(Pthread::new(arena, ROBUST))
    }

    fn open(&self) -> Self {
        Self(Pthread(self.0.0))
    }

    #[inline(always)]
    fn with<T>(&self, body: impl FnOnce() -> T) -> T {
        self.0.lock();
        let result = body();
        self.0.unlock();
        result
    }

    fn abandon(&self) {
        self.0.lock();
    }
}

/// The robust one, tried and never waited for: what ours stands on.
pub(super) struct PthreadTried(Pthread);

impl Contender for PthreadTried {
    const NAME: &'static str = "robust try";

    fn new(arena: &'static Arena) -> Self {
        Self(Pthread::new(arena, true))
    }

    fn open(&self) -> Self {
        Self(Pthread(self.0.0))
    }

    #[inline(always)]
    fn with<T>(&self, body: impl FnOnce() -> T) -> T {
        // SAFETY: initialised, and never unmapped.
        self.0.locked(unsafe { libc::pthread_mutex_trylock(self.0.0.as_ptr()) });
        let result = body();
        self.0.unlock();
        result
    }

    fn abandon(&self) {
        self.0.lock();
    }
}

/// posix-sync's robust mutex in memory of the caller. Its owned one may be freed while a leaked guard
/// holds it, and is in the memory of one process.
pub(super) struct PosixSync(BorrowedMutex<'static, Robust>);

impl PosixSync {
    #[inline(always)]
    fn lock(&self) -> RobustGuardContainer<'_> {
        // SAFETY: made by `new`, never unmapped or destroyed, and unlocked by guards only.
        match unsafe { self.0.lock() }.expect("the mutex is as it was made") {
            RobustGuardContainer::Indeterminate(died) => {
                RobustGuardContainer::Standard(died.make_consistent().expect("locked above"))
            }
            guard => guard,
        }
    }
}

impl Contender for PosixSync {
    const NAME: &'static str = "posix-sync";

    fn new(arena: &'static Arena) -> Self {
        let builder = MutexBuilder::<Robust>::new()
            .with_type(MutexType::ErrorCheck)
            .with_sharing(MutexSharing::Shared);
        // SAFETY: no other thread has the bytes yet, and they are never unmapped.
        Self(unsafe { builder.build_borrowed(arena.mutex().as_ptr(), arena) })
    }

    fn open(&self) -> Self {
        Self(self.0)
    }

    #[inline(always)]
    fn with<T>(&self, body: impl FnOnce() -> T) -> T {
        let _guard = self.lock();
        body()
    }

    fn abandon(&self) {
        mem::forget(self.lock());
    }
}

/// A futex with three states: free, held, and held with sleepers. The third mutex of Drepper's
/// "Futexes are tricky".
pub(super) struct Futex(&'static AtomicU32);

const FREE: u32 = 0;
const HELD: u32 = 1;
const WITH_SLEEPERS: u32 = 2;

impl Contender for Futex {
    const NAME: &'static str = "futex";
    const IS_ROBUST: bool = false;

    fn new(arena: &'static Arena) -> Self {
        // SAFETY: the arena is for ever, and these bytes are accessed as this atomic only.
        Self(unsafe { arena.mutex().as_ref() })
    }

    fn open(&self) -> Self {
        Self(self.0)
    }

    #[inline(always)]
    fn with<T>(&self, body: impl FnOnce() -> T) -> T {
        self.abandon();
        let result = body();
        if self.0.swap(FREE, Ordering::Release) == WITH_SLEEPERS {
            futex::wake(self.0, 1, Scope::Shared);
        }
        result
    }

    #[inline(always)]
    fn abandon(&self) {
        if self.0.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_err() {
            while self.0.swap(WITH_SLEEPERS, Ordering::Acquire) != FREE {
                futex::wait(self.0, WITH_SLEEPERS, Deadline::NEVER, Scope::Shared);
            }
        }
    }
}

/// A lock of an open file. The kernel releases it when the last process with that file dies.
pub(super) struct FileLock(File);

impl FileLock {
    #[inline(always)]
    fn set(&self, kind: libc::c_int) {
        // SAFETY: zeroes say: from the start, to the end.
        let mut lock: libc::flock = unsafe { mem::zeroed() };
        lock.l_type = kind as libc::c_short;
        // SAFETY: reads a local.
        let set = unsafe { libc::fcntl(self.0.as_raw_fd(), libc::F_OFD_SETLKW, &raw const lock) };
        assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
    }
}

impl Contender for FileLock {
    const NAME: &'static str = "file lock";

    fn new(_arena: &'static Arena) -> Self {
        // SAFETY: the name is a string of C.
        let file = unsafe { libc::memfd_create(c"lockbench".as_ptr(), libc::MFD_CLOEXEC) };
        assert_ne!(file, -1, "{}", std::io::Error::last_os_error());
        // SAFETY: a new descriptor.
        Self(unsafe { File::from_raw_fd(file) })
    }

    /// Opens the file again: what a child inherits is the file of the parent, with its lock.
    fn open(&self) -> Self {
        let path = format!("/proc/self/fd/{}", self.0.as_raw_fd());
        let file = File::options().read(true).write(true).open(path);
        Self(file.expect("a file of this process"))
    }

    #[inline(always)]
    fn with<T>(&self, body: impl FnOnce() -> T) -> T {
        self.set(libc::F_WRLCK);
        let result = body();
        self.set(libc::F_UNLCK);
        result
    }

    fn abandon(&self) {
        self.set(libc::F_WRLCK);
    }
}

/// The entrants of a job: each calls a function that is generic over the contender.
macro_rules! entrants {
    ($measure:ident($case:expr): $($contender:ident),*) => {
        vec![$(
            $crate::family::robust::contender::entrant::<$contender>(move |pass| {
                $measure::<$contender>($case, pass)
            })
        ),*]
    };
}
pub(super) use entrants;

pub(super) fn entrant<C: Contender>(measure: impl Fn(Pass) -> Sample + 'static) -> Entrant {
    let entrant = Entrant::new(C::NAME, measure);
    if C::IS_ROBUST { entrant } else { entrant.beside() }
}
