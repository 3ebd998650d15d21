//! Who waits for whom, and what is done about a cycle.
//!
//! A thread waits for one monitor, and one thread is inside of that: so what a waiter waits for is a chain. The thread
//! that closes a cycle is the last to be queued, and each thread follows its chain once it is.
//!
//! 1. A waiter is queued, and says in its node what it wants. Then comes a fence.
//! 2. It follows its chain: to the owner of what it wants, to what that one wants, and so on, until a thread runs.
//! 3. If it comes back to itself, it takes the lock of the breakers, notes the chain with the number of each wait, and
//!    looks at each wait again. If all are the same, each of them has waited in between and has left nothing: the cycle
//!    is real.
//! 4. The youngest loses: its wait is ended by one exchange, unless it has been ended otherwise, and it is woken.
//!
//! **No cycle is missed.** Of the threads in a cycle one is the last whose fence comes in the order of all fences. It
//! sees what the others have published, and the owners, who entered before they were queued.
//!
//! **Nothing is followed that is not there.** Nodes are never freed. A monitor is there for as long as a thread is
//! queued for it, and a thread says that it is under the lock of the bucket: so the word of a monitor is read under
//! that lock, once the node has been looked at there again.

use std::collections::HashSet;
use std::ptr;

use pysync_parking_lot::inspect;
use pysync_platform::primitive;
use pysync_platform::primitive::atomic::{Ordering::SeqCst, fence};

use crate::global::GlobalLock;
use crate::lock::Lock;
use crate::node::{Node, State, WaitWord};
use crate::nodes;
use crate::report::{Link, Report};
use crate::scope::{self, Joined, Scope};

primitive::model_static! {
    /// Held by a thread that breaks a cycle.
    static BREAKERS: GlobalLock = GlobalLock::new()
}

/// # Safety
/// The calling thread is the only one in the process, and does not have the lock of all breakers.
pub(crate) unsafe fn after_fork() {
    // SAFETY: by contract.
    unsafe { BREAKERS.after_fork() };
}

/// Calls `f` with the lock of all breakers.
pub(crate) fn as_breaker<T>(f: impl FnOnce() -> T) -> T {
    BREAKERS.with(f)
}

/// One step of a chain: a thread that waits, and who is inside of what it wants.
#[derive(Clone, Copy)]
struct Step {
    waiter: &'static Node,
    wait: WaitWord,
    wants: *const Lock,
    owner: &'static Node,
}

impl Step {
    /// The step from a thread that waits; `None` if it does not, or waits for a monitor that no thread is inside of, as
    /// while it is handed over. `look` sees the step while the thread cannot go on.
    fn of<T>(waiter: &'static Node, look: impl FnOnce(Self) -> T) -> Option<T> {
        wait_of(waiter, |wait, wants, owner| {
            // One that is about to leave.
            let owner = owner.filter(|owner| !ptr::eq(*owner, waiter));
            Some(look(Self { waiter, wait, wants, owner: owner? }))
        })?
    }

    /// What is told of it, besides what it holds.
    ///
    /// # Safety
    /// The caller is the `look` of `of`.
    unsafe fn link(self) -> Link {
        // SAFETY: by contract.
        unsafe { link_of(self.waiter, self.wants, Some(self.owner)) }
    }
}

/// Calls `look` with the wait of a thread, what it wants, and who is inside of that, while the thread cannot go on;
/// `None` if it does not wait for a monitor. One that is about to wait for a condition has said so, and is inside still.
pub(crate) fn wait_of<T>(
    waiter: &'static Node,
    look: impl FnOnce(WaitWord, *const Lock, Option<&'static Node>) -> T,
) -> Option<T> {
    let wants = waiter.wants();
    if wants.is_null() {
        return None;
    }
    inspect(Lock::key(wants), |_| {
        let wait = waiter.wait_word();
        if waiter.wants() != wants || wait.state() != State::Waiting {
            return None;
        }
        // SAFETY: its waiter is queued, and stays so while the bucket is locked.
        Some(look(wait, wants, unsafe { (*wants).owner() }))
    })
}

/// What is told of a thread that waits for a monitor.
///
/// # Safety
/// The caller is the `look` of `wait_of`.
pub(crate) unsafe fn link_of(waiter: &Node, wants: *const Lock, owner: Option<&Node>) -> Link {
    // SAFETY: the thread is queued, and the lock of the bucket keeps it so.
    let (wait_of, wants) = unsafe { (waiter.wait_of(), (*wants).id()) };
    let wait_of = wait_of.expect("a thread that is queued has said for what");
    Link::new(waiter, wait_of, Some(wants), owner.filter(|owner| !ptr::eq(*owner, waiter)))
}

/// Who waits for whom now, each thread by itself: a moment later it may be otherwise. Nothing is told of what a thread
/// is inside of.
///
/// Allocates. Takes the lock of one bucket at a time, each for a moment, and that of all branches.
pub fn snapshot() -> Vec<Link> {
    let link = |node: &'static Node| {
        // SAFETY: in the `look` of `wait_of`.
        let for_a_monitor = wait_of(node, |_, wants, owner| unsafe { link_of(node, wants, owner) });
        let link = for_a_monitor.or_else(|| {
            let joined = scope::joined_by(node, ptr::null())?;
            Some(Link::new(node, joined.wait_of, None, joined.threads.last().copied()))
        });
        link.map(|link| link.with_name(node))
    };
    nodes::all().filter_map(link).collect()
}

/// Follows the chain of a thread that has just been queued, and breaks the cycle if it is one.
pub(crate) fn look(me: &'static Node) {
    // Ordering: between the publication of this wait and the looks at others; pairs with the fence of each other
    // thread that waits. Of those in a cycle the last one sees all.
    fence(SeqCst);
    if leads_back(me) {
        as_breaker(|| break_cycle(me));
    }
    scope::look_for_stuck();
}

/// Breaks the cycle that a thread is in, if there is one; says whether there was. Called with the lock of all breakers.
pub(crate) fn break_cycle_of(node: &'static Node) -> bool {
    let is_in_cycle = leads_back(node);
    if is_in_cycle {
        break_cycle(node);
    }
    is_in_cycle
}

fn leads_back(me: &'static Node) -> bool {
    let mut at = me;
    // A chain that leads into a cycle of others is seen by those.
    for _ in 0..=nodes::count() {
        match Step::of(at, |step| step.owner) {
            Some(owner) if ptr::eq(owner, me) => return true,
            Some(owner) => at = owner,
            None => return leads_back_by_joins(me, at),
        }
    }
    false
}

/// [`leads_back`] from a thread that may wait for others: for each of them.
fn leads_back_by_joins(me: &'static Node, from: &'static Node) -> bool {
    let Some(Joined { threads: mut rest, .. }) = scope::joined_by(from, ptr::null()) else {
        return false;
    };
    let mut seen = HashSet::from([ptr::from_ref(from)]);
    while let Some(at) = rest.pop() {
        if ptr::eq(at, me) {
            return true;
        }
        if !seen.insert(ptr::from_ref(at)) {
            continue;
        }
        match Step::of(at, |step| step.owner) {
            Some(owner) => rest.push(owner),
            None => {
                rest.extend(scope::joined_by(at, ptr::null()).into_iter().flat_map(|it| it.threads))
            }
        }
    }
    false
}

/// A step of a cycle, with what is told of it.
struct Hop {
    waiter: &'static Node,
    wait: WaitWord,
    /// Null for a thread that waits for others.
    wants: *const Lock,
    /// The scope whose threads it waits for, or null.
    joins: *const Scope,
    can_lose: bool,
    to: &'static Node,
    link: Link,
    /// Whom it waits for besides, who have not been looked at yet.
    others: Vec<&'static Node>,
}

impl Hop {
    fn of(waiter: &'static Node, held: *const Lock) -> Option<Self> {
        let hop = Step::of(waiter, |step| {
            // SAFETY: it is queued, and the lock of the bucket keeps it so.
            let (mut link, entered_at) = unsafe { (step.link(), waiter.entered_at(held)) };
            link.entered_at = entered_at;
            let Step { waiter, wait, wants, owner } = step;
            let joins = ptr::null();
            Self { waiter, wait, wants, joins, can_lose: true, to: owner, link, others: Vec::new() }
        });
        hop.or_else(|| {
            let joined = scope::joined_by(waiter, held)?;
            let Joined { wait, wait_of, can_lose, threads: mut others, entered_at, scope: joins } =
                joined;
            let to = others.pop()?;
            let link = Link { entered_at, ..Link::new(waiter, wait_of, None, Some(to)) };
            Some(Self { waiter, wait, wants: ptr::null(), joins, can_lose, to, link, others })
        })
    }

    /// Whether the thread still is in that wait, and it for the same thread.
    fn is_still_so(&self) -> bool {
        let is_same = |step: Step| {
            step.wait == self.wait
                && ptr::eq(step.wants, self.wants)
                && ptr::eq(step.owner, self.to)
        };
        if self.joins.is_null() {
            return Step::of(self.waiter, is_same) == Some(true);
        }
        scope::joined_by(self.waiter, ptr::null()).is_some_and(|joined| {
            joined.wait == self.wait && joined.threads.iter().any(|node| ptr::eq(*node, self.to))
        })
    }
}

/// The cycle that `me` is in, if there is one.
fn cycle_of(me: &'static Node) -> Option<Vec<Hop>> {
    let mut cycle: Vec<Hop> = Vec::new();
    // Those that have been looked at, once there are several ways. They do not lead back, or are in the chain.
    let mut seen: Option<HashSet<*const Node>> = None;
    let mut at = me;
    loop {
        let held = cycle.last().map_or(ptr::null(), |hop| hop.wants);
        let is_new = match &mut seen {
            Some(seen) => seen.insert(at),
            // A chain without end leads into a cycle of others.
            None => cycle.len() <= nodes::count(),
        };
        let hop = if is_new { Hop::of(at, held) } else { None };
        match hop {
            Some(hop) => {
                if !hop.others.is_empty() && seen.is_none() {
                    let chain = cycle.iter().map(|hop| ptr::from_ref(hop.waiter));
                    seen = Some(chain.chain([ptr::from_ref(at)]).collect());
                }
                at = hop.to;
                cycle.push(hop);
            }
            // This way leads nowhere. The last one that waits for several has another.
            None => loop {
                let last = cycle.last_mut()?;
                if let Some(other) = last.others.pop() {
                    last.to = other;
                    at = other;
                    break;
                }
                cycle.pop();
            },
        }
        if ptr::eq(at, me) && !cycle.is_empty() {
            break;
        }
    }
    // SAFETY: the calling thread's own frames.
    cycle[0].link.entered_at = unsafe { me.entered_at(cycle.last()?.wants) };
    for at in 0..cycle.len() {
        let before = (at + cycle.len() - 1) % cycle.len();
        cycle[at].link.holds = cycle[before].link.wants;
        cycle[at].link.waits_for = Some(cycle[at].to.thread());
    }
    Some(cycle)
}

/// Called with the lock of all breakers.
#[cold]
fn break_cycle(me: &'static Node) {
    while let Some(cycle) = cycle_of(me) {
        // The second look: if each wait is still the same one, all of them were there at one moment.
        if !cycle.iter().all(Hop::is_still_so) {
            continue;
        }
        let can_lose = cycle.iter().enumerate().filter(|(_, hop)| hop.can_lose);
        // By the ages that were noted: one whose wait is over meanwhile has another one, or none.
        let youngest = can_lose.max_by_key(|(_, hop)| hop.link.age);
        let Some((victim, hop)) = youngest else { break };
        let loser = Loser { node: hop.waiter, wait: hop.wait, wants: hop.wants, joins: hop.joins };
        let lost_to = Some((hop.to, hop.to.stamp()));
        let links = cycle.into_iter().map(|hop| hop.link.with_name(hop.waiter)).collect();
        let report = Report { lost_to, ..Report::new(links, victim) };
        // SAFETY: by contract.
        unsafe { loser.node.give_report(Box::new(report)) };
        if loser.node.settle(loser.wait, State::Aborted) {
            loser.wake();
        }
        // Through a thread that waits for several there may be another cycle.
    }
}

/// A thread that is to lose a wait.
struct Loser {
    node: &'static Node,
    wait: WaitWord,
    wants: *const Lock,
    joins: *const Scope,
}

impl Loser {
    /// Wakes the thread, which has lost.
    fn wake(&self) {
        match self.joins.is_null() {
            true => Lock::wake_loser(self.wants, self.node),
            false => scope::wake_joiner(self.joins, self.node),
        }
    }
}
