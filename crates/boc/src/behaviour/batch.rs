//! Several behaviours in one step.

use std::fmt;
use std::panic::Location;
use std::ptr::NonNull;

use super::{Behaviour, Head, trace};
use crate::Outcome;

use super::cowns::Cowns;
use super::output::Returned;
use super::when::body_over;
use crate::cown::{Aliases, Cown, Distinct, Row, Slot, Uses, enqueue};
use crate::scheduler::ready::ReadyList;
use crate::scheduler::runtime::Runtime;
use crate::scheduler::submit::submit;
use crate::scheduler::task::{self, Task, Verdict};

/// Behaviours that are queued in one step: on each of their cowns they follow each other in the order in which
/// they were added, and no other behaviour or thread comes in between.
///
/// Dropped, it drops the closures, and the outcomes are [`Failed::Cancelled`](crate::Failed::Cancelled).
///
/// ```
/// use pysync_boc::{Batch, Cown};
///
/// let (left, right) = (Cown::new(1), Cown::new(2));
/// let mut batch = Batch::new();
/// batch.when(&left, |left| *left += 1);
/// batch.when(&right, |right| *right += 1);
/// let sum = batch.when((&left, &right), |(left, right)| *left + *right);
/// batch.schedule();
/// assert_eq!(sum.wait(None).unwrap().unwrap(), 5);
/// ```
#[must_use = "nothing runs before `schedule`"]
pub struct Batch {
    runtime: Runtime,
    behaviours: Vec<(NonNull<Task>, Row)>,
}

// SAFETY: what is in it may run on any thread.
unsafe impl Send for Batch {}

impl Batch {
    /// An empty one, for the runtime for which [`when`](crate::when) would be here.
    ///
    /// # Panics
    /// If the threads of the global runtime cannot be started.
    pub fn new() -> Self {
        Self::of(Runtime::current().unwrap_or_else(|| Runtime::global().clone()))
    }

    /// An empty one for a runtime.
    pub fn on(runtime: &Runtime) -> Self {
        Self::of(runtime.clone())
    }

    fn of(runtime: Runtime) -> Self {
        Self { runtime, behaviours: Vec::new() }
    }

    /// Adds a behaviour. See [`when`](crate::when).
    ///
    /// # Panics
    /// As `when` does.
    #[track_caller]
    pub fn when<C, R, F>(&mut self, cowns: C, body: F) -> Outcome<R>
    where
        C: Cowns,
        R: Send + 'static,
        F: for<'a> FnOnce(C::Access<'a>) -> R + Send + 'static,
    {
        let mut uses = Uses::new();
        let shape = cowns.name(&mut uses);
        self.add(&mut uses, Aliases::Refused(Location::caller()), body_over::<C, R, F>(shape, body))
    }

    fn add<R: Send + 'static>(
        &mut self,
        uses: &mut Uses,
        aliases: Aliases<'_>,
        body: impl super::Body<R>,
    ) -> Outcome<R> {
        let mut distinct = Distinct::new();
        let cowns = distinct.of(uses, aliases);
        self.behaviours.reserve(1);
        let (names, lane) = (uses.as_slice(), uses.lane());
        let runtime = self.runtime.shared();
        let behaviour = Behaviour::<_, Returned<R>>::create(names, cowns, lane, runtime, body);
        uses.give();
        // SAFETY: just made; one handle of the outcome is the caller's.
        unsafe {
            self.behaviours.push((Behaviour::task(behaviour), Behaviour::row(behaviour)));
            Outcome::new(Cown::from_raw(Behaviour::output(behaviour).cast()))
        }
    }

    /// Queues all of them. Never blocks, but for the moment in which another thread asks for one of the same
    /// cowns. If the runtime has been stopped, the closures are dropped here, and the outcomes are
    /// [`Failed::Stopped`](crate::Failed::Stopped).
    pub fn schedule(mut self) {
        // SAFETY: the handle keeps it.
        if !unsafe { self.runtime.shared().as_ref() }.begin(self.behaviours.len()) {
            self.discard(Verdict::Refuse);
            return;
        }
        let behaviours = std::mem::take(&mut self.behaviours);
        for (task, row) in &behaviours {
            trace::schedule(task.addr().get(), row.len);
        }
        let mut slots: Vec<NonNull<Slot>> = behaviours
            .iter()
            // SAFETY: within the row.
            .flat_map(|(_, row)| (0..row.len).map(|index| unsafe { row.first.add(index) }))
            .collect();
        // Those of one cown stay in the order in which they were added.
        // SAFETY: the behaviours are ours.
        slots.sort_by_key(|slot| unsafe { slot.as_ref() }.cown);
        let mut ready = ReadyList::new();
        // SAFETY: ordered, not visible to other threads, and kept until they are executed.
        unsafe {
            for (task, row) in &behaviours {
                if row.len == 0 {
                    ready.push(*task);
                }
            }
            enqueue(&slots[..], |request| ready.push(Head::task_of(request)));
        }
        submit(ready);
    }

    fn discard(&mut self, verdict: Verdict) {
        for (task, _) in std::mem::take(&mut self.behaviours) {
            // What waits for the outcome is ready now.
            let mut ready = ReadyList::new();
            // SAFETY: ours, and never queued.
            unsafe { task::execute(task, verdict, &mut ready) };
            submit(ready);
        }
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.discard(Verdict::Cancel);
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("len", &self.behaviours.len()).finish()
    }
}
