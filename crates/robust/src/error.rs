use std::fmt;

/// Why a call has failed. The death of an owner is none of these: the thread that is told of
/// it has the mutex.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The buffer is too small.
    TooSmall {
        /// How many bytes it has.
        len: usize,
        /// How many it needs.
        need: usize,
    },
    /// The address is not a multiple of the alignment that is needed.
    Misaligned {
        /// By how many bytes it is too high.
        by: usize,
    },
    /// A part of a segment overlaps another part that is in use, and is not the same.
    Overlap,
    /// There is no mutex at these bytes: they are zeroes, or garbage, or from before a reboot.
    Uninitialized,
    /// Another thread or process is initialising the mutex.
    Initializing,
    /// There is a mutex at these bytes already.
    AlreadyInitialized,
    /// The mutex was made with another C library, width, byte order, or version of this crate.
    Layout {
        /// The layout in the block.
        found: u32,
        /// The layout of this program.
        want: u32,
    },
    /// The header of the mutex is not what it was: something else has written to the bytes.
    Damaged,
    /// The data behind the mutex is not what the caller expects: another type, size or number.
    Data {
        /// The identity in the block.
        found: u64,
        /// The identity that was asked for.
        want: u64,
    },
    /// The mutex belongs to processes in another pid namespace. Thread ids mean something else there,
    /// and there would be two owners.
    Namespace,
    /// There is no robust mutex on this system; says why.
    Unsupported(&'static str),
    /// The mutex is held, or there is something else to be done first.
    Busy,
    /// The timeout is over.
    TimedOut,
    /// A signal has ended the wait.
    Interrupted,
    /// The calling thread holds the mutex, which is not recursive.
    Deadlock,
    /// The calling thread does not hold the mutex.
    NotOwner,
    /// The owner has acquired a recursive mutex 2³² times.
    DepthOverflow,
    /// The calling thread holds 2,048 robust mutexes. The kernel would not look at more of them when
    /// the thread dies.
    TooManyHeld,
    /// The mutex was destroyed.
    Destroyed,
    /// An owner has died, and the next one has given up the data.
    NotRecoverable,
    /// The system refuses; this is its error number.
    Os(i32),
}

impl Error {
    /// The error number that C has for this: of the system's `<errno.h>` on Linux, and of Linux's
    /// elsewhere.
    ///
    /// ```
    /// # #[cfg(target_os = "linux")] {
    /// use pysync_robust::Error;
    ///
    /// assert_eq!(Error::Deadlock.errno(), libc::EDEADLK);
    /// assert_eq!(Error::Os(libc::ENOSPC).errno(), libc::ENOSPC);
    /// # }
    /// ```
    pub fn errno(&self) -> i32 {
        match *self {
            Self::TooSmall { .. }
            | Self::Misaligned { .. }
            | Self::Uninitialized
            | Self::Layout { .. }
            | Self::Damaged
            | Self::Data { .. }
            | Self::Namespace
            | Self::Destroyed => errno::EINVAL,
            Self::Initializing | Self::AlreadyInitialized | Self::Busy | Self::Overlap => {
                errno::EBUSY
            }
            Self::Unsupported(_) => errno::ENOTSUP,
            Self::TimedOut => errno::ETIMEDOUT,
            Self::Interrupted => errno::EINTR,
            Self::Deadlock => errno::EDEADLK,
            Self::NotOwner => errno::EPERM,
            Self::DepthOverflow => errno::EAGAIN,
            Self::TooManyHeld => errno::ENOLCK,
            Self::NotRecoverable => errno::ENOTRECOVERABLE,
            Self::Os(errno) => errno,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::TooSmall { len, need } => {
                write!(f, "the buffer has {len} bytes and needs {need}")
            }
            Self::Misaligned { by } => {
                write!(f, "the buffer begins {by} bytes after an aligned address")
            }
            Self::Overlap => {
                f.write_str("the part overlaps another part of the segment that is in use")
            }
            Self::Uninitialized => f.write_str("the mutex was never initialised"),
            Self::Initializing => f.write_str("another thread is initialising the mutex"),
            Self::AlreadyInitialized => f.write_str("the mutex is initialised already"),
            Self::Layout { found, want } => write!(
                f,
                "the mutex was made with another C library or version of pysync-robust \
                 (layout {found:#010x}, and this program has {want:#010x})"
            ),
            Self::Damaged => f.write_str("something has written to the header of the mutex"),
            Self::Data { found, want } => write!(
                f,
                "the data behind the mutex is of another type or version \
                 (identity {found:#x}, and {want:#x} was asked for)"
            ),
            Self::Namespace => f.write_str("the mutex belongs to another pid namespace"),
            Self::Unsupported(why) => write!(f, "no robust mutex here: {why}"),
            Self::Busy => f.write_str("the mutex is held"),
            Self::TimedOut => f.write_str("the mutex was held until the timeout was over"),
            Self::Interrupted => f.write_str("a signal has ended the wait for the mutex"),
            Self::Deadlock => {
                f.write_str("the calling thread holds the mutex, which is not recursive")
            }
            Self::NotOwner => f.write_str("the calling thread does not hold the mutex"),
            Self::DepthOverflow => f.write_str("the mutex is held too many times over"),
            Self::TooManyHeld => f.write_str("the calling thread holds 2,048 robust mutexes"),
            Self::Destroyed => f.write_str("the mutex was destroyed"),
            Self::NotRecoverable => {
                f.write_str("an owner of the mutex has died, and its data was given up")
            }
            Self::Os(errno) => fmt::Display::fmt(&std::io::Error::from_raw_os_error(errno), f),
        }
    }
}

impl std::error::Error for Error {}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Os(errno) => Self::from_raw_os_error(errno),
            error => {
                let kind = Self::from_raw_os_error(error.errno()).kind();
                Self::new(kind, error)
            }
        }
    }
}

#[cfg(target_os = "linux")]
mod errno {
    pub(super) use libc::{
        EAGAIN, EBUSY, EDEADLK, EINTR, EINVAL, ENOLCK, ENOTRECOVERABLE, ENOTSUP, EPERM, ETIMEDOUT,
    };
}

/// Linux's.
#[cfg(not(target_os = "linux"))]
mod errno {
    pub(super) const EPERM: i32 = 1;
    pub(super) const EINTR: i32 = 4;
    pub(super) const EAGAIN: i32 = 11;
    pub(super) const EBUSY: i32 = 16;
    pub(super) const EINVAL: i32 = 22;
    pub(super) const EDEADLK: i32 = 35;
    pub(super) const ENOLCK: i32 = 37;
    pub(super) const ENOTSUP: i32 = 95;
    pub(super) const ETIMEDOUT: i32 = 110;
    pub(super) const ENOTRECOVERABLE: i32 = 131;
}
