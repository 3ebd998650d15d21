//! Waits for threads to end.
//!
//! A thread waits for all threads of a scope that it has opened, at the end of its branch, or for one of a scope. Both are
//! in the graph: an edge to each thread that has not ended. The first cannot lose, for it could not go on before its
//! threads have ended; the second can.

use std::panic::Location;
use std::pin::pin;
use std::ptr;

use pysync_parking_lot::{Choice, Key, Position, Waiter, unpark_filter};
use pysync_platform::{Deadline, LockFlags, Native};

use super::{Scope, in_tree};
use crate::graph;
use crate::lock::Lock;
use crate::node::{Node, State, WaitOf, WaitWord};
use crate::nodes::{self, Hidden};
use crate::report::Deadlock;

/// A thread that waits for others: what it parks with, on the address of the scope.
struct Joiner {
    node: &'static Node,
    /// The one that it waits for, or all.
    child: Option<usize>,
}

/// Whom a thread waits for.
pub(crate) struct Joined {
    pub(crate) wait: WaitWord,
    /// Where the thread waits, and since when.
    pub(crate) wait_of: WaitOf,
    /// Whether the wait can be given up.
    pub(crate) can_lose: bool,
    /// The threads that have not ended.
    pub(crate) threads: Vec<&'static Node>,
    /// Where the thread has entered what it was asked about.
    pub(crate) entered_at: Option<&'static Location<'static>>,
    /// What it parks on. It need not be there.
    pub(crate) scope: *const Scope,
}

/// Whom a thread waits for, if it waits for threads; and where it has entered `held`.
///
/// Takes no lock, and allocates nothing, if it does not.
pub(crate) fn joined_by(joiner: &Node, held: *const Lock) -> Option<Joined> {
    if joiner.joins().is_null() {
        return None;
    }
    in_tree(|| {
        let wait = joiner.wait_word();
        // SAFETY: with the lock, under which a thread says that it waits for those of a scope, which is there then.
        let scope = unsafe { joiner.joins().as_ref() }?;
        if wait.state() != State::Waiting {
            return None;
        }
        let child = joiner.in_scopes.child.get();
        Some(Joined {
            wait,
            // SAFETY: as above.
            wait_of: unsafe { joiner.wait_of() }?,
            can_lose: child.is_some(),
            // SAFETY: with the lock.
            threads: unsafe { scope.awaited(child) }.collect(),
            // SAFETY: the thread waits for as long as this one has the lock, and so does not change its frames.
            entered_at: unsafe { joiner.entered_at(held) },
            scope,
        })
    })
}

/// Wakes a thread that waits for others, and has lost.
pub(crate) fn wake_joiner(scope: *const Scope, loser: &'static Node) {
    wake(scope, |joiner| ptr::eq(joiner.node, loser));
}

fn wake(scope: *const Scope, is_meant: impl Fn(&Joiner) -> bool) {
    let choose = |arg: *mut ()| {
        // SAFETY: threads park on this key with such an argument, which is there while they are queued.
        let joiner = unsafe { &*arg.cast_const().cast::<Joiner>() };
        if is_meant(joiner) { Choice::Unpark } else { Choice::Skip }
    };
    unpark_filter(Key::of(scope), choose, |_| ());
}

impl Scope {
    /// The calling thread, which has opened it, waits until all of its threads have ended.
    pub(crate) fn join_all(&self, at: &'static Location<'static>) {
        let joined = self.wait_for(None, at);
        debug_assert!(joined.is_ok(), "a wait for all cannot lose");
    }

    /// The calling thread waits until a thread has ended.
    ///
    /// # Errors
    /// If that would never be, and the calling thread is the youngest of those that can lose.
    pub(crate) fn join_one(
        &self,
        index: usize,
        at: &'static Location<'static>,
    ) -> Result<(), Deadlock> {
        self.wait_for(Some(index), at)
    }

    /// Whether a thread has ended.
    pub(crate) fn has_ended(&self, index: usize) -> bool {
        // SAFETY: with the lock.
        in_tree(|| unsafe { self.awaited(Some(index)) }.next().is_none())
    }

    /// The threads that have not ended of those that a thread waits for.
    ///
    /// # Safety
    /// The caller has the lock of all scopes for as long as it uses what this returns.
    pub(super) unsafe fn awaited(
        &self,
        child: Option<usize>,
    ) -> impl Iterator<Item = &'static Node> {
        // SAFETY: by contract.
        let children = unsafe { &(*self.inside.get()).children };
        let is_meant = move |index| child.is_none_or(|child| child == index);
        children.iter().filter(move |child| is_meant(child.index)).map(|child| child.node)
    }

    /// Wakes those that wait for a thread that has ended, and those that wait for all if it was the last. Called with the
    /// lock of all scopes.
    pub(super) fn wake_joiners(&self, index: usize, is_last: bool) {
        wake(self, |joiner| joiner.child.map_or(is_last, |child| child == index));
    }

    fn wait_for(
        &self,
        child: Option<usize>,
        at: &'static Location<'static>,
    ) -> Result<(), Deadlock> {
        let me = nodes::current();
        let joiner = Joiner { node: me, child };
        let waiter = pin!(Waiter::new(ptr::from_ref(&joiner).cast_mut().cast()));
        let waiter = waiter.as_ref();
        let mut has_begun = false;
        loop {
            let is_over = in_tree(|| {
                // SAFETY: with the lock.
                let has_ended = unsafe { self.awaited(child) }.next().is_none();
                let has_lost = has_begun && me.wait_word().state() != State::Waiting;
                if has_ended || has_lost {
                    if has_begun {
                        me.end_join();
                    }
                    return true;
                }
                if !has_begun {
                    me.stamp_it();
                    me.in_scopes.child.set(child);
                    me.begin_join(self, at);
                }
                // SAFETY: those that unpark on this key expect such an argument.
                unsafe { waiter.queue(Key::of(self), Position::Back, || true) };
                false
            });
            if is_over {
                break;
            }
            if !std::mem::replace(&mut has_begun, true) {
                graph::look(me);
            }
            // It may have lost before it was queued again, and is not woken for that.
            if me.wait_word().state() == State::Waiting {
                let _hidden = Hidden::while_waiting();
                waiter.sleep::<Native>(Deadline::NEVER, LockFlags::DETACH);
            } else {
                waiter.leave();
            }
        }
        if has_begun && me.wait_word().state() == State::Aborted {
            return Err(Deadlock::of_loser(me));
        }
        Ok(())
    }
}
