//! Timeouts as callers write them: seconds, or None for ever.

use std::time::Duration;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pysync_boc::Deadline;

/// Longer than that is for ever.
const LONGEST: f64 = 1e9;

/// How long a call may wait.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Timeout {
    /// The caller has not said it.
    Unset,
    Forever,
    /// Not negative.
    Seconds(f64),
}

impl Timeout {
    pub(crate) const ZERO: Self = Self::Seconds(0.0);

    pub(crate) fn is_zero(self) -> bool {
        self == Self::ZERO
    }

    /// When that is over, from now on.
    pub(crate) fn deadline(self) -> Deadline {
        match self {
            Self::Unset | Self::Forever => Deadline::NEVER,
            Self::Seconds(0.0) => Deadline::NOW,
            Self::Seconds(seconds) => Deadline::after(Some(Duration::from_secs_f64(seconds))),
        }
    }
}

impl FromPyObject<'_, '_> for Timeout {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        if object.is_none() {
            return Ok(Self::Forever);
        }
        let seconds = match object.extract::<f64>() {
            Ok(seconds) => seconds,
            Err(error) if error.is_instance_of::<PyTypeError>(object.py()) => {
                let name = object.get_type().name()?;
                return Err(PyTypeError::new_err(format!(
                    "timeout must be a number or None, not {name}"
                )));
            }
            Err(error) => return Err(error),
        };
        match seconds {
            seconds if seconds.is_nan() => Err(PyValueError::new_err("timeout must not be NaN")),
            seconds if seconds > LONGEST => Ok(Self::Forever),
            seconds => Ok(Self::Seconds(seconds.max(0.0))),
        }
    }
}
