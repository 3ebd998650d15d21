//! The cowns of a behaviour as its arguments.
//!
//! They are kept here and not in a tuple of Python's: the thread that asks for a behaviour is another than the
//! one that runs it, and an object that one makes and the other frees is dear without a global lock.

use std::ptr;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use pysync_boc::{Runtime, Use};

use crate::cown::{Cown, Turn};
use crate::runtime::{Owned, call};

/// The cowns of a behaviour, in the order of its parameters.
pub(crate) enum Args {
    One(Owned<Cown>),
    Two([Owned<Cown>; 2]),
    Many(Box<Many>),
}

/// Any number of them, and groups.
pub(crate) struct Many {
    cowns: Vec<Owned<Cown>>,
    /// For each parameter how many of them are its group; there are none if it is a cown. Empty if all are cowns.
    groups: Vec<Option<usize>>,
}

fn cown_of(item: Bound<'_, PyAny>) -> PyResult<Owned<Cown>> {
    let Ok(cown) = item.cast_into::<Cown>() else {
        return Err(PyTypeError::new_err("can only schedule over cowns or sequences of cowns"));
    };
    // It is there, but in the moment in which a cown is made.
    cown.get().turn()?;
    Ok(cown.unbind().into())
}

impl Args {
    /// Those that are in `items`.
    pub(crate) fn of(items: &Bound<'_, PyTuple>) -> PyResult<Self> {
        let is_cown = |index: usize| {
            items.get_borrowed_item(index).is_ok_and(|item| item.is_instance_of::<Cown>())
        };
        match items.len() {
            1 if is_cown(0) => Ok(Self::One(cown_of(items.get_item(0)?)?)),
            2 if is_cown(0) && is_cown(1) => {
                Ok(Self::Two([cown_of(items.get_item(0)?)?, cown_of(items.get_item(1)?)?]))
            }
            _ => Self::many(items),
        }
    }

    #[cold]
    fn many(items: &Bound<'_, PyTuple>) -> PyResult<Self> {
        let mut many = Many { cowns: Vec::with_capacity(items.len()), groups: Vec::new() };
        for (index, item) in items.iter().enumerate() {
            let group = match (item.cast::<PyList>(), item.cast::<PyTuple>()) {
                // It may change later.
                (Ok(list), _) => list.to_tuple(),
                (_, Ok(tuple)) => tuple.clone(),
                _ => {
                    many.cowns.push(cown_of(item)?);
                    if !many.groups.is_empty() {
                        many.groups.push(None);
                    }
                    continue;
                }
            };
            many.groups.resize(index, None);
            many.groups.push(Some(group.len()));
            for cown in group.iter() {
                many.cowns.push(cown_of(cown)?);
            }
        }
        Ok(Self::Many(Box::new(many)))
    }

    fn as_slice(&self) -> &[Owned<Cown>] {
        match self {
            Self::One(cown) => std::slice::from_ref(cown),
            Self::Two(cowns) => cowns,
            Self::Many(many) => &many.cowns,
        }
    }

    pub(crate) fn cowns(&self) -> impl Iterator<Item = &Cown> {
        self.as_slice().iter().map(|cown| cown.get())
    }

    /// Their turns, in order.
    pub(crate) fn turns(&self) -> PyResult<Turns> {
        Ok(match self {
            Self::One(cown) => Turns::One(cown.get().turn()?.clone()),
            Self::Two([a, b]) => Turns::Two(a.get().turn()?.clone(), b.get().turn()?.clone()),
            Self::Many(many) => {
                let turns = many.cowns.iter().map(|cown| cown.get().turn().cloned());
                Turns::Many(turns.collect::<PyResult<_>>()?)
            }
        })
    }

    /// Calls `func` with them, and with `captures`. A group is a list.
    pub(crate) fn call(
        &self,
        py: Python<'_>,
        func: &Py<PyAny>,
        captures: Option<&Bound<'_, PyTuple>>,
    ) -> PyResult<Py<PyAny>> {
        if let (Self::One(cown), None) = (self, captures) {
            return call(func.bind(py), &mut [ptr::null_mut(), cown.as_ptr()]);
        }
        if let (Self::Two([a, b]), None) = (self, captures) {
            return call(func.bind(py), &mut [ptr::null_mut(), a.as_ptr(), b.as_ptr()]);
        }
        let mut lists = Vec::new();
        let mut args = vec![ptr::null_mut()];
        let mut cowns = self.as_slice();
        let groups = if let Self::Many(many) = self { &many.groups[..] } else { &[] };
        for group in groups {
            let (first, rest) = cowns.split_at(group.unwrap_or(1));
            cowns = rest;
            match group {
                None => args.push(first[0].as_ptr()),
                Some(_) => {
                    let list = PyList::new(py, first.iter().map(|cown| &**cown))?;
                    args.push(list.as_ptr());
                    lists.push(list);
                }
            }
        }
        // Without groups that are all.
        args.extend(cowns.iter().map(|cown| cown.as_ptr()));
        let captures =
            captures.map(|captures| captures.iter().collect::<Vec<_>>()).unwrap_or_default();
        args.extend(captures.iter().map(Bound::as_ptr));
        call(func.bind(py), &mut args)
    }
}

/// What a behaviour over cowns takes.
pub(crate) enum Turns {
    One(Turn),
    Two(Turn, Turn),
    Many(Vec<Turn>),
}

impl Turns {
    /// Schedules a behaviour over them; returns the turn of its result.
    pub(crate) fn schedule(self, runtime: &Runtime, body: impl FnOnce() + Send + 'static) -> Turn {
        let outcome = match self {
            Self::One(turn) => runtime.when(turn, move |_| body()),
            Self::Two(a, b) if a != b => runtime.when((a, b), move |_| body()),
            Self::Two(a, _) => runtime.when(a, move |_| body()),
            Self::Many(turns) => {
                let uses: Vec<_> = turns.iter().map(Use::write).collect();
                runtime.when_any(&uses, move |_| body())
            }
        };
        (*outcome).clone()
    }
}
