//! The one runtime of the process: its start, its end, and what waits for it.
//!
//! bocpy has one runtime at a time, which the first behaviour starts and `wait()` stops. [`EPOCH`] says which
//! it is, so that a thread finds it without a lock.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{
    AtomicBool, AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release, SeqCst},
};
use std::time::Duration;

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pysync_boc::{Lane, LockFlags, NotQuiet, Runtime};
use pysync_lock::guarded::Mutex;
use pysync_platform::detached;

use crate::body;
use crate::cown::{PINNED, thread_ident};
use crate::pump;
use crate::runtime::Interpreter;
use crate::timeout::Timeout;
use crate::worker;

/// Which runtime it is, in the upper bits, and in the lower two what it does: [`STOPPED`], [`RUNNING`] or
/// [`STOPPING`]. Written under the lock of [`RUNTIME`].
static EPOCH: AtomicU64 = AtomicU64::new(STOPPED);
/// There is none.
const STOPPED: u64 = 0;
const RUNNING: u64 = 1;
/// It takes no more behaviours, and bodies may be running yet.
const STOPPING: u64 = 2;
const STATES: u64 = 3;

static RUNTIME: Mutex<Option<Runtime>> = Mutex::new(None);
static LANE: OnceLock<Lane> = OnceLock::new();

/// The main thread.
static MAIN: AtomicU64 = AtomicU64::new(0);
/// The thread that has stopped the last runtime, while there is none; or 0.
static STOPPER: AtomicU64 = AtomicU64::new(0);
/// How many workers a runtime has that starts by itself.
static WORKERS: AtomicUsize = AtomicUsize::new(1);
/// The interpreter is about to end.
static IS_EXITING: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// The runtime that the thread has found last, and its epoch.
    static FOUND: Cell<Option<(u64, Runtime)>> = const { Cell::new(None) };
}

/// How long the interpreter waits at its end for bodies that run.
const GRACE: Duration = Duration::from_secs(1);
/// After so long a thread that waits for the end of bodies looks for signals.
const LOOK: Duration = Duration::from_millis(20);
/// That of a main thread, on which the interpreter's limits of recursion are made.
const STACK: usize = 8 << 20;
/// The most workers that a runtime can have.
const MOST_WORKERS: usize = 1024;

/// Whether `thread` is the main thread.
#[inline]
pub(crate) fn is_main(thread: u64) -> bool {
    MAIN.load(Relaxed) == thread
}

/// Whether all that no other holds is at the disposal of `thread`: it has stopped the runtime.
pub(crate) fn owns_all(thread: u64) -> bool {
    STOPPER.load(Relaxed) == thread
}

pub(crate) fn is_exiting() -> bool {
    IS_EXITING.load(Relaxed)
}

/// The lane of the pinned cowns.
pub(crate) fn lane() -> &'static Lane {
    LANE.get_or_init(|| {
        let lane = Lane::new();
        lane.on_ready(|| {
            pump::note_ready();
            if let Some(runtime) = &*RUNTIME.lock() {
                runtime.recheck();
            }
        });
        lane
    })
}

/// Calls `f` with the runtime, which is started if there is none.
#[inline]
pub(crate) fn with_runtime<T>(f: impl FnOnce(&Runtime) -> T) -> PyResult<T> {
    // Ordering: Acquire pairs with the Release where it is written: the runtime is there.
    let epoch = EPOCH.load(Acquire);
    // It is not there while `f` runs, which may come here again.
    let found = FOUND.take().filter(|(of, _)| *of == epoch && epoch & STATES == RUNNING);
    let found = match found {
        Some(found) => found,
        None => find()?,
    };
    let result = f(&found.1);
    FOUND.set(Some(found));
    Ok(result)
}

#[cold]
fn find() -> PyResult<(u64, Runtime)> {
    loop {
        let runtime = RUNTIME.lock();
        // Ordering: Relaxed, under the lock.
        let epoch = EPOCH.load(Relaxed);
        match &*runtime {
            Some(runtime) if epoch & STATES == RUNNING => return Ok((epoch, runtime.clone())),
            Some(_) => return Err(PyRuntimeError::new_err("runtime is shutting down")),
            None => drop(runtime),
        }
        start(WORKERS.load(Relaxed))?;
    }
}

/// The runtime, if there is one; it may have been stopped.
fn current() -> Option<Runtime> {
    RUNTIME.lock().clone()
}

/// Whether no behaviour is pending.
pub(crate) fn is_idle() -> bool {
    if Runtime::current().is_some() {
        return false;
    }
    current().is_none_or(|runtime| runtime.quiesce(Some(Duration::ZERO)).is_ok())
}

/// Sets which thread is the main one, and how many workers a runtime has that starts by itself.
#[pyfunction]
pub(crate) fn configure(main: u64, workers: usize) {
    MAIN.store(main, Relaxed);
    WORKERS.store(workers, Relaxed);
}

/// Starts a runtime with so many workers. False if there is one.
#[pyfunction]
pub(crate) fn start(workers: usize) -> PyResult<bool> {
    if !(1..=MOST_WORKERS).contains(&workers) {
        return Err(PyValueError::new_err(format!(
            "worker_count must be from 1 to {MOST_WORKERS}"
        )));
    }
    if is_exiting() {
        return Err(PyRuntimeError::new_err(
            "cannot schedule behavior: bocpy runtime is not running, since the interpreter is about to end",
        ));
    }
    if RUNTIME.lock().is_some() {
        return Ok(false);
    }
    // Detached, and so without the lock: if there are no threads left, this waits for those that were made,
    // which have to attach before they end.
    let build = Runtime::builder()
        .workers(workers)
        .name("boc")
        .stack_size(STACK)
        .on_start(|_| worker::begin())
        .on_idle(|_| worker::detach())
        .on_stop(|_| {
            FOUND.set(None);
            worker::end();
        });
    let built = detached::<Interpreter, _>(true, || build.build());
    let built = built.map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
    let mut runtime = RUNTIME.lock();
    if runtime.is_some() {
        drop(runtime);
        // Another thread was quicker. It has run nothing.
        detached::<Interpreter, _>(true, || built.stop(None));
        return Ok(false);
    }
    *runtime = Some(built);
    STOPPER.store(0, Relaxed);
    // Ordering: Release pairs with the Acquire in `with_runtime`. The lock orders the others.
    EPOCH.store((EPOCH.load(Relaxed) & !STATES) + STATES + 1 + RUNNING, Release);
    Ok(true)
}

/// How many workers the runtime has; 0 if there is none.
#[pyfunction]
pub(crate) fn running() -> usize {
    current().map_or(0, |runtime| runtime.workers())
}

/// Waits until no behaviour is pending, and pumps the lane meanwhile if this is the main thread. False if the
/// deadline has passed before.
#[pyfunction]
pub(crate) fn quiesce(py: Python<'_>, timeout: Timeout) -> PyResult<bool> {
    if Runtime::current().is_some() {
        return Err(PyRuntimeError::new_err(
            "wait() and quiesce() cannot be called inside a behavior, which they would wait for",
        ));
    }
    let Some(runtime) = current() else { return Ok(true) };
    let is_main = is_main(thread_ident());
    let deadline = timeout.deadline();
    loop {
        let pinned = PINNED.load(SeqCst);
        if pinned != 0 && !is_main {
            return Err(PyRuntimeError::new_err(format!(
                "wait() with pinned cowns must run on the main interpreter's main thread, which runs their \
                 behaviors; there are {pinned} of them"
            )));
        }
        // A signal that comes right before the thread sleeps does not wake it.
        let until = if is_main { pump::next_look(deadline) } else { deadline };
        let flags = LockFlags::DETACH | LockFlags::HANDLE_SIGNALS;
        let has_ready = || is_main && LANE.get().is_some_and(|lane| !lane.is_empty());
        match runtime.quiesce_or_in::<Interpreter>(until, flags, has_ready) {
            Ok(true) => return Ok(true),
            Err(NotQuiet::Interrupted) => return Err(PyErr::fetch(py)),
            Err(NotQuiet::Busy(_)) if deadline.has_passed() => return Ok(false),
            Ok(false) | Err(NotQuiet::Busy(_)) => {}
        }
        if is_main {
            py.check_signals()?;
            pump::pump_some(py)?;
            if deadline.has_passed() {
                return Ok(runtime.quiesce(Some(Duration::ZERO)).is_ok());
            }
        }
    }
}

/// Stops the runtime, and waits for the bodies that run; behaviours that are queued are dropped. If a signal
/// ends the wait it may be called again. Returns the statistics of the workers; None if there is no runtime.
#[pyfunction]
pub(crate) fn stop(py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
    let Some(runtime) = begin_stop() else { return Ok(None) };
    while worker::suspended(py, || runtime.stop(Some(LOOK))).still_running != 0 {
        py.check_signals()?;
    }
    let me = thread_ident();
    if is_main(me) && !body::is_inside() {
        // What is left there is dropped, and not run.
        pump::drain();
    }
    let stats = crate::stats::of(py, &runtime)?;
    end_stop(&runtime, me);
    Ok(Some(stats))
}

/// From now on the runtime takes no more behaviours.
fn begin_stop() -> Option<Runtime> {
    let runtime = RUNTIME.lock();
    if runtime.is_some() {
        EPOCH.store(EPOCH.load(Relaxed) & !STATES | STOPPING, Release);
    }
    runtime.clone()
}

/// The runtime has been stopped, by the thread `me`.
fn end_stop(stopped: &Runtime, me: u64) {
    let mut runtime = RUNTIME.lock();
    if runtime.as_ref() == Some(stopped) {
        EPOCH.store(EPOCH.load(Relaxed) & !STATES | STOPPED, Release);
        STOPPER.store(me, Relaxed);
        *runtime = None;
    }
}

/// Statistics of the workers of the runtime; an empty list if there is none.
#[pyfunction]
pub(crate) fn worker_stats(py: Python<'_>) -> PyResult<Py<PyAny>> {
    crate::stats::of_all(py, current().as_ref())
}

/// How many behaviours are pending.
#[pyfunction]
pub(crate) fn pending() -> usize {
    let stats = current().map(|runtime| runtime.stats());
    stats.map_or(0, |stats| stats.scheduled().wrapping_sub(stats.finished()))
}

/// The interpreter is about to end. What is queued does not run, and bodies that run have a moment to end.
/// One that lasts longer never gets to run Python again, as a daemon thread does not.
pub(crate) fn at_exit(py: Python<'_>) {
    IS_EXITING.store(true, Relaxed);
    let Some(runtime) = begin_stop() else { return };
    py.detach(|| runtime.stop(Some(GRACE)));
    end_stop(&runtime, thread_ident());
    // A worker may be in a body yet, for which the runtime stays.
    std::mem::forget(runtime);
}

/// This is the child of a fork: it has no runtime. Its one thread is the main thread.
///
/// # Safety
/// The calling thread is the only one, and is in no call of these crates but a wait or a pump.
pub(crate) unsafe fn after_fork() {
    // SAFETY: the only thread; no guard of the mutex is alive on it, since nothing forks under it.
    unsafe { RUNTIME.raw().get().after_fork() };
    let mut runtime = RUNTIME.lock();
    if let Some(runtime) = runtime.take() {
        // SAFETY: the only thread.
        unsafe { runtime.after_fork() };
    }
    if let Some(lane) = LANE.get() {
        // SAFETY: the only thread, and in no call of the lane but a pump.
        unsafe { lane.after_fork() };
    }
    EPOCH.store((EPOCH.load(Relaxed) & !STATES) + STATES + 1 + STOPPED, Release);
    MAIN.store(thread_ident(), Relaxed);
    STOPPER.store(0, Relaxed);
}
