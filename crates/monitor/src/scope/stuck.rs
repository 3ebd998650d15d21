//! A closed branch in which nothing can go on.
//!
//! Each thread that begins to wait in a closed branch, or ends there, looks whether all others wait. If they do, and one of
//! them waits for a condition without a deadline, then no thread inside is going to make that true. As with cycles, what is
//! found is noted twice: if each wait is still the same one, there was a moment in between in which all threads waited. The
//! youngest of those that wait for conditions loses.
//!
//! A wait for a monitor that a thread outside is inside of does not count: that one is going to leave.

use std::cell::Cell;
use std::collections::HashSet;
use std::ptr;

use super::{CURRENT, Scope, in_tree};
use crate::graph;
use crate::lock::Lock;
use crate::node::{Node, State, WaitWord};
use crate::report::{Link, Report};

/// A thread of a closed branch that waits.
struct Blocked {
    node: &'static Node,
    wait: WaitWord,
    /// The monitor that it wants, or null. It need not be there.
    wants: *const Lock,
    is_condition: bool,
    link: Link,
}

/// Looks whether nothing can go on in the outermost closed branch that the calling thread is in.
pub(crate) fn look() {
    // SAFETY: the scope that the thread is in is there.
    let scope = unsafe { CURRENT.with(Cell::get).as_ref() };
    let Some(closed) = scope.and_then(Scope::outermost_closed) else { return };
    if blocked(closed).is_some() {
        graph::as_breaker(|| break_it(closed));
    }
}

/// Called with the lock of all breakers, by a thread in the scope.
#[cold]
fn break_it(closed: &Scope) {
    let Some(first) = blocked(closed) else { return };
    // The thread that has closed a cycle may not have come to break it. All go on then.
    if first.iter().any(|blocked| graph::break_cycle_of(blocked.node)) {
        return;
    }
    let Some(second) = blocked(closed) else { return };
    let is_same = |(a, b): (&Blocked, &Blocked)| ptr::eq(a.node, b.node) && a.wait == b.wait;
    if first.len() != second.len() || !first.iter().zip(&second).all(is_same) {
        return;
    }
    let conditions = second.iter().enumerate().filter(|(_, blocked)| blocked.is_condition);
    let youngest = conditions.max_by_key(|(_, blocked)| blocked.link.age);
    let Some((victim, &Blocked { node, wait, wants, .. })) = youngest else { return };
    let links = second.into_iter().map(|blocked| blocked.link.with_name(blocked.node)).collect();
    // SAFETY: by contract.
    unsafe { node.give_report(Box::new(Report { is_stuck: true, ..Report::new(links, victim) })) };
    if node.settle(wait, State::Aborted) {
        Lock::wake_loser(wants, node);
    }
}

/// The threads of a closed branch, if all of them wait, and one for a condition.
fn blocked(closed: &Scope) -> Option<Vec<Blocked>> {
    in_tree(|| {
        let mut threads = vec![closed.opener];
        // SAFETY: with the lock.
        unsafe { closed.threads(&mut threads) };
        let is_inside: HashSet<*const Node> =
            threads.iter().map(|node| ptr::from_ref(*node)).collect();
        let blocked: Option<Vec<_>> = threads
            .into_iter()
            // SAFETY: with the lock.
            .map(|node| unsafe {
                Blocked::of(node, |other| is_inside.contains(&ptr::from_ref(other)))
            })
            .collect();
        blocked.filter(|blocked| blocked.iter().any(|blocked| blocked.is_condition))
    })
}

impl Scope {
    /// Adds the threads inside that do not end.
    ///
    /// # Safety
    /// The caller has the lock of all scopes.
    unsafe fn threads(&self, threads: &mut Vec<&'static Node>) {
        // SAFETY: by contract.
        unsafe {
            let children = (*self.inside.get()).children.iter().filter(|child| !child.is_ending);
            threads.extend(children.map(|child| child.node));
            self.scopes_inside().for_each(|scope| scope.threads(threads));
        }
    }
}

impl Blocked {
    /// The wait of a thread, if only other threads inside can end it.
    ///
    /// # Safety
    /// The caller has the lock of all scopes.
    unsafe fn of(node: &'static Node, is_inside: impl Fn(&Node) -> bool) -> Option<Self> {
        let wait = node.wait_word();
        if wait.state() != State::Waiting || node.is_timed() {
            return None;
        }
        // SAFETY: with the lock, under which a thread says that it waits for those of a scope, which is there then.
        if let Some(scope) = unsafe { node.joins().as_ref() } {
            // SAFETY: as above.
            let (mut awaited, wait_of) =
                unsafe { (scope.awaited(node.in_scopes.child.get()), node.wait_of()?) };
            // A thread that is ending does not count as inside: who waits for it alone is about to go on.
            let awaited = awaited.find(|other| is_inside(other))?;
            let link = Link::new(node, wait_of, None, Some(awaited));
            return Some(Self { node, wait, wants: ptr::null(), is_condition: false, link });
        }
        graph::wait_of(node, |seen, wants, owner| {
            let is_condition = node.is_for_condition();
            let is_blocked = match owner {
                // The first of those that wait to enter has been woken.
                None => is_condition,
                // It is about to leave, and evaluates the conditions of others.
                Some(owner) if ptr::eq(owner, node) => false,
                Some(owner) => is_inside(owner),
            };
            // SAFETY: in the `look` of `wait_of`.
            let link = || unsafe { graph::link_of(node, wants, owner) };
            (seen == wait && is_blocked).then(|| Self {
                node,
                wait,
                wants,
                is_condition,
                link: link(),
            })
        })?
    }
}
