//! The tests of python-safethread, each under its name there, and a test for each of its defects that could have a
//! counterpart here.
//!
//! What it tests of shareable objects and walls around monitors is for the compiler here; its finalizers are those of
//! another crate.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod counterparts;
mod defects;
#[path = "../common/error.rs"]
mod error;

use Kind::{Value, Zero};
use pysync_monitor::{Failure, Failures, Inside, Monitor, Stopped, check};

/// Its `ZeroDivisionError` and `ValueError`.
#[derive(Debug)]
enum Kind {
    Zero,
    Value(&'static str),
}

/// One of these, its `Cancelled`, or its `SoftDeadlockError`.
type Error = error::Error<Kind>;

impl From<Failures<Self>> for Error {
    fn from(failures: Failures<Self>) -> Self {
        failures.into_single_unless(is_cancelled).expect("one error besides those of cancels")
    }
}

fn is_cancelled(error: &Error) -> bool {
    matches!(error, Error::Cancelled)
}

fn moo<T>() -> Result<T, Error> {
    Err(Error::Failed(Value("moo")))
}

/// Reads without end, until it is cancelled.
fn readloop() -> Result<(), Error> {
    loop {
        check()?;
        std::hint::spin_loop();
    }
}

/// The failures by the names of their kinds.
fn causes<T: std::fmt::Debug>(result: Result<T, Failures<Error>>) -> Vec<&'static str> {
    let name = |failure| match failure {
        Failure::Error(Error::Failed(Zero)) => "zero",
        Failure::Error(Error::Failed(Value("moo"))) => "moo",
        // The second is of one that had not begun.
        Failure::Error(Error::Cancelled) | Failure::Cancelled => "cancelled",
        Failure::Error(Error::Deadlock(_)) => "deadlock",
        other => panic!("{other:?}"),
    };
    result.unwrap_err().into_iter().map(name).collect()
}

/// Its `Checkpoint`.
struct Checkpoint(Monitor<bool>);

impl Checkpoint {
    fn new() -> Self {
        Self(Monitor::new(false))
    }

    fn set(&self) {
        self.0.enter(|mut is_set| *is_set = true).unwrap();
    }

    fn wait(&self) -> Result<(), Stopped> {
        self.0.enter_when(|is_set| *is_set, |_| ())
    }
}

/// Its `Deadlocker.chain`.
fn chain<R>(
    monitor: &Monitor<()>,
    f: impl FnOnce(Inside<'_, ()>) -> Result<R, Error>,
) -> Result<R, Error> {
    monitor.with(f)
}
