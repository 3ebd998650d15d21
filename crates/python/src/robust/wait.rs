//! For how long to wait: an argument in seconds.

use std::time::Duration;

use pyo3::exceptions::{PyOverflowError, PyValueError};
use pyo3::prelude::*;
use pysync_robust::Timeout;

/// The longest timeout in seconds, as `threading.TIMEOUT_MAX`: its nanoseconds fit in 63 bits.
const LONGEST: f64 = 9_223_372_036.0;

/// An argument that says for how long to wait.
pub(crate) struct Wait(pub(super) Timeout);

impl Default for Wait {
    fn default() -> Self {
        Self(Timeout::After(Duration::from_secs(1)))
    }
}

impl<'py> FromPyObject<'_, 'py> for Wait {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if object.is_none() {
            return Ok(Self(Timeout::Never));
        }
        let seconds: f64 = object.extract()?;
        if seconds.is_nan() || seconds < 0.0 {
            return Err(PyValueError::new_err("timeout must be a non-negative number or None"));
        }
        if seconds > LONGEST {
            return Err(PyOverflowError::new_err("timeout is too large"));
        }
        if seconds == 0.0 {
            return Ok(Self(Timeout::Try));
        }
        // Rounded up: a wait that was asked for is not a mere attempt.
        Ok(Self(Timeout::After(Duration::from_nanos((seconds * 1e9).ceil() as u64))))
    }
}
