//! The extension module `pysync._pysync`: what the Python package `pysync` is made of.

mod args;
mod body;
mod cown;
mod lifecycle;
mod pump;
mod queues;
mod robust;
mod runtime;
mod scheduling;
mod stats;
mod timeout;
mod when;
mod worker;

use pyo3::prelude::*;

/// The compiled part of `pysync`.
#[pymodule(gil_used = false)]
mod _pysync {
    use super::*;

    #[pymodule_export]
    use crate::body::{body_note, on_worker, set_body_note};
    #[pymodule_export]
    use crate::cown::{Cown, PinnedCown};
    #[pymodule_export]
    use crate::pump::{lane_len, pump, set_poll, set_warn_after};
    #[pymodule_export]
    use crate::robust::Mutex;
    #[pymodule_export]
    use crate::scheduling::{configure, pending, quiesce, running, start, stop, worker_stats};
    #[pymodule_export]
    use crate::when::{set_strict, when, whencall};

    #[pymodule_export]
    use crate::queues::{drain, queue_stats, receive, send, set_tags};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        runtime::refuse_subinterpreters(module.py())?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        queues::init(module)?;
        lifecycle::init(module)
    }
}
