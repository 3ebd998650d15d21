//! What the threads note: each in a list of its own, by a count that all agree on.
//!
//! A thread notes that it is inside once it is, and that it leaves before it does: so what is noted is part of what was.
//! It notes that it wants before it waits, and the end of that once it has ended: so each wait is part of what is noted.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Instant;

use pysync_monitor::{Deadlock, MonitorId, Waits};
use pysync_platform::{Native, Runtime};

/// A number for each thread that there ever is: that of the system may be used again.
pub(crate) type Task = usize;
/// The index of a monitor.
pub(crate) type Place = usize;

#[derive(Debug)]
pub(crate) enum Event {
    /// An attempt begins, which may have several tries.
    Begins,
    /// It is about to enter.
    Wants(Place),
    /// It is inside, and about to wait outside for a condition that is not true.
    Waits(Place),
    /// It is inside.
    Got(Place),
    /// It is inside, since the time of its wait for a condition is over.
    StillFalse,
    /// It is about to leave.
    Leaves(Place),
    /// It has lost a wait.
    Lost(Cycle),
    /// It has given up a wait.
    GaveUp,
    /// A wait has been cancelled.
    Cancelled,
    /// It is about to wait until these have ended.
    Joins(Vec<Task>),
    /// They have.
    Joined,
    /// It is inside of all that it wants, and will write: where, what was there, and by how much it is changed.
    Commits(Vec<(Place, i64, i64)>),
    /// The thread is about to end.
    Ends,
}

/// What a loser was told.
#[derive(Debug)]
pub(crate) struct Cycle {
    pub(crate) links: Vec<Told>,
    pub(crate) victim: usize,
}

/// What it was told of one thread, by the number that the system has for it.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) thread: u64,
    pub(crate) age: usize,
    /// None after a link that joins.
    pub(crate) holds: Option<Place>,
    /// None if it joins.
    pub(crate) wants: Option<Place>,
    pub(crate) is_for_condition: bool,
    pub(crate) waits_for: u64,
}

impl Cycle {
    pub(crate) fn of(deadlock: &Deadlock) -> Self {
        let index = |id: Option<MonitorId>| id?.to_string().parse().ok();
        let links = deadlock.cycle().iter().map(|link| Told {
            thread: link.thread,
            age: link.age,
            holds: index(link.holds),
            wants: index(link.wants),
            is_for_condition: matches!(link.waits, Waits::ForCondition(_)),
            waits_for: link.waits_for.expect("a thread of a cycle waits for another"),
        });
        Self { links: links.collect(), victim: deadlock.victim() }
    }

    pub(crate) fn has_join(&self) -> bool {
        self.links.iter().any(|link| link.wants.is_none())
    }

    pub(crate) fn has_condition(&self) -> bool {
        self.links.iter().any(|link| link.is_for_condition)
    }
}

#[derive(Debug)]
pub(crate) struct Note {
    pub(crate) at: usize,
    pub(crate) when: Instant,
    pub(crate) event: Event,
}

/// All that a thread has noted.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) task: Task,
    pub(crate) thread: u64,
    pub(crate) notes: Vec<Note>,
}

static CLOCK: AtomicUsize = AtomicUsize::new(0);

impl Log {
    /// For the calling thread.
    pub(crate) fn new(task: Task) -> Self {
        Self { task, thread: Native::thread_ident(), notes: Vec::with_capacity(1_000) }
    }

    pub(crate) fn note(&mut self, event: Event) {
        let at = CLOCK.fetch_add(1, SeqCst);
        self.notes.push(Note { at, when: Instant::now(), event });
    }
}
