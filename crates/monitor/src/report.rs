//! What a thread that loses is told.

use std::fmt;
use std::panic::Location;
use std::time::Instant;

use crate::hook;
use crate::lock::Lock;
use crate::node::{Node, WaitOf};
use crate::trace;

/// A thread would have waited for ever, since others waited for it, and was the youngest of them. It is not inside of
/// what it had asked for.
///
/// It is one pointer, and made only where a cycle is found.
pub struct Deadlock(Box<Report>);

/// What is found by the thread that breaks a cycle.
pub(crate) struct Report {
    pub(crate) links: Vec<Link>,
    pub(crate) victim: usize,
    /// There is no cycle, but nothing in a closed branch can go on.
    pub(crate) is_stuck: bool,
    /// The thread that was inside of what the loser wanted, and its stamp.
    pub(crate) lost_to: Option<(&'static Node, usize)>,
    /// What the loser may have written to.
    pub(crate) dirty: Vec<MonitorId>,
}

/// One thread of a cycle: what it is inside of, and what it waits for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Link {
    /// The number of the thread.
    pub thread: u64,
    /// Its name, if it has one.
    pub thread_name: Option<String>,
    /// The greater, the younger its attempt.
    pub age: usize,
    /// The monitor that it is inside of and the thread before it waits for, if that waits for one.
    pub holds: Option<MonitorId>,
    /// Where it has entered that.
    pub entered_at: Option<&'static Location<'static>>,
    /// The monitor that it waits for, if it does not wait for threads.
    pub wants: Option<MonitorId>,
    /// What of that it waits for.
    pub waits: Waits,
    /// Where it waits.
    pub waits_at: &'static Location<'static>,
    /// Since when.
    pub since: Instant,
    /// The number of the thread for which it waits: one of them, if it waits for several; `None` for one that waits for
    /// a condition of a monitor that no thread is inside of.
    pub waits_for: Option<u64>,
}

/// What a thread waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Waits {
    /// To enter a monitor.
    ToEnter,
    /// For a condition, which has a name if it is a [`Condition`](crate::Condition).
    ForCondition(Option<&'static str>),
    /// For other threads to end.
    ForThreads,
}

/// Which monitor is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MonitorId {
    addr: usize,
    name: Option<&'static str>,
    type_name: &'static str,
}

impl MonitorId {
    pub(crate) fn new(addr: usize, name: Option<&'static str>, type_name: &'static str) -> Self {
        Self { addr, name, type_name }
    }

    /// Its address. Another monitor may be there later.
    pub fn addr(&self) -> usize {
        self.addr
    }

    /// The name that it was made with.
    pub fn name(&self) -> Option<&'static str> {
        self.name
    }

    /// The type of its value.
    pub fn type_name(&self) -> &'static str {
        self.type_name
    }
}

impl Link {
    pub(crate) fn new(
        waiter: &Node,
        wait: WaitOf,
        wants: Option<MonitorId>,
        to: Option<&Node>,
    ) -> Self {
        Self {
            thread: waiter.thread(),
            thread_name: None,
            age: waiter.stamp(),
            holds: None,
            entered_at: None,
            wants,
            waits: wait.what,
            waits_at: wait.at,
            since: wait.since,
            waits_for: to.map(Node::thread),
        }
    }

    /// Adds the name of its thread, which is found out with no lock of a bucket.
    pub(crate) fn with_name(self, waiter: &Node) -> Self {
        Self { thread_name: waiter.name.of(self.thread), ..self }
    }
}

impl Report {
    pub(crate) fn new(links: Vec<Link>, victim: usize) -> Self {
        Self { links, victim, is_stuck: false, lost_to: None, dirty: Vec::new() }
    }
}

impl Deadlock {
    /// A thread wants what it is inside of.
    pub(crate) fn with_itself(me: &Node, lock: &Lock, at: &'static Location<'static>) -> Self {
        // SAFETY: the frames are the calling thread's own.
        let entered_at = unsafe { me.entered_at(lock) };
        let id = Some(lock.id());
        let wait = WaitOf::new(Waits::ToEnter, at);
        let link = Link { entered_at, holds: id, ..Link::new(me, wait, id, Some(me)) };
        Self(Box::new(Report::new(vec![link.with_name(me)], 0))).told(me)
    }

    /// The calling thread, whose node this is, has lost.
    pub(crate) fn of_loser(me: &Node) -> Self {
        let report = me.take_report().expect("a thread that loses is told why");
        me.own.unwinds.set(!me.is_outside());
        me.own.lost_to.set(report.lost_to);
        Self(report).told(me)
    }

    /// Notes what the thread has written to, and calls the hook.
    fn told(mut self, me: &Node) -> Self {
        let dirty =
            me.my_frames().filter(|frame| frame.is_dirty.get() && frame.undo.get().is_null());
        // SAFETY: the thread is in a call of each of these monitors.
        self.0.dirty.extend(dirty.map(|frame| unsafe { (*frame.lock).id() }));
        let wants = self.0.links[self.0.victim].wants;
        trace::deadlock(wants.map_or(0, |monitor| monitor.addr), self.0.links.len());
        hook::call(&self);
        self
    }

    /// The threads of the cycle: each waits for what the next one is inside of, and the last for what the first is.
    pub fn cycle(&self) -> &[Link] {
        &self.0.links
    }

    /// The index of the thread that has lost.
    pub fn victim(&self) -> usize {
        self.0.victim
    }

    /// The monitors to which the thread had written when it lost, innermost first, but for those for which it has an
    /// [`undo`](crate::Inside::undo): what the thread had promised there is to be looked at. A monitor counts as written
    /// to once a body has borrowed its value mutably.
    pub fn dirty(&self) -> impl Iterator<Item = MonitorId> {
        self.0.dirty.iter().copied()
    }

    /// Whether a thread of the cycle waits for threads. To try again is no use: it does not leave what it is inside of
    /// before they have ended.
    pub fn has_join(&self) -> bool {
        self.0.links.iter().any(|link| link.waits == Waits::ForThreads)
    }

    /// Whether the thread wanted what it was inside of. To try again is no use.
    pub fn is_self(&self) -> bool {
        self.0.links.len() == 1 && !self.0.is_stuck
    }

    /// Whether there is no cycle, but all threads of a [closed branch](crate::branch_closed) wait, one of them for a
    /// condition that none of them can make true. [`cycle`](Self::cycle) has all of them then, in no order. To try again
    /// is no use.
    pub fn is_stuck(&self) -> bool {
        self.0.is_stuck
    }

    /// Whether it may be otherwise at the next try.
    pub(crate) fn may_pass(&self) -> bool {
        !self.is_self() && !self.has_join() && !self.is_stuck()
    }
}

impl fmt::Display for MonitorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name {
            Some(name) => f.write_str(name),
            None => write!(f, "Monitor<{}> at {:#x}", self.type_name, self.addr),
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "thread {}", self.thread)?;
        if let Some(name) = &self.thread_name {
            write!(f, " ({name})")?;
        }
        if let Some(holds) = self.holds {
            write!(f, " is inside {holds}")?;
            if let Some(at) = self.entered_at {
                write!(f, ", entered at {at}")?;
            }
            f.write_str(", and")?;
        }
        match (self.waits, self.wants) {
            (Waits::ToEnter, Some(wants)) => write!(f, " waits to enter {wants}")?,
            (Waits::ForCondition(Some(name)), Some(wants)) => {
                write!(f, " waits for {name} in {wants}")?;
            }
            (Waits::ForCondition(None), Some(wants)) => {
                write!(f, " waits for a condition in {wants}")?;
            }
            (_, _) => f.write_str(" waits for its threads")?,
        }
        write!(f, " at {}", self.waits_at)
    }
}

impl fmt::Display for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let links = &self.0.links;
        if self.is_self() {
            let Link { holds, entered_at, waits_at, .. } = &links[0];
            let Some(holds) = holds else { return f.write_str("a monitor was entered again") };
            return match entered_at {
                Some(at) => write!(f, "{holds} was entered at {at}, and again at {waits_at}"),
                None => write!(f, "{holds} is there twice at {waits_at}"),
            };
        }
        let what = if self.is_stuck() { "closed branch" } else { "deadlock" };
        write!(f, "{what} of {} threads", links.len())?;
        for (index, link) in links.iter().enumerate() {
            let lost = if index == self.0.victim { ", and has lost" } else { "" };
            write!(f, "; {link}{lost}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deadlock")
            .field("cycle", &self.0.links)
            .field("victim", &self.0.victim)
            .field("dirty", &self.0.dirty)
            .finish()
    }
}

impl std::error::Error for Deadlock {}
