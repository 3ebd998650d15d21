//! Memory that processes share.

use std::fmt;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use crate::{Error, Memory};

/// Memory that processes share: a file that has no name, or one in the folder of shared memory, or any
/// that the caller opens.
///
/// A segment is cut into [parts](Self::part), and a mutex is in one. Clones are the same mapping, which
/// goes with the last of them and of their parts.
///
/// | constructor | who can have it | who can shrink it under you |
/// |---|---|---|
/// | [`new`](Self::new) | children of a fork, and who is given its [descriptor](Self::fd) | no process: it is sealed |
/// | [`create`](Self::create), [`open`](Self::open) | who knows its name and may | who may |
/// | [`map`](Self::map) | who can open the file | who may, unless it is sealed |
///
/// To touch memory that a file has lost is the signal `SIGBUS`.
///
/// Only on Linux. Elsewhere each constructor returns [`Unsupported`](Error::Unsupported).
///
/// ```
/// # #[cfg(all(target_os = "linux", target_pointer_width = "64"))] {
/// use pysync_robust::{Error, Kind, RobustMutex, SIZE, Segment};
///
/// let segment = Segment::new(4096)?;
/// let first = RobustMutex::initialize(segment.part(0, SIZE)?, Kind::Plain)?;
/// let second = RobustMutex::initialize(segment.part(SIZE, SIZE)?, Kind::Recursive)?;
/// assert_eq!(segment.part(SIZE / 2, SIZE).unwrap_err(), Error::Overlap);
/// # }
/// # Ok::<_, pysync_robust::Error>(())
/// ```
#[derive(Clone)]
pub struct Segment {
    mapping: Arc<Mapping>,
}

struct Mapping {
    memory: imp::Map,
    /// The parts that are in use, and by how many.
    parts: Mutex<Vec<(Range<usize>, usize)>>,
}

impl Segment {
    /// So many bytes of new memory, all zero, without a name. It can neither grow nor shrink.
    ///
    /// # Errors
    /// [`Os`](Error::Os) with the system's, [`Unsupported`](Error::Unsupported).
    pub fn new(len: usize) -> Result<Self, Error> {
        imp::new(len).map(Self::of)
    }

    /// So many bytes of new memory, all zero, by the name `name`. Its folder is `/dev/shm`, and the name
    /// has no slash but a first one.
    ///
    /// # Safety
    /// Until it is unmapped everywhere: all who write to the memory do so through this crate, or know
    /// what they do; no process shrinks it; and who maps it once more in this process cuts it into the same
    /// parts.
    ///
    /// # Errors
    /// [`Os`](Error::Os) with the system's: `EEXIST` if there is one of that name.
    pub unsafe fn create(name: &str, len: usize) -> Result<Self, Error> {
        imp::create(name, len).map(Self::of)
    }

    /// The memory by the name `name`, as long as it is.
    ///
    /// # Safety
    /// As for [`create`](Self::create).
    ///
    /// # Errors
    /// [`Os`](Error::Os) with the system's: `ENOENT` if there is none.
    pub unsafe fn open(name: &str) -> Result<Self, Error> {
        imp::open(name).map(Self::of)
    }

    /// Takes the name away. Who has mapped the memory keeps it.
    ///
    /// # Errors
    /// [`Os`](Error::Os) with the system's: `ENOENT` if there is none.
    pub fn unlink(name: &str) -> Result<(), Error> {
        imp::unlink(name)
    }

    /// The memory of a file, as long as it is: what a peer has sent, or a file on a disk. The descriptor
    /// can be closed after that.
    ///
    /// # Safety
    /// As for [`create`](Self::create).
    ///
    /// # Errors
    /// [`Os`](Error::Os) with the system's: `EINVAL` if the file is empty.
    #[cfg(unix)]
    pub unsafe fn map(file: std::os::fd::BorrowedFd<'_>) -> Result<Self, Error> {
        imp::map(file).map(Self::of)
    }

    /// The descriptor of the memory, to be given to another process. It is closed on `exec`, and `None`
    /// for memory that came by [`map`](Self::map).
    ///
    /// # Safety
    /// As for [`create`](Self::create), for all that is done with the descriptor.
    #[cfg(unix)]
    pub unsafe fn fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.mapping.memory.fd()
    }

    /// How many bytes there are.
    #[allow(clippy::len_without_is_empty)] // It never is.
    pub fn len(&self) -> usize {
        self.mapping.memory.bytes().len()
    }

    /// The bytes from `offset` on, as many as `len`.
    ///
    /// Parts do not overlap, but the same part can be had any number of times.
    ///
    /// # Errors
    /// [`TooSmall`](Error::TooSmall) if there are no such bytes, [`Overlap`](Error::Overlap).
    pub fn part(&self, offset: usize, len: usize) -> Result<Part, Error> {
        let end = offset.checked_add(len).filter(|&end| end <= self.len());
        let need = offset.saturating_add(len);
        let range = offset..end.ok_or(Error::TooSmall { len: self.len(), need })?;
        let mut parts = self.mapping.parts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, users)) = parts.iter_mut().find(|(part, _)| *part == range) {
            *users += 1;
        } else if parts.iter().any(|(part, _)| part.start < range.end && range.start < part.end) {
            return Err(Error::Overlap);
        } else {
            parts.push((range.clone(), 1));
        }
        Ok(Part { segment: self.clone(), range })
    }

    fn of(memory: imp::Map) -> Self {
        Self { mapping: Arc::new(Mapping { memory, parts: Mutex::default() }) }
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment").field("bytes", &self.mapping.memory.bytes()).finish()
    }
}

/// A part of a [`Segment`], which it keeps mapped.
#[derive(Debug)]
pub struct Part {
    segment: Segment,
    range: Range<usize>,
}

impl Drop for Part {
    fn drop(&mut self) {
        let mut parts = self.segment.mapping.parts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = parts.iter().position(|(part, _)| *part == self.range) {
            parts[at].1 -= 1;
            if parts[at].1 == 0 {
                parts.swap_remove(at);
            }
        }
    }
}

// SAFETY: the part keeps the mapping, whose bytes are reached by parts only, and these do not
// overlap. The constructors' contracts speak for the rest of the world.
unsafe impl Memory for Part {
    fn bytes(&self) -> NonNull<[u8]> {
        let all = self.segment.mapping.memory.bytes();
        // SAFETY: within the mapping.
        let start = unsafe { all.cast::<u8>().add(self.range.start) };
        NonNull::slice_from_raw_parts(start, self.range.len())
    }
}

#[cfg(target_os = "linux")]
mod imp {
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
    use std::ptr::NonNull;

    use memmap2::MmapRaw;
    use rustix::fs::{MemfdFlags, Mode, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
    use rustix::io::Errno;
    use rustix::shm;

    use crate::Error;

    pub(super) struct Map {
        map: MmapRaw,
        fd: Option<OwnedFd>,
    }

    impl Map {
        pub(super) fn bytes(&self) -> NonNull<[u8]> {
            let start = NonNull::new(self.map.as_mut_ptr()).expect("a mapping is not at null");
            NonNull::slice_from_raw_parts(start, self.map.len())
        }

        pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
            self.fd.as_ref().map(AsFd::as_fd)
        }
    }

    pub(super) fn new(len: usize) -> Result<Map, Error> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let fd = memfd_create("pysync", flags).map_err(os)?;
        ftruncate(&fd, len as u64).map_err(os)?;
        fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL).map_err(os)?;
        mapped(fd)
    }

    pub(super) fn create(name: &str, len: usize) -> Result<Map, Error> {
        let flags = shm::OFlags::RDWR | shm::OFlags::CREATE | shm::OFlags::EXCL;
        let fd = shm::open(name, flags, Mode::RUSR | Mode::WUSR).map_err(os)?;
        let map = ftruncate(&fd, len as u64).map_err(os).and_then(|()| mapped(fd));
        if map.is_err() {
            // No other process could have used it.
            let _ = shm::unlink(name);
        }
        map
    }

    pub(super) fn open(name: &str) -> Result<Map, Error> {
        mapped(shm::open(name, shm::OFlags::RDWR, Mode::empty()).map_err(os)?)
    }

    pub(super) fn unlink(name: &str) -> Result<(), Error> {
        shm::unlink(name).map_err(os)
    }

    pub(super) fn map(file: BorrowedFd<'_>) -> Result<Map, Error> {
        let map = MmapRaw::map_raw(file.as_raw_fd()).map_err(|error| {
            Error::Os(error.raw_os_error().unwrap_or(Errno::INVAL.raw_os_error()))
        })?;
        Ok(Map { map, fd: None })
    }

    fn mapped(fd: OwnedFd) -> Result<Map, Error> {
        let map = map(fd.as_fd())?;
        Ok(Map { fd: Some(fd), ..map })
    }

    fn os(errno: Errno) -> Error {
        Error::Os(errno.raw_os_error())
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use std::convert::Infallible;
    use std::ptr::NonNull;

    use crate::Error;

    /// There is none.
    pub(super) struct Map(Infallible);

    impl Map {
        pub(super) fn bytes(&self) -> NonNull<[u8]> {
            match self.0 {}
        }

        #[cfg(unix)]
        pub(super) fn fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
            match self.0 {}
        }
    }

    const NONE: Error = Error::Unsupported("shared memory is for Linux only");

    pub(super) fn new(_len: usize) -> Result<Map, Error> {
        Err(NONE)
    }

    pub(super) fn create(_name: &str, _len: usize) -> Result<Map, Error> {
        Err(NONE)
    }

    pub(super) fn open(_name: &str) -> Result<Map, Error> {
        Err(NONE)
    }

    pub(super) fn unlink(_name: &str) -> Result<(), Error> {
        Err(NONE)
    }

    #[cfg(unix)]
    pub(super) fn map(_file: std::os::fd::BorrowedFd<'_>) -> Result<Map, Error> {
        Err(NONE)
    }
}
