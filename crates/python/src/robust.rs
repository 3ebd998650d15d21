//! `pysync.robust.Mutex`: a mutex in any buffer, between processes, that survives its owner.

mod error;
mod memory;
mod wait;

use std::ffi::CStr;
use std::mem::ManuallyDrop;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};

use pyo3::exceptions::{PyOSError, PyResourceWarning, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;
use pyo3::{PyTraverseError, PyVisit};
use pysync_platform::Runtime;
use pysync_robust::{
    ALIGN, Error, Kind, LockFlags, Ownership, Private, RawMutex, SIZE, Segment, State,
};

use error::{sync_error, tell_of_death, unfit, wait_error};
use memory::{Buffer, Memory, Origin};
use wait::Wait;

use crate::runtime::Interpreter;

/// What each wait does: it detaches around its sleeps, and runs the handlers of signals between them.
const FLAGS: LockFlags = LockFlags::DETACH.union(LockFlags::HANDLE_SIGNALS);

/// How many forks lie between the process that has loaded the module and this one, and one more.
static FORKS: AtomicU32 = AtomicU32::new(1);

/// Has each child of a fork count it. Called once, as the module is made: so no fork comes in between.
pub(crate) fn count_forks() {
    extern "C" fn in_child() {
        // Ordering: Relaxed; the child has one thread.
        FORKS.fetch_add(1, Relaxed);
    }

    // SAFETY: the handler may run in a child: it stores to one word. The module is never unloaded.
    let refused = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    assert_eq!(refused, 0, "no memory for a handler of forks");
}

/// The mark of the calling thread: equal to no other thread's, nor to that of its copy in a parent.
#[inline]
fn mark() -> u64 {
    Interpreter::thread_ident() | u64::from(FORKS.load(Relaxed)) << 48
}

#[doc = include_str!("robust/mutex.txt")]
#[pyclass(frozen, weakref, module = "pysync.robust")]
pub(crate) struct Mutex {
    raw: RawMutex,
    kind: Kind,
    shared: bool,
    /// [`FORKS`] as it was when the bytes were last seen to be a mutex for this process; 0 before.
    checked: AtomicU32,
    /// The [`mark`] of the thread that has acquired the mutex from no owner through this object, until it
    /// releases the last of its acquisitions; else 0. Stored by the owner only, so that a thread that
    /// reads its own mark here is the owner.
    owner: AtomicU64,
    origin: OnceLock<Origin>,
    memory: ManuallyDrop<Memory>,
}

impl Mutex {
    fn at(
        py: Python<'_>,
        memory: Memory,
        start: usize,
        kind: Kind,
        shared: bool,
    ) -> PyResult<Self> {
        let bytes = memory.bytes();
        if bytes.len().checked_sub(start).is_none_or(|len| len < SIZE) {
            let need = start.saturating_add(SIZE);
            return Err(unfit(Error::TooSmall { len: bytes.len(), need }));
        }
        // SAFETY: so many bytes are there.
        let bytes = unsafe { bytes.cast::<u8>().add(start) };
        // SAFETY: `memory` keeps the bytes until the mutex is dropped, and for ever if a thread holds it
        // then. Each method attaches first.
        let raw = match unsafe { RawMutex::at(bytes.as_ptr()) } {
            Err(error @ Error::Misaligned { .. }) => return Err(unfit(error)),
            raw => raw.map_err(|error| sync_error(py, error))?,
        };
        Ok(Self {
            raw,
            kind,
            shared,
            checked: AtomicU32::new(0),
            owner: AtomicU64::new(0),
            origin: OnceLock::new(),
            memory: ManuallyDrop::new(memory),
        })
    }

    /// Sees to it that the bytes are a mutex for this process.
    #[inline]
    fn check(&self) -> Result<(), Error> {
        // Ordering: Relaxed, as below; the words are not used to find anything else.
        if self.checked.load(Relaxed) == FORKS.load(Relaxed) {
            return Ok(());
        }
        self.attach()
    }

    #[cold]
    fn attach(&self) -> Result<(), Error> {
        match self.raw.attach() {
            // Those that are lost or destroyed are of this boot and namespace too.
            Ok(()) | Err(Error::NotRecoverable | Error::Destroyed) => {
                self.checked.store(FORKS.load(Relaxed), Relaxed);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    #[inline]
    fn lock(&self, py: Python<'_>, wait: Wait) -> PyResult<Ownership> {
        let locked = self.check().and_then(|()| self.raw.acquire_in::<Interpreter>(wait.0, FLAGS));
        match locked {
            Ok(ownership) => {
                if self.raw.depth() == 0 {
                    self.owner.store(mark(), Relaxed);
                }
                Ok(ownership)
            }
            Err(error) => Err(wait_error(py, error)),
        }
    }

    #[inline]
    fn unlock(&self) -> Result<(), Error> {
        self.check()?;
        if self.owner.load(Relaxed) != mark() || self.raw.depth() != 0 {
            return self.unlock_otherwise();
        }
        self.unmark(RawMutex::release)
    }

    /// Takes an acquisition back.
    fn put_back(&self) -> Result<(), Error> {
        if self.raw.depth() > 0 { self.raw.put_back() } else { self.unmark(RawMutex::put_back) }
    }

    /// Ends the last acquisition of the owner.
    #[inline]
    fn unmark(&self, release: impl FnOnce(&RawMutex) -> Result<(), Error>) -> Result<(), Error> {
        // Before the release, as long as no other owner can store.
        self.owner.store(0, Relaxed);
        let released = release(&self.raw);
        if released.is_err() {
            // The bytes are not what they were, or the caller is the child of the owner.
            let _ = self.owner.compare_exchange(0, mark(), Relaxed, Relaxed);
        }
        released
    }

    #[cold]
    fn unlock_otherwise(&self) -> Result<(), Error> {
        if self.raw.depth() > 0 {
            return self.raw.put_back();
        }
        // The caller is not the owner, or is so through another object.
        match self.raw.attach() {
            Ok(()) | Err(Error::NotRecoverable) => Err(Error::NotOwner),
            Err(error) => Err(error),
        }
    }

    /// Whether a thread of this process holds the mutex.
    fn is_held_here(&self) -> bool {
        match self.raw.state() {
            Ok(State::Held { owner, .. }) => {
                Path::new(&format!("/proc/self/task/{owner}")).exists()
            }
            Ok(_) => false,
            Err(_) => true,
        }
    }
}

#[pymethods]
impl Mutex {
    #[new]
    #[pyo3(signature = (buf=None, /, *, shared=true, recursive=true))]
    fn new(
        py: Python<'_>,
        buf: Option<&Bound<'_, PyAny>>,
        shared: bool,
        recursive: bool,
    ) -> PyResult<Self> {
        let memory = match buf {
            None => Memory::Private(Private::new(SIZE)),
            Some(object) => Memory::Buffer { buffer: Buffer::of(object)?, shared_memory: None },
        };
        Self::at(py, memory, 0, kind(recursive), shared && buf.is_some())
    }

    /// A mutex at `offset` in a `multiprocessing.shared_memory.SharedMemory`.
    ///
    /// It can be pickled while the memory has its name. The process that unpickles it maps the memory by
    /// itself.
    #[staticmethod]
    #[pyo3(signature = (shm, offset=0, *, recursive=true))]
    fn from_shared_memory(
        shm: &Bound<'_, PyAny>,
        offset: usize,
        recursive: bool,
    ) -> PyResult<Self> {
        static SHARED_MEMORY: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        let py = shm.py();
        let class = SHARED_MEMORY.import(py, "multiprocessing.shared_memory", "SharedMemory")?;
        if !shm.is_instance(class)? {
            let text = format!("shm must be a SharedMemory, not {}", shm.get_type().name()?);
            return Err(PyTypeError::new_err(text));
        }
        let buffer = Buffer::of(&shm.getattr("buf")?)?;
        let memory = Memory::Buffer { buffer, shared_memory: Some(shm.clone().unbind()) };
        let mutex = Self::at(py, memory, offset, kind(recursive), true)?;
        let name = shm.getattr("name")?.extract()?;
        let _ = mutex.origin.set(Origin { name, offset });
        Ok(mutex)
    }

    /// The mutex at `offset` in the shared memory that is called `name`: what a pickle says.
    #[staticmethod]
    fn _attach(py: Python<'_>, name: String, offset: usize, recursive: bool) -> PyResult<Self> {
        // SAFETY: what is at `offset` is a mutex, which all who use it know, and is never cut otherwise. As
        // with all shared memory, the processes that have it must not shrink it.
        let part = unsafe { Segment::open(&name) }.and_then(|segment| segment.part(offset, SIZE));
        let part = match part {
            Err(Error::Os(errno)) => {
                let text = std::io::Error::from_raw_os_error(errno).kind().to_string();
                return Err(PyOSError::new_err((errno, text, name)));
            }
            Err(error @ Error::TooSmall { .. }) => return Err(unfit(error)),
            part => part.map_err(|error| sync_error(py, error))?,
        };
        let mutex = Self::at(py, Memory::Segment(part), 0, kind(recursive), true)?;
        let _ = mutex.origin.set(Origin { name, offset });
        Ok(mutex)
    }

    /// How many bytes a mutex takes.
    #[classattr]
    const SIZE: usize = SIZE;

    /// What the address of a mutex must be a multiple of.
    #[classattr]
    const ALIGN: usize = ALIGN;

    /// Whether the mutex is there for other processes.
    #[getter]
    fn shared(&self) -> bool {
        self.shared
    }

    /// Makes a mutex of the bytes, or makes one ready again that was destroyed or is not recoverable.
    ///
    /// One of all who share the mutex does this, before the others use it.
    ///
    /// Raises SyncError: EBUSY if there is a mutex already, or another process is about to make one;
    /// EINVAL if the bytes are a mutex that was made by another version, or in another pid namespace.
    fn initialize(&self, py: Python<'_>) -> PyResult<()> {
        self.raw.initialize(self.kind).map_err(|error| sync_error(py, error))?;
        self.checked.store(FORKS.load(Relaxed), Relaxed);
        Ok(())
    }

    /// Ends the mutex. It is unusable until it is initialized again.
    ///
    /// Raises SyncError: EBUSY if a thread holds it; EINVAL if there is none.
    fn destroy(&self, py: Python<'_>) -> PyResult<()> {
        self.check().and_then(|()| self.raw.destroy()).map_err(|error| sync_error(py, error))
    }

    /// Acquires the mutex.
    ///
    /// With `timeout=None` it waits for as long as it takes, with `timeout=0` not at all, and otherwise
    /// for so many seconds. A signal's handler runs in the meantime, and what it raises ends the wait.
    ///
    /// Raises OwnerDied, without acquiring the mutex, if an owner has died and its data is not repaired.
    /// Raises ValueError if the timeout is negative or not a number, OverflowError if it is too large,
    /// TypeError if it is something else. Raises SyncError: ETIMEDOUT when the time is over; EBUSY with
    /// `timeout=0`; EDEADLK if the calling thread holds it and it is not recursive; ENOTRECOVERABLE if an
    /// owner has died and its data was given up; EINVAL if there is no mutex.
    #[pyo3(signature = (*, timeout=Wait::default()), text_signature = "($self, *, timeout=1)")]
    fn acquire(slf: &Bound<'_, Self>, timeout: Wait) -> PyResult<()> {
        let mutex = slf.get();
        // A thread that acquires it once more has been told.
        if mutex.lock(slf.py(), timeout)? == Ownership::OwnerDied && mutex.raw.depth() == 0 {
            return Err(tell_of_death(slf));
        }
        Ok(())
    }

    /// Acquires the mutex even if an owner has died, and tells whether what it protects is to be repaired.
    ///
    /// If the result is true, call `make_consistent` when that is done. If the mutex is released before
    /// then, the data is given up: all get ENOTRECOVERABLE, until the mutex is initialized again.
    ///
    /// Raises what `acquire` does, but for OwnerDied.
    #[pyo3(signature = (*, timeout=Wait::default()), text_signature = "($self, *, timeout=1)")]
    fn repair(&self, py: Python<'_>, timeout: Wait) -> PyResult<bool> {
        Ok(self.lock(py, timeout)? == Ownership::OwnerDied)
    }

    /// Says that what the mutex protects is repaired after the death of an owner.
    ///
    /// Raises SyncError: EPERM if the calling thread does not hold the mutex.
    fn make_consistent(&self, py: Python<'_>) -> PyResult<()> {
        self.check()
            .and_then(|()| self.raw.make_consistent())
            .map_err(|error| sync_error(py, error))
    }

    /// Releases the mutex once.
    ///
    /// Raises SyncError: EPERM if the calling thread does not hold it, or holds it through another
    /// object.
    fn release(&self, py: Python<'_>) -> PyResult<()> {
        self.unlock().map_err(|error| sync_error(py, error))
    }

    /// Acquires the mutex as `acquire()` does, and returns it.
    fn __enter__<'py>(slf: Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        Self::acquire(&slf, Wait::default())?;
        Ok(slf)
    }

    /// Releases the mutex.
    fn __exit__(
        &self,
        py: Python<'_>,
        _exc_type: &Bound<'_, PyAny>,
        _exc_value: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        self.release(py)
    }

    fn __reduce__<'py>(
        slf: &Bound<'py, Self>,
    ) -> PyResult<(Bound<'py, PyAny>, (String, usize, bool))> {
        let mutex = slf.get();
        let Some(origin) = mutex.origin.get() else {
            return Err(PyTypeError::new_err(
                "cannot pickle a Mutex whose memory has no name: make it with \
                 Mutex.from_shared_memory, or let a fork inherit it",
            ));
        };
        let arguments = (origin.name.clone(), origin.offset, mutex.kind == Kind::Recursive);
        Ok((slf.get_type().getattr("_attach")?, arguments))
    }

    fn __repr__(&self) -> String {
        let state = match self.raw.state() {
            Ok(State::Uninitialized) => "not initialized".to_owned(),
            Ok(State::Initializing) => "being initialized".to_owned(),
            Ok(State::Free) => "free".to_owned(),
            Ok(State::Held { owner, .. }) => format!("held by thread {owner}"),
            Ok(State::OwnerDied) => "free, its owner has died".to_owned(),
            Ok(State::NotRecoverable) => "not recoverable".to_owned(),
            Ok(State::Destroyed) => "destroyed".to_owned(),
            Ok(_) => "unknown".to_owned(),
            Err(error) => error.to_string(),
        };
        format!("<pysync.robust.Mutex at {:p}: {state}>", self.raw.as_ptr())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match &*self.memory {
            Memory::Buffer { shared_memory, .. } => visit.call(shared_memory),
            _ => Ok(()),
        }
    }
}

impl Drop for Mutex {
    fn drop(&mut self) {
        if *self.owner.get_mut() != 0 && self.is_held_here() {
            // A thread's list of what it holds leads to the bytes, and the kernel and the C library write
            // through it: the bytes stay for ever.
            warn(c"a Mutex was dropped while a thread of this process holds it; its memory is never freed");
            return;
        }
        // SAFETY: dropped here only.
        unsafe { ManuallyDrop::drop(&mut self.memory) };
    }
}

fn warn(text: &CStr) {
    Python::try_attach(|py| {
        let raised = PyErr::take(py);
        if let Err(error) = PyErr::warn(py, &py.get_type::<PyResourceWarning>(), text, 1) {
            error.write_unraisable(py, None);
        }
        if let Some(raised) = raised {
            raised.restore(py);
        }
    });
}

fn kind(recursive: bool) -> Kind {
    if recursive { Kind::Recursive } else { Kind::Plain }
}
