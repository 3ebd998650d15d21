//! The queues of `pysync.boc`.
//!
//! They are one static object. What is in them is owned by nothing that the garbage collector could find to be
//! dead, so it need not look inside.

use std::borrow::Cow;
use std::ops::Deref;
use std::ptr;
use std::sync::LazyLock;
use std::time::Duration;

use pyo3::exceptions::{PyIndexError, PyKeyError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PySequence, PyString, PyTuple};
use pysync_boc::{
    Deadline, Limits, LockFlags, QueueStats, Queues, ReceiveError, SendError, SendTimedError,
};

use crate::runtime::{Interpreter, Owned, call};
use crate::when;

const TAGS: u16 = 16;
const CAPACITY: usize = 16_384;
const TIMEOUT: &str = "__timeout__";

/// How long a sender waits for room before it fails.
///
/// A thread that has the GIL fills a queue well before it has to give the GIL up, and no receiver can run
/// meanwhile. So that the queue is full says nothing until the receivers have had a turn.
const GRACE: Duration = Duration::from_millis(20);

/// A message, which is dropped by attached threads only: the calls below are made by such, and none of them
/// drops a message while it waits.
type Message = Owned;

static QUEUES: LazyLock<Queues<Message>> =
    LazyLock::new(|| Queues::new(Limits { tags: TAGS, capacity: CAPACITY }));

/// What every wait heeds.
const FLAGS: LockFlags = LockFlags::DETACH.union(LockFlags::HANDLE_SIGNALS);

/// Adds what is not a function.
pub(crate) fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // Made here, so that no fork comes in between.
    LazyLock::force(&QUEUES);
    module.add("TIMEOUT", intern!(module.py(), TIMEOUT))
}

/// Sends an object to all who receive on a tag; one of them will get it.
///
/// The object is shared with its receiver, not copied: the sender should let go of it, or both should leave it
/// as it is. A tag is any str. The first 16 that are used, or that `set_tags` names, are let in.
///
/// Raises KeyError if all tags are taken; RuntimeError if there are 16,384 messages under this tag, and no
/// receiver has taken one of them within 20 ms; and what a signal handler raises in that time.
#[pyfunction]
#[pyo3(signature = (tag, contents, /))]
pub(crate) fn send(tag: &Bound<'_, PyAny>, contents: &Bound<'_, PyAny>) -> PyResult<()> {
    let Ok(tag) = tag.cast::<PyString>() else {
        let message = format!("argument 1 must be str, not {}", tag.get_type().name()?);
        return Err(PyTypeError::new_err(message));
    };
    let name = tag.to_str()?;
    when::check_value(contents)?;
    match QUEUES.send(name, contents.clone().unbind().into()) {
        Ok(()) => Ok(()),
        Err(error) => send_late(tag, name, error),
    }
}

#[cold]
fn send_late(tag: &Bound<'_, PyString>, name: &str, error: SendError<Message>) -> PyResult<()> {
    let error = match error {
        SendError::Full(message) => {
            let (deadline, flags) = (Deadline::after(Some(GRACE)), FLAGS);
            match QUEUES.send_in::<Interpreter>(name, message, deadline, flags) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            }
        }
        SendError::Closed(message) => SendTimedError::Closed(message),
        SendError::Stale(message) => SendTimedError::Stale(message),
        SendError::NoTagLeft(message) => SendTimedError::NoTagLeft(message),
    };
    Err(match error {
        SendTimedError::Timeout(_) => PyRuntimeError::new_err("Message queue is full"),
        SendTimedError::Interrupted(_) => raised(tag.py()),
        // A name is stale if `set_tags` has given its tag to another while the call waited.
        SendTimedError::NoTagLeft(_) | SendTimedError::Stale(_) | SendTimedError::Closed(_) => {
            let repr = tag.repr()?;
            let message = format!("No queue available for tag {repr}: tag capacity exceeded");
            PyKeyError::new_err(message)
        }
    })
}

/// Receives the next message of one tag, or of any of several, as `(tag, contents)`.
///
/// Waits for one if there is none: for `timeout` seconds, or for ever if that is negative; 0 is one look at
/// all tags. Returns `(TIMEOUT, None)` if none has come, or what `after()` returns. Messages of one tag come
/// in the order in which they were sent. Of several tags, each call looks at another one first.
///
/// The waiting thread sleeps, lets other threads run, and is woken once. If a signal comes, its handler
/// runs. The wait ends with what that raises, or goes on.
///
/// Raises KeyError if a tag is new and none is left for it; RuntimeError if `tags` is empty, or if `set_tags`
/// leaves no tag for one that the call waits for.
#[pyfunction]
#[pyo3(signature = (tags, timeout = -1.0, after = None))]
#[pyo3(text_signature = "(tags, timeout=-1, after=None)")]
pub(crate) fn receive<'py>(
    tags: &Bound<'py, PyAny>,
    timeout: f64,
    after: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let deadline = deadline(timeout)?;
    let asked = Asked::new(tags, "tags must either be a single str or a list/tuple")?;
    let names = asked.names(|count| match count {
        1 => "tag must be a str",
        _ => "tags must contain only str objects",
    })?;
    match QUEUES.receive_in::<Interpreter>(&*names, deadline, FLAGS) {
        Ok(received) => {
            let message = received.message.into_inner().into_bound(tags.py());
            Ok(PyTuple::new(tags.py(), [&asked.at(received.index)?, &message])?.into_any())
        }
        Err(error) => not_received(error, &asked, &names, after),
    }
}

/// The deadline of a wait of so many seconds.
fn deadline(timeout: f64) -> PyResult<Deadline> {
    if timeout.is_nan() {
        return Err(PyValueError::new_err("timeout must not be NaN"));
    }
    // What is negative, or too long, has no end.
    Ok(Deadline::after(Duration::try_from_secs_f64(timeout).ok()))
}

#[cold]
fn not_received<'py>(
    error: ReceiveError,
    asked: &Asked<'_, 'py>,
    names: &[&str],
    after: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = asked.py();
    match error {
        ReceiveError::Timeout => match after {
            Some(after) => call(after, &mut [ptr::null_mut()]).map(|it| it.into_bound(py)),
            None => (intern!(py, TIMEOUT), py.None()).into_pyobject(py).map(Bound::into_any),
        },
        ReceiveError::Interrupted => Err(raised(py)),
        ReceiveError::NoTags => {
            Err(PyRuntimeError::new_err("tags must contain at least one value"))
        }
        ReceiveError::NoTagLeft => {
            // It has one by now, if all of them have.
            let index = names.iter().position(|name| QUEUES.tag(name).is_err()).unwrap_or(0);
            let repr = asked.at(index)?.repr()?;
            Err(PyKeyError::new_err(format!("No message queue found for tag: {repr}")))
        }
        ReceiveError::Stale | ReceiveError::Closed => {
            Err(PyRuntimeError::new_err("Tag invalidated during receive"))
        }
    }
}

/// Drops the messages of one tag, or of several, that are there at the call.
///
/// Tags that nothing has been sent to have none.
#[pyfunction]
#[pyo3(signature = (tags, /))]
pub(crate) fn drain(tags: &Bound<'_, PyAny>) -> PyResult<()> {
    let asked = Asked::new(tags, "tags must be a list/tuple")?;
    QUEUES.drain(&*asked.names(|_| "tags must contain only str objects")?);
    Ok(())
}

/// Drops all messages, and gives the 16 tags that there are to these names, and what is left to those that
/// are used next.
///
/// All is checked before anything changes. Threads that wait go on under the new tags. Not allowed in
/// behaviours, but for pinned ones.
///
/// Raises IndexError if there are more than 16 names.
#[pyfunction]
#[pyo3(signature = (tags, /))]
pub(crate) fn set_tags(tags: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = tags.py();
    if pysync_boc::Runtime::current().is_some() && !is_main_thread(py)? {
        let message = "set_tags can only be called from the main interpreter";
        return Err(PyRuntimeError::new_err(message));
    }
    // SAFETY: both calls below check what they are given.
    let tags = unsafe { tags.cast_unchecked::<PySequence>() };
    let Ok(count) = tags.len() else {
        return Err(PyTypeError::new_err("Tags must provide __len__"));
    };
    if count > TAGS.into() {
        let message = format!("Only {TAGS} or fewer tags supported");
        return Err(PyIndexError::new_err(message));
    }
    let tags = (0..count).map(|index| tags.get_item(index)).collect::<PyResult<Vec<_>>>()?;
    let asked = Asked::Many(Cow::Owned(PyTuple::new(py, tags)?));
    let names = asked.names(|_| "Tags must contain only str objects")?;
    // A name that stands there twice has one tag.
    let mut distinct = Vec::with_capacity(names.len());
    for name in &*names {
        if !distinct.contains(name) {
            distinct.push(name);
        }
    }
    let discarded = QUEUES.preset_tags(&distinct);
    debug_assert!(discarded.is_ok(), "checked above");
    Ok(())
}

/// What each queue has to tell, as dicts, in the order in which they got their tags.
///
/// The keys are those of bocpy's function of this name, and of ours besides. Where bocpy counts attempts that it
/// repeats, there are none here.
#[pyfunction]
pub(crate) fn queue_stats(py: Python<'_>) -> PyResult<Vec<Bound<'_, PyDict>>> {
    let dict = |(index, queue): (usize, QueueStats)| {
        let dict = PyDict::new(py);
        dict.set_item("queue_index", index)?;
        dict.set_item("tag", queue.name)?;
        dict.set_item("enqueue_cas_retries", 0)?;
        dict.set_item("dequeue_cas_retries", 0)?;
        dict.set_item("pushed_total", queue.sent)?;
        dict.set_item("popped_total", queue.received)?;
        dict.set_item("length", queue.len)?;
        dict.set_item("capacity", queue.capacity)?;
        dict.set_item("found_full", queue.full)?;
        dict.set_item("parked_receivers", queue.parked_receivers)?;
        dict.set_item("parked_senders", queue.parked_senders)?;
        Ok(dict)
    };
    QUEUES.stats().into_iter().enumerate().map(dict).collect()
}

fn is_main_thread(py: Python<'_>) -> PyResult<bool> {
    let threading = py.import("threading")?;
    let main = threading.call_method0("main_thread")?;
    Ok(main.is(&threading.call_method0("current_thread")?))
}

/// The exception of the signal handler that has ended a wait.
fn raised(py: Python<'_>) -> PyErr {
    PyErr::take(py).unwrap_or_else(|| PyRuntimeError::new_err("the wait was interrupted"))
}

/// Drops what is in the queues while the interpreter is still there to do it. Threads that wait sleep on.
pub(crate) fn at_exit() {
    let names: Vec<_> = QUEUES.stats().into_iter().map(|queue| queue.name).collect();
    QUEUES.drain(&names);
}

/// Empties the queues in the child of a fork.
///
/// # Safety
/// As [`Queues::after_fork`] has it.
pub(crate) unsafe fn after_fork() {
    // SAFETY: by contract.
    unsafe { QUEUES.after_fork() };
}

/// The tags that a caller asks for.
enum Asked<'a, 'py> {
    One(&'a Bound<'py, PyString>),
    Many(Cow<'a, Bound<'py, PyTuple>>),
}

impl<'a, 'py> Asked<'a, 'py> {
    /// A str, or an iterable. A subclass of str is one tag too, and not a sequence of letters.
    fn new(tags: &'a Bound<'py, PyAny>, text: &'static str) -> PyResult<Self> {
        if let Ok(tag) = tags.cast::<PyString>() {
            return Ok(Self::One(tag));
        }
        if let Ok(tags) = tags.cast_exact::<PyTuple>() {
            return Ok(Self::Many(Cow::Borrowed(tags)));
        }
        if let Ok(tags) = tags.cast_exact::<PyList>() {
            return Ok(Self::Many(Cow::Owned(tags.to_tuple())));
        }
        let tags = tags.try_iter().map_err(|error| {
            let is_type_error = error.is_instance_of::<PyTypeError>(tags.py());
            if is_type_error { PyTypeError::new_err(text) } else { error }
        })?;
        let py = tags.py();
        Ok(Self::Many(Cow::Owned(PyTuple::new(py, tags.collect::<PyResult<Vec<_>>>()?)?)))
    }

    /// The names of the tags. If one of them is none, `text` says so, for that number of tags.
    fn names(&self, text: impl Fn(usize) -> &'static str) -> PyResult<Names<'_>> {
        let tags = match self {
            Self::One(tag) => return Ok(Names::one(tag.to_str()?)),
            Self::Many(tags) => tags,
        };
        let mut names = Names::new();
        for tag in tags.iter_borrowed() {
            match tag.extract::<&str>() {
                Ok(name) => names.push(name),
                Err(_) if !tag.is_instance_of::<PyString>() => {
                    return Err(PyTypeError::new_err(text(tags.len())));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(names)
    }

    /// The tag at `index` as the caller has given it.
    fn at(&self, index: usize) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Self::One(tag) => Ok((*tag).clone().into_any()),
            Self::Many(tags) => tags.get_item(index),
        }
    }

    fn py(&self) -> Python<'py> {
        match self {
            Self::One(tag) => tag.py(),
            Self::Many(tags) => tags.py(),
        }
    }
}

/// Names of tags. The first ones need no allocation.
struct Names<'a> {
    few: [&'a str; TAGS as usize],
    count: usize,
    /// All names, if they are more.
    many: Vec<&'a str>,
}

impl<'a> Names<'a> {
    fn new() -> Self {
        Self { few: [""; TAGS as usize], count: 0, many: Vec::new() }
    }

    fn one(name: &'a str) -> Self {
        let mut names = Self::new();
        names.push(name);
        names
    }

    fn push(&mut self, name: &'a str) {
        if let Some(place) = self.few.get_mut(self.count) {
            *place = name;
            self.count += 1;
        } else {
            if self.many.is_empty() {
                self.many.extend(self.few);
            }
            self.many.push(name);
        }
    }
}

impl<'a> Deref for Names<'a> {
    type Target = [&'a str];

    fn deref(&self) -> &Self::Target {
        if self.many.is_empty() { &self.few[..self.count] } else { &self.many }
    }
}
