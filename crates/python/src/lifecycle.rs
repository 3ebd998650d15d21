//! What happens to the module's static objects when the process forks, and when the interpreter ends.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::{queues, robust, scheduling};

/// Has both functions below called.
pub(crate) fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    // Before there is a fork that could come in between.
    robust::count_forks();
    scheduling::lane();
    let handlers = PyDict::new(py);
    handlers.set_item("after_in_child", wrap_pyfunction!(after_fork_in_child, module)?)?;
    py.import("os")?.call_method("register_at_fork", (), Some(&handlers))?;
    py.import("atexit")?.call_method1("register", (wrap_pyfunction!(at_exit, module)?,))?;
    Ok(())
}

#[pyfunction]
fn after_fork_in_child() {
    // SAFETY: `os.fork` calls this on the one thread that the child has. A thread that forks is in no call
    // of these crates, or in a wait that runs a signal handler, or in the drop of a message.
    unsafe {
        pysync_parking_lot::after_fork();
        queues::after_fork();
        scheduling::after_fork();
    }
}

/// Called once the threads that the interpreter waits for have ended. Others may go on.
#[pyfunction]
fn at_exit(py: Python<'_>) {
    scheduling::at_exit(py);
    queues::at_exit();
}
