//! A look at the bytes of a mutex, which may be one of other processes.

use crate::{Error, Kind, SIZE, State};

/// What a copy of the bytes of a mutex says.
///
/// A thread that has the mutex may have changed it while the bytes were copied: then the parts are from
/// different moments.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// What [`RawMutex::state`](crate::RawMutex::state) tells of such bytes in this process.
    pub state: Result<State, Error>,
    /// What else is in them; `None` if there is no mutex, nor has been.
    pub header: Option<Header>,
    /// The process that is making a mutex of them.
    pub initializer: Option<u32>,
}

/// What a mutex says of itself, be it one for this process or not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// The version of what the bytes mean.
    pub version: u8,
    /// The layout: a hash of the C library, the width and the byte order of the program that made it.
    pub layout: u32,
    /// Whether that is this program's.
    pub is_own_layout: bool,
    /// Whether the hash of layout, pid namespace and boot is right. If not, something has written to the
    /// bytes, or the version is another one.
    pub is_sound: bool,
    /// The number of the pid namespace of the processes that use it.
    pub namespace: u64,
    /// Whether that is this process's.
    pub is_own_namespace: bool,
    /// A hash of the id of the boot in which it was made.
    pub boot: u64,
    /// Whether that is the boot that the system runs since.
    pub is_own_boot: bool,
    /// The identity of the data behind the mutex; 0 if it was given none.
    pub data: u64,
    /// The mutex itself; `None` if its layout is not this program's, so that only others can read it.
    pub lock: Option<Lock>,
}

/// Who has a mutex and who wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lock {
    /// Whether the owner may acquire it once more.
    pub kind: Kind,
    /// The thread id of the owner in its pid namespace; 0 if it is free.
    pub owner: u32,
    /// How often the owner has acquired it beyond the first time.
    pub depth: u32,
    /// The kernel has noted the death of an owner, and no thread has acquired the mutex since.
    pub owner_died: bool,
    /// An owner has died, and no later one has said that the data is consistent.
    pub is_inconsistent: bool,
    /// Threads sleep until they can acquire it, or have slept.
    pub has_waiters: bool,
}

/// What the bytes of a mutex say: for programs that look at the memory of others. The bytes are a copy,
/// read from a file in `/dev/shm` say, so that nothing can happen to the mutex.
///
/// ```
/// # #[cfg(all(target_os = "linux", target_pointer_width = "64", not(miri)))] {
/// use pysync_robust::{SIZE, State, inspect};
///
/// let report = inspect(&[0; SIZE]);
/// assert_eq!(report.state, Ok(State::Uninitialized));
/// assert_eq!(report.header, None);
/// # }
/// ```
pub fn inspect(bytes: &[u8; SIZE]) -> Report {
    imp::inspect(bytes)
}

#[cfg(all(
    target_os = "linux",
    any(target_env = "gnu", target_env = "musl"),
    target_pointer_width = "64",
    not(any(miri, pysync_loom, pysync_shuttle))
))]
mod imp {
    use std::mem::MaybeUninit;
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;
    use crate::block::{Block, checked};
    use crate::inner::{OWNER, OWNER_DIED, WAITERS};
    use crate::layout::{LAYOUT, Phase, TAG, Word};
    use crate::process::{self, Claim, Claimant};

    pub(super) fn inspect(bytes: &[u8; SIZE]) -> Report {
        let mut block = MaybeUninit::<Block>::uninit();
        // SAFETY: a block has as many bytes, which may all have any value. No thread locks this one.
        let block = unsafe {
            block.as_mut_ptr().cast::<[u8; SIZE]>().write(*bytes);
            block.assume_init()
        };
        let place = process::place();
        let claim = Claim(block.claim.load(Relaxed));
        let initializer = match place {
            Ok(place) if process::claimant(claim, place) == Claimant::Alive => Some(claim.pid()),
            _ => None,
        };
        Report { state: block.look(), header: header(&block), initializer }
    }

    fn header(block: &Block) -> Option<Header> {
        let word = Word(block.state.load(Relaxed));
        if word.0 >> 40 != TAG {
            return None;
        }
        let [layout, depth] = [&block.layout, &block.depth].map(|field| field.load(Relaxed));
        let [namespace, boot, data, check] =
            [&block.namespace, &block.boot, &block.data, &block.check]
                .map(|field| field.load(Relaxed));
        let place = process::place().ok();
        let lock = || {
            let inner = block.inner.word().load(Relaxed);
            Lock {
                kind: word.kind(),
                owner: inner & OWNER,
                depth,
                owner_died: inner & OWNER_DIED != 0,
                is_inconsistent: word.is_inconsistent(),
                has_waiters: inner & WAITERS != 0,
            }
        };
        Some(Header {
            version: (word.0 >> 32) as u8,
            layout,
            is_own_layout: layout == LAYOUT && word.phase() != Phase::Foreign,
            is_sound: check == checked(layout, namespace, boot),
            namespace,
            is_own_namespace: place.is_some_and(|place| place.namespace == namespace),
            boot,
            is_own_boot: place.is_some_and(|place| place.boot == boot),
            data,
            lock: (layout == LAYOUT && word.phase() != Phase::Foreign).then(lock),
        })
    }
}

#[cfg(not(all(
    target_os = "linux",
    any(target_env = "gnu", target_env = "musl"),
    target_pointer_width = "64",
    not(any(miri, pysync_loom, pysync_shuttle))
)))]
mod imp {
    use super::*;

    pub(super) fn inspect(_bytes: &[u8; SIZE]) -> Report {
        let unsupported = crate::inner::supported().err();
        let state = Err(unsupported.unwrap_or(Error::Unsupported("Miri has no robust mutexes")));
        Report { state, header: None, initializer: None }
    }
}
