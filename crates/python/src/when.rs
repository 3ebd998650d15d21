//! `when` and `whencall`: behaviours are asked for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use pyo3::exceptions::{PySyntaxError, PySystemError, PyTypeError};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyList, PyString, PyTuple, PyType};

use crate::args::Args;
use crate::body::{Body, Call};
use crate::cown::Cown;
use crate::runtime::Owned;
use crate::scheduling;

/// Whether what bocpy could not run is refused.
static IS_STRICT: AtomicBool = AtomicBool::new(false);

/// Flags of a code object, as in `inspect`.
const VARARGS: u32 = 0x04;
const GENERATOR: u32 = 0x20;
const ASYNC: u32 = 0x80 | 0x100 | 0x200;

/// Sets whether what bocpy could not run is refused; returns what was set before.
#[pyfunction]
pub(crate) fn set_strict(strict: bool) -> bool {
    IS_STRICT.swap(strict, Relaxed)
}

/// Whether what bocpy could not run is refused.
pub(crate) fn is_strict() -> bool {
    IS_STRICT.load(Relaxed)
}

/// Refuses in strict mode a value that bocpy could not carry to another interpreter.
#[inline]
pub(crate) fn check_value(value: &Bound<'_, PyAny>) -> PyResult<()> {
    if is_strict() { check_portable(value) } else { Ok(()) }
}

#[cold]
fn check_portable(value: &Bound<'_, PyAny>) -> PyResult<()> {
    static CHECK: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    CHECK.import(value.py(), "pysync.boc._portable", "check")?.call1((value,)).map(drop)
}

/// What `when` returns is this, bound to the tuple of cowns.
struct Decorator(ffi::PyMethodDef);

// SAFETY: the definition is only read.
unsafe impl Sync for Decorator {}

static DECORATOR: Decorator = Decorator(ffi::PyMethodDef {
    ml_name: c"when".as_ptr(),
    ml_meth: ffi::PyMethodDefPointer { PyCFunction: call_decorator },
    ml_flags: ffi::METH_O,
    ml_doc: ptr::null(),
});

unsafe extern "C" fn call_decorator(
    cowns: *mut ffi::PyObject,
    func: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    Python::attach(|py| {
        // SAFETY: the interpreter's call, with references that it keeps; `when` has bound a tuple.
        let (cowns, func) = unsafe {
            (
                Bound::from_borrowed_ptr(py, cowns).cast_into_unchecked(),
                Bound::from_borrowed_ptr(py, func),
            )
        };
        let result = catch_unwind(AssertUnwindSafe(|| decorate(&cowns, &func)));
        match result.unwrap_or_else(|_| Err(PySystemError::new_err("a panic in @when"))) {
            Ok(cown) => cown.into_ptr(),
            Err(error) => {
                error.restore(py);
                ptr::null_mut()
            }
        }
    })
}

/// The decorator that schedules a function as a behavior over cowns. Each is one of its parameters: a cown,
/// or a list or tuple of cowns, which it gets as a list. Returns the cown of the result.
#[pyfunction]
#[pyo3(signature = (*cowns))]
pub(crate) fn when<'py>(cowns: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
    let definition = (&raw const DECORATOR.0).cast_mut();
    // SAFETY: the definition lives as long as the program, and is not written to.
    unsafe {
        let bound = ffi::PyCFunction_NewEx(definition, cowns.as_ptr(), ptr::null_mut());
        Bound::from_owned_ptr_or_err(cowns.py(), bound)
    }
}

fn decorate<'py>(
    cowns: &Bound<'py, PyTuple>,
    func: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, Cown>> {
    if let Some(params) = check_kind(func)? {
        params.check(cowns.len())?;
    }
    schedule(func, cowns, None)
}

/// Schedules `func` as a behavior over `args`: cowns, and lists or tuples of cowns. It is called with these
/// and with `captures`. Returns the cown of the result.
#[pyfunction]
pub(crate) fn whencall<'py>(
    func: &Bound<'py, PyAny>,
    args: &Bound<'py, PyAny>,
    captures: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, Cown>> {
    if func.is_instance_of::<PyString>() {
        return Err(PyTypeError::new_err(
            "whencall() takes a behavior function, not a thunk name: pass the function itself",
        ));
    }
    check_kind(func)?;
    let captures = to_tuple(captures)?;
    check_value(&captures)?;
    let captures = if captures.is_empty() { None } else { Some(captures.unbind().into()) };
    schedule(func, &to_tuple(args)?, captures)
}

fn to_tuple<'py>(sequence: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyTuple>> {
    if let Ok(list) = sequence.cast::<PyList>() {
        return Ok(list.to_tuple());
    }
    sequence
        .try_iter()?
        .collect::<PyResult<Vec<_>>>()
        .and_then(|all| PyTuple::new(sequence.py(), all))
}

/// The parameters of a function.
struct Params<'py> {
    code: Bound<'py, PyAny>,
    count: usize,
    with_default: usize,
}

/// Refuses what is not to be called as a behavior. There are no parameters to be checked if it takes any
/// number of arguments, or is no function of Python's.
fn check_kind<'py>(func: &Bound<'py, PyAny>) -> PyResult<Option<Params<'py>>> {
    let py = func.py();
    let is_strict = is_strict();
    if is_strict && !is_function(func)? || !func.is_callable() {
        return Err(PyTypeError::new_err(format!(
            "@when behavior {} is no function",
            func.repr()?
        )));
    }
    let Ok(code) = func.getattr(intern!(py, "__code__")) else { return Ok(None) };
    let flags: u32 = code.getattr(intern!(py, "co_flags"))?.extract()?;
    if flags & (ASYNC | GENERATOR) != 0 {
        let kind = if flags & ASYNC != 0 { "an async function" } else { "a generator function" };
        return Err(PySyntaxError::new_err(format!(
            "@when behavior {} is {kind}, and would not run when it is called",
            name_of(&code)?
        )));
    }
    if is_strict {
        let free = code.getattr("co_freevars")?.cast_into::<PyTuple>()?;
        if let Ok(first) = free.get_item(0) {
            return Err(PySyntaxError::new_err(format!(
                "@when behavior {} closes over {}; in strict mode it must get that as a parameter with a default \
                 value: {first}={first}",
                name_of(&code)?,
                first.repr()?
            )));
        }
        check_portable(&func.getattr(intern!(py, "__defaults__"))?)?;
    }
    if flags & VARARGS != 0 {
        return Ok(None);
    }
    let count: usize = code.getattr(intern!(py, "co_argcount"))?.extract()?;
    let defaults = func.getattr(intern!(py, "__defaults__"))?;
    let with_default = defaults.cast::<PyTuple>().map_or(0, |defaults| defaults.len());
    let has_self = !is_function(func)? && func.hasattr("__self__")?;
    Ok(Some(Params { code, count: count - usize::from(has_self), with_default }))
}

/// Whether it is a function that is written in Python. PyO3 0.28 has no type for that with the stable ABI.
fn is_function(func: &Bound<'_, PyAny>) -> PyResult<bool> {
    static FUNCTION: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    Ok(func.get_type().is(FUNCTION.import(func.py(), "types", "FunctionType")?))
}

fn name_of<'py>(code: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyString>> {
    code.getattr("co_name")?.repr()
}

impl Params<'_> {
    /// Whether there is one for each cown, and each other has a default value.
    fn check(&self, cowns: usize) -> PyResult<()> {
        if self.count == cowns + self.with_default {
            return Ok(());
        }
        let (name, count) = (name_of(&self.code)?, self.count);
        let text = match count.checked_sub(cowns) {
            None => format!(
                "@when behavior {name} takes {count} parameter(s) but @when lists {cowns} cown(s): each cown \
                 needs a parameter"
            ),
            Some(others) => format!(
                "@when behavior {name} takes {count} parameter(s) for {cowns} cown(s): the other {others} must \
                 each be a capture with a default value, and {} parameter(s) have one",
                self.with_default
            ),
        };
        Err(PyTypeError::new_err(text))
    }
}

fn schedule<'py>(
    func: &Bound<'py, PyAny>,
    items: &Bound<'py, PyTuple>,
    captures: Option<Owned<PyTuple>>,
) -> PyResult<Bound<'py, Cown>> {
    let args = Args::of(items)?;
    let turns = args.turns()?;
    let is_on_lane = args.cowns().any(Cown::is_pinned);
    let result = Bound::new(func.py(), Cown::for_result())?;
    let turn = scheduling::with_runtime(|runtime| {
        let call = Call { func: func.clone().unbind().into(), args, captures };
        let body = Body::new(call, result.clone().unbind(), is_on_lane);
        turns.schedule(runtime, move || body.run())
    })?;
    result.get().set_turn(turn);
    Ok(result)
}
