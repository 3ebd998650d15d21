//! `Cown` and `PinnedCown`.
//!
//! The value lies in the Python object. What behaviours take in turn is a cown of `pysync-boc` without a
//! value: the object's **turn**. A behaviour or a thread that has the turn is entered as its owner, and only
//! the owner touches the value.

mod methods;

pub(crate) use methods::PinnedCown;

use std::cell::UnsafeCell;
use std::sync::OnceLock;
use std::sync::atomic::{
    AtomicBool, AtomicU64, AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};

use pyo3::exceptions::{PyRuntimeError, PyTimeoutError};
use pyo3::prelude::*;
use pyo3::types::PyString;
use pysync_boc::{Failed, Held, LockFlags, NotAcquired};

use crate::runtime::{Interpreter, Owned, call};
use crate::scheduling;
use crate::timeout::Timeout;

/// What behaviours take in turn. The outcome of a behaviour is one too, so that results and other cowns are
/// of one kind.
pub(crate) type Turn = pysync_boc::Cown<Result<(), Failed>>;

/// How many pinned cowns there are.
pub(crate) static PINNED: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" {
    /// Exported by each version.
    fn PyThread_get_thread_ident() -> std::ffi::c_ulong;
}

/// The calling thread, as `threading.get_ident()` has it.
#[inline]
pub(crate) fn thread_ident() -> u64 {
    // SAFETY: has no precondition.
    (unsafe { PyThread_get_thread_ident() }) as u64
}

/// A value that behaviours take in turn: a concurrent owner.
///
/// A cown is created free. Its value can be read and written by a behaviour that has asked for the cown with
/// `@when`, and by a thread that has acquired it.
#[pyclass(module = "pysync.boc", subclass, weakref, frozen, generic)]
pub(crate) struct Cown {
    /// Set once, right after the object was made.
    turn: OnceLock<Turn>,
    /// The thread that may touch the value: it runs the behaviour that has the cown, or has acquired it. Else 0.
    owner: AtomicU64,
    is_pinned: bool,
    /// The value is an exception that a body has raised. Only the owner writes these two.
    is_exception: AtomicBool,
    is_disowned: AtomicBool,
    /// Only for the owner; and for the garbage collector, which runs while no thread is between two calls of
    /// the interpreter.
    value: UnsafeCell<Option<Owned>>,
    /// The turn of a thread that has acquired the cown. Only for the owner.
    held: UnsafeCell<Option<Held<Result<(), Failed>>>>,
}

// SAFETY: the cells are for one owner at a time, and ownership passes by the turn.
unsafe impl Sync for Cown {}
// SAFETY: as above; the references in it may be sent.
unsafe impl Send for Cown {}

/// The right to touch the value, and the turn if it was taken for just that.
struct Access {
    _turn: Option<Held<Result<(), Failed>>>,
}

impl Cown {
    fn with(turn: OnceLock<Turn>, value: Option<Py<PyAny>>, is_pinned: bool) -> Self {
        Self {
            turn,
            owner: AtomicU64::new(0),
            is_pinned,
            is_exception: AtomicBool::new(false),
            is_disowned: AtomicBool::new(false),
            value: UnsafeCell::new(value.map(Owned::from)),
            held: UnsafeCell::new(None),
        }
    }

    /// That of a behaviour's result, whose turn [follows](Self::set_turn).
    pub(crate) fn for_result() -> Self {
        Self::with(OnceLock::new(), None, false)
    }

    pub(crate) fn set_turn(&self, turn: Turn) {
        _ = self.turn.set(turn);
    }

    /// The turn. There is none in the moment before the object is returned to its maker.
    pub(crate) fn turn(&self) -> PyResult<&Turn> {
        self.turn.get().ok_or_else(|| PyRuntimeError::new_err("the cown is being made"))
    }

    pub(crate) fn is_pinned(&self) -> bool {
        self.is_pinned
    }

    /// Whether the calling thread, which is `me`, may touch the value.
    fn is_owned_by(&self, me: u64) -> bool {
        // Ordering: Relaxed. A thread finds itself there only if it has written it.
        self.owner.load(Relaxed) == me || self.is_pinned && scheduling::is_main(me)
    }

    /// A behaviour has the turn, and runs on the thread `me`. An error if there is no value any more.
    pub(crate) fn begin(&self, me: u64) -> PyResult<()> {
        // Ordering: Relaxed, here and below: see `is_owned_by`. What the owner before has done was published
        // by the turn.
        self.owner.store(me, Relaxed);
        if self.is_disowned.load(Relaxed) { Err(disowned()) } else { Ok(()) }
    }

    /// The behaviour is over. It still has the turn.
    pub(crate) fn end(&self) {
        self.owner.store(0, Relaxed);
    }

    /// Puts the result of a behaviour, whose cown this is.
    ///
    /// # Safety
    /// The behaviour has the turn, and the thread is attached.
    pub(crate) unsafe fn set_result(&self, value: Py<PyAny>, is_exception: bool) {
        self.is_exception.store(is_exception, Relaxed);
        // SAFETY: by contract no other has the turn.
        unsafe { *self.value.get() = Some(value.into()) };
    }

    /// The right to touch the value.
    ///
    /// Once the runtime was stopped the thread that has stopped it may touch what no other holds.
    fn access(&self) -> PyResult<Access> {
        let me = thread_ident();
        if self.is_owned_by(me) {
            return Ok(Access { _turn: None });
        }
        if self.owner.load(Relaxed) == 0 && scheduling::owns_all(me) {
            if let Some(turn) = self.turn()?.try_acquire() {
                return Ok(Access { _turn: Some(turn) });
            }
        }
        Err(PyRuntimeError::new_err("The current interpreter does not own this cown"))
    }

    /// Replaces the value, and returns the one before.
    fn replace(&self, _access: &Access, value: Option<Py<PyAny>>) -> Option<Owned> {
        // SAFETY: the access says so. No code of Python's runs here.
        unsafe { std::mem::replace(&mut *self.value.get(), value.map(Owned::from)) }
    }

    fn get_with(&self, py: Python<'_>, _access: &Access) -> PyResult<Py<PyAny>> {
        if self.is_disowned.load(Relaxed) {
            return Err(disowned());
        }
        // SAFETY: the access says so.
        let value = unsafe { &*self.value.get() };
        Ok(value.as_ref().map_or_else(|| py.None(), |value| value.clone_ref(py)))
    }

    /// Takes the turn for the calling thread, which is `me`, and has it not.
    fn take(&self, py: Python<'_>, me: u64, timeout: Timeout) -> PyResult<()> {
        let turn = self.turn()?;
        let held = if timeout.is_zero() {
            turn.try_acquire()
        } else {
            if pysync_boc::Runtime::current().is_some() {
                return Err(PyRuntimeError::new_err(
                    "a behavior must not wait for a cown: name it in @when, or acquire it without a timeout",
                ));
            }
            let flags = LockFlags::DETACH | LockFlags::HANDLE_SIGNALS;
            match turn.acquire_in::<Interpreter>(timeout.deadline(), flags) {
                Ok(held) => Some(held),
                Err(NotAcquired::Timeout) => {
                    return Err(PyTimeoutError::new_err("the cown was not free in time"));
                }
                Err(NotAcquired::Interrupted) => return Err(PyErr::fetch(py)),
                // Turns are never disowned.
                Err(NotAcquired::Disowned) => None,
            }
        };
        let Some(held) = held else {
            let owner = match self.owner.load(Relaxed) {
                0 => "a behavior".to_owned(),
                owner => owner.to_string(),
            };
            return Err(PyRuntimeError::new_err(format!(
                "{me} cannot acquire cown (already acquired by {owner})"
            )));
        };
        if self.is_disowned.load(Relaxed) {
            drop(held);
            return Err(disowned());
        }
        // SAFETY: this thread has the turn.
        unsafe { *self.held.get() = Some(held) };
        self.owner.store(me, Relaxed);
        Ok(())
    }

    /// Gives the turn back that the calling thread has acquired. That of a behaviour goes back at its end.
    pub(crate) fn give_back(&self) {
        // SAFETY: the owner's call.
        if let Some(held) = unsafe { (*self.held.get()).take() } {
            self.owner.store(0, Relaxed);
            drop(held);
        }
    }

    /// An error of a pinned cown off the main thread, or of one that another has.
    fn check_owner(&self, verb: &str, me: u64) -> PyResult<()> {
        if self.is_owned_by(me) {
            return Ok(());
        }
        let error = if self.is_pinned {
            let it = std::ptr::from_ref(self);
            format!("cannot {verb} pinned cown {it:p} from non-main interpreter thread {me}")
        } else {
            let owner = self.owner.load(Relaxed);
            format!("{me} cannot {verb} cown (acquired by {owner})")
        };
        Err(PyRuntimeError::new_err(error))
    }

    /// [`give_back`](Self::give_back) if the thread `me` has acquired the cown.
    pub(crate) fn give_back_if(&self, me: u64) {
        if self.owner.load(Relaxed) == me {
            self.give_back();
        }
    }

    fn check_pinned(&self, verb: &str, me: u64) -> PyResult<()> {
        if self.is_pinned { self.check_owner(verb, me) } else { Ok(()) }
    }

    /// Says that an exception was never looked at, if that is so. `is_cycle` if the collector clears the cown.
    fn report(&self, py: Python<'_>, is_cycle: bool) {
        if !self.is_exception.swap(false, Relaxed) {
            return;
        }
        // SAFETY: the last reference, or the collector's: no other touches the value.
        let Some(value) = (unsafe { &*self.value.get() }) else { return };
        // What is called below may take it out of the cown.
        let value = Owned::from(value.clone_ref(py));
        let pending = PyErr::take(py);
        let it = std::ptr::from_ref(self);
        // It may be part of a cycle that the collector is clearing. An exception has no arguments then, and
        // must not be asked for its text.
        let value = value.bind(py);
        let is_cleared = is_cycle || value.getattr("args").is_ok_and(|args| args.is_none());
        let text = if is_cleared { value.get_type().repr() } else { value.repr() };
        let text = text.map_or_else(|_| String::from("?"), |text| text.to_string());
        let line = format!("Cown({it:p}) contains an unhandled exception: {text}\n");
        let stderr = py.import("sys").and_then(|sys| sys.getattr("stderr"));
        // There is no `stderr` at the very end, and it may be anything.
        let written = stderr.and_then(|stderr| {
            let (write, line) = (stderr.getattr("write")?, PyString::new(py, &line));
            // A worker may be ended in it.
            call(&write, &mut [std::ptr::null_mut(), line.as_ptr()])
        });
        if let Err(error) = written {
            drop(error);
        }
        if let Some(pending) = pending {
            pending.restore(py);
        }
    }
}

fn disowned() -> PyErr {
    PyRuntimeError::new_err("cown is permanently unavailable: its value has been disowned")
}

impl Drop for Cown {
    fn drop(&mut self) {
        if self.is_pinned {
            PINNED.fetch_sub(1, SeqCst);
        }
        if *self.is_exception.get_mut() {
            Python::attach(|py| self.report(py, false));
        }
    }
}
