//! The behaviours of pinned cowns, which run on the main thread.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use std::time::Duration;

use pyo3::exceptions::{PyException, PyRuntimeError};
use pyo3::prelude::*;
use pysync_boc::{Bounds, Deadline, Runtime};
use pysync_platform::monotonic_now;

use crate::body;
use crate::cown::thread_ident;
use crate::scheduling;

/// Since when the lane has not been empty, in nanoseconds of the monotonic clock; 0 if it is empty.
static READY_SINCE: AtomicU64 = AtomicU64::new(0);
/// What `READY_SINCE` was when it was warned of last.
static WARNED_OF: AtomicU64 = AtomicU64::new(0);
/// After so many nanoseconds a pump warns; 0 for never.
static WARN_AFTER: AtomicU64 = AtomicU64::new(0);
/// How long a wait sleeps at most before it looks for signals and at the lane, in milliseconds.
static POLL: AtomicU64 = AtomicU64::new(50);

/// How many behaviours a wait runs before it looks at its deadline.
const MOST_IN_A_WAIT: usize = 64;

/// A behaviour has become ready on the empty lane.
pub(crate) fn note_ready() {
    READY_SINCE.store(monotonic_now(), Relaxed);
}

/// When a wait is to look for signals and at the lane, at the latest.
pub(crate) fn next_look(deadline: Deadline) -> Deadline {
    let poll = Deadline::after(Some(Duration::from_millis(POLL.load(Relaxed))));
    if deadline.has_passed() { deadline } else { poll.min(deadline) }
}

/// Sets how long a wait sleeps at most before it looks for signals and at the lane.
#[pyfunction]
pub(crate) fn set_poll(ms: u64) {
    POLL.store(ms, Relaxed);
}

/// Sets after how long a pump warns, in milliseconds; None for never.
#[pyfunction]
pub(crate) fn set_warn_after(ms: Option<u64>) {
    WARN_AFTER.store(ms.map_or(0, |ms| ms.saturating_mul(1_000_000)), Relaxed);
    WARNED_OF.store(0, Relaxed);
}

/// For how many milliseconds the lane has not been empty, if that is too long and was not told yet, and how
/// many behaviours are ready.
fn starved() -> Option<(u64, usize)> {
    let (after, since) = (WARN_AFTER.load(Relaxed), READY_SINCE.load(Relaxed));
    let age = monotonic_now().saturating_sub(since);
    if after == 0 || since == 0 || age < after || WARNED_OF.swap(since, Relaxed) == since {
        return None;
    }
    Some((age / 1_000_000, scheduling::lane().len()))
}

/// Warns, if it is time.
fn warn(py: Python<'_>) {
    let Some((ms, depth)) = starved() else { return };
    let warned = py
        .import("pysync.boc._pinned")
        .and_then(|module| module.call_method1("_warn_starved", (ms, depth)));
    if let Err(error) = warned {
        error.write_unraisable(py, None);
    }
}

/// Runs the first behaviour on the lane; false if there is none.
fn pump_one() -> bool {
    let lane = scheduling::lane();
    let pumped = lane.pump(Bounds { max: Some(1), deadline: None });
    if lane.is_empty() {
        READY_SINCE.store(0, SeqCst);
        if !lane.is_empty() {
            note_ready();
        }
    }
    pumped.executed != 0
}

/// What a pump has done.
struct Pumped {
    executed: usize,
    deadline_reached: bool,
    raised: usize,
}

/// Runs what is ready, within bounds. Returns early with what a body has raised if that is no `Exception`, or
/// if `stops_on_error`.
fn run(
    py: Python<'_>,
    deadline: Option<Deadline>,
    max: Option<usize>,
    stops_on_error: bool,
) -> PyResult<Pumped> {
    warn(py);
    let mut pumped = Pumped { executed: 0, deadline_reached: false, raised: 0 };
    while max.is_none_or(|max| pumped.executed < max) {
        let has_run = pump_one();
        let raised = body::take_raised();
        if !has_run {
            break;
        }
        pumped.executed += 1;
        if let Some(raised) = raised {
            let raised = raised.into_bound(py);
            pumped.raised += 1;
            if stops_on_error || !raised.is_instance_of::<PyException>() {
                return Err(PyErr::from_value(raised));
            }
        }
        if deadline.is_some_and(Deadline::has_passed) {
            pumped.deadline_reached = true;
            break;
        }
    }
    Ok(pumped)
}

/// Runs some of what is ready, in a wait.
pub(crate) fn pump_some(py: Python<'_>) -> PyResult<()> {
    run(py, None, Some(MOST_IN_A_WAIT), false).map(|_| ())
}

/// Drops what is queued of a runtime that has been stopped.
pub(crate) fn drain() {
    while !scheduling::lane().is_empty() {
        pump_one();
    }
}

/// Runs what is ready on the lane of the pinned cowns. Returns how many bodies have run, whether the deadline
/// has ended it, and how many bodies have raised an exception.
#[pyfunction]
pub(crate) fn pump(
    py: Python<'_>,
    deadline_ms: Option<u64>,
    max_behaviors: Option<usize>,
    raise_on_error: bool,
) -> PyResult<(usize, bool, usize)> {
    if !scheduling::is_main(thread_ident()) {
        return Err(PyRuntimeError::new_err(
            "pump() must be called from the main interpreter's main thread",
        ));
    }
    if Runtime::current().is_some() {
        return Err(PyRuntimeError::new_err(
            "pump() is not reentrant: it was called inside a behavior",
        ));
    }
    if scheduling::running() == 0 {
        return Err(PyRuntimeError::new_err(
            "pump() needs a live runtime: call start(), which is bocpy.start(), or schedule a behavior before",
        ));
    }
    let deadline = deadline_ms.map(|ms| Deadline::after(Some(Duration::from_millis(ms))));
    let pumped = run(py, deadline, max_behaviors, raise_on_error)?;
    Ok((pumped.executed, pumped.deadline_reached, pumped.raised))
}

/// How many behaviours are ready on the lane of the pinned cowns.
#[pyfunction]
pub(crate) fn lane_len() -> usize {
    scheduling::lane().len()
}
