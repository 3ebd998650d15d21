//! A behaviour's body: what is called, with what, and what becomes of its result.

use std::cell::{Cell, RefCell};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::args::Args;
use crate::cown::{Cown, thread_ident};
use crate::runtime::Owned;
use crate::scheduling;
use crate::worker;

thread_local! {
    /// How many bodies the thread is in.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// What was noted for the innermost one.
    static NOTE: RefCell<Option<Owned>> = const { RefCell::new(None) };
    /// The cowns that the body has acquired by itself.
    static ACQUIRED: RefCell<Vec<Owned<Cown>>> = const { RefCell::new(Vec::new()) };
    /// What the last body on a lane has raised, for the pump.
    static RAISED: RefCell<Option<Py<PyAny>>> = const { RefCell::new(None) };
}

/// Whether the calling thread runs the body of a behaviour.
pub(crate) fn is_inside() -> bool {
    DEPTH.get() != 0
}

/// What was noted for the body that the calling thread is in.
#[pyfunction]
pub(crate) fn body_note(py: Python<'_>) -> Option<Py<PyAny>> {
    NOTE.with_borrow(|note| note.as_ref().map(|note| note.clone_ref(py)))
}

/// Notes something for the body that the calling thread is in, until its end. Does nothing outside of bodies.
#[pyfunction]
pub(crate) fn set_body_note(note: Py<PyAny>) {
    if is_inside() {
        drop(NOTE.replace(Some(note.into())));
    }
}

/// Whether the calling thread is a worker.
#[pyfunction]
pub(crate) fn on_worker() -> bool {
    worker::is_worker()
}

/// The calling thread has acquired a cown. If it is in a body, that gives it back at its end at the latest.
pub(crate) fn note_acquired(cown: &Bound<'_, Cown>) {
    if is_inside() {
        ACQUIRED.with_borrow_mut(|acquired| acquired.push(cown.clone().unbind().into()));
    }
}

/// Takes what the last body on a lane has raised on this thread.
pub(crate) fn take_raised() -> Option<Py<PyAny>> {
    RAISED.take()
}

/// What a behaviour is going to call. Owns its references.
pub(crate) struct Call {
    pub(crate) func: Owned,
    pub(crate) args: Args,
    pub(crate) captures: Option<Owned<PyTuple>>,
}

/// A behaviour that waits for its cowns.
pub(crate) struct Body {
    /// There is none once it has run.
    call: Option<Call>,
    result: Option<Owned<Cown>>,
    is_on_lane: bool,
}

impl Body {
    pub(crate) fn new(call: Call, result: Py<Cown>, is_on_lane: bool) -> Self {
        Self { call: Some(call), result: Some(result.into()), is_on_lane }
    }

    /// Runs the body. The calling thread has the turns of all cowns, and that of the result.
    pub(crate) fn run(mut self) {
        worker::attached(|py| {
            let Some(call) = self.call.take() else { return };
            let me = thread_ident();
            let began = call.begin(me);
            let depth = DEPTH.get();
            DEPTH.set(depth + 1);
            let result = began.and_then(|()| call.call(py));
            // What a drop acquires is given back too.
            while let Some(cown) = ACQUIRED.with_borrow_mut(Vec::pop) {
                cown.get().give_back_if(me);
            }
            DEPTH.set(depth);
            drop(NOTE.take());
            let (value, is_exception) = match result {
                Ok(value) => (value, false),
                Err(error) => (error.into_value(py).into_any(), true),
            };
            if is_exception && self.is_on_lane {
                RAISED.set(Some(value.clone_ref(py)));
            }
            if let Some(cown) = self.result.take() {
                // SAFETY: attached, with the turn of the result.
                unsafe { cown.get().set_result(value, is_exception) };
            }
            call.end();
        });
    }
}

/// It has not run, and will not; or it has left no result, which only a fault of this module's does.
impl Drop for Body {
    fn drop(&mut self) {
        let Some(result) = self.result.take() else { return };
        let call = self.call.take();
        worker::attached(|py| {
            if !scheduling::is_exiting() {
                let error = PyRuntimeError::new_err(
                    "behavior dropped during stop(): the runtime was shut down before it could run",
                );
                // SAFETY: attached; the one that drops a body has its turn, in the place of the result.
                unsafe { result.get().set_result(error.into_value(py).into_any(), true) };
            }
            drop(result);
            drop(call);
        });
    }
}

impl Call {
    fn begin(&self, me: u64) -> PyResult<()> {
        let mut result = Ok(());
        for cown in self.args.cowns() {
            if let Err(error) = cown.begin(me) {
                result = Err(error);
            }
        }
        result
    }

    fn end(&self) {
        self.args.cowns().for_each(Cown::end);
    }

    fn call(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.args.call(py, &self.func, self.captures.as_ref().map(|captures| captures.bind(py)))
    }
}
