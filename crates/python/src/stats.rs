//! What the workers have done, under bocpy's names.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use pysync_boc::{Runtime, WorkerStats};

/// Statistics of the workers, a dict for each.
pub(crate) fn of(py: Python<'_>, runtime: &Runtime) -> PyResult<Py<PyAny>> {
    of_all(py, Some(runtime))
}

pub(crate) fn of_all(py: Python<'_>, runtime: Option<&Runtime>) -> PyResult<Py<PyAny>> {
    let list = PyList::empty(py);
    for worker in runtime.map(|runtime| runtime.stats().workers).unwrap_or_default() {
        list.append(of_worker(py, &worker)?)?;
    }
    Ok(list.into_any().unbind())
}

fn of_worker<'py>(py: Python<'py>, worker: &WorkerStats) -> PyResult<Bound<'py, PyDict>> {
    let counts = [
        ("worker_index", worker.index),
        ("pushed_local", worker.pushed),
        ("dispatched_to_pending", worker.continued),
        // What other threads have pushed has no worker until one takes it.
        ("pushed_remote", worker.from_injector),
        ("popped_local", worker.run.saturating_sub(worker.stolen)),
        ("popped_via_steal", worker.stolen),
        ("enqueue_cas_retries", worker.contended),
        ("dequeue_cas_retries", 0),
        ("batch_resets", worker.yielded),
        ("steal_attempts", worker.steal_attempts),
        ("steal_failures", worker.steal_failures),
        ("parked", worker.parked),
        ("last_steal_attempt_ns", 0),
        ("fairness_arm_fires", worker.injector_turns),
    ];
    let dict = PyDict::new(py);
    for (name, count) in counts {
        dict.set_item(name, count)?;
    }
    Ok(dict)
}
