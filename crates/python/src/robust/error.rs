//! What an error is in Python.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;
use pysync_robust::Error;

use super::Mutex;

/// An exception class of `pysync.robust`.
fn raise<A>(py: Python<'_>, class: &PyOnceLock<Py<PyType>>, name: &str, arguments: A) -> PyErr
where
    A: pyo3::PyErrArguments + Send + Sync + 'static,
{
    match class.import(py, "pysync.robust", name) {
        Ok(class) => PyErr::from_type(class.clone(), arguments),
        Err(error) => error,
    }
}

/// The `SyncError` of a mutex that refuses.
#[cold]
pub(super) fn sync_error(py: Python<'_>, error: Error) -> PyErr {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    raise(py, &CLASS, "SyncError", (error.to_string(), error.errno()))
}

/// What a wait has ended with.
#[cold]
pub(super) fn wait_error(py: Python<'_>, error: Error) -> PyErr {
    let raised = if error == Error::Interrupted { PyErr::take(py) } else { None };
    raised.unwrap_or_else(|| sync_error(py, error))
}

/// The `ValueError` of a buffer in which no mutex can be.
pub(super) fn unfit(error: Error) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// Takes the acquisition of a mutex back, of which an owner has died; the `OwnerDied` of that.
#[cold]
pub(super) fn tell_of_death(mutex: &Bound<'_, Mutex>) -> PyErr {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let py = mutex.py();
    match mutex.get().put_back() {
        Ok(()) => raise(py, &CLASS, "OwnerDied", (mutex.clone().unbind(),)),
        Err(error) => sync_error(py, error),
    }
}
