//! To leave a monitor, and who gets it next.
//!
//! 1. A thread whose condition is true: it is handed the monitor ([`crate::condition`]).
//! 2. The first that is parked. It is woken, and races with those that come; once it is due, it is handed the monitor,
//!    and goes before conditions.
//!
//! A thread that has lost, and is on its way out, hands each monitor that it leaves to the oldest that waits to enter,
//! unless a condition is true. If it could take back what it has given up, it would build the same cycle again.

use std::cell::Cell;
use std::ptr;

use pysync_parking_lot::{Choice, inspect, unpark_filter};
use pysync_platform::primitive::atomic::Ordering::{Relaxed, Release};

use crate::condition;
use crate::lock::{CONDITIONS, Lock, PARKED, Queued, TAGS, is_parked};
use crate::node::{Node, State};

impl Lock {
    /// Leaves if no thread is parked.
    #[inline]
    pub(crate) fn leave(&self, me: &'static Node) {
        let word = ptr::from_ref(me).cast_mut();
        // Ordering: Release pairs with the Acquire of the next one that enters.
        if self.word.compare_exchange(word, ptr::null_mut(), Release, Relaxed).is_err() {
            self.leave_slow(me);
        }
    }

    #[cold]
    fn leave_slow(&self, me: &'static Node) {
        let hands_to_oldest = me.own.unwinds.get();
        loop {
            // Ordering: Relaxed. None but this thread changes it, but for the bit of those that park.
            let seen = self.word.load(Relaxed);
            let has_conditions = seen.addr() & CONDITIONS != 0;
            if has_conditions && !(is_parked(seen) && self.is_due()) && condition::serve(self) {
                return;
            }
            let seen = self.word.load(Relaxed);
            if !is_parked(seen) {
                let free = ptr::null_mut::<Node>().map_addr(|_| seen.addr() & TAGS);
                // Ordering: as in `leave`.
                if self.word.compare_exchange(seen, free, Release, Relaxed).is_ok() {
                    return;
                }
                continue;
            }
            let oldest = if hands_to_oldest { self.oldest() } else { ptr::null() };
            // Who is next, and whether the lock is handed to it.
            let next = Cell::new(None::<(&'static Node, bool)>);
            let choose = |arg: *mut ()| {
                if next.get().is_some() {
                    return Choice::Stop;
                }
                // SAFETY: threads park on this key with a waiter, which is there while they are queued.
                let waiter = unsafe { &*arg.cast_const().cast::<Queued>() };
                if !oldest.is_null() && !ptr::eq(waiter, oldest) {
                    return Choice::Skip;
                }
                let is_handed = !oldest.is_null() || waiter.due.has_passed();
                let state = if is_handed { State::Granted } else { State::Idle };
                // One that has lost already is woken by the thread that has chosen it.
                if !waiter.node.settle(waiter.node.wait_word(), state) {
                    return Choice::Skip;
                }
                waiter.node.wants_nothing();
                next.set(Some((waiter.node, is_handed)));
                Choice::Unpark
            };
            let mut has_left = true;
            unpark_filter(Self::key(self), choose, |unparked| {
                let next = next.get();
                if next.is_none() && unparked.has_more_waiters && !oldest.is_null() {
                    // The oldest has left the queue since.
                    has_left = false;
                    return;
                }
                let owner = match next {
                    Some((node, true)) => ptr::from_ref(node).cast_mut(),
                    _ => ptr::null_mut(),
                };
                let parked = if unparked.has_more_waiters { PARKED } else { 0 };
                let tags = seen.addr() & CONDITIONS | parked;
                // Ordering: Release pairs with the Acquire of the next one that enters. One that is handed the
                // lock is ordered by its wake. A store will do: once the word has its bit, only its owner
                // changes it, under the bucket lock.
                self.word.store(owner.map_addr(|addr| addr | tags), Release);
            });
            if has_left {
                return;
            }
        }
    }

    /// Whether the first that is parked is due: it goes before those that wait for conditions.
    fn is_due(&self) -> bool {
        inspect(Self::key(self), |mut args| {
            let first = args.next().map(|arg| arg.cast_const().cast::<Queued>());
            // SAFETY: as in `leave_slow`.
            first.is_some_and(|first| unsafe { (*first).due.has_passed() })
        })
    }

    /// The oldest of those that are parked and have not lost.
    fn oldest(&self) -> *const Queued {
        inspect(Self::key(self), |args| {
            let waiters = args.map(|arg| arg.cast_const().cast::<Queued>());
            // SAFETY: as in `leave_slow`.
            let node = |waiter: *const Queued| unsafe { (*waiter).node };
            let waiting = waiters.filter(|&it| node(it).wait_word().state() == State::Waiting);
            waiting.min_by_key(|&it| node(it).stamp()).unwrap_or(ptr::null())
        })
    }

    /// Wakes a thread that is parked here and has lost.
    pub(crate) fn wake_loser(this: *const Self, loser: &'static Node) {
        let choose = |arg: *mut ()| {
            // SAFETY: as in `leave_slow`.
            let waiter = unsafe { &*arg.cast_const().cast::<Queued>() };
            // It may have found out by itself, and wait again.
            if !ptr::eq(waiter.node, loser) || loser.wait_word().state() != State::Aborted {
                return Choice::Skip;
            }
            loser.wants_nothing();
            Choice::Unpark
        };
        if unpark_filter(Self::key(this), choose, |_| ()).unparked == 0 {
            condition::wake(this, loser);
        }
    }
}
