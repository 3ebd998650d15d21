//! What Python sees of a cown.

use std::sync::OnceLock;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use pyo3::{PyTraverseError, PyVisit};

use super::{Access, Cown, PINNED, Turn, disowned, thread_ident};
use crate::timeout::Timeout;
use crate::{body, scheduling, when};

#[pymethods]
impl Cown {
    #[new]
    fn new(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        when::check_value(value)?;
        let turn = OnceLock::from(Turn::new(Ok(())));
        Ok(Self::with(turn, Some(value.clone().unbind()), false))
    }

    /// The value.
    #[getter]
    fn value(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let access = self.access()?;
        self.get_with(py, &access)
    }

    #[setter]
    fn set_value(&self, value: Py<PyAny>) -> PyResult<()> {
        let access = self.access()?;
        if self.is_disowned.load(Relaxed) {
            return Err(disowned());
        }
        self.is_exception.store(false, Relaxed);
        let before = self.replace(&access, Some(value));
        drop(access);
        drop(before);
        Ok(())
    }

    /// The value, as `value` has it.
    fn get(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.value(py)
    }

    /// Sets the value, as an assignment to `value` does.
    fn set(&self, value: Py<PyAny>) -> PyResult<()> {
        self.set_value(value)
    }

    /// Whether the value is an exception that a behaviour has raised.
    #[getter]
    fn exception(&self) -> PyResult<bool> {
        let _access = self.access()?;
        Ok(self.is_exception.load(Relaxed))
    }

    #[setter]
    fn set_exception(&self, value: bool) -> PyResult<()> {
        let _access = self.access()?;
        self.is_exception.store(value, Relaxed);
        Ok(())
    }

    /// Whether the calling behaviour or thread has the cown.
    #[getter]
    fn acquired(&self) -> bool {
        self.is_owned_by(thread_ident())
    }

    /// The cown itself: bocpy has a capsule in it.
    #[getter]
    fn r#impl(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    /// Acquires the cown for the calling thread; does nothing if it has it already.
    ///
    /// By default it does not wait: if the cown is not free that is a RuntimeError. With a timeout in
    /// seconds, or None for ever, it waits behind all that was asked of the cown before, and a wait that is
    /// too long is a TimeoutError. A behaviour cannot wait.
    #[pyo3(signature = (timeout = Timeout::ZERO), text_signature = "($self, timeout=0)")]
    fn acquire(slf: &Bound<'_, Self>, timeout: Timeout) -> PyResult<()> {
        let (this, me) = (slf.get(), thread_ident());
        if this.is_owned_by(me) {
            return Ok(());
        }
        if this.is_pinned {
            return this.check_owner("acquire", me);
        }
        this.take(slf.py(), me, timeout)?;
        body::note_acquired(slf);
        Ok(())
    }

    /// Releases the cown. Does nothing if no thread has it, or if it is the calling behaviour's own, which is
    /// released when that ends.
    fn release(&self) -> PyResult<()> {
        let me = thread_ident();
        if !self.is_pinned && self.owner.load(Relaxed) == 0 {
            return Ok(());
        }
        self.check_owner("release", me)?;
        if self.owner.load(Relaxed) == me {
            self.give_back();
        }
        Ok(())
    }

    /// Drops the value and releases the cown, which is of no use from then on.
    fn disown(&self) -> PyResult<()> {
        let me = thread_ident();
        self.check_owner("disown", me)?;
        if self.is_pinned {
            return Ok(());
        }
        self.is_disowned.store(true, Relaxed);
        self.is_exception.store(false, Relaxed);
        let before = self.replace(&Access { _turn: None }, None);
        self.give_back();
        drop(before);
        Ok(())
    }

    /// Takes the value out of the cown, which holds None from then on; raises the exception if it is one that a
    /// behaviour has raised.
    ///
    /// By default it does not wait: if a behaviour has the cown, or is to have it, that is a RuntimeError. In strict
    /// mode it is one if any behaviour is in flight. With a timeout in seconds, or None for ever, it waits, as
    /// acquire() does.
    #[pyo3(signature = (*, timeout = Timeout::Unset), text_signature = "($self, *, timeout=...)")]
    fn unwrap(slf: &Bound<'_, Self>, timeout: Timeout) -> PyResult<Py<PyAny>> {
        let (py, this, me) = (slf.py(), slf.get(), thread_ident());
        let is_unset = timeout == Timeout::Unset;
        if is_unset && when::is_strict() && !scheduling::is_idle() {
            return Err(in_flight());
        }
        let is_ours = this.is_owned_by(me);
        if !is_ours {
            this.check_pinned("unwrap", me)?;
            if let Err(error) = this.take(py, me, if is_unset { Timeout::ZERO } else { timeout }) {
                let has_wait =
                    is_unset && !this.is_disowned.load(Relaxed) && !scheduling::is_idle();
                return Err(if has_wait { in_flight() } else { error });
            }
        }
        let access = Access { _turn: None };
        let result = this.get_with(py, &access);
        if result.is_ok() {
            drop(this.replace(&access, Some(py.None())));
        }
        let is_exception = this.is_exception.swap(false, Relaxed);
        if !is_ours {
            this.give_back();
        }
        let value = result?;
        if is_exception { Err(PyErr::from_value(value.into_bound(py))) } else { Ok(value) }
    }

    fn __enter__(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        Self::acquire(slf, Timeout::ZERO)?;
        slf.get().value(slf.py())
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, _exception: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.release()
    }

    fn __eq__(&self, other: &Bound<'_, Self>) -> bool {
        std::ptr::eq(self, other.get())
    }

    /// Some order, the same for as long as the cowns live.
    fn __lt__(&self, other: &Bound<'_, Self>) -> bool {
        std::ptr::from_ref(self) < std::ptr::from_ref(other.get())
    }

    fn __hash__(&self) -> isize {
        // Objects lie at multiples of 16.
        (std::ptr::from_ref(self).addr() >> 4) as isize
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let (this, name) = (slf.get(), slf.get_type().name()?);
        let it = std::ptr::from_ref(this);
        if !this.is_owned_by(thread_ident()) {
            return Ok(format!("{name}({it:p}, value=<not owner>)"));
        }
        let value = this.value(slf.py())?;
        Ok(format!("{name}({it:p}, value={})", value.bind(slf.py()).repr()?))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // SAFETY: the collector's call: no thread writes the value meanwhile, which needs it to be attached
        // and running.
        match unsafe { &*self.value.get() } {
            Some(value) => visit.call(&**value),
            None => Ok(()),
        }
    }

    fn __clear__(&self, py: Python<'_>) {
        self.report(py, true);
        // SAFETY: the collector's call: there is no other reference.
        drop(unsafe { (*self.value.get()).take() });
    }
}

fn in_flight() -> PyErr {
    PyRuntimeError::new_err(
        "Cown.unwrap() called while behaviors are still in flight: call quiesce() or wait() before, or give it a \
         timeout",
    )
}

/// A cown whose behaviours run on the main thread, inside pump(), wait() or quiesce().
///
/// The value is always at the main thread's disposal. Made on the main thread only.
#[pyclass(module = "pysync.boc", extends = Cown, frozen, weakref)]
pub(crate) struct PinnedCown;

#[pymethods]
impl PinnedCown {
    #[new]
    fn new(value: Py<PyAny>) -> PyResult<PyClassInitializer<Self>> {
        if !scheduling::is_main(thread_ident()) {
            return Err(PyRuntimeError::new_err(
                "PinnedCown must be constructed on the main interpreter's main thread",
            ));
        }
        let turn = Turn::on(scheduling::lane(), Ok(()));
        PINNED.fetch_add(1, SeqCst);
        let cown = Cown::with(OnceLock::from(turn), Some(value), true);
        Ok(PyClassInitializer::from(cown).add_subclass(Self))
    }
}
