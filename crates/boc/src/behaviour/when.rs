//! Behaviours are asked for.

use std::panic::Location;
use std::ptr::NonNull;

use super::cowns::{Cowns, Cursor};
use super::output::{Fired, Output, Returned};
use super::{Behaviour, Body, Head, trace};
use crate::cown::{Aliases, Cown, Distinct, Header, Request, Uses, enqueue};
use crate::scheduler::current;
use crate::scheduler::ready::ReadyList;
use crate::scheduler::runtime::{Runtime, Shared};
use crate::scheduler::submit::submit;
use crate::{Failed, Outcome};

/// Asks for a behaviour: `body` runs on a worker once all of `cowns` are its own, which are released when
/// it ends. See [`Cowns`] for what can be asked for and what the body gets. Never blocks, but for the moment
/// in which another thread asks for one of the same cowns. Allocates once.
///
/// Inside a behaviour the runtime is that one's, else it is the [global](Runtime::global) one.
///
/// **Order.** Of two behaviours that share a cown the first that was asked for runs first, and has ended when
/// the second begins. Those that do not, directly or by what lies between them, run in any order and at the
/// same time. A behaviour that is asked for by another one comes behind all that are queued by then.
///
/// **No deadlock.** A behaviour has all its cowns before it begins, and waits for none while it runs. All
/// requests are queued in one step, so that no two wait for each other.
///
/// If the runtime has been stopped, the closure is dropped here, and the outcome is
/// [`Failed::Stopped`].
///
/// # Panics
/// If a cown is named twice, in two places and not to be read in both; the message names the places. If
/// cowns are of two [lanes](crate::Lane). Nothing is queued then. If the threads of the global runtime
/// cannot be started.
///
/// ```
/// use pysync_boc::{Cown, when};
///
/// let (from, to) = (Cown::new(100), Cown::new(0));
/// let moved = when((&from, &to), |(from, to)| {
///     *from -= 30;
///     *to += 30;
/// });
/// moved.wait(None).unwrap().unwrap();
/// assert_eq!((*from.acquire(), *to.acquire()), (70, 30));
/// ```
#[track_caller]
pub fn when<C, R, F>(cowns: C, body: F) -> Outcome<R>
where
    C: Cowns,
    R: Send + 'static,
    F: for<'a> FnOnce(C::Access<'a>) -> R + Send + 'static,
{
    when_on(here(), cowns, body, Location::caller())
}

/// [`when`] without an outcome: it cannot be cancelled or waited for, and a panic of its body is counted and
/// dropped. It takes less memory and less time. False if the runtime has been stopped.
///
/// # Panics
/// As `when` does.
#[track_caller]
pub fn fire<C, F>(cowns: C, body: F) -> bool
where
    C: Cowns,
    F: for<'a> FnOnce(C::Access<'a>) + Send + 'static,
{
    fire_on(here(), cowns, body, Location::caller())
}

impl Runtime {
    /// [`when`] on this runtime.
    ///
    /// # Panics
    /// As `when` does.
    #[track_caller]
    pub fn when<C, R, F>(&self, cowns: C, body: F) -> Outcome<R>
    where
        C: Cowns,
        R: Send + 'static,
        F: for<'a> FnOnce(C::Access<'a>) -> R + Send + 'static,
    {
        when_on(self.shared(), cowns, body, Location::caller())
    }

    /// [`fire`] on this runtime.
    ///
    /// # Panics
    /// As `when` does.
    #[track_caller]
    pub fn fire<C, F>(&self, cowns: C, body: F) -> bool
    where
        C: Cowns,
        F: for<'a> FnOnce(C::Access<'a>) + Send + 'static,
    {
        fire_on(self.shared(), cowns, body, Location::caller())
    }
}

/// The runtime of the behaviour that the calling thread runs, or the global one.
#[inline]
pub(crate) fn here() -> NonNull<Shared> {
    current::current().unwrap_or_else(|| Runtime::global().shared())
}

#[inline]
fn when_on<C, R, F>(
    runtime: NonNull<Shared>,
    cowns: C,
    body: F,
    caller: &Location<'_>,
) -> Outcome<R>
where
    C: Cowns,
    R: Send + 'static,
    F: for<'a> FnOnce(C::Access<'a>) -> R + Send + 'static,
{
    let mut uses = Uses::new();
    let shape = cowns.name(&mut uses);
    schedule_returned(
        runtime,
        &mut uses,
        Aliases::Refused(caller),
        body_over::<C, R, F>(shape, body),
    )
}

#[inline]
fn fire_on<C, F>(runtime: NonNull<Shared>, cowns: C, body: F, caller: &Location<'_>) -> bool
where
    C: Cowns,
    F: for<'a> FnOnce(C::Access<'a>) + Send + 'static,
{
    let mut uses = Uses::new();
    let shape = cowns.name(&mut uses);
    let body = body_over::<C, (), F>(shape, body);
    schedule::<_, Fired>(runtime, &mut uses, Aliases::Refused(caller), body).is_some()
}

/// `body` over what was named.
pub(crate) fn body_over<C, R, F>(shape: C::Shape, body: F) -> impl Body<R>
where
    C: Cowns,
    F: for<'a> FnOnce(C::Access<'a>) -> R + Send + 'static,
{
    move |named: &[NonNull<Header>]| {
        // SAFETY: a behaviour holds what was named while its body runs.
        body(unsafe { C::access(shape, &mut Cursor::new(named)) })
    }
}

#[inline]
pub(crate) fn schedule_returned<R: Send + 'static>(
    runtime: NonNull<Shared>,
    uses: &mut Uses,
    aliases: Aliases<'_>,
    body: impl Body<R>,
) -> Outcome<R> {
    match schedule::<_, Returned<R>>(runtime, uses, aliases, body) {
        // SAFETY: the output is the head of a cown, and one handle of it is the caller's.
        Some(output) => Outcome::new(unsafe { Cown::from_raw(output.cast()) }),
        None => Outcome::new(Cown::new(Err(Failed::Stopped))),
    }
}

/// Queues a behaviour, and hands it over if it can run at once. There is none if the runtime has been
/// stopped.
#[inline]
fn schedule<F: Body<O::Result>, O: Output>(
    runtime: NonNull<Shared>,
    uses: &mut Uses,
    aliases: Aliases<'_>,
    body: F,
) -> Option<NonNull<O>> {
    let mut distinct = Distinct::new();
    let cowns = distinct.of(uses, aliases);
    // SAFETY: the caller has a handle of it, or runs on a worker of it.
    if !unsafe { runtime.as_ref() }.begin(1) {
        return None;
    }
    let (names, lane) = (uses.as_slice(), uses.lane());
    let behaviour = Behaviour::<F, O>::create(names, cowns, lane, runtime, body);
    uses.give();
    // SAFETY: just made, and not visible to any other thread. It may be gone once it is queued, but for its
    // output, of which the caller has a handle if there is one.
    unsafe {
        let output = Behaviour::output(behaviour);
        let row = Behaviour::row(behaviour);
        trace::schedule(behaviour.addr().get(), row.len);
        let mut ready = ReadyList::new();
        if row.len == 0 {
            ready.push(Behaviour::task(behaviour));
        }
        enqueue(row, |request: NonNull<Request>| ready.push(Head::task_of(request)));
        if !ready.is_empty() {
            submit(ready);
        }
        Some(output)
    }
}
